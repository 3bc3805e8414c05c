package integration

import (
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func idMap(container, host, size uint32) []specs.LinuxIDMapping {
	return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
}

// needIdmappedTmpfs: ext4 could be mapped from Linux 5.12 on, tmpfs from 6.3 on.
func needIdmappedTmpfs(t *testing.T) {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(readText(t, "/proc/sys/kernel/osrelease"), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	if major < 6 || major == 6 && minor < 3 {
		need(t, "id-mapped tmpfs", fmt.Errorf("it runs Linux %d.%d, not 6.3", major, minor))
	}
}

// TestManyIdmaps: mounts with maps of their own, with the container's, and without,
// side by side, in a new user namespace and in one that is joined.
func TestManyIdmaps(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no id-mapped mounts")
	}
	needIdmappedTmpfs(t)
	for _, joined := range []bool{false, true} {
		b := newBox(t, userNamespace(100000))
		b.own(100000)
		if joined {
			h := hold(b, unix.CLONE_NEWUSER)
			b.edit(withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)))
			b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = nil, nil
		}
		b.nest("/src")
		for _, f := range []string{"/src/f", "/src/in/g"} {
			b.must(os.WriteFile(b.dir+f, nil, 0o644))
			b.must(os.Lchown(b.dir+f, 10, 20))
		}
		// The id on disk becomes a host's id, which the namespace shows as its own.
		own := func(at string, host uint32, options ...string) specs.Mount {
			return specs.Mount{Destination: at, Type: "bind", Source: b.dir + "/src", Options: options, UIDMappings: idMap(0, host, 100), GIDMappings: idMap(0, host+1000, 100)}
		}
		b.spec.Mounts = append(b.spec.Mounts, own("/a", 100000, "rbind", "idmap"), own("/b", 103000, "rbind", "ridmap"), own("/c", 103000, "bind"),
			specs.Mount{Destination: "/d", Source: b.dir + "/src", Options: []string{"rbind", "idmap"}},
			specs.Mount{Destination: "/e", Source: b.dir + "/src", Options: []string{"rbind", "ridmap", "ro"}},
			specs.Mount{Destination: "/f", Source: b.dir + "/src", Options: []string{"rbind"}})
		b.allow = append(b.allow, "a", "b", "c", "d", "e", "f")
		r := b.probe("stat:/a/f", "stat:/a/in/g", "stat:/b/f", "stat:/b/in/g", "stat:/c/f", "stat:/d/f", "stat:/d/in/g", "stat:/e/f", "stat:/e/in/g", "stat:/f/f")
		const nobody = 65534
		for file, want := range map[string][2]int64{"/a/f": {10, 1020}, "/a/in/g": {nobody, nobody}, "/b/f": {3010, 4020}, "/b/in/g": {3010, 4020}, "/c/f": {3010, 4020},
			"/d/f": {10, 20}, "/d/in/g": {nobody, nobody}, "/e/f": {10, 20}, "/e/in/g": {10, 20}, "/f/f": {nobody, nobody}} {
			st := r.result("stat:" + file)
			if got := [2]int64{st.UID, st.GID}; got != want || st.Err != 0 {
				t.Errorf("joined %v: %s belongs to %v, expected %v (errno %d)", joined, file, got, want, st.Err)
			}
		}
	}
}

