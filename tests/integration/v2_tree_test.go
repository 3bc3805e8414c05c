//go:build vm

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestV2Controllers: on the way down to a nested cgroup every controller is
// passed on, and what was made on the way is removed again.
func TestV2Controllers(t *testing.T) {
	b := newV2Box(t, prober("pause"))
	b.spec.Linux.CgroupsPath = "/" + b.id + "-a/b/c"
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(9))}
	b.create()
	all := strings.TrimSpace(readText(t, v2Root+"/cgroup.controllers"))
	for _, dir := range []string{"", "/" + b.id + "-a", "/" + b.id + "-a/b"} {
		expect(t, "what "+dir+" passes on", strings.TrimSpace(readText(t, v2Root+dir+"/cgroup.subtree_control")), all)
	}
	expect(t, "what the container's cgroup passes on", b.value("cgroup.subtree_control"), "")
	expect(t, "controllers", b.value("cgroup.controllers"), all)
	expect(t, "pids.max", b.value("pids.max"), "9")
	expect(t, "processes", b.value("cgroup.procs"), strconv.Itoa(b.pid))
	b.remove("--force")
	if _, err := os.Stat(v2Root + "/" + b.id + "-a"); err == nil {
		t.Error("the parents that were made are still there")
	}
}

// TestV2Clone: the process is born in its cgroup; nobody moves it.
func TestV2Clone(t *testing.T) {
	b := newV2Box(t, prober("quiet"))
	b.writeConfig()
	trace := b.dir + "/io/trace"
	hostRun(t, "strace", "-f", "-qq", "-o", trace, "-e", "trace=clone3,write,openat,openat2", "-s", "64", binary, "--root", b.root, "run", "--bundle", b.bundle, b.id)
	text := readText(t, trace)
	if !strings.Contains(text, "CLONE_INTO_CGROUP") {
		t.Error("no clone3 with CLONE_INTO_CGROUP")
	}
	for line := range strings.Lines(text) {
		if strings.Contains(line, "cgroup.procs") || strings.Contains(line, "cgroup.threads") {
			t.Errorf("somebody was moved: %s", line)
		}
	}
}

// TestV2Namespace: with a cgroup namespace the container sees its cgroup as the
// top, and its own limits through the mount.
func TestV2Namespace(t *testing.T) {
	for _, own := range []bool{true, false} {
		b := newV2Box(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "ro"))
		b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(11))}
		want := "0::/" + b.id + "\n"
		if own {
			b.edit(withNamespace(specs.CgroupNamespace, ""))
			want = "0::/\n"
		}
		r := b.probe("read:/proc/self/cgroup", "read:/sys/fs/cgroup/pids.max", "read:/sys/fs/cgroup/cgroup.procs", "write:/sys/fs/cgroup/pids.max=99", "mkdir:/sys/fs/cgroup/x", "ls:/sys/fs/cgroup/..")
		expect(t, "/proc/self/cgroup", r.result("read:/proc/self/cgroup").Data, want)
		expect(t, "pids.max", r.result("read:/sys/fs/cgroup/pids.max").Data, "11\n")
		expect(t, "cgroup.procs", r.result("read:/sys/fs/cgroup/cgroup.procs").Data, "1\n")
		expect(t, "errno of changing the limit", r.result("write:/sys/fs/cgroup/pids.max=99").Err, int(unix.EROFS))
		expect(t, "errno of making a cgroup", r.result("mkdir:/sys/fs/cgroup/x").Err, int(unix.EROFS))
		expect(t, "type", r.mount("/sys/fs/cgroup").fstype, "cgroup2")
	}
}

// delegated is a box whose container may manage cgroups of its own.
func delegated(t *testing.T, options ...string) *box {
	b := newV2Box(t, userNamespace(100000), withNamespace(specs.CgroupNamespace, ""), mount("/sys/fs/cgroup", "cgroup", "cgroup", options...))
	b.own(100000)
	return b
}

