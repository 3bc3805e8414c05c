package specconv

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func memoryOf(m specs.LinuxMemory) specs.LinuxResources { return specs.LinuxResources{Memory: &m} }
func cpuOf(c specs.LinuxCPU) specs.LinuxResources       { return specs.LinuxResources{CPU: &c} }

func TestMemoryV1(t *testing.T) {
	v1 := cgroupsV1()
	for _, tc := range []resourceCase{
		{name: "everything", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(100000)), Reservation: ptr(int64(50000)), Swap: ptr(int64(200000)),
			Kernel: ptr(int64(1)), KernelTCP: ptr(int64(30000)), Swappiness: ptr(uint64(0)), DisableOOMKiller: ptr(true), UseHierarchy: ptr(true)}),
			want: "memory memory.use_hierarchy=1 (memory.useHierarchy)\nmemory memory.limit_in_bytes=100000 (memory.limit)\n" +
				"memory memory.memsw.limit_in_bytes=200000 (memory.swap)\nmemory memory.soft_limit_in_bytes=50000 (memory.reservation)\n" +
				"memory memory.kmem.tcp.limit_in_bytes=30000 (memory.kernelTCP)\nmemory memory.swappiness=0 (memory.swappiness)\n" +
				"memory memory.oom_control=1 (memory.disableOOMKiller)\n"},
		{name: "defaults", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(0)), Swap: ptr(int64(0)), Swappiness: ptr(^uint64(0)),
			DisableOOMKiller: ptr(false), UseHierarchy: ptr(false), Kernel: ptr(int64(-1))}),
			want: "?memory memory.use_hierarchy=0 (memory.useHierarchy)\n"},
		{name: "unlimited", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(-1)), Reservation: ptr(int64(-1)), KernelTCP: ptr(int64(-1))}),
			want: "memory memory.memsw.limit_in_bytes|=-1 (memory.limit)\nmemory memory.limit_in_bytes=-1 (memory.limit)\n" +
				"memory memory.soft_limit_in_bytes=-1 (memory.reservation)\nmemory memory.kmem.tcp.limit_in_bytes=-1 (memory.kernelTCP)\n"},
		{name: "unlimited swap", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(-1))}),
			want: "memory memory.memsw.limit_in_bytes|=-1 (memory.swap)\nmemory memory.limit_in_bytes=4096 (memory.limit)\n"},
		{name: "update", cg: v1, update: true, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(4096)), Swap: ptr(int64(8192)), DisableOOMKiller: ptr(false)}),
			want: "?memory memory.limit_in_bytes=4096 (memory.limit)\nmemory memory.memsw.limit_in_bytes=8192 (memory.swap)\n" +
				"memory memory.limit_in_bytes=4096 (memory.limit)\nmemory memory.oom_control=0 (memory.disableOOMKiller)\n"},
		{name: "update of swap alone", cg: v1, update: true, r: memoryOf(specs.LinuxMemory{Swap: ptr(int64(8192))}),
			want: "memory memory.memsw.limit_in_bytes=8192 (memory.swap)\n"},
		{name: "negative", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(-2)), Reservation: ptr(int64(-5)), KernelTCP: ptr(int64(-3))}),
			errs: "config linux.resources.memory.kernelTCP \"-3\": is neither a number of bytes nor -1 for no limit\n" +
				"config linux.resources.memory.limit \"-2\": is neither a number of bytes nor -1 for no limit\n" +
				"config linux.resources.memory.reservation \"-5\": is neither a number of bytes nor -1 for no limit\n"},
		{name: "swappiness", cg: v1, r: memoryOf(specs.LinuxMemory{Swappiness: ptr(uint64(101))}),
			errs: "config linux.resources.memory.swappiness \"101\": is not between 0 and 100\n"},
		{name: "swap without limit", cg: v1, r: memoryOf(specs.LinuxMemory{Swap: ptr(int64(4096))}),
			errs: "config linux.resources.memory.swap \"4096\": is the limit of memory plus swap and needs memory.limit\n"},
		{name: "swap below limit", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(8192)), Swap: ptr(int64(4096))}),
			want: "memory memory.limit_in_bytes=8192 (memory.limit)\n",
			errs: "config linux.resources.memory.swap \"4096\": is the limit of memory plus swap and cannot be below memory.limit 8192 (memory+swap limit should be >= memory limit)\n"},
		{name: "swap below no limit", cg: v1, r: memoryOf(specs.LinuxMemory{Limit: ptr(int64(-1)), Swap: ptr(int64(4096))}),
			want: "memory memory.memsw.limit_in_bytes|=-1 (memory.limit)\nmemory memory.limit_in_bytes=-1 (memory.limit)\n",
			errs: "config linux.resources.memory.swap \"4096\": is the limit of memory plus swap and cannot be below memory.limit, which is unlimited\n"},
	} {
		tc.run(t)
	}
}

