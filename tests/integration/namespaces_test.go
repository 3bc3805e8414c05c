package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// nsFiles are the names of the types in /proc/PID/ns.
var nsFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	specs.MountNamespace: "mnt", specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
}

// lackNamespace is an error when the kernel does not have a type.
func lackNamespace(typ specs.LinuxNamespaceType) error {
	_, err := os.Stat("/proc/self/ns/" + nsFiles[typ])
	return err
}

// TestNewNamespaces asks for all eight.
func TestNewNamespaces(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b := newBox(t, userNamespace(100000), withNamespace(specs.CgroupNamespace, ""))
	if isTare {
		b.edit(withNamespace(specs.TimeNamespace, ""))
	}
	b.own(100000)
	r := b.probe()
	for _, n := range b.spec.Linux.Namespaces {
		host, err := os.Readlink("/proc/self/ns/" + nsFiles[n.Type])
		b.must(err)
		if r.Namespaces[nsFiles[n.Type]] == host {
			t.Errorf("the %s namespace is the runtime's", n.Type)
		}
	}
	expect(t, "pid", r.Pid, 1)
	expect(t, "uid map", strings.Join(strings.Fields(r.UIDMap), " "), "0 100000 65536")
	expect(t, "gid map", strings.Join(strings.Fields(r.GIDMap), " "), "0 100000 65536")
	for name, path := range cgroupOf(r.Cgroup) {
		expect(t, "cgroup in its namespace, hierarchy "+name, path, "/")
	}
}

// TestSingleNamespaces has one new namespace besides the mount namespace at a time.
func TestSingleNamespaces(t *testing.T) {
	for typ, file := range nsFiles {
		t.Run(string(typ), func(t *testing.T) {
			need(t, "the namespace", lackNamespace(typ))
			if !isTare && (typ == specs.TimeNamespace || typ == specs.UserNamespace) {
				t.Skip("runc 1.1 has no time namespaces")
			}
			b := newBox(t)
			b.allow = []string{"dev"} // no file system is mounted there
			b.spec.Hostname = ""
			b.edit(namespaces(specs.LinuxNamespace{Type: specs.MountNamespace}))
			b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
			if typ == specs.UserNamespace {
				b.edit(userNamespace(100000))
				b.own(100000)
				// proc belongs to the pid namespace's owner.
				b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}}
			} else if typ != specs.MountNamespace {
				b.edit(withNamespace(typ, ""))
			}
			r := b.probe()
			for other, f := range nsFiles {
				host, err := os.Readlink("/proc/self/ns/" + f)
				if err != nil {
					continue
				}
				fresh := f == file || other == specs.MountNamespace
				if fresh == (r.Namespaces[f] == host) {
					t.Errorf("namespace %s is %s, the runtime's is %s", f, r.Namespaces[f], host)
				}
			}
		})
	}
}

// TestNoNamespaces: what is not listed is inherited, the mount namespace too.
func TestNoNamespaces(t *testing.T) {
	b := newBox(t, namespaces())
	b.allow = []string{"dev"} // no file system is mounted there
	b.spec.Hostname = ""
	b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
	if !isTare {
		t.Skip("runc demands a mount namespace")
	}
	r := b.probe()
	for ns, link := range r.Namespaces {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		b.must(err)
		expect(t, "namespace "+ns, link, host)
	}
	expect(t, "pid is not 1", r.Pid == 1, false)
	b.nothingLeft()
	// The same over create, kill and delete.
	b.edit(prober("fork:2", "pause"))
	out := b.create()
	b.start()
	b.output(out)
	b.kill("KILL")
	b.remove()
	b.nothingLeft()
}

// TestNoLinuxSection has no linux object at all.
func TestNoLinuxSection(t *testing.T) {
	if !isTare {
		t.Skip("runc demands a linux section")
	}
	b := newBox(t)
	b.allow = []string{"dev"}
	b.spec.Linux, b.spec.Hostname, b.spec.Mounts = nil, "", nil
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	b.nothingLeft()
}

