package integration

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestForeignRecord: a record that another user has put into the state root, as root
// is pointed at with --root, is not acted upon: nothing is killed, removed, or run.
func TestForeignRecord(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	mark := workDir + "/poststop-" + strconv.Itoa(os.Getpid())
	b := newBox(t, prober("pause"), func(s *specs.Spec) {
		s.Hooks = &specs.Hooks{Poststop: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo ran >" + mark}}}}
	})
	b.launch()
	record := b.root + "/" + b.id + ".json"
	b.must(os.Chown(record, ordinary, ordinary))
	for _, command := range [][]string{{"state", b.id}, {"kill", b.id, "KILL"}, {"delete", b.id}, {"delete", "--force", b.id}, {"exec", b.id, "/prober"},
		{"pause", b.id}, {"update", "--pids-limit", "7", b.id}, {"ps", b.id}} {
		r := b.call(command...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "belongs to user "+strconv.Itoa(ordinary)) {
			t.Errorf("%q: exit code %d, %s", command, r.Code, r.Stderr)
		}
	}
	b.call("list")
	if err := unix.Kill(b.pid, 0); err != nil {
		t.Errorf("the process that the record names: %v", err)
	}
	b.must(os.Chown(record, 0, 0))
	// A pipe in the record's place ends no command in waiting.
	saved := record + ".saved"
	b.must(os.Rename(record, saved))
	b.must(unix.Mkfifo(record, 0o600))
	for _, command := range [][]string{{"state", b.id}, {"kill", b.id}, {"delete", "--force", b.id}, {"exec", b.id, "/prober"}} {
		r := b.call(command...)
		if r.Code == 0 || !strings.Contains(r.Stderr, "is not a regular file") {
			t.Errorf("a pipe, %q: exit code %d, %s", command, r.Code, r.Stderr)
		}
	}
	b.must(os.Remove(record))
	b.must(os.Rename(saved, record))
	if _, err := os.Stat(mark); err == nil {
		t.Error("a hook of the record was run")
	}
	b.remove("--force")
	b.must(os.Remove(mark)) // which the hook has made by now
}

// TestIgnoredSignals: signals that the caller ignores or blocks are the program's own
// again, in a container and in what is executed there.
func TestIgnoredSignals(t *testing.T) {
	if out, err := exec.Command("env", "--ignore-signal", "--block-signal", "true").CombinedOutput(); err != nil {
		t.Skip("needs env(1) of coreutils 8.31:", string(out))
	}
	if !isTare {
		t.Skip("runc 1.1 leaves them")
	}
	b := newBox(t)
	b.wrap = []string{"env", "--ignore-signal", "--block-signal"}
	check := func(how string, r *report) {
		const none = "0000000000000000"
		expect(t, how+": ignored", r.Signals.Ignored, none)
		expect(t, how+": blocked", r.Signals.Blocked, none)
	}
	check("run", b.probe())
	check("start", b.createdReport())
	b.edit(prober("pause"))
	b.launch()
	check("exec", b.exec(nil))
	b.remove("--force")
}

// TestStdioDevices: a terminal of the host that a container inherits does not become
// the container's user's, who could open it ever after.
func TestStdioDevices(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 gives it away")
	}
	x := newTerminal(t)
	before := ownerOfFile(t, x.slave.Name())
	for _, call := range []string{"run", "exec"} {
		b := newBox(t, prober("quiet"))
		b.stdin = x.slave
		b.spec.Process.User = specs.User{UID: 4321, GID: 4321}
		if call == "run" {
			expect(t, "exit code", b.run().Code, 0)
		} else {
			b.edit(prober("pause"))
			b.launch()
			b.ok("exec", b.id, "/prober", "quiet")
			b.remove("--force")
		}
		expect(t, "owner of the terminal after "+call, ownerOfFile(t, x.slave.Name()), before)
	}
}

func ownerOfFile(t *testing.T, path string) int {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return int(st.Sys().(*syscall.Stat_t).Uid)
}