func TestCPUV1(t *testing.T) {
	v1 := cgroupsV1()
	bandwidth := specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Burst: ptr(uint64(20000))}
	realtime := specs.LinuxCPU{RealtimePeriod: ptr(uint64(1000000)), RealtimeRuntime: ptr(int64(950000))}
	for _, tc := range []resourceCase{
		{name: "shares", cg: v1, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(1024))}), want: "cpu,cpuacct cpu.shares=1024 (cpu.shares)\n"},
		{name: "bandwidth", cg: v1, r: cpuOf(bandwidth), want: "cpu,cpuacct cpu.cfs_period_us=100000 (cpu.period)\n" +
			"cpu,cpuacct cpu.cfs_quota_us=50000 (cpu.quota)\ncpu,cpuacct cpu.cfs_burst_us=20000 (cpu.burst)\n"},
		{name: "bandwidth update", cg: v1, update: true, r: cpuOf(bandwidth),
			want: "?cpu,cpuacct cpu.cfs_burst_us=20000 (cpu.burst)\n?cpu,cpuacct cpu.cfs_period_us=100000 (cpu.period)\n" +
				"cpu,cpuacct cpu.cfs_quota_us=50000 (cpu.quota)\ncpu,cpuacct cpu.cfs_period_us=100000 (cpu.period)\n" +
				"cpu,cpuacct cpu.cfs_burst_us=20000 (cpu.burst)\n"},
		{name: "realtime", cg: v1, r: cpuOf(realtime),
			want: "cpu,cpuacct cpu.rt_period_us=1000000 (cpu.realtimePeriod)\ncpu,cpuacct cpu.rt_runtime_us=950000 (cpu.realtimeRuntime)\n"},
		{name: "realtime update", cg: v1, update: true, r: cpuOf(realtime),
			want: "?cpu,cpuacct cpu.rt_period_us=1000000 (cpu.realtimePeriod)\ncpu,cpuacct cpu.rt_runtime_us=950000 (cpu.realtimeRuntime)\n" +
				"cpu,cpuacct cpu.rt_period_us=1000000 (cpu.realtimePeriod)\n"},
		{name: "unlimited", cg: v1, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(-1)), Burst: ptr(uint64(0))}),
			want: "cpu,cpuacct cpu.cfs_quota_us=-1 (cpu.quota)\ncpu,cpuacct cpu.cfs_burst_us=0 (cpu.burst)\n"},
		{name: "zeros are unset", cg: v1, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(0)), Quota: ptr(int64(0)), Period: ptr(uint64(0)),
			RealtimePeriod: ptr(uint64(0)), RealtimeRuntime: ptr(int64(0))})},
		{name: "idle after shares", cg: v1, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(2)), Idle: ptr(int64(1))}),
			want: "cpu,cpuacct cpu.shares=2 (cpu.shares)\ncpu,cpuacct cpu.idle=1 (cpu.idle)\n"},
		{name: "not idle before shares", cg: v1, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(262144)), Idle: ptr(int64(0))}),
			want: "cpu,cpuacct cpu.idle=0 (cpu.idle)\ncpu,cpuacct cpu.shares=262144 (cpu.shares)\n"},
		{name: "mistakes", cg: v1, r: cpuOf(specs.LinuxCPU{Shares: ptr(uint64(1)), Quota: ptr(int64(999)), Period: ptr(uint64(1000001)),
			Burst: ptr(uint64(1000)), Idle: ptr(int64(2))}),
			errs: "config linux.resources.cpu.burst \"1000\": is above cpu.quota 999\n" +
				"config linux.resources.cpu.idle \"2\": is neither 0 nor 1\n" +
				"config linux.resources.cpu.period \"1000001\": is not between 1000 and 1000000 microseconds\n" +
				"config linux.resources.cpu.quota \"999\": is below the kernel's minimum of 1000 microseconds\n" +
				"config linux.resources.cpu.shares \"1\": is not between 2 and 262144\n"},
	} {
		tc.run(t)
	}
}

