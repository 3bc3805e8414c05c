package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// spying is the program of a container that looks at every process which comes into its
// pid namespace, until the test ends it, with all that a container can be allowed.
func spying(s *specs.Spec) {
	all := []string{"CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL", "CAP_SYS_CHROOT"}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
}

// spy begins a container that spies, by one of the prober's ways.
func spy(b *box, way string) (report func() opResult) {
	b.t.Helper()
	b.edit(prober(way + ":/stop"))
	b.allow = append(b.allow, "stop")
	out := b.create()
	b.start()
	return func() opResult {
		b.t.Helper()
		b.put("stop", "", 0o644)
		expect(b.t, "exit code of the spy", b.wait(), 0)
		return b.parse(b.output(out)).result(way + ":/stop")
	}
}

// leadsOut are those of the spy's finds by which it would get out of its container.
// What has no place in a file system leads nowhere; 0, 1 and 2 are the caller's gift to
// the program; the tasks file, by which a hierarchy of v1 is joined, is the container's.
func leadsOut(r opResult) (names []string) {
	for _, f := range r.Files {
		switch f.Name {
		case "fd/0", "fd/1", "fd/2":
			continue
		}
		nowhere := false
		for _, p := range []string{"/memfd:", "socket:", "pipe:", "anon_inode:", "pidfd:"} {
			nowhere = nowhere || strings.HasPrefix(f.Link, p)
		}
		if nowhere || strings.HasSuffix(f.Link, "/tasks") && strings.Contains(f.Link, tag) {
			continue
		}
		names = append(names, f.Name+" "+f.Link)
	}
	return names
}

// nothingLeadsOut judges what the spy has seen.
func nothingLeadsOut(t *testing.T, r opResult) {
	t.Helper()
	for _, name := range leadsOut(r) {
		t.Errorf("on its way into the container the init has %s", name)
	}
	if r.Seen == 0 {
		t.Error("the spy has caught nobody in the act")
	}
	t.Logf("%d processes caught, %d looks", r.Seen, r.Looks)
}

// TestExecUnderTheEyesOfASpy (CVE-2016-9962, CVE-2019-5736, CVE-2024-21626): at no moment
// between the first at which a process of the container can see the init of an exec, and
// its execve, does the init lead to the host: not by its root, its directory, its
// executable, nor by a descriptor.
func TestExecUnderTheEyesOfASpy(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	for name, c := range map[string]struct {
		edits []func(*specs.Spec)
		flags []string
		own   int // the root's owner
	}{
		"ordinary":       {},
		"another user":   {flags: []string{"--user", "1000:1000"}},
		"terminal":       {flags: []string{"--tty"}},
		"user namespace": {edits: []func(*specs.Spec){userNamespace(100000)}, own: 100000},
		"limit of processes": {edits: []func(*specs.Spec){func(s *specs.Spec) {
			s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(2))}}
		}}},
		"chroot": {edits: []func(*specs.Spec){withoutNamespace(specs.MountNamespace)}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, c.edits...)
			if c.own != 0 {
				b.own(c.own)
			}
			b.execUnderEyes(60, c.flags...)
		})
	}
}

// execUnderEyes executes something a number of times in a container that spies.
func (b *box) execUnderEyes(times int, flags ...string) {
	b.t.Helper()
	b.underEyes(func() {
		for range times {
			b.ok(append(append([]string{"exec"}, flags...), b.id, "/prober", "quiet")...)
		}
	})
}

// underEyes does something beside a container that spies, and does it again where the
// spy had no processor meanwhile.
func (b *box) underEyes(do func()) {
	b.t.Helper()
	b.edit(spying)
	for again := range 8 {
		end := spy(b, "spy")
		do()
		r := end()
		b.remove()
		if r.Seen > 0 || again == 7 {
			nothingLeadsOut(b.t, r)
			return
		}
		b.must(os.Remove(filepath.Join(b.rootfs, "stop")))
	}
}

