package specconv

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/gvariant"
)

func TestUnitNames(t *testing.T) {
	long := strings.Repeat("x", 245)
	for _, tc := range []struct {
		path, id string
		user     bool
		want     string // unit, slice and path, or the reason
	}{
		{"", "a", false, "tare-a.scope system.slice /system.slice/tare-a.scope"},
		{"", "a", true, "tare-a.scope user.slice /user.slice/tare-a.scope"},
		{"", "a+b", false, `tare-a\x2bb.scope system.slice /system.slice/tare-a\x2bb.scope`},
		{"machine.slice:libpod:1f", "a", false, "libpod-1f.scope machine.slice /machine.slice/libpod-1f.scope"},
		{"a-b-c.slice:x:y", "a", true, "x-y.scope a-b-c.slice /a.slice/a-b.slice/a-b-c.slice/x-y.scope"},
		{"-:x:y", "a", false, "x-y.scope -.slice /x-y.scope"},
		{"-.slice:x:y", "a", false, "x-y.scope -.slice /x-y.scope"},
		{":x:y", "a", false, "x-y.scope system.slice /system.slice/x-y.scope"},
		{"::y", "a", false, "-y.scope system.slice /system.slice/-y.scope"},
		{":x:a-b.slice", "a", false, "a-b.slice system.slice /a.slice/a-b.slice"},
		{"a.slice:x:a-b.slice", "a", false, "a-b.slice a.slice /a.slice/a-b.slice"},
		{"-:x:a.slice", "a", false, "a.slice -.slice /a.slice"},
		{"b.slice:x:a-b.slice", "a", false, "has a slice that lies in /a.slice, as its name says"},
		{":x:-.slice", "a", false, "is the root slice, which belongs to the host"},
		{"/a/b", "a", false, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`},
		{"a:b", "a", false, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`},
		{"a:b:", "a", false, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`},
		{"a:b:c:d", "a", false, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`},
		{"a/b.slice:c:d", "a", false, "has a slash in the name of a slice"},
		{"a:c:d", "a", false, "has a slice whose name does not end in .slice"},
		{".slice:c:d", "a", false, "has a slice whose name does not end in .slice"},
		{"a--b.slice:c:d", "a", false, "has a slice with an empty part between dashes"},
		{"-a.slice:c:d", "a", false, "has a slice with an empty part between dashes"},
		{"a-.slice:c:d", "a", false, "has a slice with an empty part between dashes"},
		{"a b.slice:c:d", "a", false, "has a slice with a character that units cannot have in their names"},
		{":x:a/b.slice", "a", false, "has a slash in the name of a slice"},
		{":a/b:c", "a", false, "has a slash in the name of a unit"},
		{":" + long + ":yyy", "a", false, "tail"},
		{":" + long + ":yyyyyyy", "a", false, "gives a name of more than 255 bytes to the unit"},
	} {
		c := &compiler{Input: Input{ID: tc.id, Spec: &specs.Spec{Linux: &specs.Linux{CgroupsPath: tc.path}},
			Facts: &facts.Facts{Systemd: &facts.Systemd{User: tc.user}}}}
		u, ok := c.readUnit()
		got := u.name + " " + u.slice + " " + u.path
		if tc.want == "tail" {
			if !ok || len(u.name) != maxUnitName {
				t.Errorf("a name of %d bytes: %v", len(u.name), c.errs.Err())
			}
			continue
		}
		if !ok {
			got = c.errs.All()[0].Why
		}
		if got != tc.want {
			t.Errorf("%q: %s, expected %s", tc.path, got, tc.want)
		}
	}
}

