package integration

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The numbers of calls by the way in that they are made by (asm/unistd_64.h,
// asm/unistd_32.h of amd64).
const (
	getitimer64, getitimer32 = 36, 105
	sync32                   = 36
	socket64, socketcall32   = 41, 102
	socket32                 = 359
	personality64            = 135
	personality32            = 136
	getpid64, getpid32       = 39, 20
)

// needI386 skips where the kernel has no 32-bit calls.
func needI386(t *testing.T) {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skipf("32-bit calls are made on amd64, this is %s", runtime.GOARCH)
	}
	b := newBox(t)
	if r := b.probe("call:i386:20").result("call:i386:20"); r.Ret <= 0 {
		t.Skipf("this kernel takes no i386 calls: getpid returns %d", r.Ret)
	}
}

// profile sets a whole profile.
func profile(p specs.LinuxSeccomp) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Seccomp = &p }
}

func rule(action specs.LinuxSeccompAction, errno uint, args []specs.LinuxSeccompArg, names ...string) specs.LinuxSyscall {
	r := specs.LinuxSyscall{Names: names, Action: action, Args: args}
	if errno != 0 {
		r.ErrnoRet = &errno
	}
	return r
}

var bothArchs = []specs.Arch{specs.ArchX86_64, specs.ArchX86}

// TestSeccompI386 makes real 32-bit calls, by int 0x80, in a container: the rule of a
// name holds for its number there, and for what i386 multiplexes.
func TestSeccompI386(t *testing.T) {
	needI386(t)
	exdev, eperm := int(unix.EXDEV), int(unix.EPERM)
	b := newBox(t, profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: bothArchs, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActErrno, uint(unix.EXDEV), nil, "getitimer", "socket"),
	}}))
	calls := []struct {
		call string
		errs int
	}{
		{fmt.Sprintf("call:native:%d", getitimer64), exdev},
		{fmt.Sprintf("call:i386:%d", getitimer32), exdev},
		{fmt.Sprintf("call:i386:%d", sync32), 0}, // the number of the other one
		{fmt.Sprintf("call:i386:%d", getpid32), 0},
		{fmt.Sprintf("call:native:%d:1:1:0", socket64), exdev},
		{fmt.Sprintf("call:i386:%d:1:1:0", socket32), exdev},
		{fmt.Sprintf("call:i386:%d:1:0", socketcall32), exdev},             // SYS_SOCKET
		{fmt.Sprintf("call:i386:%d:2:0", socketcall32), int(unix.EFAULT)},  // SYS_BIND
		{fmt.Sprintf("call:i386:%d:17:0", socketcall32), int(unix.EFAULT)}, // SYS_RECVMSG
		{fmt.Sprintf("call:i386:%d:99:0", socketcall32), int(unix.EINVAL)}, // none
		{fmt.Sprintf("call:native:%d", getpid64), 0},                       // by the other way in again
		{fmt.Sprintf("call:native:%d:4294967295", personality64), 0},       // a query
		{fmt.Sprintf("call:i386:%d:4294967295", personality32), 0},         // a query
		{fmt.Sprintf("call:i386:%d:16:0", socketcall32), int(unix.EFAULT)}, // SYS_SENDMSG
		{fmt.Sprintf("call:i386:%d:1:1:0:7", socket32), exdev},             // further arguments say nothing
		{fmt.Sprintf("call:native:%d:1:1:0:7:7:7", socket64), exdev},       // further arguments say nothing
		{fmt.Sprintf("call:i386:%d:0", 9999), int(unix.ENOSYS)},            // no such call, and the default allows
		{fmt.Sprintf("call:native:%d:0", 9999), int(unix.ENOSYS)},          // no such call, and the default allows
	}
	var ops []string
	for _, c := range calls {
		ops = append(ops, c.call)
	}
	rep := b.probe(ops...)
	for _, c := range calls {
		expect(t, c.call, rep.result(c.call).Err, c.errs)
	}
	// A profile that denies: what it does not name, and what is newer than it.
	b = newBox(t, profile(specs.LinuxSeccomp{DefaultAction: specs.ActErrno, Architectures: bothArchs, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActAllow, 0, nil, proberCalls...),
	}}))
	rep = b.probe("call:i386:20", "call:i386:105", "call:i386:9999", "call:native:36", "call:native:9999")
	expect(t, "getpid", rep.result("call:i386:20").Err, 0)
	expect(t, "getitimer", rep.result("call:i386:105").Err, eperm)
	expect(t, "a call of the future", rep.result("call:i386:9999").Err, int(unix.ENOSYS))
	expect(t, "getitimer, 64 bits", rep.result("call:native:36").Err, eperm)
	expect(t, "a call of the future, 64 bits", rep.result("call:native:9999").Err, int(unix.ENOSYS))
}

