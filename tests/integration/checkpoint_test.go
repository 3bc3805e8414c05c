//go:build vm

package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// CRIU works in the guest; it does not on every host.

// counting is a program whose count is seen from outside; a file on a tmpfs, an
// environment and a shell variable are seen through what it prints when told to.
const counting = `exec 3>/data/count; echo kept >/scratch/file; i=0
while ! [ -e /data/end ]; do i=$((i+1)); printf "%05d\n" $i >/data/count; sleep 0.1; done
cat /scratch/file; echo "$i $MARK"; exit 7`

// countingBox is a container with limits, binds, masked and read-only paths.
func countingBox(t *testing.T, edits ...func(*specs.Spec)) *box {
	hostRun(t, "ip", "link", "set", "lo", "up") // CRIU tries connections to itself
	b := newBox(t, mount("/scratch", "tmpfs", "tmpfs", "nosuid", "size=64k"))
	b.shellOf(counting)
	for _, d := range []string{"data", "ro"} {
		b.must(os.Mkdir(b.dir+"/"+d, 0o755))
		b.must(os.Mkdir(b.rootfs+"/"+d, 0o755))
	}
	b.must(os.Mkdir(b.rootfs+"/scratch", 0o755))
	b.put("file", "", 0o644)
	b.must(os.WriteFile(b.dir+"/one", []byte("one\n"), 0o644))
	b.edit(bind(b.dir+"/data", "/data", "rbind", "rw"), bind(b.dir+"/ro", "/ro", "bind", "ro", "nosuid"), bind(b.dir+"/one", "/file", "bind", "ro"),
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro"), withNamespace(specs.CgroupNamespace, ""))
	b.spec.Process.Env = append(b.spec.Process.Env, "MARK=marked")
	b.spec.Linux.MaskedPaths = []string{"/proc/kcore", "/proc/keys", "/proc/acpi", "/sys/firmware"}
	b.spec.Linux.ReadonlyPaths = []string{"/proc/sys", "/proc/sysrq-trigger"}
	b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(33))}
	b.edit(edits...)
	return b
}

func (b *box) images() string { return b.dir + "/images" }

// count is how far the program has come.
func (b *box) count() int {
	text, _ := os.ReadFile(b.dir + "/data/count")
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n // 0 before it begins, and in the middle of a write
}

// counts waits until the program has counted beyond a number, and returns its own.
func (b *box) counts(beyond int) (n int) {
	b.t.Helper()
	b.until("the program to count", func() bool { n = b.count(); return n > beyond })
	return n
}

// checkpoint writes the container to files, and demands that it is gone.
func (b *box) checkpoint(flags ...string) {
	b.t.Helper()
	b.ok(append(append([]string{"checkpoint", "--image-path", b.images()}, flags...), b.id)...)
	b.reap()
	b.nothingLeft()
}

// restore makes it again.
func (b *box) restore(flags ...string) result {
	b.t.Helper()
	b.writeConfig()
	pidFile := b.dir + "/io/restored-pid"
	r := b.ok(append(append([]string{"restore", "--detach", "--bundle", b.bundle, "--image-path", b.images(), "--pid-file", pidFile}, flags...), b.id)...)
	var err error
	b.pid, err = strconv.Atoi(readText(b.t, pidFile))
	b.must(err)
	b.reaped = false
	return r
}

// mountsOf is what a container sees mounted, without what differs by nature: the
// numbers of mounts and peers, and the root of a cgroup mount.
func (b *box) mountsOf() []string {
	b.t.Helper()
	var out []string
	for line := range strings.Lines(readText(b.t, procPath(b.pid, "mountinfo"))) {
		head, tail, _ := strings.Cut(line, " - ")
		f, g := strings.Fields(head), strings.Fields(tail)
		if strings.HasPrefix(g[0], "cgroup") {
			f[3] = ""
		}
		out = append(out, strings.Join([]string{f[3], f[4], f[5], g[0]}, " "))
	}
	slices.Sort(out)
	return out
}

// limitsOf are the files of limits that the container has.
func (b *box) limitsOf() (memory, pids string) {
	file := "memory.limit_in_bytes"
	if b.onV2("memory") {
		file = "memory.max"
	}
	return b.limit("memory", file), b.limit("pids", "pids.max")
}