// The same files, through the table of properties, on either kind of host.
func TestUnitProperties(t *testing.T) {
	unified := facts.Cgroup{Unified: true, Hierarchies: []facts.Hierarchy{{V2: true}}}
	v1 := facts.Cgroup{Hierarchies: []facts.Hierarchy{{Name: "all"}}}
	for _, tc := range []struct {
		cg          *facts.Cgroup
		version     int
		file, value string
		want        string // properties, separated by blanks; "" for none
	}{
		{&unified, 252, "memory.max", "1048576", "MemoryMax=uint64 1048576"},
		{&unified, 252, "memory.max", "2M", "MemoryMax=uint64 2097152"},
		{&unified, 252, "memory.max", "max", "MemoryMax=uint64 18446744073709551615"},
		{&unified, 252, "memory.max", "lots", ""},
		{&unified, 252, "memory.max", "99999999999999999999", ""},
		{&unified, 252, "memory.swap.max|", "0", "MemorySwapMax=uint64 0"},
		{&unified, 252, "memory.zswap.max", "5", ""},
		{&unified, 253, "memory.zswap.max", "5", "MemoryZSwapMax=uint64 5"},
		{&unified, 252, "cpu.weight", "59", "CPUWeight=uint64 59"},
		{&unified, 252, "cpu.idle", "1", "CPUWeight=uint64 0"},
		{&unified, 252, "cpu.idle", "0", "CPUWeight=uint64 18446744073709551615"},
		{&unified, 251, "cpu.idle", "1", ""},
		{&unified, 252, "cpu.max", "50000 100000", "CPUQuotaPeriodUSec=uint64 100000 CPUQuotaPerSecUSec=uint64 500000"},
		{&unified, 241, "cpu.max", "50000 100000", "CPUQuotaPerSecUSec=uint64 500000"},
		{&unified, 252, "cpu.max", "15050 10000", "CPUQuotaPeriodUSec=uint64 10000 CPUQuotaPerSecUSec=uint64 1510000"},
		{&unified, 252, "cpu.max", "max 50000", "CPUQuotaPeriodUSec=uint64 50000 CPUQuotaPerSecUSec=uint64 18446744073709551615"},
		{&unified, 252, "cpu.max", "1000", "CPUQuotaPerSecUSec=uint64 10000"},
		{&unified, 252, "cpuset.cpus", "0-3, 8", "AllowedCPUs=[byte 0xf, 0x1]"},
		{&unified, 252, "cpuset.mems", "1", "AllowedMemoryNodes=[byte 0x2]"},
		{&unified, 252, "cpuset.cpus", "", "AllowedCPUs=@ay []"},
		{&unified, 252, "cpuset.cpus", "x", ""},
		{&unified, 252, "cpuset.cpus", "99999", ""},
		{&unified, 243, "cpuset.cpus", "0", ""},
		{&unified, 252, "pids.max", "max", "TasksMax=uint64 18446744073709551615"},
		{&unified, 252, "io.bfq.weight|io.weight", "500|4950", "IOWeight=uint64 4950"},
		{&unified, 252, "io.bfq.weight|io.weight", "8:0 500|8:0 4950", ""},
		{&unified, 252, "io.weight", "default 77", "IOWeight=uint64 77"},
		{&unified, 252, "io.max", "8:0 rbps=1", ""},
		{&unified, 252, "hugetlb.2MB.max", "0", ""},
		{&v1, 247, "cpu.shares", "512", "CPUShares=uint64 512"},
		{&v1, 247, "cpu.cfs_quota_us", "-1", "CPUQuotaPerSecUSec=uint64 18446744073709551615"},
		{&v1, 247, "cpu.cfs_period_us", "50000", "CPUQuotaPeriodUSec=uint64 50000"},
		{&v1, 247, "memory.limit_in_bytes", "-1", "MemoryLimit=uint64 18446744073709551615"},
		{&v1, 247, "memory.memsw.limit_in_bytes", "5", ""},
		{&v1, 247, "blkio.weight|blkio.bfq.weight", "500", "BlockIOWeight=uint64 500"},
		{&v1, 247, "pids.max", "7", "TasksMax=uint64 7"},
		{&v1, 247, "cpuset.cpus", "0", ""},
	} {
		got := UnitChanges([]Change{{File: tc.file, Value: tc.value}}, tc.cg, &facts.Systemd{Version: tc.version})
		if text := strings.Join(got, " "); text != tc.want {
			t.Errorf("%s %q with systemd %d: %q, expected %q", tc.file, tc.value, tc.version, text, tc.want)
		}
		for _, p := range got {
			if _, _, err := gvariant.ParseProperty(p); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		}
	}
	// Quota and period of v1 are two files and one property; the last of a kind counts.
	got := strings.Join(UnitChanges([]Change{{File: "cpu.cfs_period_us", Value: "20000"}, {File: "cpu.cfs_quota_us", Value: "5000"}, {File: "pids.max", Value: "1"},
		{File: "pids.max", Value: "2"}}, &v1, &facts.Systemd{Version: 247}), " ")
	if want := "TasksMax=uint64 2 CPUQuotaPeriodUSec=uint64 20000 CPUQuotaPerSecUSec=uint64 250000"; got != want {
		t.Errorf("%s, expected %s", got, want)
	}
}
