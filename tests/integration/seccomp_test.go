package integration

import (
	"fmt"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// seccomp sets a profile with one rule.
func seccomp(def, action specs.LinuxSeccompAction, errno *uint, names ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: def, Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
			Syscalls: []specs.LinuxSyscall{{Names: names, Action: action, ErrnoRet: errno}}}
	}
}

func TestSeccompErrno(t *testing.T) {
	op := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
	for _, nnp := range []bool{true, false} {
		b := newBox(t, seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer", "sethostname"))
		b.spec.Process.NoNewPrivileges = nnp
		r := b.probe(op, "setname:x", "syscall:500")
		expect(t, "errno of getitimer", r.result(op).Err, int(unix.EPERM))
		expect(t, "errno of sethostname", r.result("setname:x").Err, int(unix.EPERM))
		expect(t, "seccomp mode", r.Seccomp, 2)
		b = newBox(t, seccomp(specs.ActAllow, specs.ActErrno, ptr(uint(unix.EXDEV)), "getitimer"))
		b.spec.Process.NoNewPrivileges = nnp
		expect(t, "errno of getitimer", b.probe(op).result(op).Err, int(unix.EXDEV))
	}
}

func TestSeccompKill(t *testing.T) {
	op := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
	for _, action := range []specs.LinuxSeccompAction{specs.ActKillProcess, specs.ActKill} {
		b := newBox(t, seccomp(specs.ActAllow, action, nil, "getitimer"), prober(op))
		expect(t, string(action)+": exit code", b.run().Code, 128+int(unix.SIGSYS))
		b.nothingLeft()
	}
}

// TestSeccompTight: a filter that forbids what the init itself needs after it has
// been installed does not keep the container from starting.
func TestSeccompTight(t *testing.T) {
	if !isTare {
		t.Skip("runc needs more system calls than the program")
	}
	b := newBox(t, seccomp(specs.ActErrno, specs.ActAllow, nil, "execve", "write", "exit_group", "exit"), prober("quiet", "exit:6"))
	b.spec.Process.NoNewPrivileges = true
	r := b.run()
	expect(t, "exit code", r.Code, 6)
	if r.Code != 6 {
		t.Log(r.Stderr)
	}
	b.create()
	b.start()
	expect(t, "exit code", b.wait(), 6)
}

func TestSeccompUnknownName(t *testing.T) {
	b := newBox(t, seccomp(specs.ActAllow, specs.ActErrno, nil, "no_such_syscall", "getitimer"))
	op := fmt.Sprintf("syscall:%d", unix.SYS_GETITIMER)
	b.spec.Process.Args = []string{"/prober", op}
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	expect(t, "errno of getitimer", b.parse(r.Stdout).result(op).Err, int(unix.EPERM))
}

func TestSeccompRefusals(t *testing.T) {
	b := newBox(t, seccomp("SCMP_ACT_NOPE", specs.ActErrno, nil, "getitimer"))
	b.createFails("linux.seccomp.defaultAction", "SCMP_ACT_NOPE")
	b.edit(seccomp(specs.ActAllow, "SCMP_ACT_WHAT", nil, "getitimer"))
	b.createFails("linux.seccomp.syscalls[0].action", "SCMP_ACT_WHAT")
}
