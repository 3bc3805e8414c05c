package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// running starts a container whose process waits.
func running(t *testing.T, edits ...func(*specs.Spec)) *box {
	t.Helper()
	return newBox(t, append([]func(*specs.Spec){prober("pause")}, edits...)...).begin()
}

// begin makes and starts a container.
func (b *box) begin() *box {
	b.t.Helper()
	b.create()
	b.start()
	return b
}

// processFile writes what --process reads.
func (b *box) processFile(p *specs.Process) string {
	b.t.Helper()
	data, err := json.Marshal(p)
	b.must(err)
	b.calls++
	name := b.dir + "/io/process" + strconv.Itoa(b.calls)
	b.must(os.WriteFile(name, data, 0o600))
	return name
}

// exec runs the prober in the container and returns what it has seen.
func (b *box) exec(flags []string, ops ...string) *report {
	b.t.Helper()
	args := append(append([]string{"exec"}, flags...), b.id, "/prober")
	return b.parse(b.ok(append(args, ops...)...).Stdout)
}

// execProcess is exec with a process file.
func (b *box) execProcess(p *specs.Process, flags ...string) *report {
	b.t.Helper()
	if p.Args == nil {
		p.Args = []string{"/prober"}
	}
	if p.Cwd == "" {
		p.Cwd = "/"
	}
	args := append([]string{"exec", "--process", b.processFile(p)}, flags...)
	return b.parse(b.ok(append(args, b.id)...).Stdout)
}

// execFails demands 255 and these words.
func (b *box) execFails(words []string, args ...string) {
	b.t.Helper()
	r := b.call(append([]string{"exec"}, args...)...)
	if r.Code != 255 {
		b.t.Errorf("exec %q: exit code %d, expected 255\n%s", args, r.Code, r.Stderr)
	}
	for _, w := range words {
		if isTare && !strings.Contains(r.Stderr, w) {
			b.t.Errorf("exec %q: message lacks %q:\n%s", args, w, r.Stderr)
		}
	}
	if strings.Count(r.Stderr, "\n") != 1 && isTare {
		b.t.Errorf("exec %q: one line is expected:\n%s", args, r.Stderr)
	}
}

// TestExecPosture compares everything observable of a process that was run in a
// container with that container's own.
func TestExecPosture(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	b := running(t, prober("pause"))
	b.execPosture()
	b.remove("--force")
}

// execPosture runs a program in the container, and compares it with that.
func (b *box) execPosture() {
	t := b.t
	t.Helper()
	b.env = append(os.Environ(), "SECRET=1")
	r := b.exec(nil)
	posture(t, b, r)
	expect(t, "parent", r.Ppid, 0)
	expect(t, "session", r.Sid, r.Pid)
	expect(t, "parent-death signal", r.Pdeathsig, 0)
	expect(t, "subreaper", r.Subreaper, 0)
	expect(t, "dumpable", r.Dumpable, 1)
	for ns, link := range r.Namespaces {
		its, err := os.Readlink(procPath(b.pid, "ns/"+ns))
		b.must(err)
		expect(t, "namespace "+ns, link, its)
	}
	expect(t, "cgroups", r.Cgroup, readText(t, procPath(b.pid, "cgroup")))
	limits := readText(t, procPath(b.pid, "limits"))
	if !strings.Contains(limits, "Max open files") || len(r.Rlimits) != 32 {
		t.Errorf("%d limits:\n%s", len(r.Rlimits), limits)
	}
}