// TestPasswdIsATerminal: the image's /etc/passwd is a terminal that nobody has yet. The
// process that looks for a home directory, which leads a session, does not get it.
func TestPasswdIsATerminal(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.must(os.Symlink("/dev/pts/0", b.rootfs+"/etc/passwd"))
	b.allow = []string{"etc/passwd"}
	b.launch()
	master, err := os.OpenFile(procPath(b.pid, "root/dev/pts/ptmx"), os.O_RDWR|unix.O_NOCTTY, 0)
	b.must(err)
	defer master.Close()
	b.must(unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	r := b.exec(nil)
	expect(t, "controlling terminal", controlling(r.Stat), "0")
	b.remove("--force")
}

// TestJoinedMountsOfOthers: a mount namespace that is joined belongs to others, who have
// put a pipe where procfs would be looked at. Deleting the container does not wait for it.
func TestJoinedMountsOfOthers(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot")
	}
	b := newBox(t, prober("pause"))
	h := hold(b, 0, func(c *exec.Cmd) { c.SysProcAttr.Unshareflags = unix.CLONE_NEWNS })
	b.edit(withNamespace(specs.MountNamespace, h.path(specs.MountNamespace)))
	b.launch()
	out, err := exec.Command("nsenter", "--mount="+h.path(specs.MountNamespace), "sh", "-c",
		"mount -t tmpfs none /proc && mkdir /proc/thread-self && mkfifo /proc/thread-self/mountinfo").CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b.kill("KILL")
	done := make(chan result, 1)
	go func() { done <- b.call("delete", b.id) }()
	r := <-done
	expect(t, "exit code", r.Code, 0)
	b.nothingLeft()
}

// TestLyingProcOfOthers: in a mount namespace that is joined, what looks like procfs says
// that every descriptor is at a place of somebody's choice. What is mounted there stays
// when the container is deleted, and what the container has mounted goes.
func TestLyingProcOfOthers(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot")
	}
	b := newBox(t, prober("pause"))
	h := hold(b, 0, func(c *exec.Cmd) { c.SysProcAttr.Unshareflags = unix.CLONE_NEWNS })
	b.edit(withNamespace(specs.MountNamespace, h.path(specs.MountNamespace)))
	victim := b.dir + "/victim"
	b.must(os.Mkdir(victim, 0o755))
	inside := func(script string) {
		t.Helper()
		out, err := exec.Command("nsenter", "--mount="+h.path(specs.MountNamespace), "sh", "-ec", script).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	mounted := func(at string) int {
		return strings.Count(readText(t, procPath(h.pid, "mountinfo")), " "+at+" ")
	}
	inside("mount -t tmpfs none /proc; mkdir -p /proc/thread-self/fd /proc/self/fd; for n in $(seq 0 99); do ln -s " + victim + " /proc/thread-self/fd/$n; ln -s " + victim + " /proc/self/fd/$n; done")
	b.launch()
	inside("mount -t tmpfs none " + victim)
	expect(t, "mounts at the rootfs while the container runs", mounted(b.rootfs) > 0, true)
	b.kill("KILL")
	b.ok("delete", b.id)
	expect(t, "mounts at the place of somebody's choice, after the deletion", mounted(victim), 1)
	expect(t, "mounts at the rootfs, after the deletion", mounted(b.rootfs), 0)
}

// TestReusedNamespacePath: the path of a joined mount namespace has a process's number
// in it, and that is another process's when the container is deleted. Nothing is
// unmounted there.
func TestReusedNamespacePath(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot")
	}
	b := newBox(t, prober("pause"))
	own := func(c *exec.Cmd) { c.SysProcAttr.Unshareflags = unix.CLONE_NEWNS }
	meant, other := hold(b, 0, own), hold(b, 0, own)
	// A link stands for the number that is given anew.
	link := b.dir + "/mnt-of-process"
	b.must(os.Symlink(meant.path(specs.MountNamespace), link))
	b.edit(withNamespace(specs.MountNamespace, link))
	b.launch()
	mounted := func() int {
		return strings.Count(readText(t, procPath(other.pid, "mountinfo")), " "+b.rootfs+" ")
	}
	out, err := exec.Command("nsenter", "--mount="+other.path(specs.MountNamespace), "mount", "--bind", b.rootfs, b.rootfs).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	expect(t, "mounts at the rootfs in another namespace", mounted(), 1)
	b.must(os.Remove(link))
	b.must(os.Symlink(other.path(specs.MountNamespace), link))
	b.kill("KILL")
	b.ok("delete", b.id)
	expect(t, "mounts at the rootfs in another namespace, after the deletion", mounted(), 1)
	out, err = exec.Command("nsenter", "--mount="+meant.path(specs.MountNamespace), "umount", "-l", b.rootfs).CombinedOutput()
	if err != nil {
		t.Logf("%v: %s", err, out)
	}
}
