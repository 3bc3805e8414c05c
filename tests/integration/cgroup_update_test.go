package integration

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// updateJSON gives limits as an engine does.
func (b *box) updateJSON(r *specs.LinuxResources) []string {
	b.t.Helper()
	data, err := json.Marshal(r)
	b.must(err)
	file := b.dir + "/io/resources.json"
	b.must(os.WriteFile(file, data, 0o644))
	return []string{"update", "--resources", file, b.id}
}

// TestUpdateFlags: each flag reaches its file, and none another's.
func TestUpdateFlags(t *testing.T) {
	b := newBox(t, prober("quiet", "pause"))
	b.launch()
	for _, c := range []struct {
		flag, controller string
		v1, want1        string // file and value
		v2, want2        string
	}{
		{"--memory=64m", "memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
		{"--memory-swap=0.25G", "memory", "memory.memsw.limit_in_bytes", "268435456", "memory.swap.max", "201326592"},
		{"--memory-reservation=1024kib", "memory", "memory.soft_limit_in_bytes", "1048576", "memory.low", "1048576"},
		{"--kernel-memory-tcp=8388608", "memory", "memory.kmem.tcp.limit_in_bytes", "8388608", "", ""},
		{"--kernel-memory=1m", "memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"},
		{"--cpu-share=512", "cpu", "cpu.shares", "512", "cpu.weight", "59"},
		{"--cpu-period=50000", "cpu", "cpu.cfs_period_us", "50000", "cpu.max", "max 50000"},
		{"--cpu-quota=20000", "cpu", "cpu.cfs_quota_us", "20000", "cpu.max", "20000 50000"},
		{"--cpu-burst=5000", "cpu", "cpu.cfs_burst_us", "5000", "cpu.max.burst", "5000"},
		{"--cpu-period=100000", "cpu", "cpu.cfs_period_us", "100000", "cpu.max", "20000 100000"},
		{"--cpu-idle=1", "cpu", "cpu.idle", "1", "cpu.idle", "1"},
		{"--cpu-idle=0", "cpu", "cpu.idle", "0", "cpu.idle", "0"},
		{"--cpuset-cpus=0", "cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"},
		{"--cpuset-mems=0", "cpuset", "cpuset.mems", "0", "cpuset.mems", "0"},
		{"--pids-limit=7", "pids", "pids.max", "7", "pids.max", "7"},
		{"--pids-limit=0", "pids", "pids.max", "1", "pids.max", "1"},
		{"--pids-limit=-1", "pids", "pids.max", "max", "pids.max", "max"},
		{"--memory=-1", "memory", "memory.limit_in_bytes", "9223372036854771712", "memory.max", "max"},
		{"--cpu-quota=-1", "cpu", "cpu.cfs_quota_us", "-1", "cpu.max", "max 100000"},
	} {
		file, want := c.v1, c.want1
		if b.onV2(c.controller) {
			file, want = c.v2, c.want2
		}
		if file == "" {
			b.refused([]string{"linux.resources.memory.kernelTCP"}, "update", b.id, c.flag)
			continue
		}
		if !isTare && (strings.Contains(c.flag, "burst") || strings.Contains(c.flag, "idle") || strings.Contains(c.flag, "kib") || c.flag == "--pids-limit=0" ||
			strings.Contains(c.flag, "tcp")) {
			continue // runc 1.1 has none of these
		}
		before := b.settings()
		if _, err := os.Stat(b.cgroupAt(c.controller) + "/" + file); err != nil && (strings.Contains(file, "idle") || strings.Contains(file, "burst")) {
			t.Logf("skipped %s: %v", c.flag, err)
			continue
		}
		r := b.call("update", b.id, c.flag)
		if r.Code != 0 || isTare && r.Stderr != "" {
			t.Errorf("update %s: exit code %d\n%s", c.flag, r.Code, r.Stderr)
		}
		expect(t, c.flag, b.limit(c.controller, file), want)
		for at, now := range b.settings() {
			name := at[strings.LastIndexByte(at, '/')+1:]
			related := name == file || strings.Contains(file, "memory") && strings.HasPrefix(name, "memory.memsw.") || strings.HasPrefix(name, "memory.swap.max") ||
				file == "cpu.idle" && (name == "cpu.shares" || strings.HasPrefix(name, "cpu.weight")) || file == "cpu.weight" && name == "cpu.weight.nice"
			if now != before[at] && !related {
				t.Errorf("update %s changed %s from %q to %q", c.flag, at, before[at], now)
			}
		}
	}
	if isTare {
		expect(t, "memory and swap after --memory=-1", b.limits().total, -1)
	}
}

// TestUpdateResources: an engine sends everything, the devices too, on stdin or in
// a file.
func TestUpdateResources(t *testing.T) {
	b := newBox(t, prober("quiet", "wait:/work/go", "mknod:/work/null", "read:/dev/kmsg"))
	b.allow = append(b.allow, "work")
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/kmsg", Type: "c", Major: 1, Minor: 11}}
	b.spec.Process.Args[1] = "wait:/work/go"
	r := b.launch()
	res := &specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
		Memory:  &specs.LinuxMemory{Limit: ptr(int64(32 << 20)), Swap: ptr(int64(64 << 20))},
		CPU:     &specs.LinuxCPU{Shares: ptr(uint64(2048)), Quota: ptr(int64(30000)), Period: ptr(uint64(60000)), Cpus: "0"},
		Pids:    &specs.LinuxPids{Limit: ptr(int64(99))},
	}
	devices := ""
	if !b.onV2("devices") {
		devices = b.limit("devices", "devices.list")
	}
	b.ok(b.updateJSON(res)...)
	expect(t, "limits", b.limits(), limits{memory: 32 << 20, total: 64 << 20, quota: 30000, period: 60000, pids: 99})
	expect(t, "CPUs", b.limit("cpuset", "cpuset.cpus"), "0")
	// Lower and higher again: values that are compared with each other.
	for _, m := range [][2]int64{{16 << 20, 16 << 20}, {256 << 20, 512 << 20}, {8 << 20, 8 << 20}} {
		res.Memory = &specs.LinuxMemory{Limit: &m[0], Swap: &m[1]}
		b.ok(b.updateJSON(res)...)
		expect(t, "limit", b.limits().memory, m[0])
		expect(t, "limit with swap", b.limits().total, m[1])
	}
	for _, c := range [][2]int64{{5000, 10000}, {900000, 1000000}, {2000, 1000}} {
		res.CPU = &specs.LinuxCPU{Quota: &c[0], Period: ptr(uint64(c[1]))}
		b.ok(b.updateJSON(res)...)
		expect(t, "quota", b.limits().quota, c[0])
		expect(t, "period", b.limits().period, c[1])
	}
	if !b.onV2("devices") {
		expect(t, "allowed devices", b.limit("devices", "devices.list"), devices)
	}
	b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
	expect(t, "exit code", b.wait(), 0)
	expect(t, "errno of a device that was never allowed", b.parse(b.output(r)).result("read:/dev/kmsg").Err, int(unix.EPERM))

	b.remove()
	b.edit(prober("quiet", "pause"))
	b.launch()
	b.stdin = b.file("stdin.json", `{"pids":{"limit":12},"bogus":{"x":1}}`)
	b.ok("update", "-r", "-", b.id)
	expect(t, "pids.max", b.limit("pids", "pids.max"), "12")
	if isTare {
		b.stdin = b.file("stdin.json", `{"pids":{"limit":"12"},"memory":{"limit":1.5}}`)
		b.refused([]string{"memory.limit", "pids.limit"}, "update", "--resources=-", b.id)
		b.refused([]string{"--memory", "--resources"}, "update", "--resources=-", "--memory=1g", b.id)
		b.refused([]string{"--resources", "no such file"}, "update", "--resources=/not/there", b.id)
	}
}