// TestCheckpoint: a program goes on with its count, in a container like the one that
// it was in, under another name, and is a container like any other.
func TestCheckpoint(t *testing.T) {
	b := countingBox(t)
	b.launch()
	b.counts(5)
	mounts := b.mountsOf()
	before := b.id
	b.checkpoint()
	n := b.count()
	time.Sleep(300 * time.Millisecond)
	expect(t, "count of a container that is gone", b.count(), n)
	b.refused([]string{"container does not exist"}, "state", b.id)

	b.id += "-second"
	defer func() { b.id = before }()
	r := b.restore()
	expect(t, "status", b.status(), "running")
	if now := b.counts(n); now > n+200 {
		t.Errorf("counts from %d on after %d", now, n)
	}
	if now := b.mountsOf(); !slices.Equal(now, mounts) {
		t.Errorf("mounts before:\n%s\nand after:\n%s", strings.Join(mounts, "\n"), strings.Join(now, "\n"))
	}
	for _, path := range cgroupOf(readText(t, procPath(b.pid, "cgroup"))) {
		if !strings.Contains(path, b.id) {
			t.Errorf("in cgroup %s", path)
		}
	}
	memory, pids := b.limitsOf()
	expect(t, "memory limit", memory, "67108864")
	expect(t, "pids limit", pids, "33")
	e := b.ok("exec", b.id, "/bin/sh", "-c", "cat /scratch/file /file; (echo x >/ro/x) 2>/dev/null || echo refused; cat /proc/kcore; cat /proc/1/comm")
	expect(t, "output of exec", e.Stdout, "kept\none\nrefused\nsh\n")
	b.ok("pause", b.id)
	expect(t, "status", b.status(), "paused")
	b.ok("resume", b.id)
	b.must(os.WriteFile(b.dir+"/data/end", nil, 0o644))
	expect(t, "exit code", b.wait(), 7)
	text := readText(t, r.outFile)
	if !strings.HasPrefix(text, "kept\n") || !strings.HasSuffix(text, " marked\n") {
		t.Errorf("a restored program printed %q", text)
	}
	expect(t, "status", b.status(), "stopped")
	b.remove()
	b.nothingLeft()
}

// TestCheckpointLeaveRunning: the container goes on, and the images are good.
func TestCheckpointLeaveRunning(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(3)
	b.ok("checkpoint", "--leave-running", "--image-path", b.images(), "--work-path", b.dir+"/work", b.id)
	expect(t, "status", b.status(), "running")
	if st, err := os.Stat(b.dir + "/work/dump.log"); err != nil || st.Size() == 0 {
		t.Errorf("no log in the work directory: %v", err)
	}
	b.counts(b.counts(n) + 3)
	b.kill("KILL")
	b.remove()
	b.restore("--work-path", b.dir+"/work")
	if now := b.counts(0); now < n {
		t.Errorf("counts from %d on, it was at %d", now, n)
	}
	b.kill("KILL")
	b.remove()
	b.nothingLeft()
}

// TestRestoreFails: nothing is left, and the images are as good as before.
// What is mounted below an absolute link of the root is there again, in a root in
// which its place is missing.
func TestRestoreFails(t *testing.T) {
	b := countingBox(t, mount("/var/run/secrets", "tmpfs", "tmpfs", "size=64k"))
	for _, d := range []string{"run", "var"} {
		b.must(os.MkdirAll(b.rootfs+"/"+d, 0o755))
	}
	b.must(os.Symlink("/run", b.rootfs+"/var/run"))
	b.launch()
	n := b.counts(2)
	b.ok("exec", b.id, "/bin/sh", "-c", "echo kept >/run/secrets/file")
	b.checkpoint()
	b.must(os.Remove(b.rootfs + "/run/secrets"))
	b.refused([]string{"restore failed: criu restore: "}, "restore", "--detach", "--bundle", b.bundle, "--image-path", b.dir, b.id)
	b.nothingLeft()
	b.must(os.Rename(b.dir+"/ro", b.dir+"/gone")) // a source that is not there any more
	b.refused([]string{"restore failed: ", "/ro", "restore.log"}, "restore", "--detach", "--bundle", b.bundle, "--image-path", b.images(), b.id)
	b.nothingLeft()
	b.must(os.Rename(b.dir+"/gone", b.dir+"/ro"))
	b.restore()
	n = b.counts(n)
	expect(t, "output of exec", b.ok("exec", b.id, "/bin/cat", "/var/run/secrets/file").Stdout, "kept\n")
	b.refused([]string{"container with given ID already exists"}, "restore", "--detach", "--bundle", b.bundle, "--image-path", b.images(), b.id)
	b.counts(n)
	b.kill("KILL")
	b.remove()
	b.must(os.Remove(b.rootfs + "/run/secrets")) // made as by create
	b.nothingLeft()
}

