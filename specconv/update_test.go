package specconv

import (
	"testing"

	specs "github.com/opencontainers/runtime-spec/specs-go"
)

func limitsOf(limit, swap int64) specs.LinuxResources {
	m := &specs.LinuxMemory{}
	if limit != 0 {
		m.Limit = &limit
	}
	if swap != 0 {
		m.Swap = &swap
	}
	return specs.LinuxResources{Memory: m}
}

// An update is held against what the kernel has.
func TestUpdateOfMemoryV1(t *testing.T) {
	now := map[string]string{"memory.limit_in_bytes": "8192", "memory.memsw.limit_in_bytes": "16384", "memory.usage_in_bytes": "4096"}
	free := map[string]string{"memory.limit_in_bytes": "9223372036854771712", "memory.memsw.limit_in_bytes": "9223372036854771712"}
	checked := limitsOf(4096, 4096)
	checked.Memory.CheckBeforeUpdate = ptr(true)
	roomy := limitsOf(4097, 0)
	roomy.Memory.CheckBeforeUpdate = ptr(true)
	for _, tc := range []resourceCase{
		{name: "fall", now: now, r: limitsOf(4096, 8192),
			want: "memory memory.limit_in_bytes=4096 (memory.limit)\nmemory memory.memsw.limit_in_bytes=8192 (memory.swap)\n"},
		{name: "rise within the total", now: now, r: limitsOf(16384, 32768),
			want: "memory memory.limit_in_bytes=16384 (memory.limit)\nmemory memory.memsw.limit_in_bytes=32768 (memory.swap)\n"},
		{name: "rise above the total", now: now, r: limitsOf(20480, 32768),
			want: "memory memory.memsw.limit_in_bytes=32768 (memory.swap)\nmemory memory.limit_in_bytes=20480 (memory.limit)\n"},
		{name: "first limits", now: free, r: limitsOf(4096, 4096),
			want: "memory memory.limit_in_bytes=4096 (memory.limit)\nmemory memory.memsw.limit_in_bytes=4096 (memory.swap)\n"},
		{name: "limit alone", now: now, r: limitsOf(16384, 0), want: "memory memory.limit_in_bytes=16384 (memory.limit)\n"},
		{name: "limit above the total", now: now, r: limitsOf(16385, 0),
			errs: "config linux.resources.memory.limit \"16385\": " + aboveTotal(16384) + "\n"},
		{name: "total below the limit", now: now, r: limitsOf(0, 8191),
			errs: "config linux.resources.memory.swap \"8191\": " + belowLimit(8192) + "\n"},
		{name: "no limits", now: now, r: limitsOf(-1, 0),
			want: "memory memory.memsw.limit_in_bytes|=-1 (memory.limit)\nmemory memory.limit_in_bytes=-1 (memory.limit)\n"},
		{name: "checked", now: now, r: checked,
			errs: "config linux.resources.memory.limit \"4096\": rejecting memory limit 4096 <= usage 4096 (checkBeforeUpdate)\n" +
				"config linux.resources.memory.swap \"4096\": rejecting memory+swap limit 4096 <= usage 4096 (checkBeforeUpdate)\n"},
		{name: "checked and found good", now: now, r: roomy, want: "memory memory.limit_in_bytes=4097 (memory.limit)\n"},
	} {
		tc.cg, tc.update = cgroupsV1(), true
		tc.run(t)
	}
}

