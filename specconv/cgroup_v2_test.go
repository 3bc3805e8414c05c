package specconv

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func TestMemoryV2(t *testing.T) {
	v2 := cgroupsV2()
	for _, tc := range []resourceCase{
		{name: "limits", cg: v2, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(100000)), Reservation: ptr(int64(50000)), Swap: ptr(int64(250000)), Kernel: ptr(int64(1))}),
			want: "v2 memory.swap.max=150000 (memory.swap)\nv2 memory.max=100000 (memory.limit)\nv2 memory.low=50000 (memory.reservation)\n"},
		{name: "no swap", cg: v2, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(4096))}),
			want: "v2 memory.swap.max|=0 (memory.swap)\nv2 memory.max=4096 (memory.limit)\n"},
		{name: "unlimited swap", cg: v2, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(-1))}),
			want: "v2 memory.swap.max|=max (memory.swap)\nv2 memory.max=4096 (memory.limit)\n"},
		{name: "unlimited", cg: v2, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(-1)), Reservation: ptr(int64(-1))}),
			want: "v2 memory.swap.max|=max (memory.limit)\nv2 memory.max=max (memory.limit)\nv2 memory.low=max (memory.reservation)\n"},
		{name: "defaults of v1", cg: v2, r: memoryOf(specs.LinuxMemory{Swappiness: ptr(^uint64(0)), DisableOOMKiller: ptr(false),
			UseHierarchy: ptr(true), KernelTCP: ptr(int64(-1))})},
		{name: "what v2 does not have", cg: v2, r: memoryOf(specs.LinuxMemory{KernelTCP: ptr(int64(7)), Swappiness: ptr(uint64(60)), DisableOOMKiller: ptr(true)}),
			errs: "host linux.resources.memory.disableOOMKiller \"true\": cgroup v2 has no switch for the OOM killer\n" +
				"host linux.resources.memory.kernelTCP \"7\": cgroup v2 has no limit for TCP buffers\n" +
				"host linux.resources.memory.swappiness \"60\": cgroup v2 has no swappiness\n"},
		{name: "update of swap alone", cg: v2, update: true, r: memoryOf(specs.LinuxMemory{Swap: ptr(int64(8192))}),
			errs: "config linux.resources.memory.swap \"8192\": cannot be converted to cgroup v2 without memory.limit\n"},
		{name: "swap below limit", cg: v2, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(8192)), Swap: ptr(int64(4096))}),
			want: "v2 memory.max=8192 (memory.limit)\n",
			errs: "config linux.resources.memory.swap \"4096\": is the limit of memory plus swap and cannot be below memory.limit 8192 (memory+swap limit should be >= memory limit)\n"},
	} {
		tc.run(t)
	}
}

func TestCPUV2(t *testing.T) {
	v2 := cgroupsV2()
	for _, tc := range []resourceCase{
		{name: "everything", cg: v2, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(1024)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Burst: ptr(uint64(20000))}),
			want: "v2 cpu.weight=100 (cpu.shares)\nv2 cpu.max=50000 100000 (cpu.quota)\nv2 cpu.max.burst=20000 (cpu.burst)\n"},
		{name: "quota alone", cg: v2, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(50000))}), want: "v2 cpu.max=50000 (cpu.quota)\n"},
		{name: "period alone", cg: v2, r: cpuOf(specs.LinuxCPU{Period: ptr(uint64(50000))}), want: "v2 cpu.max=max 50000 (cpu.period)\n"},
		{name: "unlimited", cg: v2, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(-1))}), want: "v2 cpu.max=max (cpu.quota)\n"},
		{name: "update", cg: v2, update: true, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(50000)), Burst: ptr(uint64(20000))}),
			want: "?v2 cpu.max.burst=20000 (cpu.burst)\nv2 cpu.max=50000 (cpu.quota)\nv2 cpu.max.burst=20000 (cpu.burst)\n"},
		{name: "idle", cg: v2, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(512)), Idle: ptr(int64(1))}),
			want: "v2 cpu.weight=59 (cpu.shares)\nv2 cpu.idle=1 (cpu.idle)\n"},
		{name: "realtime", cg: v2, r: cpuOf(specs.LinuxCPU{RealtimePeriod: ptr(uint64(5)), RealtimeRuntime: ptr(int64(4))}),
			errs: "host linux.resources.cpu.realtimePeriod \"5\": cgroup v2 has no realtime scheduling limits\n" +
				"host linux.resources.cpu.realtimeRuntime \"4\": cgroup v2 has no realtime scheduling limits\n"},
	} {
		tc.run(t)
	}
}

// The three points that the curve was made for, the published value for a
// tenth of a CPU, and what lies outside the range.
func TestCPUWeight(t *testing.T) {
	for _, c := range []struct{ shares, weight uint64 }{
		{0, 1}, {1, 1}, {2, 1}, {102, 17}, {1024, 100}, {262144, 10000}, {262145, 10000}, {1 << 63, 10000},
	} {
		if got := cpuWeight(c.shares); got != c.weight {
			t.Errorf("cpuWeight(%d) = %d, want %d", c.shares, got, c.weight)
		}
	}
	for s := uint64(1); s < 262200; s++ {
		if cpuWeight(s+1) < cpuWeight(s) {
			t.Fatalf("falls at %d shares", s)
		}
	}
}