// TestExecProcessFile: everything that a process of its own can say.
func TestExecProcessFile(t *testing.T) {
	b := newBox(t, prober("pause"), func(s *specs.Spec) {
		s.Process.Env = append(s.Process.Env, "OF=container")
		s.Process.NoNewPrivileges = true
		s.Process.OOMScoreAdj = ptr(77)
	})
	b.put("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:33:33::/var/www:/bin/sh\n", 0o644)
	b.begin()
	caps := []string{"CAP_CHOWN", "CAP_KILL"}
	r := b.execProcess(&specs.Process{
		Args: []string{"/prober"}, Env: []string{"A=1", "A=2", "B="}, Cwd: "/work",
		User:         specs.User{UID: 33, GID: 34, AdditionalGids: []uint32{35, 36}, Umask: ptr(uint32(0o27))},
		Capabilities: &specs.LinuxCapabilities{Bounding: caps, Permitted: caps, Effective: caps[:1], Inheritable: caps, Ambient: caps[:1]},
		Rlimits:      []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 17, Hard: 18}, {Type: "RLIMIT_CORE", Soft: 0, Hard: 0}},
		OOMScoreAdj:  ptr(123),
		Scheduler:    &specs.Scheduler{Policy: specs.SchedBatch, Nice: 3},
		IOPriority:   &specs.LinuxIOPriority{Class: specs.IOPRIO_CLASS_BE, Priority: 6},
	})
	expectList(t, "env", r.Env, []string{"A=2", "B=", "HOME=/var/www"})
	expect(t, "cwd", r.Cwd, "/work")
	expectList(t, "uid", r.UID, []uint32{33, 33, 33})
	expectList(t, "gid", r.GID, []uint32{34, 34, 34})
	expectList(t, "groups", r.Groups, []uint32{35, 36})
	expect(t, "umask", r.Umask, 0o27)
	two := capMask(unix.CAP_CHOWN, unix.CAP_KILL)
	expect(t, "bounding", r.Caps.Bounding, two)
	// execve(2) of a user who is not root: the ambient ones are what is left.
	expect(t, "permitted", r.Caps.Permitted, capMask(unix.CAP_CHOWN))
	expect(t, "inheritable", r.Caps.Inheritable, two)
	expect(t, "no_new_privs", r.NoNewPrivs, 0)
	expect(t, "NOFILE", r.Rlimits[2*unix.RLIMIT_NOFILE]+" "+r.Rlimits[2*unix.RLIMIT_NOFILE+1], "17 18")
	expect(t, "oom_score_adj", strings.TrimSpace(r.OomScoreAdj), "123")
	expect(t, "policy", r.Policy, 3)
	expect(t, "nice", r.Nice, 3)
	expect(t, "I/O priority", r.IOPrio, 2<<13|6)

	// What it leaves out is the container's; what has a zero value is not.
	r = b.execProcess(&specs.Process{})
	expect(t, "bounding", r.Caps.Bounding, capMask(unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE))
	expect(t, "oom_score_adj", strings.TrimSpace(r.OomScoreAdj), "77")
	expect(t, "no_new_privs", r.NoNewPrivs, 0)
	expectList(t, "env", r.Env, []string{"HOME=/root"})

	// Flags and a command count more than the file.
	p := b.processFile(&specs.Process{Args: []string{"/nothing"}, Cwd: "/", Env: []string{"A=1"}})
	r = b.parse(b.ok("exec", "-p", p, "-e", "A=3", "--cwd", "/tmp", "-u", "1:2", b.id, "/prober", "exit:0").Stdout)
	expectList(t, "env", r.Env, []string{"A=3", "HOME=/"})
	expect(t, "cwd", r.Cwd, "/tmp")
	expectList(t, "uid", r.UID, []uint32{1, 1, 1})
	b.remove("--force")
}

