package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ordinary is the id of the user and the group that the rootless tests run as. It
// is in no file of the host: those who need a name get files of the tests' own.
const ordinary = 61234

// userBox is a box whose commands a user without any privilege runs, and whose
// bundle is that user's. The config is what spec --rootless writes for him.
func userBox(t *testing.T, edits ...func(*specs.Spec)) *box {
	t.Helper()
	if !isTare {
		t.Skip("the config is what tare's own spec --rootless writes")
	}
	b := newBox(t)
	b.user = &syscall.Credential{Uid: ordinary, Gid: ordinary}
	b.must(os.Mkdir(b.dir+"/run", 0o700))
	b.env = []string{"PATH=" + os.Getenv("PATH"), "XDG_RUNTIME_DIR=" + b.dir + "/run"}
	b.ownAll(ordinary)
	b.ok("spec", "--rootless", "--bundle", b.bundle)
	b.spec = new(specs.Spec)
	b.must(json.Unmarshal([]byte(readText(t, b.bundle+"/config.json")), b.spec))
	b.edit(prober())
	b.edit(edits...)
	return b
}

// ownAll gives everything of a box to a user.
func (b *box) ownAll(id int) {
	b.t.Helper()
	b.must(filepath.WalkDir(b.dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, id, id)
	}))
}

// grant gives the ordinary user a name and ranges of ids, in files that lie over
// the host's own for this test, in the tests' mount namespace.
func (b *box) grant(subuid, subgid string) {
	b.t.Helper()
	for file, add := range map[string]string{
		"/etc/passwd": fmt.Sprintf("tare-test:x:%d:%d::/:/bin/sh\n", ordinary, ordinary), "/etc/subuid": subuid, "/etc/subgid": subgid,
	} {
		text, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			b.t.Skipf("this host lacks %s, of package uidmap", file)
		}
		b.must(err)
		over := b.dir + "/io/" + filepath.Base(file)
		b.must(os.WriteFile(over, append(text, add...), 0o644))
		b.must(unix.Mount(over, file, "", unix.MS_BIND, ""))
		b.t.Cleanup(func() { b.must(unix.Unmount(file, unix.MNT_DETACH)) })
	}
}

// TestRootlessSpec: what spec --rootless writes runs as it is, for an ordinary user
// without help: his id is root inside, and no other is there.
func TestRootlessSpec(t *testing.T) {
	b := userBox(t)
	b.spec.Root.Readonly = false
	r := b.probe("stat:/prober", "create:/made", "write:/dev/null=x", "create:/dev/mqueue/q", "create:/sys/fs/cgroup/x", "read:/proc/self/setgroups", "stat:/dev/null", "stat:/sys/class")
	b.allow = append(b.allow, "made")
	fields := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	expect(t, "uid_map", fields(r.UIDMap), fmt.Sprintf("0 %d 1", ordinary))
	expect(t, "gid_map", fields(r.GIDMap), fmt.Sprintf("0 %d 1", ordinary))
	expect(t, "setgroups", strings.TrimSpace(r.result("read:/proc/self/setgroups").Data), "deny")
	expectList(t, "uids", r.UID, []uint32{0, 0, 0})
	expectList(t, "groups", r.Groups, nil)
	expect(t, "pid", r.Pid, 1)
	expect(t, "host name", r.Hostname, "tare")
	expect(t, "effective capabilities", r.Caps.Effective, r.Caps.Bounding)
	expect(t, "owner of the root's file", r.result("stat:/prober").UID, 0)
	var st unix.Stat_t
	b.must(unix.Lstat(b.rootfs+"/made", &st))
	expect(t, "owner, outside, of what the container made", st.Uid, ordinary)
	for op, errno := range map[string]int{"write:/dev/null=x": 0, "create:/dev/mqueue/q": 0, "create:/made": 0, "create:/sys/fs/cgroup/x": int(unix.EROFS)} {
		expect(t, "errno of "+op, r.result(op).Err, errno)
	}
	expect(t, "type of /sys/class", r.result("stat:/sys/class").Type, typeDir)
	for _, m := range parseMounts(r.Mountinfo) {
		if strings.HasPrefix(m.at, "/sys") {
			expectOpts(t, m, "ro")
		}
	}
	for _, name := range []string{"user", "pid", "ipc", "uts", "mnt", "cgroup"} {
		mine, err := os.Readlink("/proc/self/ns/" + name)
		b.must(err)
		if r.Namespaces[name] == mine {
			t.Errorf("the %s namespace is the host's", name)
		}
	}
}