// TestCheckpointStatus: only what runs can be written down. The limit of processes has
// room for the container's alone: CRIU's beside them are not counted against it.
func TestCheckpointStatus(t *testing.T) {
	b := countingBox(t, func(s *specs.Spec) { s.Linux.Resources.Pids.Limit = ptr(int64(2)) })
	b.create()
	b.refused([]string{"container cannot be checkpointed in created state"}, "checkpoint", b.id)
	b.start()
	n := b.counts(1)
	b.ok("pause", b.id)
	b.ok("checkpoint", "--image-path", b.images(), b.id)
	b.reap()
	b.restore()
	expect(t, "status", b.status(), "running")
	_, pids := b.limitsOf()
	expect(t, "pids limit", pids, "2")
	b.counts(n)
	b.kill("KILL")
	b.refused([]string{"container cannot be checkpointed in stopped state"}, "checkpoint", b.id)
	b.remove()
}

// TestCheckpointPreDump: memory first, and then what has changed since.
func TestCheckpointPreDump(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(2)
	b.ok("checkpoint", "--pre-dump", "--image-path", b.dir+"/first", b.id)
	expect(t, "status", b.status(), "running")
	n = b.counts(n)
	b.checkpoint("--parent-path", "../first")
	if to, err := os.Readlink(b.images() + "/parent"); err != nil || to != "../first" {
		t.Errorf("parent %q: %v", to, err)
	}
	b.restore()
	b.counts(n)
	b.kill("KILL")
	b.remove()
}

// TestRestoreForeground: the exit code is the program's, and the container is gone.
func TestRestoreForeground(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(2)
	b.checkpoint()
	cmd, done := b.command("restore", "--bundle", b.bundle, "--image-path", b.images(), b.id)
	b.must(cmd.Start())
	b.counts(n)
	b.must(os.WriteFile(b.dir+"/data/end", nil, 0o644))
	_ = cmd.Wait()
	r := done()
	expect(t, "exit code", r.Code, 7)
	expect(t, "stderr", r.Stderr, "")
	b.nothingLeft()
}

// TestCheckpointTerminal: the other end of the terminal goes to the engine again.
func TestCheckpointTerminal(t *testing.T) {
	b := countingBox(t, terminalConfig)
	b.shellOf(`while read x; do echo "read: $x"; done`)
	s := b.socket("tty")
	b.create("--console-socket", s.path)
	_, x := s.terminal()
	b.start()
	x.enter("one\r")
	x.expect("read: one\r\n")
	b.checkpoint()
	b.writeConfig()
	pidFile := b.dir + "/io/restored-pid"
	b.ok("restore", "--detach", "--bundle", b.bundle, "--image-path", b.images(), "--pid-file", pidFile, "--console-socket", s.path, b.id)
	b.pid, _ = strconv.Atoi(readText(t, pidFile))
	b.reaped = false
	_, y := s.terminal()
	y.enter("two\r")
	y.expect("read: two\r\n")
	b.kill("KILL")
	b.remove()
}