// file makes a file for reading.
func (b *box) file(name, text string) *os.File {
	b.t.Helper()
	p := b.dir + "/io/" + name
	b.must(os.WriteFile(p, []byte(text), 0o644))
	f, err := os.Open(p)
	b.must(err)
	b.t.Cleanup(func() { f.Close() })
	return f
}

// TestUpdateRefusals: what is wrong is named, and nothing changes.
func TestUpdateRefusals(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t, memoryLimit(64<<20), prober("quiet", "alloc:16384", "pause"))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(96 << 20))
	b.launch()
	usage := map[bool]string{false: "memory.usage_in_bytes", true: "memory.current"}[b.onV2("memory")]
	b.until("the memory", func() bool { return b.number("memory", usage) > 16<<20 })
	before := b.settings()
	for _, c := range []struct {
		args  []string
		words []string
	}{
		{[]string{"--memory=16x"}, []string{"invalid value for memory", "16x"}},
		{[]string{"--memory=-5"}, []string{"invalid value for memory"}},
		{[]string{"--memory=99999999p"}, []string{"invalid value for memory"}},
		{[]string{"--cpu-share=many", "--cpu-quota=1.5"}, []string{"invalid value for cpu-share", "invalid value for cpu-quota"}},
		{[]string{"--memory=128m"}, []string{"linux.resources.memory.limit", "memory+swap limit should be >= memory limit"}},
		{[]string{"--memory-swap=32m"}, []string{"linux.resources.memory.swap", "memory+swap limit should be >= memory limit"}},
		{[]string{"--memory=32m", "--memory-swap=16m"}, []string{"linux.resources.memory.swap", "memory+swap limit should be >= memory limit"}},
		{[]string{"--cpu-period=5"}, []string{"linux.resources.cpu.period", "1000"}},
		{[]string{"--cpu-idle=3"}, []string{"linux.resources.cpu.idle"}},
		{[]string{"--blkio-weight=5000"}, []string{"linux.resources.blockIO.weight"}},
		{[]string{"--blkio-weight=500000"}, []string{"blkio-weight"}},
		{[]string{"--cpuset-cpus=4095"}, []string{"linux.resources.cpu.cpus", "there are only 0"}},
		{[]string{"--cpuset-cpus=x"}, []string{"linux.resources.cpu.cpus"}},
		{[]string{"--pids-limit=9999999999"}, []string{"linux.resources.pids.limit", "4194304"}},
		{[]string{"--l3-cache-schema=L3:0=f"}, []string{"--l3-cache-schema", "linux.intelRdt"}},
		{[]string{"--mem-bw-schema=none"}, []string{"--mem-bw-schema"}},
		{[]string{"--no-such-limit=1"}, []string{"no-such-limit"}},
		// The first is written when the second is refused.
		{[]string{"--cpu-idle=1", "--memory-reservation=1m", "--pids-limit=9999999999"}, []string{"linux.resources.pids.limit"}},
	} {
		b.refused(c.words, append(append([]string{"update"}, c.args...), b.id)...)
		b.sameSettings(before)
	}
	if !b.onV2("memory") { // v2 takes any limit, and kills for it
		b.refused([]string{"linux.resources.memory.limit", "device or resource busy", "in use: "}, "update", "--cpu-share=100", "--cpu-quota=10000", "--cpuset-cpus=0",
			"--memory=4k", "--memory-swap=4k", b.id)
		b.sameSettings(before)
	}
	check := &specs.LinuxResources{Memory: &specs.LinuxMemory{Limit: ptr(int64(1 << 20)), CheckBeforeUpdate: ptr(true)}}
	b.refused([]string{"rejecting memory limit 1048576"}, b.updateJSON(check)...)
	check.Memory.Swap = ptr(int64(2 << 20))
	b.refused([]string{"rejecting memory limit", "rejecting memory+swap limit 2097152"}, b.updateJSON(check)...)
	check.Unified = map[string]string{"memory.high": "1"}
	check.Network = &specs.LinuxNetwork{ClassID: ptr(uint32(7))}
	check.Memory = nil
	if _, err := os.Stat("/sys/fs/cgroup/net_cls"); err != nil && !b.onV2("memory") {
		b.refused([]string{`linux.resources.unified["memory.high"]`, "does not have the controller memory", "linux.resources.network.classID", "mount -t cgroup -o net_cls net_cls"},
			b.updateJSON(check)...)
	}
	b.sameSettings(before)
}

