package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// cpuMask is how the prober prints a mask of these CPUs.
func cpuMask(cpus ...uint) string { return capMask(cpus...) }

// TestExecCPUAffinity: process.execCPUAffinity of the process or of the container;
// without it every CPU of the cgroup, whatever the caller is pinned to.
func TestExecCPUAffinity(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 does not know it")
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil {
		t.Fatal(err)
	}
	if all.Count() < 2 || !all.IsSet(0) || !all.IsSet(1) {
		t.Skip("this host lacks a second CPU")
	}
	b := running(t)
	b.pinned(t)
	every := b.exec(nil).Affinity
	if every == cpuMask(0) {
		t.Error("the caller's affinity came along")
	}
	for _, c := range []struct {
		affinity *specs.CPUAffinity
		want     string
	}{
		{&specs.CPUAffinity{Final: "1"}, cpuMask(1)},
		{&specs.CPUAffinity{Initial: "0", Final: "1"}, cpuMask(1)},
		{&specs.CPUAffinity{Initial: "1", Final: "0-1"}, cpuMask(0, 1)},
		{&specs.CPUAffinity{Initial: "1"}, every},
		// CPUs that the host has not, and that no fixed mask reaches.
		{&specs.CPUAffinity{Final: "1,1030,8191"}, cpuMask(1)},
		{&specs.CPUAffinity{Initial: "0,5000", Final: "0,1024-1030"}, cpuMask(0)},
	} {
		expect(t, "affinity", b.execProcess(&specs.Process{ExecCPUAffinity: c.affinity}).Affinity, c.want)
	}
	for field, a := range map[string]*specs.CPUAffinity{
		`process.execCPUAffinity.initial "7000"`: {Initial: "7000"}, `process.execCPUAffinity.final "7000"`: {Final: "7000"},
		`process.execCPUAffinity.initial "x"`: {Initial: "x"}, `process.execCPUAffinity.final "2-1"`: {Final: "2-1"},
	} {
		b.execFails([]string{field}, "--process", b.processFile(&specs.Process{Args: []string{"/prober"}, Cwd: "/", ExecCPUAffinity: a}), b.id)
	}
	b.remove("--force")
	// That of the config is for exec alone, and holds where the process has none.
	b = running(t, func(s *specs.Spec) { s.Process.ExecCPUAffinity = &specs.CPUAffinity{Final: "1"} })
	expect(t, "affinity", b.exec(nil).Affinity, cpuMask(1))
	expect(t, "affinity", b.execProcess(&specs.Process{}).Affinity, cpuMask(1))
	var own unix.CPUSet
	b.must(unix.SchedGetaffinity(b.pid, &own))
	expect(t, "CPUs of the container's process", own.Count(), all.Count())
	b.remove("--force")
}

// TestExecInitialCPUs: the CPUs before the container's cgroups are joined, seen
// while a frozen cgroup holds the process right behind that.
func TestExecInitialCPUs(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 does not know it")
	}
	var all unix.CPUSet
	if err := unix.SchedGetaffinity(0, &all); err != nil || all.Count() < 2 {
		t.Skip("this host lacks a second CPU")
	}
	b := running(t)
	freeze := b.freezer(t)
	freeze(true)
	p := b.processFile(&specs.Process{Args: []string{"/prober", "quiet"}, Cwd: "/", ExecCPUAffinity: &specs.CPUAffinity{Initial: "1", Final: "0"}})
	cmd, done := b.command("exec", "--ignore-paused", "--process", p, b.id)
	b.must(cmd.Start())
	pid := 0
	b.until("the frozen process", func() bool {
		for _, text := range b.cgroupProcs() {
			if n, _ := strconv.Atoi(text); n != b.pid {
				pid = n
			}
		}
		return pid != 0
	})
	var now unix.CPUSet
	b.must(unix.SchedGetaffinity(pid, &now))
	if now.Count() != 1 || !now.IsSet(1) {
		t.Errorf("the process begins on %v, expected CPU 1", now)
	}
	freeze(false)
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 0)
	b.remove("--force")
}

// pinned has the runtime called from CPU 0 alone.
func (b *box) pinned(t *testing.T) {
	var old, one unix.CPUSet
	b.must(unix.SchedGetaffinity(0, &old))
	one.Set(0)
	b.must(unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() { _ = unix.SchedSetaffinity(0, &old) })
}