// proberCalls are what the prober, and the init behind a filter, make.
var proberCalls = []string{"read", "write", "close", "openat", "getdents64", "readlinkat", "statx", "fcntl", "execve", "capset", "exit_group", "getpid", "getppid",
	"getpgid", "getsid", "getresuid", "getresgid", "getgroups", "umask", "capget", "prctl", "prlimit64", "rt_sigprocmask", "rt_sigaction", "sched_getaffinity",
	"sched_getscheduler", "getpriority", "ioprio_get", "personality", "clock_gettime", "uname", "keyctl", "getcwd", "get_mempolicy", "sched_getattr",
	"close_range", "madvise"}

// TestSeccompI386Arguments: on a 32-bit call only the low word of a value counts, as
// with libseccomp, and the upper word of an argument is not there.
func TestSeccompI386Arguments(t *testing.T) {
	needI386(t)
	for _, c := range []struct {
		op         specs.LinuxSeccompOperator
		value, two uint64
		arg        string
		on64, on32 bool // the rule matches
	}{
		{specs.OpEqualTo, 0xffffffff, 0, "4294967295", true, true},
		{specs.OpEqualTo, 1<<32 | 0xffffffff, 0, "4294967295", false, true},
		{specs.OpNotEqual, 1<<32 | 0xffffffff, 0, "4294967295", true, false},
		{specs.OpGreaterThan, 1 << 32, 0, "4294967295", false, true},
		{specs.OpLessThan, 1 << 32, 0, "4294967295", true, false},
		{specs.OpGreaterEqual, 0xffffffff, 0, "4294967295", true, true},
		{specs.OpLessEqual, 0xfffffffe, 0, "4294967295", false, false},
		{specs.OpMaskedEqual, 0xff, 0xff, "4294967295", true, true},
		{specs.OpMaskedEqual, 1 << 32, 1 << 32, "4294967295", false, true},
	} {
		b := newBox(t, profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: bothArchs, Syscalls: []specs.LinuxSyscall{
			rule(specs.ActErrno, uint(unix.EXDEV), []specs.LinuxSeccompArg{{Index: 0, Op: c.op, Value: c.value, ValueTwo: c.two}}, "personality")}}))
		native, i386 := fmt.Sprintf("call:native:%d:%s", personality64, c.arg), fmt.Sprintf("call:i386:%d:%s", personality32, c.arg)
		rep := b.probe(native, i386)
		what := fmt.Sprintf("%s %#x %#x matches %s", c.op, c.value, c.two, c.arg)
		expect(t, what+", 64 bits", rep.result(native).Err == int(unix.EXDEV), c.on64)
		expect(t, what+", 32 bits", rep.result(i386).Err == int(unix.EXDEV), c.on32)
	}
}

// TestSeccompUnlistedABI: a call by a way in that the profile does not list ends the
// process, or else it would be a way around the profile.
func TestSeccompUnlistedABI(t *testing.T) {
	needI386(t)
	for _, c := range []struct {
		archs  []specs.Arch
		call   string
		killed bool
	}{
		{[]specs.Arch{specs.ArchX86_64}, "call:i386:20", true},
		{nil, "call:i386:20", true},
		{bothArchs, "call:i386:20", false},
		{[]specs.Arch{specs.ArchX86_64}, "call:x32:39", true},
		{bothArchs, "call:x32:39", true},
		{[]specs.Arch{specs.ArchX86_64, specs.ArchX32}, "call:x32:39", false},
		{[]specs.Arch{specs.ArchX86}, "call:native:39", false}, // the native one is always there
		{[]specs.Arch{specs.ArchAARCH64, specs.ArchS390X}, "call:i386:20", true},
	} {
		b := newBox(t, profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: c.archs}), prober("quiet", c.call))
		want := 0
		if c.killed {
			want = 128 + int(unix.SIGSYS)
		}
		expect(t, fmt.Sprintf("exit code of %s with %v", c.call, c.archs), b.run().Code, want)
	}
}