// TestRootlessLifecycle goes through every command, with the state where the XDG
// specification wants it.
func TestRootlessLifecycle(t *testing.T) {
	b := userBox(t, prober("fork:3", "pause"))
	b.noRoot = true
	out := b.create()
	state := b.dir + "/run/tare"
	st, err := os.Stat(state)
	b.must(err)
	expect(t, "mode of the state directory", st.Mode(), os.ModeDir|os.ModeSticky|0o700)
	expect(t, "owner of the state directory", st.Sys().(*syscall.Stat_t).Uid, ordinary)
	expect(t, "status", b.status(), "created")
	// Until it has become the program, nobody but root may look into the process.
	expect(t, "owner of the init's files", ownerOf(t, b.pid), 0)
	b.start()
	b.output(out)
	expect(t, "owner of the program's files", ownerOf(t, b.pid), ordinary)
	expect(t, "status", b.status(), "running")
	if list := b.ok("list").Stdout; !strings.Contains(list, b.id) || !strings.Contains(list, "running") {
		t.Errorf("list: %s", list)
	}
	// There is no cgroup to find its processes by, but a pid namespace.
	var pids []int
	b.must(json.Unmarshal([]byte(b.ok("ps", "--format", "json", b.id).Stdout), &pids))
	expect(t, "processes", len(pids), 4)
	expect(t, "the first of them", pids[0], b.pid)
	b.ok("kill", "--all", b.id, "WINCH")
	b.refused([]string{"cannot delete container"}, "delete", b.id)
	expect(t, "exit code", b.kill("KILL"), 128+9)
	expect(t, "status", b.status(), "stopped")
	b.remove()
	b.create()
	b.remove("--force")
	entries, err := os.ReadDir(state)
	b.must(err)
	expect(t, "files in the state directory", len(entries), 0)
}

// ownerOf is who owns a process's files in /proc: root, of one that is not dumpable.
func ownerOf(t *testing.T, pid int) int {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(procPath(pid, "stat"), &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Uid)
}

// TestRootlessStateRoot: without XDG_RUNTIME_DIR the state lies below /tmp, if
// nobody else was there first.
func TestRootlessStateRoot(t *testing.T) {
	b := userBox(t)
	// The directory is the same for everything that the user runs: a user whom no other
	// run of these tests has, and nobody is.
	own := 2_000_000 + os.Getpid()
	b.user = &syscall.Credential{Uid: uint32(own), Gid: uint32(own)}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = idMap(0, uint32(own), 1), idMap(0, uint32(own), 1)
	b.ownAll(own)
	b.noRoot = true
	b.env = b.env[:1]
	fallback := "/tmp/tare-" + strconv.Itoa(own)
	if _, err := os.Lstat("/run/user/" + strconv.Itoa(own)); err == nil {
		t.Skip("this host has a /run/user for the test's user")
	}
	t.Cleanup(func() { _ = os.RemoveAll(fallback) })
	b.probe()
	st, err := os.Lstat(fallback)
	b.must(err)
	expect(t, "mode", st.Mode(), os.ModeDir|os.ModeSticky|0o700)
	b.must(os.Remove(fallback))
	for what, make := range map[string]func() error{
		"a link":              func() error { return os.Symlink(b.dir, fallback) },
		"another's directory": func() error { return os.Mkdir(fallback, 0o755) },
		"writable": func() error {
			_ = os.Mkdir(fallback, 0o700)
			_ = os.Chmod(fallback, 0o777)
			return os.Chown(fallback, own, own)
		},
	} {
		b.must(make())
		b.mustSay(b.run(), "run in "+what, fallback+" is not a directory that only user")
		b.mustSay(b.call("list"), "list in "+what, fallback+" is not a directory that only user")
		b.must(os.Remove(fallback))
	}
	b.env = []string{"XDG_RUNTIME_DIR=" + b.dir + "/run"}
}

