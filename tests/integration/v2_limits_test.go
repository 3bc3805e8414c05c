//go:build vm

package integration

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func hostCommand(words ...string) (string, error) {
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	return string(out), err
}

const spin = "while :; do :; done"

// TestV2CPUMax: a loop gets a fifth of a processor, and the kernel says that it
// held it back.
func TestV2CPUMax(t *testing.T) {
	b := newV2Box(t)
	b.shellOf(spin)
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(100000)), Burst: ptr(uint64(1000))}
	b.launch()
	expect(t, "cpu.max", b.value("cpu.max"), "20000 100000")
	expect(t, "cpu.max.burst", b.value("cpu.max.burst"), "1000")
	if used := b.cpuTime(3 * time.Second); used < 50 || used > 300 {
		t.Errorf("used %d thousandths of a processor, expected 200", used)
	}
	if b.counter("cpu.stat", "nr_throttled") == 0 {
		t.Error("was never throttled")
	}
	b.remove("--force")
}

// TestV2CPUWeight: two loops on one processor share it by their weights.
func TestV2CPUWeight(t *testing.T) {
	var boxes [2]*box
	for i, shares := range []uint64{256, 4096} {
		b := newV2Box(t)
		b.shared = true
		b.shellOf(spin)
		b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Shares: ptr(shares), Cpus: "1", Mems: "0"}
		b.launch()
		boxes[i] = b
	}
	expect(t, "cpuset.cpus.effective", boxes[0].value("cpuset.cpus.effective"), "1")
	if status := readText(t, procPath(boxes[0].pid, "status")); !strings.Contains(status, "Cpus_allowed_list:\t1\n") {
		t.Errorf("the program may run elsewhere:\n%s", status)
	}
	small, great := boxes[0].value("cpu.weight"), boxes[1].value("cpu.weight")
	s, _ := strconv.Atoi(small)
	g, _ := strconv.Atoi(great)
	if s == 0 || g < 5*s {
		t.Errorf("weights are %s and %s", small, great)
	}
	done := make(chan int64)
	go func() { done <- boxes[0].cpuTime(3 * time.Second) }()
	most := boxes[1].cpuTime(3 * time.Second)
	least := <-done
	if most < 3*least || most < 500 {
		t.Errorf("the heavier one used %d thousandths of the processor, the lighter one %d", most, least)
	}
	for _, b := range boxes {
		b.remove("--force")
	}
}

// TestV2MemoryMax: going over memory.max without swap ends the program, and the
// kernel counts it.
func TestV2MemoryMax(t *testing.T) {
	b := newV2Box(t, memoryLimit(16<<20), prober("quiet", "alloc:65536"))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(16 << 20))
	b.create()
	expect(t, "memory.max", b.value("memory.max"), "16777216")
	expect(t, "memory.swap.max", b.value("memory.swap.max"), "0")
	b.start()
	expect(t, "exit code", b.wait(), 137)
	if n := b.counter("memory.events", "oom_kill"); n != 1 {
		t.Errorf("%d kills, expected 1", n)
	}
	b.remove()
}

// TestV2MemoryHigh: memory.high slows down and reclaims, and does not kill;
// memory.low is what reservation means.
func TestV2MemoryHigh(t *testing.T) {
	withSwap(t)
	b := newV2Box(t, prober("quiet", "alloc:24576", "pause"))
	b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Reservation: ptr(int64(1 << 20))}
	b.spec.Linux.Resources.Unified = map[string]string{"memory.high": "12M", "memory.oom.group": "1"}
	r := b.launch()
	expect(t, "memory.low", b.value("memory.low"), "1048576")
	expect(t, "memory.high", b.value("memory.high"), "12582912")
	expect(t, "memory.oom.group", b.value("memory.oom.group"), "1")
	b.output(r)
	if b.counter("memory.events", "high") == 0 {
		t.Error("went never over memory.high")
	}
	expect(t, "kills", b.counter("memory.events", "oom_kill"), 0)
	b.remove("--force")
}

