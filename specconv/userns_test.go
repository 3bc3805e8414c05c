package specconv

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
)

// ids makes lines of a map: container, host, size, container, ...
func idRanges(n ...uint32) (out []specs.LinuxIDMapping) {
	for i := 0; i+2 < len(n); i += 3 {
		out = append(out, specs.LinuxIDMapping{ContainerID: n[i], HostID: n[i+1], Size: n[i+2]})
	}
	return out
}

// Maps that the kernel would refuse with a bare EINVAL, or cut.
func TestBadMaps(t *testing.T) {
	many := make([]specs.LinuxIDMapping, maxMapLines+1)
	for i := range many {
		many[i] = specs.LinuxIDMapping{ContainerID: uint32(i), HostID: uint32(1000 + i), Size: 1}
	}
	good := idRanges(0, 1000, 10)
	for _, c := range []struct {
		name       string
		uids, gids []specs.LinuxIDMapping
		want       string
	}{
		{"none", nil, good, "config linux.uidMappings: is required with a new user namespace"},
		{"too many", many, good, `config linux.uidMappings "341 entries": is more than the 340 that the kernel takes (user_namespaces(7))`},
		{"as many as can be", many[:maxMapLines], good, ""},
		{"container ids meet", idRanges(0, 1000, 10, 9, 5000, 2), good, `config linux.uidMappings[1] "9 5000 2": maps ids of the container that linux.uidMappings[0] maps already`},
		{"host ids meet", good, idRanges(0, 1000, 10, 10, 1009, 1), `config linux.gidMappings[1] "10 1009 1": maps to ids of the host that linux.gidMappings[0] maps to already`},
		{"side by side", idRanges(10, 1010, 10, 0, 1000, 10), good, ""},
		{"past the end", good, idRanges(0, 4294967290, 6), `config linux.gidMappings[0] "0 4294967290 6": goes past the last id, 4294967294`},
		{"to the end", good, idRanges(0, 4294967290, 5), ""},
		{"everything", idRanges(0, 0, 4294967295), idRanges(0, 0, 4294967295), ""},
		{"huge", idRanges(0, 1, 4294967295), good, `config linux.uidMappings[0] "0 1 4294967295": goes past the last id, 4294967294`},
		{"no root", idRanges(0, 1000, 0), good, "config linux.uidMappings: must map the container's id 0, which sets the container up\n" +
			"config linux.uidMappings[0].size \"0\": must be at least 1\nconfig process.user.uid \"0\": is not mapped in linux.uidMappings"},
	} {
		s := plain()
		userns(s, c.uids, c.gids)
		err := compileOn(readFacts(t, "hybrid-6.18"), s)
		got := ""
		if err != nil {
			got = strings.TrimSuffix(errorText(t, err), "\n")
		}
		if c.name == "none" {
			got, _, _ = strings.Cut(got, "\n")
		}
		if got != c.want {
			t.Errorf("%s:\n%s\nwant\n%s", c.name, got, c.want)
		}
	}
}

// Who writes a map, and whether setgroups(2) is denied.
func TestWhoWritesTheMaps(t *testing.T) {
	own := idRanges(0, 1000, 1)
	many := idRanges(0, 1000, 1, 1, 100000, 65536)
	user := readFacts(t, "rootless-6.1")
	for _, c := range []struct {
		name       string
		host       *facts.Facts
		uids, gids []specs.LinuxIDMapping
		flags      uint32
	}{
		{"root", readFacts(t, "hybrid-6.18"), many, many, 0},
		{"root of a user namespace", readFacts(t, "nested-6.1"), own, own, 0},
		{"a user, himself", user, own, own, plan.FlagDenySetgrp},
		{"a user, more", user, many, many, plan.FlagUIDHelper | plan.FlagGIDHelper},
		{"a user, more users", user, many, own, plan.FlagUIDHelper | plan.FlagDenySetgrp},
		{"a user, more groups", user, own, many, plan.FlagGIDHelper},
		{"a user, somebody else", user, idRanges(0, 1001, 1), own, plan.FlagUIDHelper | plan.FlagDenySetgrp},
	} {
		s := plain()
		userns(s, c.uids, c.gids)
		without(s, specs.TimeNamespace)
		res, err := Compile(Input{ID: "x", Bundle: "/b", Spec: s, Facts: c.host})
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		exposed := false
		for i := range res.Plan.Ops {
			op := &res.Plan.Ops[i]
			switch op.Code {
			case plan.OpIDMap:
				if op.Flags != c.flags {
					t.Errorf("%s: flags %#x, want %#x", c.name, op.Flags, c.flags)
				}
			case plan.OpExpose:
				exposed = true
			case plan.OpIdentity:
				if denied := op.Flags&plan.FlagKeepGroups != 0; denied != (c.flags&plan.FlagDenySetgrp != 0) {
					t.Errorf("%s: identity keeps groups: %v", c.name, denied)
				}
			}
		}
		if exposed != (c.host.EUID != 0) {
			t.Errorf("%s: exposed %v", c.name, exposed)
		}
	}
}