// blockIO has every field once.
func blockIO() specs.LinuxResources {
	dev := func(major, minor int64) specs.LinuxBlockIODevice {
		return specs.LinuxBlockIODevice{Major: major, Minor: minor}
	}
	rate := func(minor int64, rate uint64) []specs.LinuxThrottleDevice {
		return []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev(8, minor), Rate: rate}}
	}
	return specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		Weight:                  ptr(uint16(500)),
		WeightDevice:            []specs.LinuxWeightDevice{{LinuxBlockIODevice: dev(8, 16), Weight: ptr(uint16(1000))}},
		ThrottleReadBpsDevice:   rate(0, 600),
		ThrottleWriteBpsDevice:  rate(1, 700),
		ThrottleReadIOPSDevice:  rate(2, 800),
		ThrottleWriteIOPSDevice: rate(3, 0),
	}}
}

func TestBlkioV1(t *testing.T) {
	leaves := blockIO()
	leaves.BlockIO = &specs.LinuxBlockIO{LeafWeight: ptr(uint16(10)), WeightDevice: []specs.LinuxWeightDevice{
		{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: 8, Minor: 0}, LeafWeight: ptr(uint16(300))}}}
	wrong := specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{Weight: ptr(uint16(9)), LeafWeight: ptr(uint16(1001)),
		WeightDevice:           []specs.LinuxWeightDevice{{}, {Weight: ptr(uint16(5))}},
		ThrottleReadIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: specs.LinuxBlockIODevice{Major: -1}}}}}
	for _, tc := range []resourceCase{
		{name: "everything", cg: cgroupsV1(), r: blockIO(),
			want: "blkio blkio.weight|blkio.bfq.weight=500 (blockIO.weight)\n" +
				"blkio blkio.weight_device|blkio.bfq.weight_device=8:16 1000 (blockIO.weightDevice[0].weight)\n" +
				"blkio blkio.throttle.read_bps_device=8:0 600 (blockIO.throttleReadBpsDevice[0])\n" +
				"blkio blkio.throttle.write_bps_device=8:1 700 (blockIO.throttleWriteBpsDevice[0])\n" +
				"blkio blkio.throttle.read_iops_device=8:2 800 (blockIO.throttleReadIOPSDevice[0])\n" +
				"blkio blkio.throttle.write_iops_device=8:3 0 (blockIO.throttleWriteIOPSDevice[0])\n"},
		{name: "leaf weights", cg: cgroupsV1(), r: leaves,
			want: "blkio blkio.leaf_weight=10 (blockIO.leafWeight)\nblkio blkio.leaf_weight_device=8:0 300 (blockIO.weightDevice[0].leafWeight)\n"},
		{name: "mistakes", cg: cgroupsV1(), r: wrong,
			errs: "config linux.resources.blockIO.leafWeight \"1001\": is not between 10 and 1000\n" +
				"config linux.resources.blockIO.throttleReadIOPSDevice[0] \"-1:0\": is not a device number\n" +
				"config linux.resources.blockIO.weight \"9\": is not between 10 and 1000\n" +
				"config linux.resources.blockIO.weightDevice[0]: needs weight or leafWeight\n" +
				"config linux.resources.blockIO.weightDevice[1].weight \"5\": is not between 10 and 1000\n"},
	} {
		tc.run(t)
	}
}