// TestCheckpointJoined: joined namespaces are joined again, and hooks run.
func TestCheckpointJoined(t *testing.T) {
	holder := exec.Command("unshare", "--net", "sleep", "1000")
	if err := holder.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = holder.Process.Kill(); _ = holder.Wait() })
	at := procPath(holder.Process.Pid, "ns/net")
	// Before the box looks at what runs already: by then it is what it will be.
	for end := time.Now().Add(patience); !strings.HasPrefix(readText(t, procPath(holder.Process.Pid, "comm")), "sleep"); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("unshare does not begin")
		}
	}
	b := countingBox(t, withNamespace(specs.NetworkNamespace, at))
	b.spec.Hooks = &specs.Hooks{
		CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "cat >>" + b.dir + "/hooks; echo >>" + b.dir + "/hooks"}}},
		Poststop:      []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "echo poststop >>" + b.dir + "/hooks"}}},
	}
	b.launch()
	n := b.counts(2)
	b.checkpoint()
	b.restore()
	b.counts(n)
	var own, theirs unix.Stat_t
	b.must(unix.Stat(at, &own))
	b.must(unix.Stat(procPath(b.pid, "ns/net"), &theirs))
	expect(t, "network namespace", theirs.Ino, own.Ino)
	lines := strings.Split(strings.TrimSpace(readText(t, b.dir+"/hooks")), "\n")
	if len(lines) != 3 || lines[1] != "poststop" || !strings.Contains(lines[2], `"pid":`+strconv.Itoa(b.pid)) {
		t.Errorf("hooks: %q", lines)
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointUserNamespace: with id maps, and devices that are bound.
func TestCheckpointUserNamespace(t *testing.T) {
	mask := unix.Umask(0) // who restores opens the file that is the output, as another user
	t.Cleanup(func() { unix.Umask(mask) })
	b := countingBox(t, userNamespace(100000))
	b.own(100000)
	for _, d := range []string{"data", "ro"} {
		b.must(os.Chown(b.dir+"/"+d, 100000, 100000))
	}
	b.launch()
	n := b.counts(2)
	b.must(os.Mkdir(b.images(), 0o755)) // who restores reads them as another user
	b.checkpoint()
	b.restore()
	b.counts(n)
	if text := readText(t, procPath(b.pid, "uid_map")); !strings.Contains(text, "100000") {
		t.Errorf("uid_map %q", text)
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointSystemd: the restored processes are in a unit with its limits.
func TestCheckpointSystemd(t *testing.T) {
	b := systemdBox(t)
	c := countingBox(t)
	b.spec, b.spec.Linux.CgroupsPath = c.spec, ""
	b.spec.Linux.Resources.Pids.Limit = ptr(int64(2)) // no room for CRIU's, as in TestCheckpointStatus
	b.shellOf(counting)
	for _, d := range []string{"data", "ro", "scratch"} {
		b.must(os.MkdirAll(b.rootfs+"/"+d, 0o755))
	}
	b.must(os.Mkdir(b.dir+"/data", 0o755))
	b.put("file", "", 0o644)
	for i := range b.spec.Mounts {
		if b.spec.Mounts[i].Destination == "/data" {
			b.spec.Mounts[i].Source = b.dir + "/data"
		}
	}
	b.launch()
	n := b.counts(2)
	unit := "tare-" + b.id + ".scope"
	before := readText(t, "/proc/"+strconv.Itoa(b.pid)+"/cgroup")
	b.checkpoint()
	unknown(t, unit)
	b.restore()
	b.counts(n)
	// In the hierarchies of cgroup v1 too that systemd has no use for.
	expect(t, "cgroups after restore", readText(t, "/proc/"+strconv.Itoa(b.pid)+"/cgroup"), before)
	inCgroup(t, b.pid, "/system.slice/"+unit)
	memory := "MemoryLimit" // what systemd calls it for cgroup v1
	pids := "/sys/fs/cgroup/pids/system.slice/" + unit
	if unifiedOnly() {
		memory, pids = "MemoryMax", "/sys/fs/cgroup/system.slice/"+unit
	}
	expect(t, "pids limit", strings.TrimSpace(readText(t, pids+"/pids.max")), "2")
	shows(t, unit, map[string]string{"ActiveState": "active", "TasksMax": "2", memory: "67108864"})
	b.kill("KILL")
	b.remove()
	unknown(t, unit)
}

// TestCheckpointTCP: what CRIU does not write down unless it is told to is named, and
// the container goes on; with the flag, an open connection goes on after restore.
func TestCheckpointTCP(t *testing.T) {
	hostRun(t, "ip", "link", "set", "lo", "up")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b := countingBox(t, withoutNamespace(specs.NetworkNamespace))
	b.must(os.Symlink("busybox", b.rootfs+"/bin/nc"))
	b.shellOf("exec nc 127.0.0.1 " + port + " </data/pipe >/data/got")
	b.must(unix.Mkfifo(b.dir+"/data/pipe", 0o600))
	w, err := os.OpenFile(b.dir+"/data/pipe", os.O_RDWR, 0)
	b.must(err)
	defer w.Close()
	b.launch()
	conn, err := l.Accept()
	b.must(err)
	defer conn.Close()
	_, err = conn.Write([]byte("before\n"))
	b.must(err)
	got := filepath.Join(b.dir, "data/got")
	b.until("the first line", func() bool { return readText(t, got) == "before\n" })
	b.refused([]string{"checkpoint failed: criu dump: ", "--tcp-established"}, "checkpoint", "--image-path", b.images(), b.id)
	expect(t, "status", b.status(), "running")
	_, err = conn.Write([]byte("still\n"))
	b.must(err)
	b.until("the second line", func() bool { return readText(t, got) == "before\nstill\n" })
	b.ok("checkpoint", "--tcp-established", "--network-lock", "iptables", "--image-path", b.images(), b.id)
	b.reap()
	_, err = conn.Write([]byte("after\n"))
	b.must(err)
	b.restore("--tcp-established", "--network-lock", "iptables")
	b.until("the third line", func() bool { return readText(t, got) == "before\nstill\nafter\n" })
	b.kill("KILL")
	b.remove()
}
