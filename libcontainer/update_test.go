package libcontainer

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/state"
)

// A schema goes to the container's class, and can be taken back. What the kernel
// makes of a line, a tmpfs does not show: see rdtBox.
func TestUpdateOfSchemata(t *testing.T) {
	b := newRdtBox(t)
	b.fill("class")
	b.rec.RdtGroups = []string{b.root + "/class", b.root + "/class/mon_groups/box"}
	before := b.read("class/schemata")
	lines, err := newSchemata(b.rec, &UpdateOptions{L3CacheSchema: "L3:0=00f;1=001", MemBwSchema: "MB:0=20"})
	if err != nil || len(lines) != 2 {
		t.Fatal(lines, err)
	}
	undo, err := applySchemata(b.rec, lines[:1])
	if err != nil || !strings.HasPrefix(b.read("class/schemata"), "L3:0=00f;1=001\n") {
		t.Errorf("%q, %v", b.read("class/schemata"), err)
	}
	if err := undo(); err != nil || b.read("class/schemata") != before {
		t.Errorf("taken back: %q, %v", b.read("class/schemata"), err)
	}
	for _, wrong := range []UpdateOptions{{L3CacheSchema: "MB:0=1"}, {MemBwSchema: "L3:0=1"}, {L3CacheSchema: "L3"}, {L3CacheSchema: "L3:0=f\nMB:0=1"}} {
		if _, err := newSchemata(b.rec, &wrong); err == nil {
			t.Errorf("%+v is accepted", wrong)
		}
	}
	b.rec.RdtGroups = []string{b.root + "/gone"}
	if _, err := applySchemata(b.rec, lines); err == nil {
		t.Error("a group that is not there takes a schema")
	}
}

// The record's hierarchies are the layout, as they were when it was written.
func TestLayoutOfRecord(t *testing.T) {
	rec := &state.Record{}
	rec.Cgroups = []state.Cgroup{{Hierarchy: "cpu,cpuacct", Mount: "/m/cpu"}, {Hierarchy: "name=systemd", Mount: "/m/s"}}
	l := layoutOf(rec)
	if l.Unified || l.With("cpuacct") != 0 || l.With("memory") != -1 || len(l.Hierarchies[1].Controllers) != 0 {
		t.Errorf("%+v", l)
	}
	rec.Cgroups = []state.Cgroup{{Mount: "/m/unified", V2: true}}
	if l := layoutOf(rec); !l.Unified {
		t.Errorf("%+v", l)
	}
}

// An update adds to the marks that state shows.
func TestRecordNetwork(t *testing.T) {
	rec := &state.Record{}
	if recordNetwork(rec, nil) || recordNetwork(rec, &specs.LinuxResources{}) {
		t.Error("nothing is a change")
	}
	class := uint32(5)
	a, b := specs.LinuxInterfacePriority{Name: "a", Priority: 1}, specs.LinuxInterfacePriority{Name: "b", Priority: 2}
	rec.Priorities = []specs.LinuxInterfacePriority{a}
	a.Priority = 9
	if !recordNetwork(rec, &specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: &class, Priorities: []specs.LinuxInterfacePriority{a, b}}}) ||
		rec.ClassID != 5 || len(rec.Priorities) != 2 || rec.Priorities[0] != a || rec.Priorities[1] != b {
		t.Errorf("%+v", rec)
	}
}

func TestInterfaces(t *testing.T) {
	const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:    1152      12    0    0    0     0          0         0     1152      12    0    0    0     0       0          0
  eth0:12345678 9 1 2 3 4 5 6 7 8 9 10 11 12 13 14
`
	want := []Interface{{Name: "lo", RxBytes: 1152, RxPackets: 12, TxBytes: 1152, TxPackets: 12},
		{Name: "eth0", RxBytes: 12345678, RxPackets: 9, RxErrors: 1, RxDropped: 2, TxBytes: 7, TxPackets: 8, TxErrors: 9, TxDropped: 10}}
	got := readInterfaces(text)
	if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("%+v", got)
	}
}