// TestExecFlags: each flag of runc has its effect.
func TestExecFlags(t *testing.T) {
	b := running(t, func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "OF=container") })
	r := b.exec([]string{"-e", "X=1", "--env=Y=a,b", "--cwd", "/tmp", "-u", "5:6", "-g", "7", "--additional-gids", "8", "--no-new-privs", "--cap", "CAP_SYS_PTRACE", "-c", "net_raw"})
	expectList(t, "env", r.Env, []string{"PATH=/bin:/", "TERM=xterm", "OF=container", "X=1", "Y=a,b", "HOME=/"})
	expect(t, "cwd", r.Cwd, "/tmp")
	expectList(t, "uid", r.UID, []uint32{5, 5, 5})
	expectList(t, "gid", r.GID, []uint32{6, 6, 6})
	expectList(t, "groups", r.Groups, []uint32{7, 8})
	expect(t, "no_new_privs", r.NoNewPrivs, 1)
	five := capMask(unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_PTRACE, unix.CAP_NET_RAW)
	expect(t, "bounding", r.Caps.Bounding, five)
	// CVE-2022-29162: nothing becomes inheritable or ambient by itself.
	expect(t, "inheritable", r.Caps.Inheritable, capMask())
	expect(t, "ambient", r.Caps.Ambient, capMask())
	r = b.exec([]string{"--cap", "CAP_SYS_PTRACE"})
	expect(t, "effective", r.Caps.Effective, capMask(unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE, unix.CAP_SYS_PTRACE))
	// CVE-2026-30892: a user is a number, as a whole.
	for _, u := range []string{"1x", "x", "", "-1", "1:", "1:x", "4294967296", "0x1"} {
		b.execFails([]string{"exec failed: --user " + strconv.Quote(u)}, "-u", u, b.id, "/prober")
	}
	b.execFails([]string{"4294967295"}, "-u", "4294967295", b.id, "/prober")
	b.execFails([]string{"exec failed: --additional-gids"}, "-g", "-7", b.id, "/prober")
	b.execFails([]string{"Cwd must be an absolute path"}, "--cwd", "tmp", b.id, "/prober")
	b.execFails([]string{"process.env"}, "-e", "NOVALUE", b.id, "/prober")
	b.execFails([]string{"exec args cannot be empty"}, b.id)
	// The flags end at the id: what follows is the command's.
	b.execFails([]string{`exec: "-e": executable file not found in $PATH`}, b.id, "-e", "X=1")
	b.remove("--force")
}

// TestExecExitCodes: the command's code, 128 and the signal, and 255 with words
// that engines turn into 126 and 127.
func TestExecExitCodes(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.put("plain", "no program\n", 0o644)
	b.put("script", "#!/missing\n", 0o755)
	b.begin()
	expect(t, "exit code", b.call("exec", b.id, "/prober", "exit:7").Code, 7)
	expect(t, "exit code", b.call("exec", b.id, "/prober", "exit:255").Code, 255)
	expect(t, "exit code", b.call("exec", b.id, "/prober", "kill:9").Code, 137)
	expect(t, "exit code", b.call("exec", b.id, "/prober", "kill:15").Code, 143)
	const failed = "exec failed: unable to start container process: "
	b.execFails([]string{failed + `exec: "nothing": executable file not found in $PATH`}, b.id, "nothing")
	b.execFails([]string{failed + "exec /nothing: no such file or directory"}, b.id, "/nothing")
	b.execFails([]string{failed + "exec /plain: permission denied"}, b.id, "/plain")
	b.execFails([]string{failed + "exec /tmp: is a directory", "permission denied"}, b.id, "/tmp")
	b.execFails([]string{failed + "exec /script: no such file or directory"}, b.id, "/script")
	b.execFails([]string{"container does not exist"}, "nobody", "/prober")
	b.remove("--force")
}

// TestExecStatus: which containers take an exec.
func TestExecStatus(t *testing.T) {
	b := newBox(t, prober("exit:0"))
	b.create()
	expect(t, "status", b.status(), "created")
	r := b.exec(nil)
	expect(t, "exe", r.Exe, "/prober")
	b.start()
	b.wait()
	b.execFails([]string{"exec failed: cannot exec in a stopped container"}, b.id, "/prober")
	b.remove()

	b = running(t)
	freeze := b.freezer(t)
	freeze(true)
	expect(t, "status", b.status(), "paused")
	b.execFails([]string{"exec failed: cannot exec in a paused container (use --ignore-paused to override)"}, b.id, "/prober")
	cmd, done := b.command("exec", "--ignore-paused", b.id, "/prober", "exit:9")
	b.must(cmd.Start())
	// It waits where the container does.
	b.until("the frozen process", func() bool { return len(b.cgroupProcs()) > 1 })
	freeze(false)
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 9)
	b.remove("--force")
}