// TestV2Delegation: the container's root owns the directory and exactly the files
// that the kernel lists, makes cgroups below and limits them, and cannot change
// its own limits.
func TestV2Delegation(t *testing.T) {
	b := delegated(t, "rw", "nosuid")
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(20))}
	b.shellOf(`exec 2>&1; cd /sys/fs/cgroup && mkdir init inner &&
echo $$ >init/cgroup.procs && echo +pids +memory >cgroup.subtree_control && echo 3 >inner/pids.max && cat inner/pids.max || exit 1
if echo 99 2>/dev/null >pids.max; then echo raised; fi
if echo 0 2>/dev/null >memory.max; then echo limited; fi
if echo 0 2>/dev/null >../cgroup.procs; then echo left; fi
(echo 0 >inner/cgroup.procs && for i in 1 2 3 4; do sleep 1000 >/dev/null 2>&1 & done)
echo end; exec sleep 1000`)
	r := b.launch()
	b.until("the shell's end", func() bool { return strings.HasSuffix(readText(t, r.outFile), "end\n") || b.status() == "stopped" })
	out := readText(t, r.outFile)
	if !strings.Contains(out, "3\n") || strings.Contains(out, "raised") || strings.Contains(out, "limited") || strings.Contains(out, "left") {
		t.Errorf("the shell printed %q", out)
	}
	expect(t, "pids.max", b.value("pids.max"), "20")
	if n, err := strconv.Atoi(b.value("inner/pids.current")); err != nil || n > 3 {
		t.Errorf("%d processes in the inner cgroup, %v", n, err)
	}
	list := strings.Fields(readText(t, "/sys/kernel/cgroup/delegate"))
	entries, err := os.ReadDir(b.cgroup())
	b.must(err)
	given := 0
	for _, e := range append([]string{"."}, names(entries)...) {
		if e == "init" || e == "inner" {
			continue
		}
		var st unix.Stat_t
		b.must(unix.Lstat(filepath.Join(b.cgroup(), e), &st))
		want := uint32(0)
		if e == "." || contains(list, e) {
			want = 100000
			given++
		}
		if st.Uid != want || st.Gid != 0 {
			t.Errorf("%s belongs to %d:%d, expected %d:0", e, st.Uid, st.Gid, want)
		}
	}
	if given < 4 {
		t.Errorf("%d files were given away, of %q", given, list)
	}
	b.remove("--force")
	b.nothingLeft()
}

func names(entries []os.DirEntry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}

// TestV2NoDelegation: without a writable mount, or without a cgroup namespace,
// everything stays the host's.
func TestV2NoDelegation(t *testing.T) {
	shared := delegated(t, "rw")
	shared.edit(withoutNamespace(specs.CgroupNamespace))
	for _, b := range []*box{delegated(t, "ro"), shared} {
		b.edit(prober("pause"))
		b.create()
		for _, name := range []string{"", "/cgroup.procs", "/cgroup.subtree_control"} {
			var st unix.Stat_t
			b.must(unix.Stat(b.cgroup()+name, &st))
			expect(t, "owner of "+name, st.Uid, uint32(0))
		}
		b.remove("--force")
	}
}

// TestV2Threaded: below a threaded cgroup there is no place for a container.
func TestV2Threaded(t *testing.T) {
	b := newV2Box(t, prober("quiet"))
	const path = "/tare-threaded" // without the id, by which leftovers are found
	top := v2Root + path
	b.must(os.MkdirAll(top+"/threads", 0o755))
	defer func() {
		b.must(os.Remove(top + "/threads"))
		b.must(os.Remove(top))
	}()
	b.must(os.WriteFile(top+"/threads/cgroup.type", []byte("threaded"), 0))
	b.spec.Linux.CgroupsPath = path + "/threads/c"
	b.createFails("linux.cgroupsPath", "threaded", "domain")
	b.spec.Linux.CgroupsPath = path + "/c"
	b.createFails("linux.cgroupsPath", "threaded", "domain")
}

