package specconv

import (
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// linuxMistakes are those about network devices, resctrl, annotations, and what
// depends on a user namespace.
var linuxMistakes = []mutation{
	{"intelRdt", func(s *specs.Spec) {
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a/b", L3CacheSchema: "L3:0=1\nMB:0=5", MemBwSchema: "L3:0=f", Schemata: []string{"", "MB:0=1\n", "L2:\x00"}}
	}, `host linux.intelRdt: needs a mounted resctrl file system, on a CPU that has it: mount -t resctrl resctrl /sys/fs/resctrl
config linux.intelRdt.closID "a/b": is not the name of a directory of resctrl, nor / for the default class
config linux.intelRdt.l3CacheSchema "L3:0=1\nMB:0=5": has a newline; each line is an element of schemata (config-linux.md, IntelRdt)
config linux.intelRdt.memBwSchema "L3:0=f": must begin with MB: (config-linux.md, IntelRdt)
config linux.intelRdt.schemata[0]: is an empty line
config linux.intelRdt.schemata[1] "MB:0=1\n": has a newline; each line is an element of schemata (config-linux.md, IntelRdt)
config linux.intelRdt.schemata[2] "L2:\x00": has a NUL byte`},

	{"network devices", func(s *specs.Spec) {
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"": {Name: "a"}, "abcdefghijklmnop": {Name: "."}, "a b": {Name: ".."}, "a/b": {Name: "b:c"},
			"%d": {Name: "x%d%d"}, "ok": {Name: "abcdefghijklmnop"}, "e0": {Name: "y%dz"}, "e1": {Name: "%d"}, "e2": {Name: "same"}, "e3": {Name: "same"},
			"same2": {}, "e4": {Name: "same2"}, "e5": {Name: "a\x00b"}, "e6": {Name: "t%d"}, "e7": {Name: "t%d"}}
	}, `config linux.netDevices[""]: is empty, and must name a network device
config linux.netDevices["%d"] "%d": has a %, which the name of no device has; the new name may end in %d
config linux.netDevices["%d"].name "x%d%d": may have a % only in %d at its end (config-linux.md, Network Devices)
config linux.netDevices["a b"] "a b": has white space, which no network device's name can have
config linux.netDevices["a b"].name "..": cannot be the name of a network device
config linux.netDevices["a/b"] "a/b": has a /, which no network device's name can have
config linux.netDevices["a/b"].name "b:c": has a :, which no network device's name can have
config linux.netDevices["abcdefghijklmnop"] "abcdefghijklmnop": is longer than 15 bytes, the most that a network device's name can have
config linux.netDevices["abcdefghijklmnop"].name ".": cannot be the name of a network device
config linux.netDevices["e0"].name "y%dz": may have a % only in %d at its end (config-linux.md, Network Devices)
config linux.netDevices["e1"].name "%d": must have more than %d
config linux.netDevices["e3"].name "same": is also the new name of "e2"
config linux.netDevices["e5"].name "a\x00b": has a NUL byte
config linux.netDevices["ok"].name "abcdefghijklmnop": is longer than 15 bytes, the most that a network device's name can have
config linux.netDevices["same2"].name "same2": is also the new name of "e4"`},
	{"network devices of the host", func(s *specs.Spec) {
		s.Linux.Namespaces = nil
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{"e0": {}}
	}, `config linux.netDevices: needs a network namespace in linux.namespaces to move devices into`},

	{"hook output", func(s *specs.Spec) {
		s.Annotations = map[string]string{HookStdout: "out", HookStderr: "/\x00"}
	}, `config annotations["run.oci.hooks.stderr"] "/\x00": has a NUL byte
config annotations["run.oci.hooks.stdout"] "out": must be an absolute path of a file for the output of hooks`},
	{"device of nobody", func(s *specs.Spec) {
		s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}, {Type: specs.UserNamespace}}
		s.Linux.UIDMappings = []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}
		s.Linux.GIDMappings = []specs.LinuxIDMapping{{HostID: 1000, Size: 10}}
		id := uint32(10)
		s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "c", UID: &id, GID: &id}}
	}, `config linux.devices[0].gid "10": is not mapped in linux.gidMappings
config linux.devices[0].uid "10": is not mapped in linux.uidMappings`},
}

func TestReservedRdtNames(t *testing.T) {
	f := readFacts(t, "resctrl-6.12")
	for _, id := range []string{"info", "mon_groups", "mon_data"} {
		s := plain()
		s.Linux.IntelRdt = &specs.LinuxIntelRdt{}
		_, err := Compile(Input{ID: id, Bundle: "/b", Spec: s, Facts: f, Gate: true})
		want := "config linux.intelRdt.closID: is required for a container with this ID, which resctrl has a file of its own for\n"
		if err == nil || errorText(t, err) != want {
			t.Errorf("%s: got %v", id, err)
		}
		s.Linux.IntelRdt.ClosID = id
		want = "config linux.intelRdt.closID \"" + id + "\": is not the name of a directory of resctrl, nor / for the default class\n"
		if _, err = Compile(Input{ID: "x", Bundle: "/b", Spec: s, Facts: f, Gate: true}); err == nil || errorText(t, err) != want {
			t.Errorf("%s: got %v", id, err)
		}
	}
}