// In v2 the total of the config has to be split anew.
func TestUpdateOfMemoryV2(t *testing.T) {
	now := map[string]string{"memory.max": "8192", "memory.swap.max": "8192", "memory.current": "4096"}
	free := map[string]string{"memory.max": "max", "memory.swap.max": "max", "memory.current": "4096"}
	none := map[string]string{"memory.max": "8192", "memory.swap.max": "0", "memory.current": "4096"}
	checked := limitsOf(4096, 0)
	checked.Memory.CheckBeforeUpdate = ptr(true)
	for _, tc := range []resourceCase{
		{name: "both", now: now, r: limitsOf(4096, 12288), want: "v2 memory.swap.max=8192 (memory.swap)\nv2 memory.max=4096 (memory.limit)\n"},
		{name: "limit keeps the total", now: now, r: limitsOf(4096, 0), want: "v2 memory.swap.max=12288 (memory.limit)\nv2 memory.max=4096 (memory.limit)\n"},
		{name: "total keeps the limit", now: now, r: limitsOf(0, 20480), want: "v2 memory.swap.max=12288 (memory.swap)\n"},
		{name: "total of the limit", now: now, r: limitsOf(0, 8192), want: "v2 memory.swap.max|=0 (memory.swap)\n"},
		{name: "limit without a total", now: free, r: limitsOf(4096, 0), want: "v2 memory.max=4096 (memory.limit)\n"},
		{name: "total without a limit", now: free, r: limitsOf(0, 4096),
			errs: "config linux.resources.memory.swap \"4096\": cannot be converted to cgroup v2 without memory.limit\n"},
		{name: "limit above the total", now: none, r: limitsOf(16384, 0), want: "v2 memory.max=16384 (memory.limit)\n",
			errs: "config linux.resources.memory.limit \"16384\": " + aboveTotal(8192) + "\n"},
		{name: "total below the limit", now: now, r: limitsOf(0, 4096),
			errs: "config linux.resources.memory.swap \"4096\": " + belowLimit(8192) + "\n"},
		{name: "no limits", now: now, r: limitsOf(-1, 0), want: "v2 memory.swap.max|=max (memory.limit)\nv2 memory.max=max (memory.limit)\n"},
		{name: "checked", now: now, r: checked,
			errs: "config linux.resources.memory.limit \"4096\": rejecting memory limit 4096 <= usage 4096 (checkBeforeUpdate)\n"},
	} {
		tc.cg, tc.update = cgroupsV2(), true
		tc.run(t)
	}
}

// One file of v2 has quota and period: what is not given stays.
func TestUpdateOfBandwidthV2(t *testing.T) {
	now := map[string]string{"cpu.max": "50000 100000"}
	for _, tc := range []resourceCase{
		{name: "period", now: now, r: cpuOf(specs.LinuxCPU{Period: ptr(uint64(200000))}), want: "v2 cpu.max=50000 200000 (cpu.period)\n"},
		{name: "quota", now: now, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(20000))}), want: "v2 cpu.max=20000 (cpu.quota)\n"},
		{name: "no quota", now: now, r: cpuOf(specs.LinuxCPU{Quota: ptr(int64(-1))}), want: "v2 cpu.max=max (cpu.quota)\n"},
	} {
		tc.cg, tc.update = cgroupsV2(), true
		tc.run(t)
	}
}

// What is asked for is exactly what the plans above look at.
func TestUpdateReads(t *testing.T) {
	r := limitsOf(4096, 0)
	if got := UpdateReads(&r, cgroupsV1()); len(got) != 3 || got[0] != (CgroupFile{2, "memory.limit_in_bytes"}) {
		t.Errorf("v1: %v", got)
	}
	r.CPU = &specs.LinuxCPU{}
	if got := UpdateReads(&r, cgroupsV2()); len(got) != 4 || got[3] != (CgroupFile{0, "cpu.max"}) {
		t.Errorf("v2: %v", got)
	}
	if got := UpdateReads(&specs.LinuxResources{}, cgroupsV1()); got != nil {
		t.Errorf("nothing: %v", got)
	}
	if got := UpdateReads(nil, cgroupsV1()); got != nil {
		t.Errorf("nil: %v", got)
	}
}

// Device rules are no part of an update, and mistakes in them none of its business.
func TestUpdateIsNotAboutDevices(t *testing.T) {
	r := &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}, {Type: "wrong"}}}
	for _, cg := range []UpdateInput{{Resources: r, Cgroup: cgroupsV1()}, {Resources: r, Cgroup: cgroupsV2()}, {Cgroup: cgroupsV1()}} {
		if changes, err := Update(cg); err != nil || len(changes) != 0 {
			t.Errorf("%v, %v", changes, err)
		}
	}
}