// TestUpdateRollsBack: when the last write of many is refused, every file has its
// old value again, whatever its form.
func TestUpdateRollsBack(t *testing.T) {
	if !isTare {
		t.Skip("runc does not")
	}
	b := newBox(t, prober("quiet", "pause"), memoryLimit(64<<20))
	image := b.dir + "/image"
	b.must(os.WriteFile(image, make([]byte, 1<<20), 0o644))
	one, two := deviceOf(b, loopDevice(b, image)), deviceOf(b, loopDevice(b, image))
	rate := func(d specs.LinuxBlockIODevice, n uint64) specs.LinuxThrottleDevice {
		return specs.LinuxThrottleDevice{LinuxBlockIODevice: d, Rate: n}
	}
	v1 := !b.onV2("memory")
	res := b.spec.Linux.Resources
	res.BlockIO = &specs.LinuxBlockIO{ThrottleReadBpsDevice: []specs.LinuxThrottleDevice{rate(one, 1000)}}
	res.CPU = &specs.LinuxCPU{Shares: ptr(uint64(300)), Quota: ptr(int64(40000)), Period: ptr(uint64(80000)), Cpus: "0-1"}
	b.launch()
	before := b.settings()
	memory := &specs.LinuxMemory{Limit: ptr(int64(32 << 20)), Swap: ptr(int64(32 << 20)), Reservation: ptr(int64(1 << 20))}
	if v1 { // v2 has neither
		memory.Swappiness, memory.DisableOOMKiller = ptr(uint64(11)), ptr(true)
	}
	b.refused([]string{"linux.resources.blockIO.throttleWriteIOPSDevice[0]", "4095:1048575", "there is no such device"}, b.updateJSON(&specs.LinuxResources{
		CPU:    &specs.LinuxCPU{Shares: ptr(uint64(500)), Quota: ptr(int64(5000)), Period: ptr(uint64(5000)), Cpus: "0", Idle: ptr(int64(1))},
		Memory: memory,
		Pids:   &specs.LinuxPids{Limit: ptr(int64(5))},
		BlockIO: &specs.LinuxBlockIO{
			ThrottleReadBpsDevice:   []specs.LinuxThrottleDevice{rate(one, 2000), rate(two, 3000)},
			ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{rate(specs.LinuxBlockIODevice{Major: 4095, Minor: 1<<20 - 1}, 5)},
		},
	})...)
	b.sameSettings(before)
}

