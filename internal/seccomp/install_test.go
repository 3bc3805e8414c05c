//go:build linux && (amd64 || arm64)

package seccomp

import (
	"fmt"
	"runtime"
	"syscall"
	"testing"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/field"
)

// installFailed is the exit status of a probe that could not install its
// filter; no call that is tried fails with such an errno.
const installFailed = 200

// behind installs a program in a new process, which then makes one system call and
// ends with its errno, 0 if it succeeded. The process is a fork that does nothing but raw
// system calls, so that it has one thread, as the init of a container does.
func behind(t *testing.T, filter []byte, flags, nr uintptr, args ...uintptr) (status unix.WaitStatus) {
	t.Helper()
	var a [6]uintptr
	copy(a[:], args)
	prog := unix.SockFprog{Len: uint16(len(filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		t.Fatalf("fork: %v", errno)
	}
	if pid == 0 {
		_, _, errno = syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
		if errno == 0 {
			_, _, errno = syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flags, uintptr(unsafe.Pointer(&prog)))
		}
		status := uintptr(installFailed)
		if errno == 0 {
			_, _, errno = syscall.RawSyscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
			status = uintptr(errno)
		}
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
		}
	}
	for {
		_, err := unix.Wait4(int(pid), &status, 0, nil)
		if err == nil {
			break
		}
		if err != unix.EINTR {
			t.Fatalf("wait: %v", err)
		}
	}
	runtime.KeepAlive(filter)
	return status
}

// try makes one system call behind a program. It returns the errno of the call, or the
// signal that ended the process.
func try(t *testing.T, p *Program, nr uintptr, args ...uintptr) string {
	t.Helper()
	status := behind(t, p.Filter, uintptr(p.Flags), nr, args...)
	switch {
	case status.Signaled():
		return status.Signal().String()
	case status.ExitStatus() == installFailed:
		t.Fatalf("the kernel refused the program of %d instructions, flags %#x", len(p.Filter)/8, p.Flags)
	case status.ExitStatus() == 0:
		return "ok"
	}
	return unix.ErrnoName(syscall.Errno(status.ExitStatus()))
}

func mustCompile(t *testing.T, cfg *specs.LinuxSeccomp) *Program {
	t.Helper()
	var errs field.List
	p := Compile(cfg, runtime.GOARCH, &errs)
	if p == nil {
		t.Fatalf("Compile: %v", errs.Err())
	}
	return p
}

const sigsys = "bad system call"