// What an ordinary user cannot have, with the words that say what to do.
func TestRefusedToUsers(t *testing.T) {
	host := readFacts(t, "rootless-6.1")
	rootless := func(change func(*specs.Spec)) *specs.Spec {
		s := plain()
		userns(s, idRanges(0, 1000, 1), idRanges(0, 1000, 1))
		change(s)
		return s
	}
	limit := func(n int64) *specs.LinuxResources {
		return &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: &n}}
	}
	const words = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups: user 1000 may not make cgroups in /sys/fs/cgroup/user.slice/user-1000.slice; "
	for _, c := range []struct {
		name   string
		change func(*specs.Spec)
		want   string // begins with it
	}{
		{"limit", func(s *specs.Spec) { s.Linux.Resources = limit(1 << 20) }, "host linux.resources.memory.limit: " + words + "as root: chown 1000 "},
		{"path", func(s *specs.Spec) { s.Linux.CgroupsPath = "x" }, `host linux.cgroupsPath "x": ` + words},
		{"path in his own", func(s *specs.Spec) { s.Linux.CgroupsPath = "/user.slice/user-1000.slice/x" }, `host linux.cgroupsPath "/user.slice/user-1000.slice/x": ` + words},
		{"bad limit", func(s *specs.Spec) { s.Linux.Resources = limit(-2) }, "config linux.resources.memory.limit \"-2\": "},
		{"idmap", func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/x", Type: "bind", Source: "/x", Options: []string{"bind", "idmap"}}}
		}, "host mounts[0].uidMappings: needs privilege over the file system for an id-mapped mount, which the caller has not (mount_setattr(2))"},
		{"joined", func(s *specs.Spec) { s.Linux.Namespaces[0].Path = "/ns" }, `host linux.namespaces[0].path "/ns": cannot be joined together with a new user namespace by a caller without privilege: give the path`},
		{"gid of a mount", func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/dev/pts", Type: "devpts", Options: []string{"newinstance,gid=5"}}}
		}, `config mounts[0].options "gid=5": is not mapped in linux.gidMappings`},
		{"uid of a mount", func(s *specs.Spec) {
			s.Mounts = []specs.Mount{{Destination: "/x", Type: "tmpfs", Options: []string{"uid=7"}}}
		}, `config mounts[0].options "uid=7": is not mapped in linux.uidMappings`},
	} {
		err := compileOn(host, rootless(c.change))
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		if got := errorText(t, err); !strings.HasPrefix(got, c.want) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s:\n%swant\n%s", c.name, got, c.want)
		}
	}
	// Device rules are no limits.
	if err := compileOn(host, rootless(func(s *specs.Spec) {
		s.Linux.Resources = &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Access: "rwm"}}}
	})); err != nil {
		t.Error(err)
	}
}

// A caller's cgroups are made where he may: in his own, in each hierarchy that he
// was given, and under the path as it is where the config names one.
func TestDelegatedCgroups(t *testing.T) {
	host := *readFacts(t, "hybrid-6.18")
	host.EUID, host.EGID, host.Caps = 1000, 1000, 0
	host.Cgroup.Hierarchies = append([]facts.Hierarchy(nil), host.Cgroup.Hierarchies...)
	for i := range host.Cgroup.Hierarchies {
		h := &host.Cgroup.Hierarchies[i]
		h.Own = "/mine"
		h.Writable = h.Name == "pids" || h.Name == "memory"
	}
	for path, want := range map[string][]string{"": {"/mine/x", "/mine/x"}, "a/b": {"/mine/a/b", "/mine/a/b"}, "/mine/c": {"/mine/c", "/mine/c"}, "/other": {"/other", "/other"}} {
		s := plain()
		userns(s, idRanges(0, 1000, 1), idRanges(0, 1000, 1))
		s.Linux.CgroupsPath = path
		limit := int64(10)
		s.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &limit}}
		res, err := Compile(Input{ID: "x", Bundle: "/b", Spec: s, Facts: &host})
		if err != nil {
			t.Fatalf("%q: %v", path, err)
		}
		var got []string
		for _, c := range res.Cgroups {
			if c.Hierarchy != "pids" && c.Hierarchy != "memory" {
				t.Errorf("%q: a cgroup in %q", path, c.Hierarchy)
			}
			got = append(got, c.Path)
		}
		if strings.Join(got, " ") != strings.Join(want, " ") {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
		weight := uint64(512)
		s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: &weight}
		if err := compileOn(&host, s); err == nil || !strings.Contains(err.Error(), "linux.resources.cpu.shares: "+noPermission+": user 1000 may not make cgroups in /sys/fs/cgroup/cpu/mine") {
			t.Errorf("%q: %v", path, err)
		}
	}
}
