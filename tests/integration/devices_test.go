package integration

import (
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// defaultNodes are the devices that every container has (config-linux.md).
var defaultNodes = []struct {
	name         string
	major, minor int
}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}}

func TestDefaultDevices(t *testing.T) {
	for _, user := range []bool{false, true} {
		b := newBox(t)
		if user {
			b.edit(userNamespace(100000))
			b.own(100000)
		}
		var ops []string
		for _, d := range defaultNodes {
			ops = append(ops, "stat:/dev/"+d.name)
		}
		r := b.probe(append(ops, "stat:/dev/fd", "stat:/dev/stdin", "stat:/dev/stdout", "stat:/dev/stderr", "stat:/dev/ptmx", "write:/dev/null=x")...)
		for _, d := range defaultNodes {
			st := r.result("stat:/dev/" + d.name)
			if st.Type != typeChar || st.Major != d.major || st.Minor != d.minor {
				t.Errorf("/dev/%s has type %d, number %d:%d, expected %d:%d", d.name, st.Type, st.Major, st.Minor, d.major, d.minor)
			}
			if !user {
				expect(t, "mode of /dev/"+d.name, st.Mode, 0o666)
				expect(t, "owner of /dev/"+d.name, st.UID, 0)
			}
		}
		expect(t, "errno of writing to /dev/null", r.result("write:/dev/null=x").Err, 0)
		for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx"} {
			expect(t, "/dev/"+name, r.result("stat:/dev/"+name).Link, to)
		}
	}
}

func TestDevices(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 opens its /dev/null again, which the config has made another one")
	}
	b := newBox(t)
	b.spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229, FileMode: ptr(fs.FileMode(0o620)), UID: ptr(uint32(3)), GID: ptr(uint32(4))},
		{Path: "/dev/sub/blk", Type: "b", Major: 7, Minor: 1048575},
		{Path: "/dev/pipe", Type: "p", FileMode: ptr(fs.FileMode(0o600))},
		{Path: "/dev/plain", Type: "u", Major: 4095, Minor: 0},
		{Path: "/dev/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(fs.FileMode(0o644))},
	}
	r := b.probe("stat:/dev/fuse", "stat:/dev/sub/blk", "stat:/dev/pipe", "stat:/dev/plain", "stat:/dev/null")
	for path, want := range map[string][5]int{
		"/dev/fuse": {typeChar, 0o620, 10, 229, 3}, "/dev/sub/blk": {typeBlock, 0o666, 7, 1048575, 0},
		"/dev/pipe": {typeFIFO, 0o600, 0, 0, 0}, "/dev/plain": {typeChar, 0o666, 4095, 0, 0}, "/dev/null": {typeChar, 0o644, 1, 3, 0},
	} {
		st := r.result("stat:" + path)
		if got := [5]int{st.Type, st.Mode, st.Major, st.Minor, int(st.UID)}; got != want {
			if !isTare && path != "/dev/fuse" {
				continue // runc 1.1 leaves 0 for an absent mode
			}
			t.Errorf("%s is %v, expected %v", path, got, want)
		}
	}
	expect(t, "group of /dev/fuse", r.result("stat:/dev/fuse").GID, 4)
}

func TestDeviceRefusals(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "dev/x", Type: "c"}, {Path: "/dev/y", Type: "q"}, {Path: "/dev/z", Type: "c", Major: -1}, {Path: "/dev/z", Type: "c", Minor: 1 << 20},
		{Path: "/dev/two", Type: "c", Major: 1, Minor: 3}, {Path: "/dev/two", Type: "c", Major: 1, Minor: 5},
	}
	b.createFails("linux.devices[0].path", "linux.devices[1].type", "linux.devices[2].major", "linux.devices[3].minor", "linux.devices[5].path")
}

// TestDeviceCgroup: what is not allowed cannot be opened, what is can.
func TestDeviceCgroup(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}, {Path: "/dev/mem1", Type: "c", Major: 1, Minor: 1}}
	b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(1)), Minor: ptr(int64(11)), Access: "r"})
	r := b.probe("write:/dev/zero=x", "write:/dev/kmsg=", "read:/dev/mem1", "mknod:/tmp/n")
	expect(t, "errno of a default device", r.result("write:/dev/zero=x").Err, 0)
	expect(t, "errno of writing where only reading is allowed", r.result("write:/dev/kmsg=").Err, int(unix.EPERM))
	expect(t, "errno of a device that is not allowed", r.result("read:/dev/mem1").Err, int(unix.EPERM))
	expect(t, "errno of mknod without the capability", r.result("mknod:/tmp/n").Err, int(unix.EPERM))
}