func TestKernelObeysActions(t *testing.T) {
	errno := func(n uint) *uint { return &n }
	rules := func(def specs.LinuxSeccompAction, rules ...specs.LinuxSyscall) *specs.LinuxSeccomp {
		return &specs.LinuxSeccomp{DefaultAction: def, Syscalls: rules, ListenerPath: "/run/agent.sock"}
	}
	getppid := func(act specs.LinuxSeccompAction, errno *uint, args ...specs.LinuxSeccompArg) specs.LinuxSyscall {
		return specs.LinuxSyscall{Names: []string{"getppid"}, Action: act, ErrnoRet: errno, Args: args}
	}
	over4G := specs.LinuxSeccompArg{Index: 1, Op: specs.OpGreaterThan, Value: 1 << 32}
	for _, c := range []struct {
		name string
		cfg  *specs.LinuxSeccomp
		nr   uintptr
		args []uintptr
		want string
	}{
		{"allow", rules(specs.ActErrno, getppid(specs.ActAllow, nil), exits), unix.SYS_GETPPID, nil, "ok"},
		{"errno", rules(specs.ActAllow, getppid(specs.ActErrno, errno(77))), unix.SYS_GETPPID, nil, "EBADFD"},
		{"errno without a number", rules(specs.ActAllow, getppid(specs.ActErrno, nil)), unix.SYS_GETPPID, nil, "EPERM"},
		{"kill", rules(specs.ActAllow, getppid(specs.ActKill, nil)), unix.SYS_GETPPID, nil, sigsys},
		{"kill thread", rules(specs.ActAllow, getppid(specs.ActKillThread, nil)), unix.SYS_GETPPID, nil, sigsys},
		{"kill process", rules(specs.ActAllow, getppid(specs.ActKillProcess, nil)), unix.SYS_GETPPID, nil, sigsys},
		{"another call than the killed one", rules(specs.ActAllow, getppid(specs.ActKill, nil)), unix.SYS_GETPID, nil, "ok"},
		{"log", rules(specs.ActAllow, getppid(specs.ActLog, nil)), unix.SYS_GETPPID, nil, "ok"},
		{"trace without a tracer", rules(specs.ActAllow, getppid(specs.ActTrace, nil)), unix.SYS_GETPPID, nil, "ENOSYS"},
		{"notify installs a listener", rules(specs.ActAllow, getppid(specs.ActNotify, nil)), unix.SYS_GETPID, nil, "ok"},
		{"argument above the bound", rules(specs.ActAllow, getppid(specs.ActErrno, errno(77), over4G)), unix.SYS_GETPPID, []uintptr{0, 1<<32 | 1}, "EBADFD"},
		{"argument at the bound", rules(specs.ActAllow, getppid(specs.ActErrno, errno(77), over4G)), unix.SYS_GETPPID, []uintptr{0, 1 << 32}, "ok"},
		{"argument with only a low word", rules(specs.ActAllow, getppid(specs.ActErrno, errno(77), over4G)), unix.SYS_GETPPID, []uintptr{0, 1<<32 - 1}, "ok"},
		{"default", rules(specs.ActErrno, exits), unix.SYS_GETPPID, nil, "EPERM"},
		{"newer than the profile", rules(specs.ActErrno, exits), unix.SYS_PIDFD_OPEN, nil, "ENOSYS"},
		{"call -1", rules(specs.ActAllow, getppid(specs.ActErrno, nil)), ^uintptr(0), nil, "ENOSYS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := try(t, mustCompile(t, c.cfg), c.nr, c.args...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

// exits lets a probe end.
var exits = specs.LinuxSyscall{Names: []string{"exit_group"}, Action: specs.ActAllow}

func TestKernelObeysDockerProfile(t *testing.T) {
	p := mustCompile(t, readProfile(t, "docker-"+runtime.GOARCH))
	for _, c := range []struct {
		name string
		nr   uintptr
		args []uintptr
		want string
	}{
		{"getpid", unix.SYS_GETPID, nil, "ok"},
		{"clone3", unix.SYS_CLONE3, nil, "ENOSYS"},
		{"keyctl", unix.SYS_KEYCTL, nil, "EPERM"},
		{"unshare", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUTS}, "EPERM"},
		{"clone of a user namespace", unix.SYS_CLONE, []uintptr{unix.CLONE_NEWUSER | 17}, "EPERM"},
		{"socket INET", unix.SYS_SOCKET, []uintptr{unix.AF_INET, unix.SOCK_DGRAM, 0}, "ok"},
		{"socket VSOCK", unix.SYS_SOCKET, []uintptr{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, "EPERM"},
		{"socket ALG", unix.SYS_SOCKET, []uintptr{unix.AF_ALG, unix.SOCK_SEQPACKET, 0}, "EPERM"},
		{"personality query", unix.SYS_PERSONALITY, []uintptr{0xffffffff}, "ok"},
		{"personality 1", unix.SYS_PERSONALITY, []uintptr{1}, "EPERM"},
		{"a call of the future", 900, nil, "ENOSYS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := try(t, p, c.nr, c.args...); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestKernelKillsUnlistedX32(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("x32 is an ABI of amd64, this is %s", runtime.GOARCH)
	}
	cfg := &specs.LinuxSeccomp{DefaultAction: specs.ActAllow}
	if got := try(t, mustCompile(t, cfg), x32Bit|unix.SYS_GETPID); got != sigsys {
		t.Errorf("x32 not listed: %s, want %s", got, sigsys)
	}
	cfg.Architectures = []specs.Arch{specs.ArchX32}
	if got := try(t, mustCompile(t, cfg), x32Bit|unix.SYS_GETPID); got == sigsys {
		t.Error("x32 listed: killed")
	}
}

func TestKernelTakesEveryRandomProgram(t *testing.T) {
	// The kernel keeps at most 32768 instructions for a process, so each
	// program is installed in one of its own.
	for seed := range uint64(100) {
		cfg := randomProfile(seed, runtime.GOARCH)
		cfg.Syscalls = append([]specs.LinuxSyscall{exits}, cfg.Syscalls...)
		cfg.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog}
		var errs field.List
		p := Compile(cfg, runtime.GOARCH, &errs)
		if p == nil {
			continue // a contradiction; TestOracleRecorded looks at those
		}
		t.Run(fmt.Sprint(seed), func(t *testing.T) { try(t, p, unix.SYS_EXIT_GROUP, 0) })
	}
}