// manyIDs maps the user to root, and others of his range to the ids from 1 on.
func manyIDs(s *specs.Spec) {
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: ordinary, Size: 1}, {ContainerID: 1, HostID: 300000, Size: 1000}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: ordinary, Size: 1}, {ContainerID: 1, HostID: 400000, Size: 1000}}
}

// TestRootlessManyIDs: newuidmap and newgidmap map what is granted.
func TestRootlessManyIDs(t *testing.T) {
	b := userBox(t, manyIDs)
	b.grant("tare-test:300000:1000\n", "tare-test:400000:1000\n")
	b.spec.Process.User = specs.User{UID: 5, GID: 6, AdditionalGids: []uint32{7, 8}}
	b.spec.Root.Readonly = false
	b.must(os.Chmod(b.rootfs+"/work", 0o777))
	b.allow = append(b.allow, "work")
	r := b.probe("create:/work/f", "stat:/work/f")
	expectList(t, "uids", r.UID, []uint32{5, 5, 5})
	expectList(t, "gids", r.GID, []uint32{6, 6, 6})
	expectList(t, "groups", r.Groups, []uint32{7, 8})
	expect(t, "lines of uid_map", strings.Count(r.UIDMap, "\n"), 2)
	var st unix.Stat_t
	b.must(unix.Stat(b.rootfs+"/work/f", &st))
	expect(t, "owner outside", st.Uid, 300004)
	expect(t, "group outside", st.Gid, 400005)

	// The program belongs to another user of the host then, and still is the user's.
	b.edit(prober("pause"))
	out := b.create()
	b.start()
	b.output(out)
	expect(t, "owner of the program", ownerOf(t, b.pid), 300004)
	expect(t, "exit code", b.kill("KILL"), 128+9)
	b.remove()
}

// TestRootlessMapErrors: a map that is not the user's to have says what to do.
func TestRootlessMapErrors(t *testing.T) {
	b := userBox(t, manyIDs)
	path := b.env[0]
	b.env[0] = "PATH=/nonexistent"
	b.createFails("linux.uidMappings: newuidmap is not installed", "package uidmap", "or map nothing but user "+strconv.Itoa(ordinary))
	b.env[0] = path
	b.grant("tare-test:500000:10\n", "")
	b.createFails("linux.uidMappings: newuidmap: uid range [1-1001) -> [300000-301000) not allowed", "/etc/subuid grants user tare-test the ids from 500000 and 10 in all")
	b.spec.Linux.UIDMappings = idMap(0, ordinary, 1)
	b.createFails("linux.gidMappings: newgidmap: gid range [1-1001) -> [400000-401000) not allowed", `/etc/subgid grants nothing to user tare-test; add a line "tare-test:100000:65536"`)
	b.spec.Linux.GIDMappings = idMap(0, ordinary, 1)
	b.spec.Process.User.AdditionalGids = []uint32{0}
	b.createFails("process.user.additionalGids: cannot be set where an unprivileged caller maps only his own group")
	b.spec.Process.User.AdditionalGids = nil
	b.edit(withoutNamespace(specs.UserNamespace))
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = nil, nil
	b.createFails("operation not permitted")
}

