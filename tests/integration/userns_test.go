package integration

import (
	"fmt"
	"io/fs"
	"os"
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

// TestSysfsOfUserNamespace: what the kernel refuses is explained: before anything
// is done where the config says it, and by the op where only the kernel knows.
func TestSysfsOfUserNamespace(t *testing.T) {
	b := newBox(t, userNamespace(100000), withoutNamespace(specs.NetworkNamespace))
	b.own(100000)
	b.createFails(`mounts[5].type "sysfs": needs a network namespace in linux.namespaces`, "bind the host's /sys instead")
	b.spec.Mounts[5] = specs.Mount{Destination: "/sys", Type: "bind", Source: "/sys", Options: []string{"rbind", "rro"}}
	if isTare {
		expect(t, "type of /sys/kernel", b.probe("stat:/sys/kernel").result("stat:/sys/kernel").Type, typeDir)
	}

	j := newBox(t, userNamespace(100000))
	j.own(100000)
	h := hold(j, unix.CLONE_NEWNET) // which belongs to the host's user namespace
	j.edit(withNamespace(specs.NetworkNamespace, h.path(specs.NetworkNamespace)))
	j.createFails(`mounts[5] "/sys"`, "operation not permitted", "sysfs can be mounted only with a network namespace that belongs to the container's user namespace")
}