// TestDevicesOfUserNamespace: mode and owner are the config's, though the process
// cannot make nodes; and the node is one: what it leads to answers.
func TestDevicesOfUserNamespace(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 binds the host's node")
	}
	b := newBox(t, userNamespace(100000))
	b.own(100000)
	b.spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/zero2", Type: "c", Major: 1, Minor: 5, FileMode: ptr(fs.FileMode(0o640)), UID: ptr(uint32(3)), GID: ptr(uint32(4))},
		{Path: "/dev/sub/loop", Type: "b", Major: 7, Minor: 0, FileMode: ptr(fs.FileMode(0o600))},
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(fs.FileMode(0o644))},
		{Path: "/dev/full", Type: "c", Major: 1, Minor: 7},
		{Path: "/dev/pipe", Type: "p", FileMode: ptr(fs.FileMode(0o620)), UID: ptr(uint32(5))},
	}
	b.spec.Process.User.UID, b.spec.Process.User.GID = 3, 9
	r := b.probe("stat:/dev/zero2", "stat:/dev/sub/loop", "stat:/dev/null", "stat:/dev/full", "stat:/dev/pipe", "write:/dev/zero2=x", "write:/dev/null=x", "write:/dev/sub/loop=x")
	for path, want := range map[string][6]int{"/dev/zero2": {typeChar, 0o640, 1, 5, 3, 4}, "/dev/sub/loop": {typeBlock, 0o600, 7, 0, 0, 0},
		"/dev/null": {typeChar, 0o644, 1, 3, 0, 0}, "/dev/pipe": {typeFIFO, 0o620, 0, 0, 5, 0}} {
		st := r.result("stat:" + path)
		if got := [6]int{st.Type, st.Mode, st.Major, st.Minor, int(st.UID), int(st.GID)}; got != want {
			t.Errorf("%s is %v, expected %v (errno %d)", path, got, want, st.Err)
		}
	}
	expect(t, "type of the bound device", r.result("stat:/dev/full").Type, typeChar)
	expect(t, "errno of the owner's write", r.result("write:/dev/zero2=x").Err, 0)
	expect(t, "errno of a write that the mode forbids", r.result("write:/dev/null=x").Err, int(unix.EACCES))
	expect(t, "errno of another's device", r.result("write:/dev/sub/loop=x").Err, int(unix.EACCES))
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", Major: 1, Minor: 3, UID: ptr(uint32(70000))}}
	b.createFails(`linux.devices[0].uid "70000": is not mapped in linux.uidMappings`)
}

// TestPseudoFilesOfUserNamespace: a file system that shows a namespace of the host
// cannot be mounted in a user namespace; the host's own is bound, and nothing of it
// can be written, wherever that lies.
func TestPseudoFilesOfUserNamespace(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 leaves the host's cgroups below /sys writable")
	}
	b := newBox(t, userNamespace(100000), withoutNamespace(specs.NetworkNamespace), withoutNamespace(specs.PIDNamespace))
	b.own(100000)
	r := b.probe("stat:/sys/kernel", "stat:/proc/1/status")
	m := r.mount("/sys")
	expect(t, "type of /sys", m.fstype, "sysfs")
	expectOpts(t, m, "ro", "nosuid", "nodev", "noexec")
	expect(t, "type of /sys/kernel", r.result("stat:/sys/kernel").Type, typeDir)
	for _, m := range parseMounts(r.Mountinfo) {
		if strings.HasPrefix(m.at, "/sys/") {
			expectOpts(t, m, "ro")
		}
	}

	// The network namespace is joined: only the kernel knows whose it is.
	for name, flags := range map[string]uintptr{"the host's": unix.CLONE_NEWNET, "its own": unix.CLONE_NEWUSER | unix.CLONE_NEWNET} {
		j := newBox(t, userNamespace(100000))
		j.own(100000)
		h := hold(j, flags)
		j.edit(withNamespace(specs.NetworkNamespace, h.path(specs.NetworkNamespace)))
		if flags&unix.CLONE_NEWUSER != 0 {
			j.edit(withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)))
			j.spec.Linux.UIDMappings, j.spec.Linux.GIDMappings = nil, nil
		}
		r := j.probe("stat:/sys/class/net/lo")
		expect(t, name+": type of lo", r.result("stat:/sys/class/net/lo").Type, typeLink)
		below := slices.ContainsFunc(parseMounts(r.Mountinfo), func(m mountLine) bool { return strings.HasPrefix(m.at, "/sys/") })
		expect(t, name+": something of the host's is below /sys", below, false)
		expectOpts(t, r.mount("/sys"), "ro")
	}
}

