package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// resctrl is where the file system is mounted, or an error.
func resctrl() (string, error) {
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMounts(string(data)) {
			if m.fstype == "resctrl" {
				return m.at, nil
			}
		}
	}
	return "", os.ErrNotExist
}

// TestIntelRdtWithoutHardware: a host that cannot says which field, and how one
// that can is made ready.
func TestIntelRdtWithoutHardware(t *testing.T) {
	if _, err := resctrl(); err == nil {
		t.Skip("resctrl is mounted here")
	}
	b := newBox(t)
	b.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{L3CacheSchema: "L3:0=f"}
	b.createFails("linux.intelRdt", "mount -t resctrl resctrl /sys/fs/resctrl")
	b.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "a/b", MemBwSchema: "x", Schemata: []string{"a\nb"}}
	b.createFails("linux.intelRdt.closID", "linux.intelRdt.memBwSchema", "linux.intelRdt.schemata[0]")
}

// TestIntelRdt, where there is the hardware: a group of the container's own, which
// goes with it.
func TestIntelRdt(t *testing.T) {
	root, err := resctrl()
	need(t, "a mounted resctrl file system", err)
	b := newBox(t, prober("quiet", "pause"))
	b.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{}
	b.create()
	if !strings.Contains(readText(t, root+"/"+b.id+"/tasks"), "\n") {
		t.Error("the group has no task")
	}
	b.remove("--force")
	if _, err := os.Stat(root + "/" + b.id); err == nil {
		t.Error("the group is still there")
	}
}