// TestExecIsNotHeld: the init of an exec is traced, and its memory opened, by nobody in
// the container but who has CAP_SYS_PTRACE in the host's user namespace: the kernel lets
// such a one trace what is not dumpable, too (ptrace(2), "Ptrace access mode checking").
// That one shows that the spy takes what it can get. There is no environment to be read.
func TestExecIsNotHeld(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	for name, c := range map[string]struct {
		edit func(*specs.Spec)
		own  int // the root's owner
		held bool
	}{
		"with the capability": {edit: func(*specs.Spec) {}, held: true},
		"without the capability": {edit: func(s *specs.Spec) {
			for _, set := range []*[]string{&s.Process.Capabilities.Bounding, &s.Process.Capabilities.Effective, &s.Process.Capabilities.Permitted} {
				*set = slices.DeleteFunc(slices.Clone(*set), func(name string) bool { return name == "CAP_SYS_PTRACE" })
			}
		}},
		"user namespace": {edit: userNamespace(100000), own: 100000},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, spying, c.edit)
			if c.own != 0 {
				b.own(c.own)
			}
			var r opResult
			for range 8 { // the spy may have had no processor meanwhile
				end := spy(b, "seize")
				for range 40 {
					b.ok("exec", b.id, "/prober", "quiet")
				}
				r = end()
				b.remove()
				b.must(os.Remove(filepath.Join(b.rootfs, "stop")))
				if r.Seen > 0 && (!c.held || r.Memories > 0 && r.Traces > 0) {
					break
				}
			}
			if r.Seen == 0 {
				t.Error("the spy has caught nobody in the act")
			}
			t.Logf("%d processes caught, memory of %d, %d traced", r.Seen, r.Memories, r.Traces)
			expect(t, "memory was opened", r.Memories > 0, c.held)
			expect(t, "a process was traced", r.Traces > 0, c.held)
			expect(t, "environments that were read", r.Environments, 0)
		})
	}
}

// TestCreateUnderTheEyesOfASpy: a container that joins the pid and user namespaces of
// another one is out of that one's reach while it is made, though it has the host's mounts
// until its own are there.
func TestCreateUnderTheEyesOfASpy(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	a := newBox(t, userNamespace(100000))
	a.own(100000)
	a.underEyes(func() {
		h := holder{a.pid}
		for i := range 16 {
			b := newBox(t, prober("quiet"), withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)), withNamespace(specs.PIDNamespace, h.path(specs.PIDNamespace)))
			b.own(100000)
			if i%2 == 1 {
				b.edit(withNamespace(specs.TimeNamespace, ""))
				b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}}
			}
			expect(t, "exit code", b.run().Code, 0)
		}
	})
}

// TestSpyNotices: a process of the host that enters the pid namespace alone is seen with
// all that the host has.
func TestSpyNotices(t *testing.T) {
	b := newBox(t, spying)
	end := spy(b, "spy")
	b.copyFile(proberAt, "tare:init", 0o755)
	b.allow = append(b.allow, "tare:init")
	cmd := exec.Command(b.rootfs+"/tare:init", "quiet", "pause")
	b.must(inPidNamespace(b.pid, cmd.Start))
	go func() { _ = cmd.Wait() }()               // process 1 ends when all others are reaped, which its end kills
	found := strings.Join(leadsOut(end()), "\n") // the spy looks once more before it ends
	for _, name := range []string{"root", "cwd", "exe"} {
		if !strings.Contains(found, name+" /") {
			t.Errorf("%s of a process of the host was not noticed:\n%s", name, found)
		}
	}
	b.remove()
}

// inPidNamespace has what f starts born into the pid namespace of a process.
func inPidNamespace(pid int, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, name := range []string{procPath(pid, "ns/pid"), "/proc/self/ns/pid"} {
		ns, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWPID)
		ns.Close()
		if err == nil && f != nil {
			err = f()
			f = nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}
