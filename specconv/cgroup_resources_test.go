package specconv

import (
	"strings"
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
)

// Three layouts of a host: every controller in v1, everything in v2, and the
// mixture that has v1 controllers beside a v2 tree with hugetlb.
func cgroupsV1() *facts.Cgroup {
	cg := &facts.Cgroup{}
	for _, n := range []string{"cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "net_cls", "net_prio", "rdma"} {
		cg.Hierarchies = append(cg.Hierarchies, facts.Hierarchy{Name: n, Controllers: strings.Split(n, ","), Mount: "/sys/fs/cgroup/" + n, Own: "/"})
	}
	return cg
}

func cgroupsV2() *facts.Cgroup {
	return &facts.Cgroup{Unified: true, Hierarchies: []facts.Hierarchy{{Mount: "/sys/fs/cgroup", Own: "/", V2: true,
		Controllers: []string{"cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"}}}}
}

func cgroupsHybrid() *facts.Cgroup {
	cg := &facts.Cgroup{}
	for _, n := range []string{"memory", "pids"} {
		cg.Hierarchies = append(cg.Hierarchies, facts.Hierarchy{Name: n, Controllers: []string{n}, Mount: "/cg/" + n, Own: "/"})
	}
	cg.Hierarchies = append(cg.Hierarchies, facts.Hierarchy{Controllers: []string{"hugetlb"}, Mount: "/cg/unified", Own: "/", V2: true})
	return cg
}

func ptr[T any](v T) *T { return &v }

// describe prints writes as "hierarchy file=value (field)", "?" marking those
// that may fail; the linux.resources prefix is left out.
func describe(cg *facts.Cgroup, writes []resourceWrite) string {
	var b strings.Builder
	for _, w := range writes {
		if w.ignore {
			b.WriteString("?")
		}
		name := cg.Hierarchies[w.hierarchy].Name
		if cg.Hierarchies[w.hierarchy].V2 {
			name = "v2"
		}
		b.WriteString(name + " " + w.file + "=" + w.value + " (" + strings.TrimPrefix(w.field, "linux.resources.") + ")\n")
	}
	return b.String()
}

// resourceCase is one config on one host; want and errs are lines, and an error
// line starts with its class.
type resourceCase struct {
	name   string
	cg     *facts.Cgroup
	r      specs.LinuxResources
	update bool
	now    map[string]string
	want   string
	errs   string
}

// run leaves the writes of device rules out, which have tests of their own.
func (tc resourceCase) run(t *testing.T) {
	t.Helper()
	t.Run(tc.name, func(t *testing.T) {
		var errs field.List
		var all, writes []resourceWrite
		if tc.update {
			writes = updateWrites(&tc.r, tc.cg, tc.now, &errs)
		} else {
			all = resourceWrites(&tc.r, tc.cg, &errs)
		}
		for _, w := range all {
			if !strings.HasPrefix(w.file, "devices.") {
				writes = append(writes, w)
			}
		}
		if got := describe(tc.cg, writes); got != tc.want {
			t.Errorf("writes\n%swant\n%s", got, tc.want)
		}
		var got strings.Builder
		for _, e := range errs.All() {
			got.WriteString(e.Class.String() + " " + e.Error() + "\n")
		}
		if got.String() != tc.errs {
			t.Errorf("errors\n%swant\n%s", got.String(), tc.errs)
		}
	})
}

