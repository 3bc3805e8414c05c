package specconv

import (
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/plan"
)

// besides lists the init's ops of the phase beside, with the mounts' targets.
func besides(t *testing.T, in Input) []string {
	t.Helper()
	res, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for i := range res.Plan.Ops {
		op := &res.Plan.Ops[i]
		if op.Phase() != plan.PhaseBeside || op.Code.Side() == plan.Host {
			continue
		}
		word := op.Code.Name()
		if op.Code == plan.OpMountFs || op.Code == plan.OpDeviceMake {
			word += " " + op.Value()
		}
		out = append(out, word)
	}
	return out
}

func hybrid(t *testing.T, change ...func(*specs.Spec)) Input {
	t.Helper()
	s := Default()
	for _, c := range change {
		c(s)
	}
	return Input{ID: "one", Bundle: "/bundle", Spec: s, Facts: readFacts(t, "hybrid-6.18"), Gate: true}
}

func insert(i int, m specs.Mount) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Mounts = slices.Insert(s.Mounts, i, m) }
}

func joinNS(kind specs.LinuxNamespaceType) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for i := range s.Linux.Namespaces {
			if s.Linux.Namespaces[i].Type == kind {
				s.Linux.Namespaces[i].Path = "/proc/1/ns/x"
			}
		}
	}
}

// What is done early is what needs nothing of the host, and what no later mount covers.
func TestBeside(t *testing.T) {
	const proc, dev, pts, shm, queue, null = "mount-fs /proc", "mount-fs /dev", "mount-fs /dev/pts", "mount-fs /dev/shm", "mount-fs /dev/mqueue", "device-make /dev/null"
	bind := specs.Mount{Destination: "/etc/hosts", Type: "bind", Source: "/etc/hosts", Options: []string{"bind"}}
	for name, c := range map[string]struct {
		in     Input
		has    []string
		hasNot []string
	}{
		"default":        {hybrid(t), []string{"fd-seal", "session", "keyring", "hostname", "root-bind", proc, dev, pts, shm, queue, null, "symlink-make", "caps-bound", "fd-pass"}, []string{"mount-fs /sys"}},
		"a bind first":   {hybrid(t, insert(0, bind)), []string{"root-bind", "fd-pass"}, []string{proc, dev, null, "mount-bind"}},
		"a bind between": {hybrid(t, insert(1, bind)), []string{proc}, []string{dev, "mount-bind", null}},
		"/dev again":     {hybrid(t, func(s *specs.Spec) { s.Mounts = append(s.Mounts, s.Mounts[1]) }), []string{proc, dev}, []string{null}},
		"/dev remounted": {hybrid(t, func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev", Type: "none", Options: []string{"remount", "ro"}})
		}), []string{dev}, []string{null}},
		"no /dev": {hybrid(t, func(s *specs.Spec) {
			s.Mounts = slices.DeleteFunc(s.Mounts, func(m specs.Mount) bool { return strings.HasPrefix(m.Destination, "/dev") })
		}), []string{proc, "fd-pass"}, []string{null, "symlink-make"}},
		"a device elsewhere": {hybrid(t, withDevice(specs.LinuxDevice{Path: "/run/null", Type: "c", Major: 1, Minor: 3})), []string{dev}, []string{null, "device-make /run/null"}},
		"a device is mounted on": {hybrid(t, withDevice(specs.LinuxDevice{Path: "/dev/x", Type: "c", Major: 1, Minor: 3}), func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/dev/x", Type: "bind", Source: "/srv", Options: []string{"bind"}})
		}), []string{dev}, []string{null}},
		"a device is covered": {hybrid(t, withDevice(specs.LinuxDevice{Path: "/data/null", Type: "c", Major: 1, Minor: 3}), func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/data", Type: "bind", Source: "/srv", Options: []string{"bind"}})
		}), []string{dev}, []string{null, "device-make /data/null"}},
		"copied up":             {hybrid(t, func(s *specs.Spec) { s.Mounts[1].Options = append(s.Mounts[1].Options, "tmpcopyup") }), []string{proc}, []string{dev, null}},
		"recursive attributes":  {hybrid(t, func(s *specs.Spec) { s.Mounts[0].Options = append(s.Mounts[0].Options, "rro") }), []string{"root-bind"}, []string{proc}},
		"joined ipc":            {hybrid(t, joinNS(specs.IPCNamespace)), []string{shm}, []string{queue}},
		"joined uts":            {hybrid(t, func(s *specs.Spec) { s.Hostname = "" }, joinNS(specs.UTSNamespace)), []string{proc}, []string{"hostname"}},
		"a hook that has power": {hybrid(t, func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/hook"}}} }), []string{null}, []string{"caps-bound"}},
	} {
		t.Run(name, func(t *testing.T) {
			got := besides(t, c.in)
			for _, want := range c.has {
				if !slices.Contains(got, want) {
					t.Errorf("no %s in %q", want, got)
				}
			}
			for _, bad := range c.hasNot {
				if slices.Contains(got, bad) {
					t.Errorf("%s in %q", bad, got)
				}
			}
		})
	}
}

// Where the process is to become somebody else, or nothing is won, there is no such phase.
func TestNotBeside(t *testing.T) {
	of := func(facts string, change ...func(*specs.Spec)) Input {
		in := hybrid(t, change...)
		in.Facts = readFacts(t, facts)
		return in
	}
	none := hybrid(t)
	none.NoCgroup, none.Spec.Linux.Resources = true, nil
	systemd := of("systemd-v1", func(s *specs.Spec) { s.Linux.CgroupsPath = "system.slice:tare:one" })
	systemd.SystemdCgroup = true
	for name, in := range map[string]Input{
		"cgroup v2": of("v2-5.10"),
		"no cgroup": none,
		"systemd":   systemd,
		"user namespace": of("hybrid-6.18", func(s *specs.Spec) {
			userns(s, ids(0, 100000, 65536), ids(0, 100000, 65536))
		}),
		"joined pid": of("hybrid-6.18", joinNS(specs.PIDNamespace)),
		"time": of("hybrid-6.18", func(s *specs.Spec) {
			s.Linux.Namespaces = append(s.Linux.Namespaces, specs.LinuxNamespace{Type: specs.TimeNamespace})
		}),
		"the host's mounts": of("hybrid-6.18", func(s *specs.Spec) {
			without(s, specs.MountNamespace)
			s.Linux.MaskedPaths, s.Linux.ReadonlyPaths = nil, nil
			s.Root.Readonly = false
		}),
	} {
		t.Run(name, func(t *testing.T) {
			if got := besides(t, in); len(got) > 0 {
				t.Errorf("the phase has %s", strings.Join(got, ", "))
			}
		})
	}
}
