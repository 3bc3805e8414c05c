package integration

import (
	"encoding/json"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// notify asks the agent at path about the named calls; all others are allowed.
func notify(path, metadata string, names ...string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: specs.ActAllow, ListenerPath: path, ListenerMetadata: metadata,
			Architectures: []specs.Arch{specs.ArchX86_64, specs.ArchAARCH64},
			Syscalls:      []specs.LinuxSyscall{{Names: names, Action: specs.ActNotify}}}
	}
}

// fake says that a call has succeeded, without anything having been done.
func fake(seccompNotif) seccompResp { return seccompResp{} }

// goOn lets the kernel do the call.
func goOn(seccompNotif) seccompResp { return seccompResp{flags: notifContinue} }

func noNewPrivs(s *specs.Spec) { s.Process.NoNewPrivileges = true }

// TestListener: the agent gets the state and the listener, and what it answers is
// what the container sees; in all ways in which the filter can be installed.
func TestListener(t *testing.T) {
	for name, edits := range map[string][]func(*specs.Spec){
		"privileged":   nil,
		"no_new_privs": {noNewPrivs},
		"user":         {noNewPrivs, func(s *specs.Spec) { s.Process.User.UID, s.Process.User.GID = 1000, 1000 }},
		"userns":       {userNamespace(100000)},
		"shared-pids":  {withoutNamespace(specs.PIDNamespace)},
		"time":         {withNamespace(specs.TimeNamespace, ""), noNewPrivs}, // in a second process
		"user-caps":    {func(s *specs.Spec) { s.Process.User.UID, s.Process.User.GID = 1000, 1000 }},
	} {
		for _, how := range []string{"create", "run"} {
			t.Run(name+"/"+how, func(t *testing.T) {
				b := newBox(t, edits...)
				if name == "userns" {
					b.own(100000)
				}
				socket := b.dir + "/agent"
				a := newAgent(t, socket, fake)
				b.edit(notify(socket, "opaque \"data\" \u00e4", "mkdirat"))
				b.spec.Annotations = map[string]string{"org.example": "yes"}
				b.edit(prober("mkdir:/tmp/faked", "stat:/tmp/faked", "ls:/proc"))
				var rep *report
				if how == "run" {
					rep = b.probe(b.spec.Process.Args[1:]...)
				} else {
					r := b.create()
					a.told(b, 1)
					for _, fd := range mustGlob(t, procPath(b.pid, "fd/*")) {
						if link, _ := os.Readlink(fd); strings.Contains(link, "seccomp") {
							t.Errorf("the waiting init has its own listener open: %s", fd)
						}
					}
					expect(t, "asked before start", len(a.questions()), 0)
					b.start()
					expect(t, "exit code", b.wait(), 0)
					rep = b.parse(readText(t, r.outFile))
				}
				expect(t, "errno of mkdirat", rep.result("mkdir:/tmp/faked").Err, 0)
				expect(t, "errno of stat", rep.result("stat:/tmp/faked").Err, int(unix.ENOENT))
				expect(t, "seccomp mode", rep.Seccomp, 2)
				expectList(t, "calls that the agent was asked about", a.questions(), []int{unix.SYS_MKDIRAT})
				for _, f := range rep.Fds {
					if f.Fd > 2 {
						t.Errorf("descriptor %d came along: %s", f.Fd, f.Target)
					}
				}
				// The thread that handed the listener over is gone.
				for _, f := range rep.result("ls:/proc").Files {
					if f.Name >= "0" && f.Name <= "9999999" && f.Name != "1" && name != "shared-pids" {
						t.Errorf("process %s is in the container", f.Name)
					}
				}
				checkState(t, b, a, specs.StateCreating)
				if how == "create" {
					b.remove()
				}
				b.nothingLeft()
			})
		}
	}
}