// deviceOf is the number of a block device.
func deviceOf(b *box, path string) specs.LinuxBlockIODevice {
	b.t.Helper()
	var st unix.Stat_t
	b.must(unix.Stat(path, &st))
	return specs.LinuxBlockIODevice{Major: int64(unix.Major(st.Rdev)), Minor: int64(unix.Minor(st.Rdev))}
}

// TestUpdateEffects: limits hold for a program that runs already.
func TestUpdateEffects(t *testing.T) {
	t.Run("more memory", func(t *testing.T) {
		b := newBox(t, prober("quiet", "wait:/work/go", "alloc:49152"), memoryLimit(8<<20))
		b.spec.Linux.Resources.Memory.Swap = ptr(int64(8 << 20))
		b.allow = append(b.allow, "work")
		b.launch()
		b.ok("update", "--memory", "96m", "--memory-swap", "96m", b.id)
		b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
		expect(t, "exit code", b.wait(), 0)
	})
	t.Run("less memory", func(t *testing.T) {
		b := newBox(t, prober("quiet", "wait:/work/go", "alloc:49152"), memoryLimit(96<<20))
		b.allow = append(b.allow, "work")
		b.launch()
		b.ok("update", "--memory", "8m", "--memory-swap", "8m", b.id)
		b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
		expect(t, "exit code", b.wait(), 128+9)
	})
	t.Run("fewer processes", func(t *testing.T) {
		b := newBox(t, prober("quiet", "wait:/work/go", "fork:5"))
		b.allow = append(b.allow, "work")
		r := b.launch()
		b.ok("update", "--pids-limit", "3", b.id)
		b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
		expect(t, "exit code", b.wait(), 0)
		expect(t, "errno of the fork over the limit", b.parse(b.output(r)).result("fork:5").Err, int(unix.EAGAIN))
	})
	t.Run("fewer CPUs", func(t *testing.T) {
		b := newBox(t, prober("quiet", "pause"))
		b.launch()
		b.ok("update", "--cpuset-cpus", "0", b.id)
		if status := readText(t, procPath(b.pid, "status")); !strings.Contains(status, "\nCpus_allowed_list:\t0\n") {
			t.Errorf("the process may still run elsewhere: %s", status)
		}
	})
}
