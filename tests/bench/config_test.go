package main

import (
	"encoding/json"
	"testing"
)

// decoded is the part of a config that the tests look at, after a round trip
// through JSON as a runtime sees it.
type decoded struct {
	Root    struct{ Path string }
	Process struct {
		Args     []string
		Terminal bool
	}
	Mounts []struct{ Destination, Type, Source string }
	Linux  struct {
		CgroupsPath string
		MaskedPaths []string
		Namespaces  []struct{ Type string }
		Resources   struct {
			Memory struct{ Limit int64 }
			CPU    struct{ Quota int64 }
			Pids   struct{ Limit int64 }
		}
		Seccomp *struct {
			Architectures []string
			Syscalls      []struct{ Names []string }
		}
	}
}

func decodeConfig(t *testing.T, v variant, o bundleOptions) decoded {
	t.Helper()
	config, err := makeConfig(v, "/the/rootfs", "/the/bundle", o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	var d decoded
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEveryVariantTakesTheOptions(t *testing.T) {
	for _, v := range variants {
		d := decodeConfig(t, v, bundleOptions{args: []string{"/bin/payload", "wait"}, cgroupsPath: "/p/crun", memoryLimit: 128 << 10})
		if d.Root.Path != "/the/rootfs" || d.Linux.CgroupsPath != "/p/crun" || d.Linux.Resources.Memory.Limit != 128<<10 {
			t.Errorf("%s: root %q, cgroupsPath %q, memory limit %d", v, d.Root.Path, d.Linux.CgroupsPath, d.Linux.Resources.Memory.Limit)
		}
		if len(d.Process.Args) != 2 || d.Process.Args[1] != "wait" || d.Process.Terminal {
			t.Errorf("%s: args %q, terminal %v", v, d.Process.Args, d.Process.Terminal)
		}
	}
}

func TestVariantsDifferAsTheyPromise(t *testing.T) {
	o := bundleOptions{args: []string{"/bin/true"}, cgroupsPath: "/p/x"}
	if d := decodeConfig(t, minimalBundle, o); len(d.Mounts) != 1 || len(d.Linux.Namespaces) != 2 || len(d.Linux.MaskedPaths) != 0 {
		t.Errorf("minimal: %d mounts, %d namespaces, %d masked paths", len(d.Mounts), len(d.Linux.Namespaces), len(d.Linux.MaskedPaths))
	}
	if d := decodeConfig(t, defaultBundle, o); len(d.Mounts) != 7 || len(d.Linux.Namespaces) != 6 || d.Linux.Seccomp != nil {
		t.Errorf("default: %d mounts, %d namespaces, seccomp %v", len(d.Mounts), len(d.Linux.Namespaces), d.Linux.Seccomp)
	}
	d := decodeConfig(t, dockerBundle, o)
	if len(d.Mounts) != 20 {
		t.Errorf("docker: %d mounts, want 20", len(d.Mounts))
	}
	if d.Linux.Seccomp == nil {
		t.Error("docker: no system call filter")
	}
	if d := decodeConfig(t, bindsBundle, o); len(d.Mounts) != 207 {
		t.Errorf("binds: %d mounts, want 207", len(d.Mounts))
	}
	if r := d.Linux.Resources; r.Memory.Limit == 0 || r.CPU.Quota == 0 || r.Pids.Limit == 0 {
		t.Errorf("docker: limits %+v, want memory, cpu and pids", r)
	}
	if d := decodeConfig(t, seccompBundle, o); d.Linux.Seccomp == nil || len(d.Linux.Seccomp.Syscalls[0].Names) < 300 {
		t.Errorf("seccomp: profile %v", d.Linux.Seccomp)
	}
}