// withSwap gives the machine 128 MiB of compressed memory to swap to.
func withSwap(t *testing.T) {
	t.Helper()
	hostRun(t, "modprobe", "zram", "num_devices=1")
	if !strings.Contains(readText(t, "/proc/swaps"), "zram0") {
		hostRun(t, "sh", "-c", "echo 1 >/sys/block/zram0/reset; echo 128M >/sys/block/zram0/disksize; mkswap /dev/zram0; swapon /dev/zram0")
	}
	t.Cleanup(func() { hostRun(t, "swapoff", "/dev/zram0") })
}

// TestV2Swap: of memory.swap, which counts both, what is over memory.limit may be
// swapped.
func TestV2Swap(t *testing.T) {
	withSwap(t)
	b := newV2Box(t, memoryLimit(16<<20), prober("quiet", "alloc:32768", "pause"))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(64 << 20))
	r := b.launch()
	b.output(r)
	expect(t, "memory.swap.max", b.value("memory.swap.max"), strconv.Itoa(48<<20))
	used, err := strconv.Atoi(b.value("memory.swap.current"))
	b.must(err)
	if used < 8<<20 {
		t.Errorf("%d bytes are swapped, expected 16 MiB", used)
	}
	expect(t, "kills", b.counter("memory.events", "oom_kill"), 0)
	b.remove("--force")
	b = newV2Box(t, memoryLimit(16<<20), prober("quiet", "alloc:65536"))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(24 << 20))
	expect(t, "exit code over both", b.run().Code, 137)
}

// TestV2PidsMax counts the refusals too.
func TestV2PidsMax(t *testing.T) {
	b := newV2Box(t, prober("fork:9", "pause"))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(4))}
	r := b.launch()
	expect(t, "errno", b.parse(b.output(r)).result("fork:9").Err, 11)
	expect(t, "pids.max", b.value("pids.max"), "4")
	expect(t, "pids.current", b.value("pids.current"), "4")
	expect(t, "refusals", b.counter("pids.events", "max"), 1)
	b.remove("--force")
}

// The scratch disk of the machine.
const diskMajor, diskMinor = 254, 32

// timeToWrite writes 3 MiB to the scratch disk, past the page cache, and returns
// the seconds that it took.
func timeToWrite(t *testing.T, edit func(*specs.LinuxResources)) (*box, float64) {
	t.Helper()
	b := newV2Box(t)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: diskMajor, Minor: diskMinor}}
	b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: ptr(int64(diskMajor)), Minor: ptr(int64(diskMinor)), Access: "rw"})
	edit(b.spec.Linux.Resources)
	b.shellOf("dd if=/dev/zero of=/dev/disk bs=64k count=48 oflag=direct 2>&1 && echo written; exec sleep 1000")
	r := b.create()
	began := time.Now()
	b.start()
	b.until("the disk", func() bool {
		return strings.Contains(readText(t, r.outFile), "\n") && strings.Contains(b.output(r), "written")
	})
	return b, time.Since(began).Seconds()
}

func throttle(rate uint64) []specs.LinuxThrottleDevice {
	d := specs.LinuxThrottleDevice{Rate: rate}
	d.Major, d.Minor = diskMajor, diskMinor
	return []specs.LinuxThrottleDevice{d}
}

// TestV2IOMax: a limit of bytes and one of operations hold a writer back.
func TestV2IOMax(t *testing.T) {
	b, free := timeToWrite(t, func(*specs.LinuxResources) {})
	b.remove("--force")
	b, bytes := timeToWrite(t, func(r *specs.LinuxResources) {
		r.BlockIO = &specs.LinuxBlockIO{ThrottleWriteBpsDevice: throttle(1 << 20)}
	})
	expect(t, "io.max", b.value("io.max"), "254:32 rbps=max wbps=1048576 riops=max wiops=max")
	if stat := b.value("io.stat"); !strings.Contains(stat, "254:32 ") || !strings.Contains(stat, "wbytes=3145728") {
		t.Errorf("io.stat is %q", stat)
	}
	b.remove("--force")
	b, operations := timeToWrite(t, func(r *specs.LinuxResources) {
		r.BlockIO = &specs.LinuxBlockIO{ThrottleWriteIOPSDevice: throttle(16)}
	})
	b.remove("--force")
	// The first second's worth goes through at once.
	if least := min(bytes, operations); least < 1.9 || least < free {
		t.Errorf("writing took %.1f s, with a limit of bytes %.1f s, with one of operations %.1f s; expected 2 s and more for both", free, bytes, operations)
	}
}

