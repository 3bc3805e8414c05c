package integration

import (
	"encoding/json"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// heldCaps are the names of the capabilities of the tests' own bounding set: what a
// container as privileged as can be gets.
func heldCaps(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, line := range strings.Split(readText(t, "/proc/self/status"), "\n") {
		if v, ok := strings.CutPrefix(line, "CapBnd:"); ok {
			mask, err := strconv.ParseUint(strings.TrimSpace(v), 16, 64)
			if err != nil {
				t.Fatal(err)
			}
			for i, name := range capNames {
				if mask>>i&1 != 0 {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// privilegedSpec makes a container that may do what its host may: all capabilities
// and devices, nothing masked, its own cgroups writable.
func privilegedSpec(t *testing.T) func(*specs.Spec) {
	return func(s *specs.Spec) {
		caps := heldCaps(t)
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}}
		s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
		for i := range s.Mounts {
			if s.Mounts[i].Destination == "/sys" {
				s.Mounts[i].Options = []string{"nosuid", "noexec", "nodev"}
			}
		}
		withNamespace(specs.CgroupNamespace, "")(s)
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev")(s)
	}
}

// nest puts the runtime and a bundle with a config for it into the rootfs of a box,
// and makes `run` of that bundle the box's program.
func (b *box) nestRuntime(inner *specs.Spec, flags ...string) {
	b.t.Helper()
	b.copyFile(binary, "runtime", 0o755)
	b.put("b/rootfs/prober", readText(b.t, proberAt), 0o755)
	for _, d := range []string{"dev", "proc", "sys", "tmp"} {
		b.must(os.MkdirAll(b.rootfs+"/b/rootfs/"+d, 0o755))
	}
	inner.Process.Args = []string{"/prober"}
	inner.Root.Path = "rootfs"
	config, err := json.Marshal(inner)
	b.must(err)
	b.put("b/config.json", string(config), 0o644)
	b.must(os.Chmod(b.rootfs+"/tmp", 0o1777))
	b.allow = append(b.allow, "b", "tmp", "sys", "dev", "proc")
	b.spec.Process.Args = append(append([]string{"/runtime", "--root", "/tmp/state"}, flags...), "run", "--bundle", "/b", "inner")
}

// rootlessInner is what spec --rootless would write for this id.
func rootlessInner(id uint32) *specs.Spec {
	s := defaultSpec()
	s.Linux.Resources = nil
	withNamespace(specs.UserNamespace, "")(s)
	withoutNamespace(specs.NetworkNamespace)(s)
	s.Linux.UIDMappings, s.Linux.GIDMappings = idMap(0, id, 1), idMap(0, id, 1)
	s.Mounts = s.Mounts[:5]
	s.Mounts[2].Options = []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666"}
	return s
}

// inner runs the box and returns what the prober of the inner container has seen.
func (b *box) inner() *report {
	b.t.Helper()
	r := b.run()
	if r.Code != 0 {
		b.t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	b.ok("delete", "--force", b.id)
	return b.parse(r.Stdout)
}

// TestNestedPrivileged: tare in a container of tare that may do everything, with
// limits of its own below those of the outer one.
func TestNestedPrivileged(t *testing.T) {
	if !isTare {
		t.Skip("tests tare in itself")
	}
	b := newBox(t, privilegedSpec(t))
	inner := defaultSpec()
	inner.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(33))}, Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
	withNamespace(specs.CgroupNamespace, "")(inner)
	mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro")(inner)
	inner.Linux.MaskedPaths = []string{"/proc/keys", "/sys/firmware"}
	b.nestRuntime(inner)
	r := b.inner()
	expect(t, "pid", r.Pid, 1)
	expectList(t, "uids", r.UID, []uint32{0, 0, 0})
	expect(t, "bounding set", len(r.Caps.Bounding) > 0, true)
	expectOpts(t, r.mount("/sys/fs/cgroup"), "ro")
}

// TestNestedRootless: an ordinary user of a container runs another, where the outer
// one hides nothing of /proc; where it does, the message names what.
func TestNestedRootless(t *testing.T) {
	if !isTare {
		t.Skip("tests tare in itself")
	}
	b := newBox(t)
	b.spec.Process.User = specs.User{UID: 1000, GID: 1000}
	b.nestRuntime(rootlessInner(1000))
	r := b.inner()
	expect(t, "uid_map", strings.Join(strings.Fields(r.UIDMap), " "), "0 1000 1")
	expect(t, "pid", r.Pid, 1)
	b.spec.Linux.MaskedPaths = []string{"/proc/keys"}
	b.spec.Linux.ReadonlyPaths = []string{"/proc/sys"}
	b.runFails("mounts[0]", "operation not permitted", "only where nothing hides a part of the proc that is mounted here, as /proc/", "run the outer container without masked")
	// Without a pid namespace of its own, the inner one shows the outer one's.
	inner := rootlessInner(1000)
	withoutNamespace(specs.PIDNamespace)(inner)
	b.nestRuntime(inner)
	if r := b.inner(); r.Pid == 1 {
		t.Error("the inner container has a pid namespace")
	}
}

// TestNestedInOrdinaryContainer: the root of a container with few capabilities is an
// ordinary user in all that counts here.
func TestNestedInOrdinaryContainer(t *testing.T) {
	if !isTare {
		t.Skip("tests tare in itself")
	}
	b := newBox(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"))
	b.nestRuntime(rootlessInner(0))
	b.runFails("linux.uidMappings", "operation not permitted", "needs CAP_SETFCAP")
	b.spec.Process.Capabilities.Bounding = []string{"CAP_SETFCAP"}
	b.spec.Process.Capabilities.Effective, b.spec.Process.Capabilities.Permitted = b.spec.Process.Capabilities.Bounding, b.spec.Process.Capabilities.Bounding
	expect(t, "uid_map", strings.Join(strings.Fields(b.inner().UIDMap), " "), "0 0 1")
}

// TestNestedInUserNamespace: as root of a user namespace, in a container that root
// has made, and in one that an ordinary user has made.
func TestNestedInUserNamespace(t *testing.T) {
	if !isTare {
		t.Skip("tests tare in itself")
	}
	b := newBox(t, userNamespace(100000))
	b.spec.Process.Capabilities.Bounding = heldCaps(t)
	b.spec.Process.Capabilities.Effective, b.spec.Process.Capabilities.Permitted = b.spec.Process.Capabilities.Bounding, b.spec.Process.Capabilities.Bounding
	inner := defaultSpec() // no user namespace of its own, no permission for cgroups
	inner.Linux.Resources = nil
	b.nestRuntime(inner)
	b.own(100000)
	r := b.inner()
	expect(t, "uid_map", strings.Join(strings.Fields(r.UIDMap), " "), "0 100000 65536")
	expect(t, "type of /dev/null", r.mount("/dev/null").at, "/dev/null")
	inner = rootlessInner(0) // and one more
	inner.Linux.UIDMappings, inner.Linux.GIDMappings = idMap(0, 0, 1000), idMap(0, 0, 1000)
	b.nestRuntime(inner)
	b.own(100000)
	expect(t, "uid_map", strings.Join(strings.Fields(b.inner().UIDMap), " "), "0 0 1000")

	u := userBox(t)
	u.spec.Root.Readonly = false
	u.spec.Linux.MaskedPaths, u.spec.Linux.ReadonlyPaths = nil, nil
	u.spec.Process.Capabilities = b.spec.Process.Capabilities
	u.nestRuntime(rootlessInner(0))
	u.ownAll(ordinary)
	expect(t, "uid_map", strings.Join(strings.Fields(u.inner().UIDMap), " "), "0 0 1")
}

// capNames are the capabilities by number (linux/capability.h).
var capNames = strings.Fields(`CAP_CHOWN CAP_DAC_OVERRIDE CAP_DAC_READ_SEARCH CAP_FOWNER CAP_FSETID CAP_KILL CAP_SETGID CAP_SETUID CAP_SETPCAP
	CAP_LINUX_IMMUTABLE CAP_NET_BIND_SERVICE CAP_NET_BROADCAST CAP_NET_ADMIN CAP_NET_RAW CAP_IPC_LOCK CAP_IPC_OWNER CAP_SYS_MODULE CAP_SYS_RAWIO
	CAP_SYS_CHROOT CAP_SYS_PTRACE CAP_SYS_PACCT CAP_SYS_ADMIN CAP_SYS_BOOT CAP_SYS_NICE CAP_SYS_RESOURCE CAP_SYS_TIME CAP_SYS_TTY_CONFIG CAP_MKNOD
	CAP_LEASE CAP_AUDIT_WRITE CAP_AUDIT_CONTROL CAP_SETFCAP CAP_MAC_OVERRIDE CAP_MAC_ADMIN CAP_SYSLOG CAP_WAKE_ALARM CAP_BLOCK_SUSPEND CAP_AUDIT_READ
	CAP_PERFMON CAP_BPF CAP_CHECKPOINT_RESTORE`)
