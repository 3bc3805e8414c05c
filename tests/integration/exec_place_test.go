package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

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
	if fileExists("/sys/fs/cgroup/cgroup.controllers") {
		t.Skip("on a host with cgroup v2 alone the process is born in its cgroup, whose CPUs the kernel gives it: this host lacks cgroup v1")
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
	runtime.LockOSThread() // it is the thread that is bound, and set free again
	var old, one unix.CPUSet
	b.must(unix.SchedGetaffinity(0, &old))
	one.Set(0)
	b.must(unix.SchedSetaffinity(0, &one))
	t.Cleanup(func() {
		_ = unix.SchedSetaffinity(0, &old)
		runtime.UnlockOSThread()
	})
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

// TestExecStreams: what the caller gives is the process's, and nothing else.
func TestExecStreams(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	var files []*os.File
	for _, n := range []string{"a", "b", "c"} {
		f, err := os.Create(b.dir + "/io/" + n)
		b.must(err)
		defer f.Close()
		files = append(files, f)
	}
	cmd, done := b.command("exec", "--preserve-fds", "2", b.id, "/prober")
	cmd.ExtraFiles = files
	b.must(cmd.Run())
	r := b.parse(done().Stdout)
	expect(t, "number of descriptors", len(r.Fds), 5)
	for _, f := range r.Fds {
		if want := map[int]string{3: "/io/a", 4: "/io/b"}[f.Fd]; f.Fd > 2 && (want == "" || !strings.HasSuffix(f.Target, want)) {
			t.Errorf("descriptor %d is %s, expected %q", f.Fd, f.Target, want)
		}
	}
	b.execFails([]string{"--preserve-fds 90", "is not open"}, "--preserve-fds", "90", b.id, "/prober")
	b.execFails([]string{"--preserve-fds -1: must not be negative"}, "--preserve-fds=-1", b.id, "/prober")
	cmd, done = b.command("exec", b.id, "/bin/cat")
	cmd.Stdin = strings.NewReader("through\n")
	b.must(cmd.Run())
	expect(t, "output", done().Stdout, "through\n")
	b.remove("--force")
}

// TestExecForwardsSignals: to tare means to the process.
func TestExecForwardsSignals(t *testing.T) {
	b := running(t)
	cmd, _ := b.command("exec", b.id, "/prober", "quiet", "signals:3")
	b.must(cmd.Start())
	name := cmd.Stdout.(*os.File).Name()
	lines := func() int { return strings.Count(readText(t, name), "\n") }
	b.until("the process", func() bool { return lines() == 2 })
	for i, sig := range []unix.Signal{unix.SIGUSR1, unix.SIGTERM} {
		b.must(unix.Kill(cmd.Process.Pid, sig))
		b.until("the signal", func() bool { return lines() > 2+i })
	}
	// This one is caught only when the process has run for a while, and is sent until
	// then. The program ends with the first that it gets.
	b.until("the last signal", func() bool {
		_ = unix.Kill(cmd.Process.Pid, unix.SIGWINCH)
		return lines() > 4
	})
	_ = cmd.Wait()
	expect(t, "exit code", cmd.ProcessState.ExitCode(), 0)
	expect(t, "signals", strings.Join(strings.Fields(readText(t, name))[2:5], " "), ",10 ,15 ,28")
	b.remove("--force")
}

// TestExecHoldsSignals: one that comes to tare when the program runs already, and tare
// has not come to it yet, is for the program.
func TestExecHoldsSignals(t *testing.T) {
	if !isTare {
		t.Skip("how it is made to wait is about tare's system calls")
	}
	strace, err := exec.LookPath("strace")
	need(t, "strace", err)
	b := running(t)
	// It waits for the first process of the two that it starts, and the other goes on.
	b.wrap = []string{strace, "-f", "-qq", "-o", b.dir + "/io/trace", "-e", "trace=wait4", "-e", "inject=wait4:delay_enter=1000000:when=1"}
	cmd, done := b.command("exec", b.id, "/prober", "quiet", "signals:1")
	b.wrap = nil
	b.must(cmd.Start())
	name := cmd.Stdout.(*os.File).Name()
	b.until("the program", func() bool { return strings.Contains(readText(t, name), "ready") })
	tare := 0
	for _, word := range strings.Fields(readText(t, procPath(cmd.Process.Pid, "task/"+strconv.Itoa(cmd.Process.Pid)+"/children"))) {
		if comm, _ := os.ReadFile("/proc/" + word + "/comm"); strings.HasPrefix(string(comm), "tare") && string(comm) != "tare:init\n" {
			tare, _ = strconv.Atoi(word)
		}
	}
	if tare == 0 {
		t.Fatal("no tare below strace")
	}
	b.must(unix.Kill(tare, unix.SIGUSR1))
	timer := time.AfterFunc(patience/4, func() { _ = unix.Kill(b.pid, unix.SIGKILL) }) // and with it all others
	defer timer.Stop()
	_ = cmd.Wait()
	r := done()
	expect(t, "exit code", r.Code, 0)
	if !strings.HasSuffix(r.Stdout, ",10\n") {
		t.Errorf("the program got %q", r.Stdout)
	}
	b.remove("--force")
}

// TestExecLabels: a label that the kernel would not give is an error, not a
// process without it.
func TestExecLabels(t *testing.T) {
	b := running(t)
	if _, err := os.Stat("/sys/module/apparmor/parameters/enabled"); err != nil {
		b.execFails([]string{"process.apparmorProfile", "needs AppArmor"}, "--apparmor", "web", b.id, "/prober")
	}
	if _, err := os.Stat("/sys/fs/selinux/class"); err != nil {
		b.execFails([]string{"process.selinuxLabel", "needs SELinux"}, "--process-label", "u:r:t:s0", b.id, "/prober")
	}
	b.remove("--force")
}

// TestExecLog: one record for one failure, which engines decode.
func TestExecLog(t *testing.T) {
	b := running(t)
	log := b.dir + "/io/log.json"
	r := b.call("--log", log, "--log-format", "json", "exec", b.id, "nothing")
	expect(t, "exit code", r.Code, 255)
	var rec struct {
		Level, Msg string
		Time       time.Time
	}
	b.must(json.Unmarshal([]byte(readText(t, log)), &rec))
	expect(t, "level", rec.Level, "error")
	expect(t, "message", rec.Msg, strings.TrimSpace(strings.TrimPrefix(r.Stderr, "tare: ")))
	b.remove("--force")
}

// TestExecOutOfRoom: a limit of processes has room for one more as long as it is
// not reached: nothing but the new process is ever counted. When it is reached,
// cgroup v2 says so; v1 does not count who moves in, but lets nobody fork then.
func TestExecOutOfRoom(t *testing.T) {
	for name, edit := range map[string]func(*specs.Spec){
		"plain":            func(*specs.Spec) {},
		"cgroup namespace": withNamespace(specs.CgroupNamespace, ""),
		"user namespace":   userNamespace(100000),
		"both": func(s *specs.Spec) {
			userNamespace(100000)(s)
			withNamespace(specs.CgroupNamespace, "")(s)
		},
		"host's processes": withoutNamespace(specs.PIDNamespace),
	} {
		t.Run(name, func(t *testing.T) {
			b := running(t, edit, func(s *specs.Spec) { s.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(2))} })
			v2 := b.onV2("pids")
			if r := b.exec(nil, "fork:1"); r.result("fork:1").Err != int(unix.EAGAIN) {
				t.Errorf("the limit has not held what was run back: %+v", r.result("fork:1"))
			}
			second := b.execDetached("/prober", "quiet", "pause")
			expect(t, "cgroups", readText(t, procPath(second, "cgroup")), readText(t, procPath(b.pid, "cgroup")))
			b.endOf(second)
			b.ok("update", "--pids-limit", "1", b.id)
			if v2 {
				b.execFails([]string{"exec failed: ", "linux.resources.pids.limit", "limit of 1", "clone", "resource temporarily unavailable"}, b.id, "/prober")
			} else if r := b.exec(nil, "fork:1"); r.result("fork:1").Err != int(unix.EAGAIN) {
				t.Errorf("a process too many has forked: %+v", r.result("fork:1"))
			}
			b.remove("--force")
		})
	}
}

func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