func TestIOV2(t *testing.T) {
	leaves := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{LeafWeight: ptr(uint16(10)), WeightDevice: []specs.LinuxWeightDevice{{LeafWeight: ptr(uint16(300))}}}}
	for _, tc := range []resourceCase{
		{name: "everything", cg: cgroupsV2(), r: blockIO(),
			want: "v2 io.bfq.weight|io.weight=500|4950 (blockIO.weight)\n" +
				"v2 io.bfq.weight|io.weight=8:16 1000|8:16 10000 (blockIO.weightDevice[0].weight)\n" +
				"v2 io.max=8:0 rbps=600 (blockIO.throttleReadBpsDevice[0])\nv2 io.max=8:1 wbps=700 (blockIO.throttleWriteBpsDevice[0])\n" +
				"v2 io.max=8:2 riops=800 (blockIO.throttleReadIOPSDevice[0])\nv2 io.max=8:3 wiops=max (blockIO.throttleWriteIOPSDevice[0])\n"},
		{name: "leaf weights", cg: cgroupsV2(), r: leaves,
			errs: "host linux.resources.blockIO.leafWeight \"10\": cgroup v2 has no leaf weight\n" +
				"host linux.resources.blockIO.weightDevice[0].leafWeight \"300\": cgroup v2 has no leaf weight\n"},
	} {
		tc.run(t)
	}
}

func TestUnified(t *testing.T) {
	of := func(kv ...string) specs.LinuxResources {
		m := map[string]string{}
		for i := 0; i < len(kv); i += 2 {
			m[kv[i]] = kv[i+1]
		}
		return specs.LinuxResources{Unified: m}
	}
	for _, tc := range []resourceCase{
		{name: "sorted, line by line", cg: cgroupsV2(), r: of("memory.high", "4096", "io.max", "259:0 rbps=2097152 wiops=120\n253:0 rbps=2097152\n", "cgroup.max.depth", "3", "cpuset.cpus", ""),
			want: "v2 cgroup.max.depth=3 (unified[\"cgroup.max.depth\"])\nv2 cpuset.cpus= (unified[\"cpuset.cpus\"])\n" +
				"v2 io.max=259:0 rbps=2097152 wiops=120 (unified[\"io.max\"])\nv2 io.max=253:0 rbps=2097152 (unified[\"io.max\"])\n" +
				"v2 memory.high=4096 (unified[\"memory.high\"])\n"},
		{name: "last word", cg: cgroupsV2(), r: specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(5))}, Unified: map[string]string{"pids.max": "6"}},
			want: "v2 pids.max=5 (pids.limit)\nv2 pids.max=6 (unified[\"pids.max\"])\n"},
		{name: "update", cg: cgroupsV2(), update: true, r: of("misc.max", "res_a 1"), want: "v2 misc.max=res_a 1 (unified[\"misc.max\"])\n"},
		{name: "hybrid", cg: cgroupsHybrid(), r: of("hugetlb.1GB.max", "0", "memory.max", "1"),
			want: "v2 hugetlb.1GB.max=0 (unified[\"hugetlb.1GB.max\"])\n",
			errs: "host linux.resources.unified[\"memory.max\"] \"1\": the cgroup v2 tree does not have the controller memory\n"},
		{name: "v1", cg: cgroupsV1(), r: of("memory.max", "1"),
			errs: "host linux.resources.unified[\"memory.max\"] \"1\": needs cgroup v2, and this host has only cgroup v1 mounted\n"},
		{name: "mistakes", cg: cgroupsV2(), r: of("../x.y", "1", "memory", "2", ".max", "3", "pids.", "4", "pids.max|pids.x", "5", "cgroup.procs", "0", "dmem.max", "7", "pids.ma x", "8", "pids.max", "9\x00"),
			errs: "config linux.resources.unified.memory \"2\": must be the name of a cgroup v2 file: controller.name\n" +
				"config linux.resources.unified[\"../x.y\"] \"1\": must be a file name without slashes\n" +
				"config linux.resources.unified[\".max\"] \"3\": must be the name of a cgroup v2 file: controller.name\n" +
				"config linux.resources.unified[\"cgroup.procs\"] \"0\": would move, end or stop processes; it is not a limit\n" +
				"host linux.resources.unified[\"dmem.max\"] \"7\": the cgroup v2 tree does not have the controller dmem\n" +
				"config linux.resources.unified[\"pids.\"] \"4\": must be the name of a cgroup v2 file: controller.name\n" +
				"config linux.resources.unified[\"pids.ma x\"] \"8\": is not the name of a cgroup v2 file\n" +
				"config linux.resources.unified[\"pids.max\"] \"9\\x00\": must not contain a NUL byte\n" +
				"config linux.resources.unified[\"pids.max|pids.x\"] \"5\": is not the name of a cgroup v2 file\n"},
	} {
		tc.run(t)
	}
}