// freezer returns a function that freezes and thaws the container by its cgroup.
func (b *box) freezer(t *testing.T) func(bool) {
	for _, dir := range cgroupDirs(b.id) {
		if strings.Contains(dir, "/freezer/") {
			return func(on bool) {
				word := map[bool]string{true: "FROZEN", false: "THAWED"}[on]
				b.must(os.WriteFile(dir+"/freezer.state", []byte(word), 0))
				b.until(word, func() bool { return strings.TrimSpace(readText(t, dir+"/freezer.state")) == word })
			}
		}
		if _, err := os.Stat(dir + "/cgroup.freeze"); err == nil {
			return func(on bool) {
				b.must(os.WriteFile(dir+"/cgroup.freeze", []byte(map[bool]string{true: "1", false: "0"}[on]), 0))
				b.until("cgroup.events", func() bool {
					return strings.Contains(readText(t, dir+"/cgroup.events"), map[bool]string{true: "frozen 1", false: "frozen 0"}[on])
				})
			}
		}
	}
	t.Skip("this host lacks a freezer")
	return nil
}

// cgroupProcs are the processes in one of the container's cgroups.
func (b *box) cgroupProcs() []string {
	for _, dir := range cgroupDirs(b.id) {
		if strings.Contains(dir, "/freezer/") || strings.HasSuffix(filepath.Dir(dir), "/sys/fs/cgroup") {
			return strings.Fields(readText(b.t, dir+"/cgroup.procs"))
		}
	}
	return nil
}

// execDetached runs a command and leaves it running.
func (b *box) execDetached(args ...string) int {
	b.t.Helper()
	pidFile := b.dir + "/io/exec-pid"
	b.ok(append([]string{"exec", "--detach", "--pid-file", pidFile, b.id}, args...)...)
	pid, err := strconv.Atoi(readText(b.t, pidFile))
	b.must(err)
	return pid
}

// endOf ends a detached process, which this test, a subreaper, can wait for:
// nobody stands between. Unreaped it would keep the pid namespace from ending.
func (b *box) endOf(pid int) {
	b.t.Helper()
	b.must(unix.Kill(pid, unix.SIGTERM))
	var ws unix.WaitStatus
	got, err := unix.Wait4(pid, &ws, 0, nil)
	b.must(err)
	expect(b.t, "process", got, pid)
	expect(b.t, "signal", ws.Signal(), unix.SIGTERM)
}

// TestExecDetached: the process is whose tare was, the pid file is there when it
// runs, and never after a failure.
func TestExecDetached(t *testing.T) {
	b := running(t)
	pidFile := b.dir + "/io/exec-pid"
	pid := b.execDetached("/prober", "pause")
	exe, err := os.Readlink(procPath(pid, "exe"))
	b.must(err)
	expect(t, "exe", exe, "/prober")
	b.endOf(pid)
	b.must(os.Remove(pidFile))
	for _, program := range []string{"nothing", "/work"} {
		b.execFails(nil, "--detach", "--pid-file", pidFile, b.id, program)
		if _, err := os.Lstat(pidFile); err == nil {
			t.Error("an exec that failed has left a pid file")
		}
	}
	b.execFails([]string{"--pid-file"}, "-d", "--pid-file", b.dir+"/none/pid", b.id, "/prober", "pause")
	b.until("the end of what was run", func() bool { return len(children()) <= 1 })
	b.remove("--force")
}

