package ops

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// enterable are the namespaces that a donor of these tests has of its own.
var enterable = []struct {
	name string
	flag uint64
}{{"net", plan.NewNet}, {"uts", plan.NewUTS}, {"ipc", plan.NewIPC}, {"mnt", plan.NewNS}, {"pid", plan.NewPID}, {"cgroup", plan.NewCgroup}}

func donorOfAll(t *testing.T) (*box, uint64) {
	d := donor(t, unix.CLONE_NEWNET|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC|unix.CLONE_NEWPID|unix.CLONE_NEWCGROUP)
	var all uint64
	for _, ns := range enterable {
		all |= ns.flag
	}
	return d, all
}

// enter adds the ops by which a process gets into all of the donor's namespaces.
func (b *box) enter(d *box, types uint64, flags uint32) *box {
	slot := b.plan.NewSlot("container")
	return b.add(plan.TargetOpen("f", d.pid, 0, slot), plan.NsEnter("f", types, slot, d.pid, flags))
}

func nsEnterEffect(t *testing.T) {
	d, all := donorOfAll(t)
	for name, b := range map[string]*box{
		"at once": newBox(t),
		// A filter that knows no pidfds: one namespace after the other.
		"one by one": newBox(t).injectArg(unix.SYS_SETNS, 1, uint32(all), unix.EINVAL),
	} {
		b.enter(d, all, plan.FlagClose).add(plan.Fork("f", 0, plan.NoSlot)).look()
		for _, ns := range enterable {
			equal(t, name+": "+ns.name, b.link("ns/"+ns.name), d.link("ns/"+ns.name))
		}
		for _, fd := range b.fds() {
			if fd == "anon_inode:[pidfd]" || fd == "pidfd:[0]" {
				t.Errorf("%s: the pidfd is still open", name)
			}
		}
	}
}

func nsEnterFailure(t *testing.T) {
	d, _ := donorOfAll(t)
	newBox(t).inject(unix.SYS_SETNS, unix.EPERM).enter(d, plan.NewUTS, 0).fails("setns", unix.EPERM, "")
	// The process is gone, and its number may be somebody's: nothing is joined by it.
	gone := donor(t, unix.CLONE_NEWUTS)
	b := newBox(t).injectArg(unix.SYS_SETNS, 1, uint32(plan.NewUTS), unix.EINVAL)
	b.before = gone.end // when the pidfd is open, and before the plan is run
	b.enter(gone, plan.NewUTS, 0).fails("setns", unix.ENOENT, "")
}

// injectArg makes a system call fail where its i-th argument has a value.
func (b *box) injectArg(call int, i, value uint32, errno unix.Errno) *box {
	b.flagged = append(b.flagged, flaggedCall{uint32(call), i, value, uint32(errno)})
	return b
}

// fds are the targets of the process's descriptors.
func (b *box) fds() map[int]string {
	b.t.Helper()
	entries, err := os.ReadDir(b.proc("fd"))
	b.must("descriptors", err)
	out := map[int]string{}
	for _, e := range entries {
		n, err := strconv.Atoi(e.Name())
		b.must("descriptor", err)
		out[n] = b.link("fd/" + e.Name())
	}
	return out
}

// statField is the n-th field of /proc/PID/stat, from 1.
func (b *box) statField(n int) string {
	b.t.Helper()
	text := b.read("stat")
	return strings.Fields(text[strings.LastIndexByte(text, ')')+1:])[n-3]
}

func cpuEnterEffect(t *testing.T) {
	newBox(t).add(plan.CPUEnter("f", "0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, 0), plan.Fork("f", 0, plan.NoSlot)).look().onTheFirstCPU()
}

func cpuEnterFailure(t *testing.T) {
	newBox(t).add(plan.CPUEnter("f", "none", make([]byte, 8), 0)).fails("sched_setaffinity", unix.EINVAL, "")
	newBox(t).add(plan.CPUEnter("f", "none", make([]byte, 8), plan.FlagIgnore)).look()
}

func rootEnterEffect(t *testing.T) {
	// Into a mount namespace: its root.
	root := tree(t, "mark = inside", "dir/")
	d := newBox(t).in(root).add(plan.RootPivot("f")).look()
	b := newBox(t).enter(d, plan.NewNS, 0).add(plan.RootEnter("f", plan.NoSlot), plan.CwdMake("f", "/dir/new")).look()
	equal(t, "file", stat(t, b.at("/mark")).Size, 6)
	equal(t, "root", b.link("root"), "/")
	equal(t, "working directory", b.link("cwd"), "/")
	if _, err := os.Stat(root + "/dir/new"); err != nil {
		t.Errorf("the root's slot leads elsewhere: %v", err)
	}
	// Without one: the root that the other process has changed to.
	d = newBox(t).in(root).add(plan.RootChroot("f")).look()
	b = newBox(t)
	ns, slot := b.plan.NewSlot("container"), b.plan.NewSlot("root")
	b.add(plan.TargetOpen("f", d.pid, 0, ns), plan.RootOpen("f", d.pid, slot), plan.NsEnter("f", plan.NewNS, ns, d.pid, 0), plan.RootEnter("f", slot)).look()
	equal(t, "file", stat(t, b.at("/mark")).Size, 6)
	equal(t, "root", b.link("root"), d.link("root"))
	for _, fd := range b.fds() {
		if fd == root && b.link("root") != root {
			t.Errorf("the directory %s is still open", fd)
		}
	}
}

func rootEnterFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_CHDIR, unix.EACCES).add(plan.RootEnter("f", plan.NoSlot)).fails("chdir", unix.EACCES, "")
	b := newBox(t).inject(unix.SYS_CHROOT, unix.EPERM)
	slot := b.plan.NewSlot("root")
	b.add(plan.RootOpen("f", os.Getpid(), slot), plan.RootEnter("f", slot)).fails("chroot", unix.EPERM, "")
}