// TestRootlessProcFiles: what the process writes to its own files in /proc.
func TestRootlessProcFiles(t *testing.T) {
	b := userBox(t)
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b.edit(withNamespace(specs.TimeNamespace, ""))
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}}
	b.spec.Process.OOMScoreAdj = ptr(777)
	r := b.probe()
	expect(t, "oom_score_adj", strings.TrimSpace(r.OomScoreAdj), "777")
	var now unix.Timespec
	b.must(unix.ClockGettime(unix.CLOCK_BOOTTIME, &now))
	if d := r.Boottime - now.Sec; d < 999000 || d > 1000020 {
		t.Errorf("boottime is ahead by %d s", d)
	}
}

// TestRootlessHooks: they run as the user, those of the host and those inside.
func TestRootlessHooks(t *testing.T) {
	b := userBox(t)
	mark := func(name string) []specs.Hook {
		return []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "id -u >" + b.dir + "/io/" + name}}}
	}
	b.spec.Hooks = &specs.Hooks{CreateRuntime: mark("createRuntime"), CreateContainer: mark("createContainer"), Poststop: mark("poststop")}
	b.probe()
	b.ok("delete", "--force", b.id)
	for name, want := range map[string]string{"createRuntime": strconv.Itoa(ordinary), "createContainer": "0"} {
		expect(t, name, strings.TrimSpace(readText(t, b.dir+"/io/"+name)), want)
	}
}

// enterCgroup has root put the commands of a box into a cgroup, v1 by its tasks
// file, or v2, before they become the user's.
func (b *box) enterCgroup(dir string) {
	file := "tasks"
	if _, err := os.Stat(dir + "/tasks"); err != nil {
		file = "cgroup.procs"
	}
	id := strconv.Itoa(int(b.user.Uid))
	b.wrap = []string{"/bin/sh", "-c", `echo $$ >"` + dir + "/" + file + `" && exec setpriv --reuid ` + id + " --regid " + id + ` --clear-groups "$@"`, "sh"}
	b.user = nil
}

// TestRootlessCgroups: without permission a container has none, and no limits; with
// a cgroup of the user's, both.
func TestRootlessCgroups(t *testing.T) {
	const words = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"
	b := userBox(t)
	limits := &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}}
	b.spec.Linux.Resources = limits
	b.createFails("linux.resources.pids.limit: " + words + ": user " + strconv.Itoa(ordinary) + " may not make cgroups in /sys/fs/cgroup")
	b.spec.Linux.Resources = nil
	b.spec.Linux.CgroupsPath = "mine"
	b.createFails(`linux.cgroupsPath "mine": ` + words)
	b.spec.Linux.CgroupsPath = "/" + b.id
	b.createFails(`linux.cgroupsPath`, words, "permission denied")
	b.spec.Linux.CgroupsPath = ""
	b.spec.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
	b.edit(prober("pause"))
	b.create()
	mine, theirs := cgroupOf(readText(t, "/proc/self/cgroup")), cgroupOf(readText(t, procPath(b.pid, "cgroup")))
	for name := range mine {
		expect(t, "cgroup in "+name, theirs[name], mine[name])
	}
	b.ok("kill", "--all", b.id, "KILL")
	b.wait()
	b.remove()
}