// TestMaskedPaths: files read as empty, directories are empty and read-only, and
// all directories share one file system.
func TestMaskedPaths(t *testing.T) {
	b := newBox(t)
	b.put("secret/a/f", "x", 0o644)
	b.put("secret2/f", "x", 0o644)
	b.put("file", "hidden", 0o644)
	b.spec.Linux.MaskedPaths = []string{"/secret", "/secret2", "/file", "/proc/kcore", "/proc/sys", "/not/there", "/sys/firmware", "/proc/scsi"}
	ops := []string{"stat:/secret", "stat:/secret2", "ls:/secret", "ls:/secret2", "read:/file", "stat:/file", "create:/secret/x", "ls:/proc/sys",
		"stat:/proc/sys", "stat:/sys/firmware", "write:/file=x"}
	r := b.probe(ops...)
	for _, op := range []string{"ls:/secret", "ls:/secret2", "ls:/proc/sys"} {
		expect(t, "number of files of "+op, len(r.result(op).Files), 0)
	}
	expect(t, "content", r.result("read:/file").Data, "")
	expect(t, "number of the masked file", [2]int{r.result("stat:/file").Major, r.result("stat:/file").Minor}, [2]int{1, 3})
	expect(t, "errno of making a file", r.result("create:/secret/x").Err, int(unix.EROFS))
	dev := r.result("stat:/secret").Dev
	if isTare {
		for _, op := range []string{"stat:/secret2", "stat:/proc/sys", "stat:/sys/firmware"} {
			if st := r.result(op); st.Err == 0 {
				expect(t, "st_dev of "+op, st.Dev, dev)
			}
		}
	}
	if data := readText(t, b.rootfs+"/file"); data != "hidden" {
		t.Errorf("the masked file now holds %q", data)
	}
	b.spec.Linux.MaskedPaths = []string{"relative", "/", "/a\x00b"}
	b.createFails("linux.maskedPaths[0]", "linux.maskedPaths[1]", "linux.maskedPaths[2]")
}

// TestMaskedPathIsSafe (CVE-2025-31133): the image's /dev/null is not the source
// of a mask, whatever it is.
func TestMaskedPathIsSafe(t *testing.T) {
	b := newBox(t)
	b.must(os.WriteFile(b.dir+"/host-secret", []byte("secret of the host"), 0o644))
	b.put("file", "hidden", 0o644)
	b.must(os.Mkdir(b.rootfs+"/realdev", 0o755))
	b.must(os.Symlink(b.dir+"/host-secret", b.rootfs+"/dev/null"))
	b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
	b.spec.Linux.MaskedPaths = []string{"/file", "/proc/kcore"}
	b.allow = []string{"dev", strings.Split(workDir, "/")[1]}
	b.edit(prober("stat:/file", "read:/file"))
	r := b.run()
	if r.Code == 0 {
		rep := b.parse(r.Stdout)
		expect(t, "content of the masked file", rep.result("read:/file").Data, "")
	}
	expect(t, "the host's file", readText(t, b.dir+"/host-secret"), "secret of the host")
	b.nothingLeft()
}

func TestReadonlyPaths(t *testing.T) {
	b := newBox(t)
	b.put("data/d/f", "x", 0o666)
	b.put("file", "x", 0o666)
	b.spec.Linux.ReadonlyPaths = []string{"/data", "/file", "/missing", "/proc/sys"}
	r := b.probe("create:/data/new", "create:/data/d/new", "write:/file=y", "write:/proc/sys/kernel/hostname=evil", "read:/file", "create:/work/w")
	b.allow = []string{"work/w"}
	for _, op := range []string{"create:/data/new", "create:/data/d/new", "write:/file=y", "write:/proc/sys/kernel/hostname=evil"} {
		expect(t, "errno of "+op, r.result(op).Err, int(unix.EROFS))
	}
	expect(t, "errno of a place that is not read-only", r.result("create:/work/w").Err, 0)
	expect(t, "content", r.result("read:/file").Data, "x")
	m := r.mount("/proc/sys")
	for _, o := range []string{"nosuid", "nodev", "noexec"} {
		if r.mount("/proc").has(o) && !m.has(o) {
			t.Errorf("the read-only path has lost %s", o)
		}
	}
	if !isTare {
		return // runc takes relative ones
	}
	b.spec.Linux.ReadonlyPaths = []string{"relative"}
	b.createFails("linux.readonlyPaths[0]", "relative")
}

func TestReadonlyRoot(t *testing.T) {
	b := newBox(t, mount("/work", "tmpfs", "tmpfs"))
	b.spec.Root.Readonly = true
	r := b.probe("create:/x", "create:/etc/x", "create:/work/x", "create:/dev/shm/x")
	expect(t, "errno of making a file", r.result("create:/x").Err, int(unix.EROFS))
	expect(t, "errno of making a file below", r.result("create:/etc/x").Err, int(unix.EROFS))
	expect(t, "errno in a mount", r.result("create:/work/x").Err, 0)
	expect(t, "errno in /dev/shm", r.result("create:/dev/shm/x").Err, 0)
	expect(t, "ro", r.mount("/").has("ro"), true)
	if strings.Contains(readText(t, "/proc/self/mountinfo"), b.rootfs) {
		t.Error("the root is mounted on the host")
	}
}

