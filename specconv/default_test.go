package specconv

import (
	"reflect"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
)

// hostFacts are those of an ordinary host, for root or for somebody else.
func hostFacts(uid uint32) *facts.Facts {
	f := &facts.Facts{KernelMajor: 6, KernelMinor: 18, Arch: "amd64", EUID: uid, Caps: allCaps, AppArmor: true, SELinux: true, Cgroup: *cgroupsV2()}
	if uid != 0 {
		f.Caps = 0
	}
	return f
}

func TestDefaultFitsTheSchema(t *testing.T) {
	s := newSchema(t)
	rootless := Default()
	Rootless(rootless, &facts.Facts{KernelMajor: 6, EUID: 1000, EGID: 100})
	networked := Default()
	Network(networked, "/usr/local/sbin/tare-net", "web")
	for name, spec := range map[string]*specs.Spec{"default": Default(), "rootless": rootless, "network": networked} {
		if bad := s.check("config-schema.json", spec); len(bad) > 0 {
			t.Errorf("%s: %v", name, bad)
		}
	}
	// The check sees mistakes.
	for name, spoil := range map[string]func(*specs.Spec){
		"namespace": func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "space" },
		"rlimit":    func(s *specs.Spec) { s.Process.Rlimits[0].Type = "RLIMIT" },
		"seccomp":   func(s *specs.Spec) { s.Linux.Seccomp = &specs.LinuxSeccomp{DefaultAction: "maybe"} },
		"device":    func(s *specs.Spec) { s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/x", Type: "z"}} },
	} {
		spec := Default()
		spoil(spec)
		if bad := s.check("config-schema.json", spec); len(bad) == 0 {
			t.Errorf("a spoiled %s is not seen", name)
		}
	}
}

// The default runs as it is: without an error, and without anything to warn about.
func TestDefaultCompiles(t *testing.T) {
	for _, uid := range []uint32{0, 1000} {
		spec := Default()
		in := Input{ID: "x", Bundle: "/b", Spec: spec, Facts: hostFacts(uid), Gate: true}
		if uid != 0 {
			Rootless(spec, in.Facts)
		}
		res, err := Compile(in)
		if err != nil {
			t.Errorf("uid %d: %v", uid, err)
			continue
		}
		if len(res.Warnings) > 0 {
			t.Errorf("uid %d: warnings %q", uid, res.Warnings)
		}
	}
}

func TestDefaultIsFresh(t *testing.T) {
	a := Default()
	Rootless(a, &facts.Facts{EUID: 1, EGID: 1})
	if reflect.DeepEqual(a, Default()) {
		t.Error("Rootless changes nothing")
	}
	if b := Default(); b.Linux.Resources == nil || len(b.Linux.UIDMappings) > 0 || len(b.Mounts[2].Options) != 6 {
		t.Error("Rootless has changed the next default")
	}
}

func TestRootlessKeepsWhatAUserCannotHaveOut(t *testing.T) {
	spec := Default()
	Rootless(spec, &facts.Facts{KernelMajor: 5, KernelMinor: 10, EUID: 1000, EGID: 100})
	for _, n := range spec.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			t.Error("has a network namespace, which the user could not configure")
		}
	}
	l := spec.Linux
	if l.Namespaces[0].Type != specs.UserNamespace || l.Resources != nil ||
		!reflect.DeepEqual(l.UIDMappings, []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}}) ||
		!reflect.DeepEqual(l.GIDMappings, []specs.LinuxIDMapping{{ContainerID: 0, HostID: 100, Size: 1}}) {
		t.Errorf("%+v", l)
	}
	sys := 0
	for _, m := range spec.Mounts {
		if m.Destination == "/sys" {
			sys++
		}
		for _, o := range m.Options {
			if o == "gid=5" {
				t.Errorf("%s: group 5 is not mapped", m.Destination)
			}
		}
	}
	// What is recursive needs a kernel that can make it so.
	for minor, want := range map[int]string{11: "ro", 12: "rro"} {
		spec := Default()
		Rootless(spec, &facts.Facts{KernelMajor: 5, KernelMinor: minor})
		if o := spec.Mounts[len(spec.Mounts)-2].Options; o[len(o)-1] != want {
			t.Errorf("5.%d: /sys has %q", minor, o)
		}
	}
	if sys != 1 {
		t.Errorf("%d mounts at /sys", sys)
	}
}