// TestV2Refusals: a cgroup with processes, one that is frozen, and one that passes
// controllers on, are no place for a container, and stay as they are.
func TestV2Refusals(t *testing.T) {
	b := newV2Box(t, prober("quiet"))
	const path = "/tare-refusals"
	dir := v2Root + path
	b.must(os.Mkdir(dir, 0o755))
	defer func() { b.must(os.Remove(dir)) }()
	b.spec.Linux.CgroupsPath = path
	write := func(file, value string) { t.Helper(); b.must(os.WriteFile(dir+"/"+file, []byte(value), 0)) }
	write("cgroup.freeze", "1")
	b.createFails("linux.cgroupsPath", "frozen")
	write("cgroup.freeze", "0")
	h := hold(b, 0)
	write("cgroup.procs", strconv.Itoa(h.pid))
	b.writeConfig()
	b.refused([]string{"linux.cgroupsPath", "not empty"}, "create", "--bundle", b.bundle, b.id)
	expect(t, "the one who was there", strings.TrimSpace(readText(t, dir+"/cgroup.procs")), strconv.Itoa(h.pid))
	b.must(os.WriteFile(v2Root+"/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0))
	b.must(os.Mkdir(dir+"/below", 0o755))
	write("cgroup.subtree_control", "+memory")
	b.refused([]string{"linux.cgroupsPath", "no internal processes"}, "create", "--bundle", b.bundle, b.id)
	write("cgroup.subtree_control", "-memory")
	b.must(os.Remove(dir + "/below"))
	expect(t, "exit code in the empty cgroup", b.run().Code, 0)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("a cgroup that was there before: %v", err)
	}
}

// TestV2DevicesAgain: a cgroup that stays gets the rules of the next container,
// and not those of both.
func TestV2DevicesAgain(t *testing.T) {
	b := newV2Box(t)
	const path = "/tare-devices"
	dir := v2Root + path
	b.must(os.Mkdir(dir, 0o755))
	defer func() { b.must(os.Remove(dir)) }()
	b.spec.Linux.CgroupsPath = path
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: diskMajor, Minor: diskMinor}}
	base := b.spec.Linux.Resources.Devices
	for _, access := range []string{"r", "w", "rw"} {
		b.spec.Linux.Resources.Devices = append(base[:len(base):len(base)],
			specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: ptr(int64(diskMajor)), Minor: ptr(int64(diskMinor)), Access: access})
		r := b.probe("read:/dev/disk", "write:/dev/disk=x")
		for op, letter := range map[string]string{"read:/dev/disk": "r", "write:/dev/disk=x": "w"} {
			want := int(unix.EPERM)
			if strings.Contains(access, letter) {
				want = 0
			}
			expect(t, access+": errno of "+op, r.result(op).Err, want)
		}
	}
}

// TestV2Privileged: a list that allows everything costs no program.
func TestV2Privileged(t *testing.T) {
	b := newV2Box(t)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
	b.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	expect(t, "errno", b.probe("write:/dev/kmsg=x").result("write:/dev/kmsg=x").Err, 0)
	b.edit(prober("pause"))
	b.create()
	out := hostRun(t, binary, "plan", "--bundle", b.bundle, b.id)
	if strings.Contains(out, "device-filter") {
		t.Error("the plan has a device-filter")
	}
	b.remove("--force")
}

// TestV2Kill: one write to cgroup.kill ends everything, forks included.
func TestV2Kill(t *testing.T) {
	b := newV2Box(t, prober("fork:30", "pause"), withoutNamespace(specs.PIDNamespace))
	r := b.launch()
	b.output(r)
	if n := len(strings.Fields(b.value("cgroup.procs"))); n != 31 {
		t.Errorf("%d processes, expected 31", n)
	}
	b.must(os.WriteFile(b.cgroup()+"/cgroup.freeze", []byte("1"), 0))
	b.until("the freezer", func() bool { return b.counter("cgroup.events", "frozen") == 1 })
	expect(t, "status", b.status(), "paused")
	b.remove("--force")
	b.nothingLeft()
}