// TestRootBelowAClosedDirectory: the root, and what is bound, lie where only the
// host's root may go.
func TestRootBelowAClosedDirectory(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot")
	}
	for _, noPivot := range []bool{false, true} {
		b := newBox(t, userNamespace(100000))
		b.own(100000)
		b.must(os.Mkdir(b.dir+"/src", 0o755))
		b.must(os.WriteFile(b.dir+"/src/f", []byte("host"), 0o644))
		b.edit(bind(b.dir+"/src", "/data", "ro"), prober("stat:/data/f", "stat:/prober"))
		b.allow = append(b.allow, "data")
		b.must(os.Chmod(b.dir, 0o700))
		var flags []string
		if noPivot {
			flags = []string{"--no-pivot"}
		}
		run := b.run(flags...)
		expect(t, "exit code", run.Code, 0)
		if run.Code != 0 {
			t.Fatal(run.Stderr)
		}
		r := b.parse(run.Stdout)
		expect(t, "size of what is bound", r.result("stat:/data/f").Size, 4)
		expect(t, "owner of the root's file", r.result("stat:/prober").UID, 0)
		expect(t, "root", r.Root, "/")
	}
}

// TestBindsOfUserNamespaceArePrivate: what is mounted in the container does not
// show on the host, though the host has opened the source, and the other way round
// it does.
func TestBindsOfUserNamespaceArePrivate(t *testing.T) {
	for _, options := range [][]string{{"rbind"}, {"rbind", "rshared"}, {"bind", "shared"}, {"rbind", "rslave"}} {
		t.Run(strings.Join(options, ","), func(t *testing.T) { privateBind(t, options) })
	}
}

func privateBind(t *testing.T, options []string) {
	b := newBox(t, userNamespace(100000))
	b.own(100000)
	b.must(os.MkdirAll(b.dir+"/src/in", 0o777))
	b.must(os.Chmod(b.dir+"/src/in", 0o777))
	b.must(unix.Mount(b.dir+"/src", b.dir+"/src", "", unix.MS_BIND, ""))
	b.must(unix.Mount("", b.dir+"/src", "", unix.MS_SHARED, ""))
	b.edit(mount("/data", "bind", b.dir+"/src", options...), mount("/data/in", "tmpfs", "tmpfs"))
	b.allow = append(b.allow, "data")
	b.ownMounts = append(b.ownMounts, b.dir+"/src")
	b.edit(prober("pause"))
	b.create()
	before := readText(t, "/proc/self/mountinfo")
	if strings.Contains(before, b.dir+"/src/in ") {
		t.Errorf("%v: the container's mount shows on the host", options)
	}
	inside := readText(t, procPath(b.pid, "mountinfo"))
	if !strings.Contains(inside, " /data/in ") {
		t.Errorf("%v: the container has no mount at /data/in:\n%s", options, inside)
	}
	b.remove("--force")
	b.must(unix.Unmount(b.dir+"/src", unix.MNT_DETACH))
}

