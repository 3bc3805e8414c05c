package integration

import (
	"os"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestPosture compares everything observable of an ordinary container's process
// with what the config says, so that nothing comes along unasked.
func TestPosture(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	b := newBox(t)
	b.env = append(os.Environ(), "SECRET=1")
	b.spec.Process.Args = []string{"/prober"}
	b.writeConfig()
	for name, rep := range map[string]*report{"run": b.probe(), "start": b.createdReport()} {
		t.Run(name, func(t *testing.T) { posture(t, b, rep) })
	}
}

// createdReport is the prober's report after create and start.
func (b *box) createdReport() *report {
	b.t.Helper()
	r := b.create()
	b.start()
	expect(b.t, "exit code", b.wait(), 0)
	rep := b.parse(readText(b.t, r.outFile))
	b.remove()
	return rep
}

func posture(t *testing.T, b *box, r *report) {
	for _, f := range r.Fds {
		if strings.HasPrefix(f.Target, "pipe:") && !isTare && f.Fd < 3 {
			continue // runc's foreground run copies the streams
		}
		switch f.Fd {
		case 0:
			expect(t, "stdin", f.Target, "/dev/null")
		case 1, 2:
			if !strings.HasPrefix(f.Target, b.dir+"/io/") {
				t.Errorf("descriptor %d is %s", f.Fd, f.Target)
			}
		default:
			t.Errorf("descriptor %d came along: %s", f.Fd, f.Target)
		}
	}
	expect(t, "number of descriptors", len(r.Fds), 3)
	expect(t, "root", r.Root, "/")
	expect(t, "cwd", r.Cwd, "/")
	expect(t, "exe", r.Exe, "/prober")
	expectList(t, "args", r.Args, []string{"/prober"})
	expectList(t, "env", r.Env, []string{"PATH=/bin:/", "TERM=xterm", "HOME=/"})
	expectList(t, "groups", r.Groups, nil)
	want := capMask(unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE)
	expect(t, "bounding", r.Caps.Bounding, want)
	expect(t, "effective", r.Caps.Effective, want)
	expect(t, "permitted", r.Caps.Permitted, want)
	expect(t, "inheritable", r.Caps.Inheritable, capMask())
	expect(t, "ambient", r.Caps.Ambient, capMask())
	expect(t, "no_new_privs", r.NoNewPrivs, 0)
	expect(t, "seccomp", r.Seccomp, 0)
	expect(t, "blocked signals", r.Signals.Blocked, capMask())
	expect(t, "ignored signals", r.Signals.Ignored, capMask())
	expect(t, "hostname", r.Hostname, "box")
	expect(t, "umask", r.Umask, 0o022)
	own := map[string]bool{"pid": true, "net": true, "ipc": true, "uts": true, "mnt": true, "pid_for_children": true}
	for ns, link := range r.Namespaces {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		if err != nil {
			t.Fatal(err)
		}
		if own[ns] == (link == host) {
			t.Errorf("namespace %s is %s, the runtime's is %s", ns, link, host)
		}
	}
	var at []string
	for _, m := range parseMounts(r.Mountinfo) {
		at = append(at, m.at)
		// The host's mounts reach the root; what is made in the container is its own.
		want := "private"
		if m.at == "/" {
			want = "slave"
		}
		expect(t, "propagation of "+m.at, m.propagation(), want)
	}
	expectList(t, "mounts", at, []string{"/", "/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys"})
	var devices []string
	for _, d := range r.Devices {
		devices = append(devices, d.Name)
	}
	slices.Sort(devices)
	if !isTare && !slices.Contains(devices, "core") {
		devices = append([]string{"core"}, devices...) // only where the host has it
	}
	expectList(t, "/dev", devices, []string{"core", "fd", "full", "mqueue", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout", "tty", "urandom", "zero"})
	for name, path := range cgroupOf(r.Cgroup) {
		if !hasID(path, b.id) {
			t.Errorf("in hierarchy %q the process is in %s", name, path)
		}
	}
}

// TestPreserveFDs: those that were asked for, and no others.
func TestPreserveFDs(t *testing.T) {
	b := newBox(t, prober())
	b.writeConfig()
	var files []*os.File
	for _, n := range []string{"a", "b", "c"} {
		f, err := os.Create(b.dir + "/io/" + n)
		b.must(err)
		defer f.Close()
		files = append(files, f)
	}
	cmd, done := b.command("run", "--bundle", b.bundle, "--preserve-fds", "2", b.id)
	cmd.ExtraFiles = files
	if err := cmd.Run(); err != nil {
		t.Fatal(err, done().Stderr)
	}
	r := b.parse(done().Stdout)
	expect(t, "number of descriptors", len(r.Fds), 5)
	for _, f := range r.Fds {
		if want := map[int]string{3: "/io/a", 4: "/io/b"}[f.Fd]; f.Fd > 2 && (want == "" || !strings.HasSuffix(f.Target, want)) {
			t.Errorf("descriptor %d is %s, expected %q", f.Fd, f.Target, want)
		}
		expect(t, "descriptor flags", f.DescriptorFlags, 0)
	}
	b.refused([]string{"--preserve-fds", "is not open"}, "run", "--bundle", b.bundle, "--preserve-fds", "90", b.id)
	b.nothingLeft()
}

// TestInitIsSealed (CVE-2019-5736): what runs in the container before the
// program is no file of the host, and cannot be written.
func TestInitIsSealed(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	b := newBox(t, prober("pause"))
	b.create()
	exe := procPath(b.pid, "exe")
	link, err := os.Readlink(exe)
	b.must(err)
	if !strings.Contains(link, "memfd:") {
		t.Errorf("the waiting init is %s, expected a memfd", link)
	}
	f, err := os.Open(exe)
	b.must(err)
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	b.must(err)
	if want := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE; seals&want != want {
		t.Errorf("the init's seals are %#x, expected %#x", seals, want)
	}
	if w, err := unix.Open(exe, unix.O_WRONLY, 0); err == nil {
		unix.Close(w)
		t.Error("the init can be opened for writing")
	}
	// Nobody in the container may look into it (CVE-2016-9962): it is not dumpable,
	// which shows in the owner of its files only for other uids; the flag itself is
	// seen in what the waiting process keeps open.
	for _, fd := range mustGlob(t, procPath(b.pid, "fd/*")) {
		target, _ := os.Readlink(fd)
		if strings.HasPrefix(target, "/") && target != "/" && !strings.HasPrefix(target, b.dir) && target != "/dev/null" && !strings.HasPrefix(target, "/memfd:") {
			t.Errorf("the waiting init has %s open at %s", target, fd)
		}
		if isDir(fd) && !sameFile(fd, procPath(b.pid, "root")) {
			t.Errorf("the waiting init has the directory %s open", target)
		}
	}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