// TestExecLeavesNothing: two hundred in a row leave no process, descriptor, cgroup.
func TestExecLeavesNothing(t *testing.T) {
	b := running(t)
	before := snapshot(b.id)
	for i := range 200 {
		switch i % 4 {
		case 0:
			b.execFails(nil, b.id, "nothing")
		default:
			expect(t, "exit code", b.call("exec", b.id, "/prober", "quiet", "exit:3").Code, 3)
		}
	}
	b.until("the end of all that was run", func() bool { return len(before.compare(snapshot(b.id))) == 0 })
	expect(t, "descriptors of the container's process", len(mustGlob(t, procPath(b.pid, "fd/*"))), 3)
	expect(t, "entries of the state directory", len(mustGlob(t, b.root+"/*")), 1)
	b.remove("--force")
}

// TestExecWithoutProc: nothing of what is needed is looked for in the container.
func TestExecWithoutProc(t *testing.T) {
	b := newBox(t, prober("pause"), func(s *specs.Spec) {
		s.Mounts = s.Mounts[1:2]
		s.Process.User.UID = 12
	})
	b.must(os.RemoveAll(b.rootfs + "/proc"))
	b.begin()
	expect(t, "exit code", b.call("exec", b.id, "/prober", "quiet", "exit:12").Code, 12)
	expect(t, "exit code", b.call("exec", "-u", "0", b.id, "/prober", "quiet", "exit:13").Code, 13)
	b.remove("--force")
}

// TestExecKeepsConfig: what counts is the config that the container was made of.
func TestExecKeepsConfig(t *testing.T) {
	b := running(t, func(s *specs.Spec) { s.Process.Env = []string{"OLD=1", "HOME=/"} })
	b.edit(func(s *specs.Spec) { s.Process.Env = []string{"NEW=1", "HOME=/"} })
	b.writeConfig()
	expectList(t, "env", b.exec(nil).Env, []string{"OLD=1", "HOME=/"})
	b.must(os.Remove(b.bundle + "/config.json"))
	expectList(t, "env", b.exec(nil).Env, []string{"OLD=1", "HOME=/"})
	b.remove("--force")
}

// TestExecKeyring: the container's session keyring is joined, and without one of
// its own the caller's is kept.
func TestExecKeyring(t *testing.T) {
	b := running(t)
	if r := b.exec(nil); !strings.HasSuffix(r.Keyring, ";_ses."+b.id) {
		t.Errorf("keyring %q", r.Keyring)
	}
	// One that was only called the same would be a second line.
	pid := b.execDetached("/prober", "pause")
	expect(t, "keyrings of that name", strings.Count(readText(t, "/proc/keys"), " _ses."+b.id+":"), 1)
	b.endOf(pid)
	b.remove("--force")
	b = newBox(t, prober("pause"))
	b.create("--no-new-keyring")
	if r := b.exec(nil); strings.Contains(r.Keyring, "_ses."+b.id) {
		t.Errorf("keyring %q", r.Keyring)
	}
	b.remove("--force")
}

// TestExecPlan: the plan of an exec can be read before it is done.
func TestExecPlan(t *testing.T) {
	b := running(t)
	p := b.processFile(&specs.Process{Args: []string{"/prober", "one"}, Cwd: "/work", User: specs.User{UID: 5}})
	text := b.ok("plan", "--process", p, b.id).Stdout
	for _, want := range []string{"target-open pid=" + strconv.Itoa(b.pid), "ns-enter types=mount,pid,network,ipc,uts", "identity uid=5", `exec args=["/prober" "one"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan lacks %q:\n%s", want, text)
		}
	}
	if !json.Valid([]byte(b.ok("plan", "--format", "json", "-p", p, b.id).Stdout)) {
		t.Error("the plan as JSON is not valid")
	}
	b.refused([]string{"--process: needs the id of a container"}, "plan", "--process", p)
	b.refused([]string{"container does not exist"}, "plan", "--process", p, "nobody")
	b.remove("--force")
}