func TestSharedControllers(t *testing.T) {
	limit := func(n int64) specs.LinuxResources { return specs.LinuxResources{Pids: &specs.LinuxPids{Limit: &n}} }
	huge := specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 209715200}, {Pagesize: "64KB", Limit: 0}}}
	rdma := specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{
		"mlx5_1": {HcaHandles: ptr(uint32(3)), HcaObjects: ptr(uint32(10000))}, "mlx4_0": {HcaObjects: ptr(uint32(0))}}}
	for _, tc := range []resourceCase{
		{name: "nothing", cg: cgroupsV1()},
		{name: "pids", cg: cgroupsV1(), r: limit(32771), want: "pids pids.max=32771 (pids.limit)\n"},
		{name: "pids zero", cg: cgroupsV2(), r: limit(0), want: "v2 pids.max=1 (pids.limit)\n"},
		{name: "pids unlimited", cg: cgroupsV1(), r: limit(-1), want: "pids pids.max=max (pids.limit)\n"},
		{name: "pids absent", cg: cgroupsV1(), r: specs.LinuxResources{Pids: &specs.LinuxPids{}}},
		{name: "cpuset", cg: cgroupsV1(), r: specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0-3,7", Mems: "0"}},
			want: "cpuset cpuset.cpus=0-3,7 (cpu.cpus)\ncpuset cpuset.mems=0 (cpu.mems)\n"},
		{name: "cpuset v2", cg: cgroupsV2(), r: specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "0, 2"}}, want: "v2 cpuset.cpus=0, 2 (cpu.cpus)\n"},
		{name: "cpuset mistakes", cg: cgroupsV1(), r: specs.LinuxResources{CPU: &specs.LinuxCPU{Cpus: "3-1", Mems: "0,"}},
			errs: "config linux.resources.cpu.cpus \"3-1\": is not a list of numbers and ranges like 0-3,7\n" +
				"config linux.resources.cpu.mems \"0,\": is not a list of numbers and ranges like 0-3,7\n"},
		{name: "hugetlb v1", cg: cgroupsV1(), r: huge,
			want: "hugetlb hugetlb.2MB.limit_in_bytes=209715200 (hugepageLimits[0])\n" +
				"hugetlb hugetlb.2MB.rsvd.limit_in_bytes|=209715200 (hugepageLimits[0])\n" +
				"hugetlb hugetlb.64KB.limit_in_bytes=0 (hugepageLimits[1])\n" +
				"hugetlb hugetlb.64KB.rsvd.limit_in_bytes|=0 (hugepageLimits[1])\n"},
		{name: "hugetlb in the v2 tree of a hybrid host", cg: cgroupsHybrid(), r: specs.LinuxResources{HugepageLimits: huge.HugepageLimits[:1]},
			want: "v2 hugetlb.2MB.max=209715200 (hugepageLimits[0])\nv2 hugetlb.2MB.rsvd.max|=209715200 (hugepageLimits[0])\n"},
		{name: "rdma", cg: cgroupsV1(), r: rdma,
			want: "rdma rdma.max=mlx4_0 hca_object=0 (rdma.mlx4_0)\nrdma rdma.max=mlx5_1 hca_handle=3 hca_object=10000 (rdma.mlx5_1)\n"},
		{name: "rdma mistakes", cg: cgroupsV2(), r: specs.LinuxResources{Rdma: map[string]specs.LinuxRdma{"a\nb": {HcaObjects: ptr(uint32(1))}, "c": {}}},
			errs: "config linux.resources.rdma.c: needs hcaHandles or hcaObjects\n" +
				"config linux.resources.rdma[\"a\\nb\"] \"a\\nb\": is not the name of an RDMA device\n"},
		{name: "network", cg: cgroupsV1(), r: specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(1048577)),
			Priorities: []specs.LinuxInterfacePriority{{Name: "eth0", Priority: 500}, {Name: "lo", Priority: 0}}}},
			want: "net_cls net_cls.classid=1048577 (network.classID)\nnet_prio net_prio.ifpriomap=eth0 500 (network.priorities[0])\n" +
				"net_prio net_prio.ifpriomap=lo 0 (network.priorities[1])\n"},
		{name: "network mistakes", cg: cgroupsV1(), r: specs.LinuxResources{Network: &specs.LinuxNetwork{
			Priorities: []specs.LinuxInterfacePriority{{Name: "eth0 5"}, {Name: "0123456789abcdef"}}}},
			errs: "config linux.resources.network.priorities[0].name \"eth0 5\": is not the name of a network interface\n" +
				"config linux.resources.network.priorities[1].name \"0123456789abcdef\": is not the name of a network interface\n"},
	} {
		tc.run(t)
	}
}