// TestSeccompActions has every action in a container, seen from outside.
func TestSeccompActions(t *testing.T) {
	for _, c := range []struct {
		action specs.LinuxSeccompAction
		errno  uint
		code   int
		err    int
	}{
		{specs.ActAllow, 0, 0, 0}, {specs.ActLog, 0, 0, 0},
		{specs.ActErrno, 0, 0, int(unix.EPERM)}, {specs.ActErrno, uint(unix.EXDEV), 0, int(unix.EXDEV)},
		{specs.ActTrace, 0, 0, int(unix.ENOSYS)}, {specs.ActTrace, 7, 0, int(unix.ENOSYS)}, // no tracer
		{specs.ActTrap, 0, 128 + int(unix.SIGSYS), 0}, {specs.ActKill, 0, 128 + int(unix.SIGSYS), 0},
		{specs.ActKillThread, 0, 128 + int(unix.SIGSYS), 0}, {specs.ActKillProcess, 0, 128 + int(unix.SIGSYS), 0},
	} {
		def := specs.ActAllow
		if c.action == def {
			def = specs.ActLog
		}
		call := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
		b := newBox(t, profile(specs.LinuxSeccomp{DefaultAction: def, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
			Syscalls: []specs.LinuxSyscall{rule(c.action, c.errno, nil, "getitimer")}}), prober(call))
		r := b.run()
		expect(t, fmt.Sprintf("exit code of %s", c.action), r.Code, c.code)
		if c.code == 0 {
			err := b.parse(r.Stdout).result(call).Err
			if c.err == 0 && err == int(unix.EFAULT) {
				err = 0 // getitimer itself, which has no pointer
			}
			expect(t, fmt.Sprintf("errno of %s %d", c.action, c.errno), err, c.err)
		}
	}
}

// TestSeccompFlags: all flags at once, with and without an agent; the kernel refuses
// an impossible set, and TSYNC beside a listener would be one.
func TestSeccompFlags(t *testing.T) {
	all := []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagSpecAllow}
	b := newBox(t, seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer"))
	b.spec.Linux.Seccomp.Flags = all
	call := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
	expect(t, "errno", b.probe(call).result(call).Err, int(unix.EPERM))
	b = newBox(t)
	a := newAgent(t, b.dir+"/agent", fake)
	b.edit(notify(b.dir+"/agent", "", "mkdirat"))
	b.spec.Linux.Seccomp.Flags = append(all, specs.LinuxSeccompFlagWaitKillableRecv)
	expect(t, "errno", b.probe("mkdir:/tmp/x").result("mkdir:/tmp/x").Err, 0)
	expectList(t, "questions", a.questions(), []int{unix.SYS_MKDIRAT})
	b = newBox(t, prober("quiet"), seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer"))
	b.spec.Linux.Seccomp.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"}
	b.createFails("linux.seccomp.flags[0]", "SECCOMP_FILTER_FLAG_NEW_LISTENER")
}

// TestSeccompRules: duplicates are one rule, contradictions none.
func TestSeccompRules(t *testing.T) {
	call := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
	b := newBox(t, profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActErrno, uint(unix.EXDEV), nil, "getitimer", "getitimer"), rule(specs.ActErrno, uint(unix.EXDEV), nil, "getitimer"),
		rule(specs.ActErrno, uint(unix.ENOTUNIQ), nil, "getitimer"), // the first rule without arguments decides
	}}))
	expect(t, "errno", b.probe(call).result(call).Err, int(unix.EXDEV))
	when := []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo, Value: 0}}
	b = newBox(t, prober("quiet"), profile(specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
		rule(specs.ActErrno, 1, when, "getitimer"), rule(specs.ActErrno, 2, when, "getitimer"),
	}}))
	b.createFails("linux.seccomp.syscalls[1].names[0]", "getitimer", "contradicts")
}