func TestTimeOffsets(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	if !isTare {
		t.Skip("runc 1.1 has no time namespaces")
	}
	now := func(clock int32) int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Sec
	}
	for _, off := range []map[string]specs.LinuxTimeOffset{
		nil,
		{"monotonic": {Secs: 1000}},
		{"boottime": {Secs: 50000, Nanosecs: 999999999}},
		{"monotonic": {Secs: 86400}, "boottime": {Secs: 604800}},
	} {
		b := newBox(t, withNamespace(specs.TimeNamespace, ""))
		b.spec.Linux.TimeOffsets = off
		m, bt := now(unix.CLOCK_MONOTONIC), now(unix.CLOCK_BOOTTIME)
		r := b.probe()
		if d := r.Monotonic - m - off["monotonic"].Secs; d < 0 || d > 20 {
			t.Errorf("with %v the monotonic clock is %d s off", off, d)
		}
		if d := r.Boottime - bt - off["boottime"].Secs; d < 0 || d > 20 {
			t.Errorf("with %v the boottime clock is %d s off", off, d)
		}
	}
}

func TestNamespaceRefusals(t *testing.T) {
	b := newBox(t)
	h := hold(b, unix.CLONE_NEWNET|unix.CLONE_NEWUTS)
	for name, row := range map[string]struct {
		ns    specs.LinuxNamespace
		words []string
	}{
		"another type": {specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: h.path(specs.UTSNamespace)}, []string{"linux.namespaces[", "].path", "another type"}},
		"missing":      {specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/run/no/such/ns"}, []string{"].path", "/run/no/such/ns", "no such file or directory"}},
		"no namespace": {specs.LinuxNamespace{Type: specs.IPCNamespace, Path: "/etc/passwd"}, []string{"].path", "not a namespace"}},
		"relative":     {specs.LinuxNamespace{Type: specs.UTSNamespace, Path: "ns/uts"}, []string{"].path", "must be absolute"}},
		"type":         {specs.LinuxNamespace{Type: "nope"}, []string{"].type", "nope"}},
		"twice":        {specs.LinuxNamespace{Type: specs.IPCNamespace}, []string{"].type", "listed twice"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := newBox(t)
			if row.ns.Path != "" {
				b.edit(withoutNamespace(row.ns.Type))
			}
			b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, row.ns)
			b.createFails(append(row.words, fmt.Sprintf("linux.namespaces[%d]", len(b.spec.Linux.Namespaces)-1))...)
		})
	}
	if !isTare {
		return // runc 1.1 takes mappings without a user namespace
	}
	b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 1}}
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1}}
	b.createFails("linux.uidMappings", "linux.timeOffsets")
	b.edit(userNamespace(100000), withNamespace(specs.TimeNamespace, ""))
	b.spec.Linux.GIDMappings = nil
	b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 1, HostID: 4294967295, Size: 2}, {ContainerID: 5}}
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}, "boottime": {Nanosecs: 1000000000}}
	b.createFails("linux.gidMappings", "linux.uidMappings[0]", "linux.uidMappings[1].size", "linux.uidMappings: must map the container's id 0",
		`linux.timeOffsets`, "realtime", "nanosecs")
}

// TestTimeOffsetOutOfRange: the kernel refuses, and its word comes with the field.
func TestTimeOffsetOutOfRange(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b := newBox(t, withNamespace(specs.TimeNamespace, ""))
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -1 << 40}}
	b.createFails("linux.timeOffsets", "numerical result out of range", "monotonic")
}

func TestHostnames(t *testing.T) {
	b := newBox(t)
	b.spec.Hostname, b.spec.Domainname = "a-host.example", "dom.example"
	host, err := os.Hostname()
	b.must(err)
	r := b.probe()
	expect(t, "hostname", r.Hostname, "a-host.example")
	if isTare {
		expect(t, "domainname", r.Domainname, "dom.example")
	}
	now, err := os.Hostname()
	b.must(err)
	expect(t, "the host's name", now, host)
	b.spec.Hostname = strings.Repeat("h", 64)
	expect(t, "longest hostname", b.probe().Hostname, b.spec.Hostname)
	b.spec.Hostname = strings.Repeat("h", 65)
	b.spec.Domainname = strings.Repeat("d", 65)
	b.createFails("hostname", "domainname", "64")
	b.spec.Hostname, b.spec.Domainname = "h", ""
	b.edit(withoutNamespace(specs.UTSNamespace))
	b.createFails("hostname", "uts namespace")
}