func TestPageSizeIsNoPath(t *testing.T) {
	for _, size := range []string{"", "2", "MB", "02MB", "2mb", "2M", "2TB", "../2MB", "2MB/..", "2MB.rsvd", "-2MB", "2\x00MB", "123456789MB", "2MB\n"} {
		var errs field.List
		r := specs.LinuxResources{HugepageLimits: []specs.LinuxHugepageLimit{{Pagesize: size, Limit: 1}}}
		if w := updateWrites(&r, cgroupsV1(), nil, &errs); len(w) != 0 || errs.Len() != 1 {
			t.Errorf("%q: %d writes, %d errors", size, len(w), errs.Len())
			continue
		}
		if e := errs.All()[0]; e.Path != "linux.resources.hugepageLimits[0].pageSize" || e.Value != size {
			t.Errorf("%q: %v", size, e)
		}
	}
}

func TestMissingControllerSaysHowToMountIt(t *testing.T) {
	net := specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(7)), Priorities: []specs.LinuxInterfacePriority{{Name: "lo"}}}}
	mem := specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(8192)), Swappiness: ptr(uint64(0))}}
	noMemory := cgroupsV2()
	noMemory.Hierarchies[0].Controllers = []string{"pids"}
	for _, tc := range []resourceCase{
		{name: "hybrid", cg: cgroupsHybrid(), r: net,
			errs: "host linux.resources.network.classID \"7\": the cgroup controller net_cls is not mounted; mount it with: mkdir -p /cg/net_cls && mount -t cgroup -o net_cls net_cls /cg/net_cls\n" +
				"host linux.resources.network.priorities[0] \"lo 0\": the cgroup controller net_prio is not mounted; mount it with: mkdir -p /cg/net_prio && mount -t cgroup -o net_prio net_prio /cg/net_prio\n"},
		{name: "unified", cg: cgroupsV2(), r: specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(7))}},
			errs: "host linux.resources.network.classID \"7\": the controller net_cls exists only in cgroup v1 and is not mounted; mount it with: mkdir -p /run/net_cls && mount -t cgroup -o net_cls net_cls /run/net_cls\n"},
		{name: "class 0 is no class", cg: cgroupsHybrid(), r: specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(0))}}},
		{name: "every field once", cg: &facts.Cgroup{}, r: mem,
			errs: "host linux.resources.memory.limit \"4096\": the cgroup controller memory is not mounted; mount it with: mkdir -p /sys/fs/cgroup/memory && mount -t cgroup -o memory memory /sys/fs/cgroup/memory\n" +
				"host linux.resources.memory.swap \"8192\": the cgroup controller memory is not mounted; mount it with: mkdir -p /sys/fs/cgroup/memory && mount -t cgroup -o memory memory /sys/fs/cgroup/memory\n" +
				"host linux.resources.memory.swappiness \"0\": the cgroup controller memory is not mounted; mount it with: mkdir -p /sys/fs/cgroup/memory && mount -t cgroup -o memory memory /sys/fs/cgroup/memory\n"},
		{name: "unified without memory", cg: noMemory, r: specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(4096))}},
			errs: "host linux.resources.memory.limit \"4096\": the cgroup v2 tree does not offer the controller memory (cgroup.controllers): the kernel lacks it, cgroup_disable= turned it off, or it was not delegated\n"},
		{name: "unified without io", cg: noMemory, r: specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(10))}},
			errs: "host linux.resources.blockIO.weight \"10\": the cgroup v2 tree does not offer the controller io (cgroup.controllers): the kernel lacks it, cgroup_disable= turned it off, or it was not delegated\n"},
	} {
		tc.run(t)
	}
}

func TestResourceWritesRepeatThemselves(t *testing.T) {
	r := specs.LinuxResources{Unified: map[string]string{}, Rdma: map[string]specs.LinuxRdma{}}
	for _, n := range strings.Split("a b c d e f g h i j k l", " ") {
		r.Unified["misc."+n] = n
		r.Rdma[n] = specs.LinuxRdma{HcaObjects: ptr(uint32(1))}
	}
	var errs field.List
	first := describe(cgroupsV2(), resourceWrites(&r, cgroupsV2(), &errs))
	for range 20 {
		if again := describe(cgroupsV2(), resourceWrites(&r, cgroupsV2(), &errs)); again != first {
			t.Fatalf("%s\nthen\n%s", first, again)
		}
	}
	if errs.Len() != 0 || !strings.Contains(first, "misc.l=l") {
		t.Error(errs.Err(), first)
	}
}