// listener is a console socket.
func listener(t *testing.T) (path string, accept func() (name string, master int)) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "s")
	l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(l) })
	if err := unix.Bind(l, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(l, 1); err != nil {
		t.Fatal(err)
	}
	return path, func() (string, int) {
		c, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(c)
		data, oob := make([]byte, 64), make([]byte, 64)
		n, oobn, _, _, err := unix.Recvmsg(c, data, oob, unix.MSG_CMSG_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil || len(msgs) != 1 {
			t.Fatalf("%d control messages, %v", len(msgs), err)
		}
		fds, err := unix.ParseUnixRights(&msgs[0])
		if err != nil || len(fds) != 1 {
			t.Fatalf("%d descriptors, %v", len(fds), err)
		}
		t.Cleanup(func() { unix.Close(fds[0]) })
		return string(data[:n]), fds[0]
	}
}

// consoleBox runs the console op in a root that is prepared by ops.
func consoleBox(t *testing.T, b *box, flags uint32, ops ...plan.Op) (*box, func() (string, int)) {
	path, accept := listener(t)
	slot := b.plan.NewSlot("console-socket")
	b.add(plan.ConsoleOpen("f", path, slot), plan.Session())
	b.in(tree(t, "dev/pts/", "dev/other = x", "dev/ptmx = x")).add(ops...).add(plan.Console("f", slot, 24, 80, flags))
	return b, accept
}

func devpts() plan.Op {
	return plan.MountFs(plan.Mount{Type: "devpts", Source: "devpts", At: "/dev/pts", Options: []string{"newinstance", "ptmxmode=0666"}})
}

func consoleEffect(t *testing.T) {
	b, accept := consoleBox(t, newBox(t), plan.FlagBind, devpts(), plan.RootPivot("f"))
	b.look()
	name, master := accept()
	equal(t, "name", name, "/dev/pts/0")
	for fd := range 3 {
		equal(t, "stream", b.link("fd/"+strconv.Itoa(fd)), "/dev/pts/0")
	}
	for n, fd := range b.fds() {
		if n > 2 && (fd == "/dev/pts/0" || fd == "/dev/pts/ptmx") {
			t.Errorf("descriptor %d is still %s", n, fd)
		}
	}
	size, err := unix.IoctlGetWinsize(master, unix.TIOCGWINSZ)
	if err != nil || size.Row != 24 || size.Col != 80 {
		t.Errorf("size %+v, %v", size, err)
	}
	console, slave := stat(t, b.at("/dev/console")), stat(t, b.at("/dev/pts/0"))
	if console.Rdev != slave.Rdev || console.Mode&unix.S_IFMT != unix.S_IFCHR {
		t.Errorf("/dev/console is device %#x, the terminal is %#x", console.Rdev, slave.Rdev)
	}
	// It is the controlling terminal of the session: field 7 of stat.
	if tty := b.statField(7); tty != strconv.FormatUint(slave.Rdev, 10) {
		t.Errorf("controlling terminal %s, want %d", tty, slave.Rdev)
	}
	// Without the flag there is no /dev/console.
	b, accept = consoleBox(t, newBox(t), 0, devpts(), plan.RootPivot("f"))
	b.look()
	accept()
	if _, err := os.Lstat(b.at("/dev/console")); err == nil {
		t.Error("/dev/console was made")
	}
}

func consoleFailure(t *testing.T) {
	fails := func(b *box, step string, errno unix.Errno, detail string, ops ...plan.Op) {
		t.Helper()
		b, _ = consoleBox(t, b, 0, ops...)
		b.fails(step, errno, detail)
	}
	fails(newBox(t), "openat2", unix.ENOENT, "/dev/pts/ptmx", plan.RootPivot("f"))
	// Something else at its place (CVE-2025-52565): another device, a link.
	fails(newBox(t), "identity", unix.ENODEV, "not of a devpts", plan.DeviceMake("f", "/dev/pts/ptmx", 0o20666, plan.Dev(1, 3), 0, 0), plan.RootPivot("f"))
	fails(newBox(t), "openat2", unix.ELOOP, "/dev/pts/ptmx", plan.SymlinkMake("f", "/dev/pts/ptmx", "../other"), plan.RootPivot("f"))
	fails(newBox(t).inject(unix.SYS_SENDMSG, unix.EPIPE), "sendmsg", unix.EPIPE, "", devpts(), plan.RootPivot("f"))
	fails(newBox(t).inject(unix.SYS_DUP3, unix.EMFILE), "dup", unix.EMFILE, "", devpts(), plan.RootPivot("f"))
	fails(newBox(t).inject(unix.SYS_IOCTL, unix.ENOTTY), "ioctl", unix.ENOTTY, "", devpts(), plan.RootPivot("f"))
}
