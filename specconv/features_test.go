package specconv

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/seccomp"
)

func TestFeaturesFitTheSchema(t *testing.T) {
	s := newSchema(t)
	if bad := s.check("features-schema.json", Features()); len(bad) > 0 {
		t.Error(bad)
	}
	if bad := s.check("features-schema.json", map[string]any{"ociVersionMin": 1}); len(bad) != 2 {
		t.Errorf("a number for a version, and no other version: %v", bad)
	}
}

// compiled compiles the default config after a change, and returns what Compile says.
func compiled(change func(*specs.Spec)) string {
	spec := Default()
	change(spec)
	res, err := Compile(Input{ID: "x", Bundle: "/b", Spec: spec, Facts: hostFacts(0), Gate: true})
	if err != nil {
		return err.Error()
	}
	return strings.Join(res.Warnings, "\n")
}

// Everything that is listed is accepted, and what is like it and not listed is
// refused, or is data for a file system.
func TestFeaturesAreTrue(t *testing.T) {
	f := Features()
	for _, v := range []string{f.OCIVersionMin, f.OCIVersionMax} {
		if got := compiled(func(s *specs.Spec) { s.Version = v }); got != "" {
			t.Errorf("version %s: %s", v, got)
		}
	}
	for _, o := range f.MountOptions {
		if findOption(o) == nil {
			t.Errorf("mount option %s is data", o)
		}
	}
	if findOption("size=1") != nil {
		t.Error("size=1 is an option")
	}
	for _, n := range f.Linux.Namespaces {
		got := compiled(func(s *specs.Spec) {
			s.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.MountNamespace}}
			s.Mounts, s.Hostname, s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, "", nil, nil
			switch n {
			case "mount":
			case "user":
				s.Linux.UIDMappings = []specs.LinuxIDMapping{{Size: 65536}}
				s.Linux.GIDMappings = []specs.LinuxIDMapping{{Size: 65536}}
				fallthrough
			default:
				s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.LinuxNamespaceType(n)})
			}
		})
		if strings.Contains(got, "linux.namespaces") {
			t.Errorf("namespace %s: %s", n, got)
		}
	}
	if got := compiled(func(s *specs.Spec) { s.Linux.Namespaces[0].Type = "space" }); !strings.Contains(got, "linux.namespaces[0].type") {
		t.Errorf("namespace space: %q", got)
	}
	for _, c := range f.Linux.Capabilities {
		if got := compiled(func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{c, "CAP_AUDIT_WRITE", "CAP_KILL"} }); got != "" {
			t.Errorf("capability %s: %s", c, got)
		}
	}
	if got := compiled(func(s *specs.Spec) { s.Process.Capabilities.Bounding = []string{"CAP_NONE"} }); !strings.Contains(got, "CAP_NONE") {
		t.Errorf("CAP_NONE: %q", got)
	}
	for _, m := range f.Linux.MemoryPolicy.Modes {
		for _, flag := range f.Linux.MemoryPolicy.Flags {
			got := compiled(func(s *specs.Spec) {
				s.Linux.MemoryPolicy = &specs.LinuxMemoryPolicy{Mode: specs.MemoryPolicyModeType(m), Flags: []specs.MemoryPolicyFlagType{specs.MemoryPolicyFlagType(flag)}}
			})
			if strings.Contains(got, "mode") || strings.Contains(got, "flags") {
				t.Errorf("memory policy %s %s: %s", m, flag, got)
			}
		}
	}
}

func TestSeccompFeaturesAreTrue(t *testing.T) {
	f := Features().Linux.Seccomp
	check := func(what string, p specs.LinuxSeccomp) {
		t.Helper()
		var errs field.List
		seccomp.Compile(&p, "amd64", &errs)
		if err := errs.Err(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	call := specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActErrno}
	for _, a := range f.Actions {
		p := specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{{Names: []string{"getpid"}, Action: specs.LinuxSeccompAction(a)}}}
		if a == string(specs.ActNotify) {
			p.ListenerPath = "/run/listener"
		}
		check(a, p)
	}
	for _, o := range f.Operators {
		c := specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActErrno, Args: []specs.LinuxSeccompArg{{Index: 0, Value: 1, Op: specs.LinuxSeccompOperator(o)}}}
		check(o, specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Syscalls: []specs.LinuxSyscall{c}})
	}
	for _, a := range f.Archs {
		check(a, specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Architectures: []specs.Arch{specs.Arch(a)}, Syscalls: []specs.LinuxSyscall{call}})
	}
	notify := specs.LinuxSyscall{Names: []string{"getpid"}, Action: specs.ActNotify} // some flags are about listeners
	for _, n := range f.KnownFlags {
		p := specs.LinuxSeccomp{DefaultAction: specs.ActAllow, Flags: []specs.LinuxSeccompFlag{specs.LinuxSeccompFlag(n)},
			Syscalls: []specs.LinuxSyscall{notify}, ListenerPath: "/run/listener"}
		check(n, p)
	}
}

// The features that are one word each: what they promise compiles.
func TestFeaturesOfFields(t *testing.T) {
	f := Features()
	for name, on := range map[string]*bool{"intelRdt": f.Linux.IntelRdt.Enabled, "schemata": f.Linux.IntelRdt.Schemata, "monitoring": f.Linux.IntelRdt.Monitoring,
		"netDevices": f.Linux.NetDevices.Enabled} {
		if on == nil || !*on {
			t.Errorf("%s is not listed", name)
		}
	}
	spec := Default()
	spec.Linux.NetDevices = map[string]specs.LinuxNetDevice{"eth1": {Name: "eth%d"}}
	spec.Linux.IntelRdt = &specs.LinuxIntelRdt{Schemata: []string{"L3:0=f"}, EnableMonitoring: true}
	spec.Annotations = map[string]string{}
	for _, a := range annotations {
		spec.Annotations[a] = "/x"
		if !slices.Contains(f.PotentiallyUnsafeConfigAnnotations, a) {
			t.Errorf("%s is not listed as unsafe", a)
		}
	}
	spec.Annotations[KeepGroups] = "1"
	res, err := Compile(Input{ID: "x", Bundle: "/b", Spec: spec, Facts: readFacts(t, "resctrl-6.12"), Gate: true})
	if err != nil || len(res.Warnings) != 0 {
		t.Error(err, res)
	}
}