func checkState(t *testing.T, b *box, a *agent, status specs.ContainerState) {
	t.Helper()
	if len(a.states) != 1 {
		t.Fatalf("the agent has %d states", len(a.states))
	}
	s := a.states[0]
	expect(t, "ociVersion", s.Version, specs.Version)
	expectList(t, "fds", s.Fds, []string{"seccompFd"})
	expect(t, "metadata", s.Metadata, "opaque \"data\" \u00e4")
	expect(t, "state.id", s.State.ID, b.id)
	expect(t, "state.status", s.State.Status, status)
	expect(t, "state.pid", s.State.Pid, s.Pid)
	expect(t, "state.bundle", s.State.Bundle, b.bundle)
	expect(t, "an annotation", s.State.Annotations["org.example"], "yes")
	if b.pid != 0 && s.Pid != b.pid {
		t.Errorf("pid is %d, the container's process is %d", s.Pid, b.pid)
	}
	var members map[string]json.RawMessage
	b.must(json.Unmarshal([]byte(a.raw[0]), &members))
	for _, name := range []string{"ociVersion", "fds", "pid", "metadata", "state"} {
		if members[name] == nil {
			t.Errorf("the state lacks %s: %s", name, a.raw[0])
		}
		delete(members, name)
	}
	expect(t, "number of other members", len(members), 0)
}

// TestListenerEverything: the agent may be asked about all that the runtime itself
// still does under the filter, but write.
func TestListenerEverything(t *testing.T) {
	for name, edits := range map[string][]func(*specs.Spec){"privileged": nil, "no_new_privs": {noNewPrivs}} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, edits...)
			socket := b.dir + "/agent"
			a := newAgent(t, socket, goOn)
			b.edit(notify(socket, "", "sendmsg", "sendto", "recvfrom", "read", "close", "close_range", "capset", "execve", "madvise", "clone3", "waitid"),
				prober("mkdir:/tmp/real"))
			b.put("hook", "", 0o755)
			b.copyFile(proberAt, "hook", 0o755)
			b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/hook", Args: []string{"hook", "quiet", "mkdir:/tmp/hooked"}}}}
			b.allow = append(b.allow, "tmp")
			r := b.create()
			b.start()
			expect(t, "exit code", b.wait(), 0)
			expect(t, "errno of mkdirat", b.parse(readText(t, r.outFile)).result("mkdir:/tmp/real").Err, 0)
			if _, err := os.Stat(b.rootfs + "/tmp/hooked"); err != nil {
				t.Errorf("the startContainer hook has not run: %v", err)
			}
			asked := a.questions()
			for _, nr := range []int{unix.SYS_READ, unix.SYS_EXECVE} {
				if !slices.Contains(asked, nr) {
					t.Errorf("the agent was not asked about call %d: %v", nr, asked)
				}
			}
			b.remove()
		})
	}
}

// TestListenerLongPath: a socket whose path no socket address could hold.
func TestListenerLongPath(t *testing.T) {
	b := newBox(t)
	dir := b.dir + "/" + strings.Repeat("long/", 60)
	b.must(os.MkdirAll(dir, 0o755))
	socket := dir + strings.Repeat("x", 90)
	newAgent(t, socket, fake)
	b.edit(notify(socket, "", "mkdirat"))
	expect(t, "errno of mkdirat", b.probe("mkdir:/tmp/faked").result("mkdir:/tmp/faked").Err, 0)
	b.nothingLeft()
}

// TestListenerMissing: an agent that is not there is an error with its path, and
// then there is no container.
func TestListenerMissing(t *testing.T) {
	for name, edits := range map[string][]func(*specs.Spec){"privileged": nil, "no_new_privs": {noNewPrivs}} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, edits...)
			b.edit(prober("mkdir:/tmp/ran"))
			path := b.dir + "/nobody"
			b.edit(notify(path, "", "getitimer"))
			b.createFails("linux.seccomp.listenerPath", path, "connect", "no such file or directory")
			b.runFails("linux.seccomp.listenerPath", path, "connect", "no such file or directory")
			b.must(os.WriteFile(path, nil, 0o600))
			b.createFails("linux.seccomp.listenerPath", path, "connect", "connection refused")
			b.runFails("linux.seccomp.listenerPath", path, "connect", "connection refused")
			if _, err := os.Stat(b.rootfs + "/tmp/ran"); err == nil {
				t.Error("the program has run without its agent")
			}
		})
	}
}