// TestV2Cycles: two hundred containers leave no cgroup behind, not even one that is dying.
func TestV2Cycles(t *testing.T) {
	b := newV2Box(t, prober("quiet"), namespaces(specs.LinuxNamespace{Type: specs.MountNamespace}))
	b.spec.Mounts, b.spec.Hostname = b.spec.Mounts[:2], ""
	dying := func() (live, dead int) {
		for line := range strings.Lines(readText(t, v2Root+"/cgroup.stat")) {
			key, n, _ := strings.Cut(strings.TrimSpace(line), " ")
			v, err := strconv.Atoi(n)
			b.must(err)
			if key == "nr_descendants" {
				live = v
			} else if key == "nr_dying_descendants" {
				dead = v
			}
		}
		return live, dead
	}
	b.writeConfig()
	live, dead := dying()
	for range 200 {
		if r := b.call("run", "--bundle", b.bundle, b.id); r.Code != 0 {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
	}
	last := time.Time{}
	b.until("the dead cgroups", func() bool {
		if time.Since(last) > 2*time.Second {
			// What keeps a cgroup dying is a page that is charged to it, or an inode that
			// it has made dirty: its writeback is accounted to the cgroup.
			unix.Sync()
			b.must(os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0))
			last = time.Now()
			l, d := dying()
			t.Logf("%d cgroups, before %d; %d dying, before %d", l, live, d, dead)
		}
		l, d := dying()
		return l <= live && d <= dead+10 // a unit of the machine may have ended
	})
}

// TestV2Rootless: an ordinary user who has been given a cgroup, and is in another
// one below it, can limit containers; in the one that he is in he cannot.
func TestV2Rootless(t *testing.T) {
	b := userBox(t)
	const path = "/tare-rootless"
	top := v2Root + path
	b.must(os.MkdirAll(top+"/session", 0o755))
	defer func() {
		b.must(os.Remove(top + "/session"))
		b.must(os.Remove(top))
	}()
	for _, dir := range []string{top, top + "/session"} {
		for _, f := range []string{"", "/cgroup.procs", "/cgroup.subtree_control", "/cgroup.threads"} {
			b.must(os.Chown(dir+f, ordinary, ordinary))
		}
	}
	// As systemd does it for the manager of a user.
	b.must(os.WriteFile(v2Root+"/cgroup.subtree_control", []byte("+pids +memory"), 0))
	b.must(os.WriteFile(top+"/cgroup.subtree_control", []byte("+pids +memory"), 0))
	b.enterCgroup(top + "/session")
	b.spec.Linux.CgroupsPath = path + "/c"
	b.spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(4))}, Memory: &specs.LinuxMemory{Limit: ptr(int64(32 << 20))}}
	b.edit(prober("fork:9", "pause"))
	r := b.launch()
	expect(t, "errno", b.parse(b.output(r)).result("fork:9").Err, 11)
	expect(t, "pids.max", b.value("pids.max"), "4")
	expect(t, "memory.max", b.value("memory.max"), "33554432")
	b.ok("kill", "--all", b.id, "KILL")
	b.wait()
	b.remove()
	if _, err := os.Stat(b.cgroup()); err == nil {
		t.Error("the container's cgroup is still there")
	}
	b.must(os.Remove(b.dir + "/io/pid"))
	b.spec.Linux.CgroupsPath = ""
	b.createFails("linux.resources.memory.limit")
}

// TestV2BesideProcesses: below a cgroup with processes there is place for a
// container without limits, and no controller is turned on there that would make
// it a threaded one.
func TestV2BesideProcesses(t *testing.T) {
	b := newV2Box(t, prober("quiet"))
	const path = "/tare-busy"
	b.must(os.Mkdir(v2Root+path, 0o755))
	h := hold(b, 0)
	b.must(os.WriteFile(v2Root+path+"/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0))
	b.spec.Linux.CgroupsPath = path + "/c"
	expect(t, "exit code", b.run().Code, 0)
	expect(t, "type", strings.TrimSpace(readText(t, v2Root+path+"/cgroup.type")), "domain")
	expect(t, "what is passed on", strings.TrimSpace(readText(t, v2Root+path+"/cgroup.subtree_control")), "")
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(5))}
	b.writeConfig()
	b.refused([]string{"linux.resources.pids.limit"}, "create", "--bundle", b.bundle, b.id)
	b.must(os.WriteFile(v2Root+"/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0))
	b.must(os.Remove(v2Root + path))
}