func TestSysctl(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "net/ipv4/conf/lo/rp_filter": "2", "kernel.shm_rmid_forced": "1",
		"fs.mqueue.msg_max": "77", "kernel.msgmax": "12345", "net.ipv4.ip_unprivileged_port_start": "80"}
	files := map[string]string{"/proc/sys/net/ipv4/ip_forward": "1", "/proc/sys/net/ipv4/conf/lo/rp_filter": "2", "/proc/sys/kernel/shm_rmid_forced": "1",
		"/proc/sys/fs/mqueue/msg_max": "77", "/proc/sys/kernel/msgmax": "12345", "/proc/sys/net/ipv4/ip_unprivileged_port_start": "80"}
	before := map[string]string{}
	var ops []string
	for f := range files {
		ops = append(ops, "read:"+f)
		before[f] = readText(t, f)
	}
	r := b.probe(ops...)
	for f, want := range files {
		expect(t, f, r.result("read:"+f).Data, want+"\n")
		expect(t, "the host's "+f, readText(t, f), before[f])
	}
}

func TestSysctlRefusals(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t)
	b.spec.Linux.Sysctl = map[string]string{"kernel.core_pattern": "|/x", "vm.swappiness": "1", "net/../kernel/core_pattern": "x", "": "1",
		"kernel.hostname": "x", "../../etc/passwd": "x", "net..x": "1", "/net/ipv4/ip_forward": "1"}
	r := b.createFails(`kernel.core_pattern`, "vm.swappiness", `net/../kernel/core_pattern`, "is not a sysctl key", "conflicts with the config's hostname")
	expect(t, "number of mistakes", strings.Count(r.Stderr, "linux.sysctl"), len(b.spec.Linux.Sysctl))
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "fs.mqueue.msg_max": "1"}
	b.edit(withoutNamespace(specs.NetworkNamespace), withoutNamespace(specs.IPCNamespace))
	b.createFails("net.ipv4.ip_forward", "network namespace", "kernel.shmmax", "ipc namespace", "fs.mqueue.msg_max")
	b = newBox(t)
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.no_such_key": "1"}
	b.createFails("linux.sysctl", "net.ipv4.no_such_key", "no such file or directory")
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.ip_forward": "many"}
	b.createFails("linux.sysctl", "net.ipv4.ip_forward", "invalid argument")
}

// TestUserNamespaceFiles: on disk a container's files belong to the mapped ids.
func TestUserNamespaceFiles(t *testing.T) {
	b := newBox(t, userNamespace(100000))
	b.own(100000)
	b.allow = []string{"work/f", "work/g"}
	b.must(os.Chmod(b.rootfs+"/work", 0o777))
	r := b.probe("create:/work/f", "stat:/work/f", "stat:/proc/1", "stat:/", "setname:inside")
	expect(t, "errno", r.result("create:/work/f").Err, 0)
	expect(t, "owner seen inside", r.result("stat:/work/f").UID, 0)
	expect(t, "owner of the root", r.result("stat:/").UID, 0)
	var st unix.Stat_t
	b.must(unix.Stat(b.rootfs+"/work/f", &st))
	expect(t, "owner on the host", fmt.Sprint(st.Uid, ":", st.Gid), "100000:100000")
	b.spec.Process.User = specs.User{UID: 1000, GID: 1001, AdditionalGids: []uint32{5}}
	r = b.probe("create:/work/g")
	expectList(t, "uid", r.UID, []uint32{1000, 1000, 1000})
	expectList(t, "groups", r.Groups, []uint32{5})
	b.must(unix.Stat(b.rootfs+"/work/g", &st))
	expect(t, "owner on the host", fmt.Sprint(st.Uid, ":", st.Gid), "101000:101001")
	b.spec.Process.User = specs.User{UID: 65536, GID: 70000, AdditionalGids: []uint32{65535, 99999}}
	b.createFails("process.user.uid", "process.user.gid", "process.user.additionalGids[1]", "is not mapped")
}

// TestUserNamespaceMaps has maps of several ranges, as rootless engines write them.
func TestUserNamespaceMaps(t *testing.T) {
	b := newBox(t, userNamespace(0))
	b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 1}, {ContainerID: 1, HostID: 100000, Size: 1000}, {ContainerID: 5000, HostID: 200000, Size: 10}}
	b.spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 300000, Size: 1}, {ContainerID: 5, HostID: 300005, Size: 1}}
	b.own(300000)
	r := b.probe()
	expect(t, "uid map", strings.Join(strings.Fields(r.UIDMap), " "), "0 300000 1 1 100000 1000 5000 200000 10")
	expect(t, "gid map", strings.Join(strings.Fields(r.GIDMap), " "), "0 300000 1 5 300005 1")
}