// TestV2IOWeight: BFQ has a file of its own, with the config's own range.
func TestV2IOWeight(t *testing.T) {
	hostRun(t, "modprobe", "bfq")
	adjust(t, "/sys/block/vdc/queue/scheduler", "bfq", "none")
	b := newV2Box(t, prober("pause"))
	weight := specs.LinuxWeightDevice{Weight: ptr(uint16(900))}
	weight.Major, weight.Minor = diskMajor, diskMinor
	b.spec.Linux.Resources.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(300)), WeightDevice: []specs.LinuxWeightDevice{weight}}
	b.create()
	expect(t, "io.bfq.weight", b.value("io.bfq.weight"), "default 300\n254:32 900")
	b.remove("--force")
}

// TestV2HugePages: the limit counts what is used and what is reserved.
func TestV2HugePages(t *testing.T) {
	adjust(t, "/proc/sys/vm/nr_hugepages", "8", "0")
	if n := strings.TrimSpace(readText(t, "/proc/sys/vm/nr_hugepages")); n != "8" {
		t.Fatalf("the machine has %s huge pages", n)
	}
	b := newV2Box(t)
	b.spec.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 4 << 20}}
	r := b.probe("huge:3", "huge:2", "read:/proc/self/cgroup")
	expect(t, "errno of three pages", r.result("huge:3").Err, 12)
	expect(t, "errno of two pages", r.result("huge:2").Err, 0)
	b.edit(prober("pause"))
	b.create()
	expect(t, "hugetlb.2MB.max", b.value("hugetlb.2MB.max"), "4194304")
	expect(t, "hugetlb.2MB.rsvd.max", b.value("hugetlb.2MB.rsvd.max"), "4194304")
	b.remove("--force")
}

// TestV2NoSuchResource: what the kernel refuses is told with the config's field,
// and nothing is left.
func TestV2NoSuchResource(t *testing.T) {
	b := newV2Box(t)
	for field, edit := range map[string]func(r *specs.LinuxResources){
		`linux.resources.unified["misc.max"]`: func(r *specs.LinuxResources) { r.Unified = map[string]string{"misc.max": "sev 1"} },
		`linux.resources.rdma.mlx5_1`: func(r *specs.LinuxResources) {
			r.Rdma = map[string]specs.LinuxRdma{"mlx5_1": {HcaHandles: ptr(uint32(1))}}
		},
		`linux.resources.unified["memory.nothing"]`: func(r *specs.LinuxResources) { r.Unified = map[string]string{"memory.nothing": "1"} },
		`linux.resources.unified["dmem.max"]`:       func(r *specs.LinuxResources) { r.Unified = map[string]string{"dmem.max": "1"} },
	} {
		b.spec.Linux.Resources = &specs.LinuxResources{}
		edit(b.spec.Linux.Resources)
		b.createFails(strings.TrimSuffix(field, `"]`))
	}
}

// TestV2Unified sets what only v2 has, and it works.
func TestV2Unified(t *testing.T) {
	b := newV2Box(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), withNamespace(specs.CgroupNamespace, ""))
	b.spec.Linux.Resources.Unified = map[string]string{"cgroup.max.descendants": "1", "pids.max": "7", "io.max": fmt.Sprintf("%d:%d rbps=1048576 wiops=max\n", diskMajor, diskMinor)}
	b.edit(prober("mkdir:/sys/fs/cgroup/a", "mkdir:/sys/fs/cgroup/b", "pause"))
	r := b.launch()
	rep := b.parse(b.output(r))
	expect(t, "errno of the first cgroup", rep.result("mkdir:/sys/fs/cgroup/a").Err, 0)
	expect(t, "errno of the second", rep.result("mkdir:/sys/fs/cgroup/b").Err, 11)
	expect(t, "pids.max", b.value("pids.max"), "7")
	expect(t, "io.max", b.value("io.max"), "254:32 rbps=1048576 wbps=max riops=max wiops=max")
	b.remove("--force")
}