// TestRootlessDelegation: limits hold in a cgroup that was given to the user.
func TestRootlessDelegation(t *testing.T) {
	for _, controller := range []string{"pids", "unified"} {
		t.Run(controller, func(t *testing.T) {
			b := userBox(t)
			top := "/sys/fs/cgroup/" + controller
			if _, err := os.Stat(top + "/cgroup.procs"); err != nil {
				t.Skipf("this host lacks %s", top)
			}
			mine := top + "/" + tag + "delegated-" + controller
			b.must(os.Mkdir(mine, 0o755))
			defer func() { b.must(unix.Rmdir(mine)) }()
			for _, f := range []string{"", "/cgroup.procs", "/tasks", "/cgroup.subtree_control"} {
				if err := os.Chown(mine+f, ordinary, ordinary); err != nil && !os.IsNotExist(err) {
					t.Fatal(err)
				}
			}
			b.enterCgroup(mine)
			if controller == "pids" {
				b.spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(20))}}
			}
			b.edit(prober("pause"))
			b.create()
			own := mine + "/" + b.id
			if procs := readText(t, own+"/cgroup.procs"); !strings.Contains(procs, strconv.Itoa(b.pid)) {
				t.Errorf("%s holds %q, not process %d", own, procs, b.pid)
			}
			if controller == "pids" {
				expect(t, "pids.max", strings.TrimSpace(readText(t, own+"/pids.max")), "20")
			}
			b.start()
			b.ok("kill", "--all", b.id, "KILL")
			b.wait()
			b.remove()
			if _, err := os.Stat(own); !os.IsNotExist(err) {
				t.Errorf("%s is still there: %v", own, err)
			}
			b.must(os.Remove(b.dir + "/io/pid"))
			b.spec.Linux.Resources = &specs.LinuxResources{CPU: &specs.LinuxCPU{Shares: ptr(uint64(512))}}
			b.createFails("linux.resources.cpu.shares: rootless needs no limits", "/sys/fs/cgroup/cpu", "chown "+strconv.Itoa(ordinary))
		})
	}
}

// TestRootlessHints: what the kernel refuses with a bare number is explained.
func TestRootlessHints(t *testing.T) {
	b := userBox(t)
	b.must(os.MkdirAll(b.dir+"/src/in", 0o755))
	b.must(unix.Mount("tmpfs", b.dir+"/src/in", "tmpfs", 0, ""))
	defer func() { b.must(unix.Unmount(b.dir+"/src/in", unix.MNT_DETACH)) }()
	b.ownMounts = append(b.ownMounts, b.dir+"/src/in")
	b.edit(bind(b.dir+"/src", "/tmp"))
	b.createFails(fmt.Sprintf("mounts[%d]", len(b.spec.Mounts)-1), "open_tree: invalid argument", "can be bound only with rbind")
	b.spec.Mounts[len(b.spec.Mounts)-1].Options = []string{"rbind"}
	b.probe()

	// A user namespace that lets nobody make more.
	b.user = nil
	b.must(os.Lchown(b.root, 0, 0))
	b.wrap = []string{"unshare", "--user", "--map-root-user", "sh", "-c", `echo 0 >/proc/sys/user/max_user_namespaces && exec "$@"`, "sh"}
	b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = idMap(0, 0, 1), idMap(0, 0, 1)
	b.runFails("linux.namespaces: unshare: no space left on device", "user namespaces are switched off; as root: sysctl user.max_user_namespaces=15000")
	b.wrap = nil
}

// TestRootlessKillWithoutAccess: whose cgroups are taken away can still end his
// container by its first process.
func TestRootlessKillWithoutAccess(t *testing.T) {
	b := userBox(t, withoutNamespace(specs.PIDNamespace))
	top := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(top + "/tasks"); err != nil {
		t.Skipf("this host lacks %s", top)
	}
	b.edit(func(s *specs.Spec) { s.Mounts = s.Mounts[1:] }, prober("quiet", "pause"))
	mine := top + "/" + tag + "taken"
	b.must(os.Mkdir(mine, 0o755))
	defer func() { b.must(unix.Rmdir(mine)) }()
	give := func(id int) {
		for _, f := range []string{"", "/cgroup.procs", "/tasks", "/" + b.id, "/" + b.id + "/cgroup.procs", "/" + b.id + "/tasks"} {
			if err := os.Chown(mine+f, id, id); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
	}
	give(ordinary)
	b.enterCgroup(mine)
	for _, all := range []bool{false, true} {
		b.create()
		b.start()
		give(0)
		b.must(os.Chmod(mine, 0o700))
		args := []string{"kill", b.id, "KILL"}
		if all {
			args = []string{"kill", "--all", b.id, "KILL"}
		}
		b.ok(args...)
		expect(t, "exit code", b.wait(), 128+9)
		b.refused([]string{"permission denied"}, "delete", b.id)
		b.must(os.Chmod(mine, 0o755))
		give(ordinary)
		b.remove()
	}
}