// TestMapsOfUserNamespace: the maps are those of the config, and ids inside and
// outside are each other's.
func TestMapsOfUserNamespace(t *testing.T) {
	b := newBox(t, userNamespace(100000))
	b.spec.Linux.UIDMappings = append(idMap(0, 100000, 10), idMap(10, 300000, 5)...)
	b.spec.Linux.GIDMappings = append(idMap(0, 200000, 10), idMap(70000, 400000, 1)...)
	b.must(os.Lchown(b.rootfs+"/work", 100003, 400000))
	b.must(os.Lchown(b.rootfs+"/tmp", 5, 100003))
	b.must(os.Chmod(b.rootfs+"/tmp", 0o777))
	b.spec.Process.User = specs.User{UID: 12, GID: 70000, AdditionalGids: []uint32{7}}
	b.allow = append(b.allow, "tmp", "dev", "proc", "sys")
	r := b.probe("stat:/work", "stat:/tmp", "stat:/dev/null", "write:/dev/null=x", "stat:/prober")
	fields := func(s string) string { return strings.Join(strings.Fields(s), " ") }
	expect(t, "uid_map", fields(r.UIDMap), "0 100000 10 10 300000 5")
	expect(t, "gid_map", fields(r.GIDMap), "0 200000 10 70000 400000 1")
	expectList(t, "uids", r.UID, []uint32{12, 12, 12})
	expectList(t, "gids", r.GID, []uint32{70000, 70000, 70000})
	expectList(t, "groups", r.Groups, []uint32{7})
	const nobody = 65534
	for file, want := range map[string][2]int64{"/work": {3, 70000}, "/tmp": {nobody, nobody}, "/prober": {nobody, nobody}} {
		st := r.result("stat:" + file)
		if got := [2]int64{st.UID, st.GID}; got != want {
			t.Errorf("%s belongs to %v, expected %v", file, got, want)
		}
	}
	expect(t, "errno of a write to /dev/null", r.result("write:/dev/null=x").Err, 0)
	many := make([]specs.LinuxIDMapping, 340)
	for i := range many {
		many[i] = specs.LinuxIDMapping{ContainerID: uint32(i), HostID: uint32(1000 + 2*i), Size: 1}
	}
	b.spec.Linux.UIDMappings = many
	expect(t, "lines of uid_map", strings.Count(b.probe().UIDMap, "\n"), 340)
	b.spec.Linux.UIDMappings = append(many, specs.LinuxIDMapping{ContainerID: 500, HostID: 200000, Size: 1})
	b.createFails(`linux.uidMappings "341 entries": is more than the 340`)
	for i := range many {
		many[i].HostID += 1000000000
	}
	b.spec.Linux.UIDMappings = many
	b.createFails(`linux.uidMappings "340 entries": takes 5670 bytes as text, and the kernel takes less than a page of 4096`)
}

// TestOwnNamespaceByPath: a path that leads back to the runtime's own namespace
// gives none: what the config sets would be set on the host.
func TestOwnNamespaceByPath(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 renames the host")
	}
	const refused = "is the runtime's own namespace"
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for field, change := range map[string]func(*specs.Spec){
		"hostname":   func(s *specs.Spec) {},
		"domainname": func(s *specs.Spec) { s.Hostname, s.Domainname = "", "x" },
		"sysctl":     func(s *specs.Spec) { s.Hostname, s.Linux.Sysctl = "", map[string]string{"kernel.domainname": "x"} },
	} {
		b := newBox(t, withNamespace(specs.UTSNamespace, "/proc/self/ns/uts"))
		b.edit(change)
		b.createFails("linux.namespaces[3].path", refused)
		if now, _ := os.Hostname(); now != name {
			t.Fatalf("%s: the host is called %s", field, now)
		}
	}
	b := newBox(t, withNamespace(specs.NetworkNamespace, "/proc/self/ns/net"))
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1"}
	b.createFails("linux.namespaces[1].path", refused)
	b = newBox(t, withNamespace(specs.IPCNamespace, "/proc/self/ns/ipc"))
	b.spec.Linux.Sysctl = map[string]string{"kernel.msgmax": "8193"}
	b.createFails("linux.namespaces[2].path", refused)
	// Without anything to set, a path is only a way to say "the host's".
	b = newBox(t, withNamespace(specs.UTSNamespace, "/proc/self/ns/uts"))
	b.spec.Hostname = ""
	expect(t, "host name", b.probe().Hostname, name)
}

// TestHookMountsInUserNamespace: a createContainer hook finds the root where the
// state says, in the container's mount namespace, and what it mounts there is the
// container's.
func TestHookMountsInUserNamespace(t *testing.T) {
	for _, user := range []bool{false, true} {
		b, shell, log := hookBox(t)
		if user {
			b.edit(userNamespace(100000))
			b.own(100000)
		}
		b.must(os.Chmod(log, 0o777))
		setHooks(b.spec, "createContainer", script(shell, log, shell+" mount -t tmpfs -o mode=751 hook "+b.rootfs+"/work"))
		r := b.probe("stat:/work")
		expect(t, "mode of what the hook mounted", r.result("stat:/work").Mode, 0o751)
		expect(t, "its source", r.mount("/work").source, "hook")
	}
}