// TestListenerRefusals: what cannot be meant is said before anything happens.
func TestListenerRefusals(t *testing.T) {
	b := newBox(t, prober("quiet"))
	for _, c := range []struct {
		edit  func(*specs.LinuxSeccomp)
		words []string
	}{
		{func(s *specs.LinuxSeccomp) { s.ListenerPath = "" }, []string{"linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY"}},
		{func(s *specs.LinuxSeccomp) { s.DefaultAction = specs.ActNotify }, []string{"linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY"}},
		{func(s *specs.LinuxSeccomp) { s.Syscalls[0].Names = []string{"mkdirat", "write"} }, []string{"linux.seccomp.syscalls[0].names[1]", "write"}},
		{func(s *specs.LinuxSeccomp) { s.ListenerPath, s.ListenerMetadata, s.Syscalls = "", "x", nil }, []string{"linux.seccomp.listenerMetadata"}},
	} {
		b.edit(notify("/run/agent", "", "mkdirat"))
		c.edit(b.spec.Linux.Seccomp)
		b.createFails(c.words...)
	}
	// Without a rule that asks, the path is not used (config-linux.md).
	b.edit(notify(b.dir+"/nobody", "", "mkdirat"))
	b.spec.Linux.Seccomp.Syscalls[0].Action = specs.ActErrno
	expect(t, "errno of mkdirat", b.probe("mkdir:/tmp/x").result("mkdir:/tmp/x").Err, int(unix.EPERM))
}

// TestListenerAgentDies: without its agent a program goes on, and what it asks about
// fails with ENOSYS (seccomp_unotify(2)).
func TestListenerAgentDies(t *testing.T) {
	b := newBox(t)
	socket := b.dir + "/agent"
	a := newAgent(t, socket, func(seccompNotif) seccompResp { return seccompResp{error: -int32(unix.EXDEV)} })
	a.once = true
	b.edit(notify(socket, "", "mkdirat"))
	rep := b.probe("mkdir:/tmp/x", "mkdir:/tmp/y")
	expect(t, "errno of the first", rep.result("mkdir:/tmp/x").Err, int(unix.EXDEV))
	expect(t, "errno of the second", rep.result("mkdir:/tmp/y").Err, int(unix.ENOSYS))
}

// TestListenerExec: each process that is run in the container has a filter and a
// listener of its own, which the agent gets in a connection of its own.
func TestListenerExec(t *testing.T) {
	for name, edit := range map[string]func(*specs.Spec){"privileged": func(*specs.Spec) {}, "no_new_privs": noNewPrivs} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, prober("pause"), edit)
			a := newAgent(t, b.dir+"/agent", fake)
			b.edit(notify(b.dir+"/agent", "of both", "mkdirat"))
			r := b.create()
			b.start()
			b.output(r)
			out := b.ok("exec", b.id, "/prober", "mkdir:/tmp/faked", "stat:/tmp/faked")
			rep := b.parse(out.Stdout)
			expect(t, "errno of mkdirat", rep.result("mkdir:/tmp/faked").Err, 0)
			expect(t, "errno of stat", rep.result("stat:/tmp/faked").Err, int(unix.ENOENT))
			expect(t, "number of descriptors", len(rep.Fds), 3)
			a.told(b, 2)
			first, second := a.states[0], a.states[1]
			expect(t, "status for the container's process", first.State.Status, specs.StateCreating)
			expect(t, "status for the exec", second.State.Status, specs.StateRunning)
			expect(t, "state.pid for the exec", second.State.Pid, b.pid)
			expect(t, "metadata for the exec", second.Metadata, "of both")
			if second.Pid == b.pid || second.Pid <= 0 {
				t.Errorf("pid for the exec is %d", second.Pid)
			}
			b.must(os.Rename(b.dir+"/agent", b.dir+"/gone"))
			failed := b.call("exec", b.id, "/prober", "mkdir:/tmp/faked")
			if failed.Code == 0 || !strings.Contains(failed.Stderr, "linux.seccomp.listenerPath") || !strings.Contains(failed.Stderr, "no such file or directory") {
				t.Errorf("without an agent: exit code %d, %s", failed.Code, failed.Stderr)
			}
			expectList(t, "processes in its cgroups", slices.Compact(cgroupProcs(t, b.id)), []string{strconv.Itoa(b.pid)})
			b.kill("KILL")
			b.remove()
		})
	}
}