// TestExecCgroup: --cgroup names a directory below the container's, and is never
// replaced by another.
func TestExecCgroup(t *testing.T) {
	b := running(t)
	var subs []string
	for _, dir := range cgroupDirs(b.id) {
		b.must(os.Mkdir(dir+"/sub", 0o755))
		subs = append(subs, dir+"/sub")
		if strings.Contains(dir, "/cpuset/") {
			for _, f := range []string{"/cpuset.cpus", "/cpuset.mems"} {
				b.must(os.WriteFile(dir+"/sub"+f, []byte(readText(t, dir+f)), 0))
			}
		}
	}
	if len(subs) == 0 {
		t.Skip("this host lacks cgroups")
	}
	in := func(r *report, want func(name string) bool) {
		t.Helper()
		for name, path := range cgroupOf(r.Cgroup) {
			if strings.HasSuffix(path, "/sub") != want(name) {
				t.Errorf("in hierarchy %q the process is in %s", name, path)
			}
		}
	}
	in(b.exec([]string{"--cgroup", "sub"}), func(string) bool { return true })
	in(b.exec([]string{"--cgroup", "/sub/"}), func(string) bool { return true })
	in(b.exec(nil), func(string) bool { return false })
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		in(b.exec([]string{"--cgroup", "memory,pids:sub", "--cgroup", "freezer:/sub"}), func(n string) bool { return n == "memory" || n == "pids" || n == "freezer" })
	}
	for _, c := range []struct {
		words []string
		flags []string
	}{
		{[]string{"none", "no such file or directory"}, []string{"--cgroup", "none"}},
		{[]string{"must stay below"}, []string{"--cgroup", "../x"}},
		{[]string{"must stay below"}, []string{"--cgroup", "memory:sub/../../x"}},
		{[]string{"missing <controller>: prefix"}, []string{"--cgroup", "sub", "--cgroup", "pids:sub"}},
		{[]string{"empty <controller> prefix"}, []string{"--cgroup", ":sub"}},
		{[]string{"specified multiple times"}, []string{"--cgroup", "pids:sub", "--cgroup", "pids:/"}},
		{[]string{`"nope"`}, []string{"--cgroup", "nope:sub"}},
	} {
		b.execFails(append([]string{"exec failed: "}, c.words...), append(c.flags, b.id, "/prober")...)
	}
	for _, dir := range subs {
		b.must(os.Remove(dir))
	}
	b.remove("--force")
}

// TestExecMovedCgroup: on v2 the cgroup that the container's process is in by now,
// because the one above it may take no more processes.
func TestExecMovedCgroup(t *testing.T) {
	b := running(t)
	moved := ""
	for _, dir := range cgroupDirs(b.id) {
		if _, err := os.Stat(dir + "/cgroup.events"); err == nil {
			moved = dir + "/init.scope"
		}
	}
	if moved == "" {
		t.Skip("this host lacks cgroup v2")
	}
	b.must(os.Mkdir(moved, 0o755))
	b.must(os.WriteFile(moved+"/cgroup.procs", []byte(strconv.Itoa(b.pid)), 0))
	r := b.exec(nil)
	if got := cgroupOf(r.Cgroup)[""]; !strings.HasSuffix(got, "/init.scope") {
		t.Errorf("the process is in %s", got)
	}
	b.must(os.WriteFile(filepath.Dir(moved)+"/cgroup.procs", []byte(strconv.Itoa(b.pid)), 0))
	b.must(os.Remove(moved))
	b.remove("--force")
}

// TestExecSeccomp: the container's filter holds for what is run in it.
func TestExecSeccomp(t *testing.T) {
	for _, nnp := range []bool{false, true} {
		b := running(t, func(s *specs.Spec) {
			s.Process.NoNewPrivileges = nnp
			s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{
				{Names: []string{"mkdir", "mkdirat"}, Action: specs.ActErrno, ErrnoRet: ptr(uint(38))}}}
		})
		for _, r := range []*report{b.exec(nil, "mkdir:/work/x"), b.execProcess(&specs.Process{Args: []string{"/prober", "mkdir:/work/x"}, NoNewPrivileges: nnp})} {
			expect(t, "seccomp mode", r.Seccomp, 2)
			expect(t, "mkdir", r.result("mkdir:/work/x").Err, 38)
			expect(t, "effective", r.Caps.Effective, capMask(unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE))
		}
		b.remove("--force")
	}
}
