//go:build vm

package integration

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// belowCgroup makes a cgroup for the containers of a test, with its controllers
// passed on, and removes it at the end.
func belowCgroup(t *testing.T, path string, values map[string]string) {
	t.Helper()
	b := &box{t: t}
	all := "+" + strings.Join(strings.Fields(readText(t, v2Root+"/cgroup.controllers")), " +")
	b.must(os.WriteFile(v2Root+"/cgroup.subtree_control", []byte(all), 0))
	b.must(os.Mkdir(v2Root+path, 0o755))
	t.Cleanup(func() { b.must(os.Remove(v2Root + path)) })
	b.must(os.WriteFile(v2Root+path+"/cgroup.subtree_control", []byte(all), 0))
	for file, value := range values {
		b.must(os.WriteFile(v2Root+path+"/"+file, []byte(value), 0))
	}
}

// TestV2MemoryProtection: of two containers that share too little memory, one that
// has memory.low, which is reservation, or memory.min keeps its page cache, and
// one without loses it to the other.
func TestV2MemoryProtection(t *testing.T) {
	const mine, limit = 8 << 20, 24 << 20
	belowCgroup(t, "/tare-protection", map[string]string{"memory.max": strconv.Itoa(limit)})
	left := map[string]int64{}
	for _, protection := range []string{"none", "memory.low", "memory.min"} {
		b := newV2Box(t)
		b.shared = true
		b.spec.Linux.CgroupsPath = "/tare-protection/kept"
		switch protection {
		case "memory.low":
			b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Reservation: ptr(int64(16 << 20))}
		case "memory.min":
			b.spec.Linux.Resources.Unified = map[string]string{"memory.min": "16M"}
		}
		// The pages of a file belong to whoever reads it first after it left the cache.
		b.put("data", strings.Repeat("x", mine), 0o644)
		hostRun(t, "sh", "-c", "sync; echo 1 >/proc/sys/vm/drop_caches")
		b.shellOf("cat /data >/dev/null; echo read; exec sleep 1000")
		r := b.launch()
		b.until("the file", func() bool { return strings.Contains(readText(t, r.outFile), "read") })
		if n := b.counter("memory.stat", "file"); n < mine*9/10 {
			t.Fatalf("%d bytes of page cache after reading %d", n, mine)
		}
		hog := newV2Box(t)
		hog.shared = true
		hog.spec.Linux.CgroupsPath = "/tare-protection/hog"
		hog.shellOf("dd if=/dev/zero of=/big bs=1M count=32 2>/dev/null && cat /big >/dev/null; echo $?")
		hog.allow = append(hog.allow, "big")
		expect(t, "the other's output", hog.run().Stdout, "0\n")
		left[protection] = b.counter("memory.stat", "file")
		b.remove("--force")
	}
	t.Logf("page cache of %d MiB that is left: %v", mine>>20, left)
	if left["none"] > mine/2 || left["memory.low"] < mine*9/10 || left["memory.min"] < mine*9/10 {
		t.Errorf("of %d bytes of page cache were left: %v", mine, left)
	}
}

// TestV2CPUIdle: a loop in an idle cgroup gets next to nothing beside another.
func TestV2CPUIdle(t *testing.T) {
	var boxes [2]*box
	for i, idle := range []int64{1, 0} {
		b := newV2Box(t)
		b.shared = true
		b.shellOf(spin)
		b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Idle: ptr(idle), Cpus: "1", Mems: "0"}
		b.launch()
		expect(t, "cpu.idle", b.value("cpu.idle"), strconv.FormatInt(idle, 10))
		boxes[i] = b
	}
	done := make(chan int64)
	go func() { done <- boxes[0].cpuTime(3 * time.Second) }()
	most := boxes[1].cpuTime(3 * time.Second)
	least := <-done
	t.Logf("thousandths of a processor: idle %d, other %d", least, most)
	if most < 15*least || most < 100 { // the machine itself may be held back
		t.Errorf("the idle one used %d thousandths of the processor, the other %d", least, most)
	}
	// An update wakes it up.
	boxes[1].remove("--force")
	boxes[0].ok("update", "--cpu-idle", "0", boxes[0].id)
	expect(t, "cpu.idle", boxes[0].value("cpu.idle"), "0")
	expect(t, "cpu.weight", boxes[0].value("cpu.weight"), "100")
	boxes[0].remove("--force")
}

// TestV2CPUBurst: who has rested may use more than the quota of one period, and
// without a burst may not.
func TestV2CPUBurst(t *testing.T) {
	for _, burst := range []uint64{0, 50000} {
		b := newV2Box(t)
		// Three tenths of a second of rest, then more work than one quota.
		b.shellOf("while :; do i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.3; done")
		b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Burst: &burst}
		b.launch()
		expect(t, "cpu.max.burst", b.value("cpu.max.burst"), strconv.FormatUint(burst, 10))
		b.until("the quota's end", func() bool {
			return b.counter("cpu.stat", "nr_throttled") > 2 || b.counter("cpu.stat", "nr_bursts") > 2
		})
		bursts, used := b.counter("cpu.stat", "nr_bursts"), b.counter("cpu.stat", "burst_usec")
		t.Logf("with a burst of %d us: %d bursts, %d us", burst, bursts, used)
		if (bursts > 0) != (burst > 0) || (used > 0) != (burst > 0) {
			t.Errorf("with a burst of %d us the kernel counted %d bursts of %d us", burst, bursts, used)
		}
		b.remove("--force")
	}
}

// nullDisk loads a block device that needs 20 ms for each operation, does one at a
// time and keeps nothing: on a disk that is never busy nobody has to share.
func nullDisk(t *testing.T) (major, minor int64) {
	t.Helper()
	hostRun(t, "modprobe", "null_blk", "nr_devices=1", "queue_mode=2", "irqmode=2", "completion_nsec=20000000", "hw_queue_depth=1", "submit_queues=1", "gb=1")
	t.Cleanup(func() { hostRun(t, "rmmod", "null_blk") })
	if _, err := fmt.Sscanf(readText(t, "/sys/block/nullb0/dev"), "%d:%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major, minor
}

// readers are two containers that read the disk as fast as they may. What they
// have been given in four seconds comes back.
func readers(t *testing.T, major, minor int64, edits [2]func(*specs.LinuxResources)) (reads [2]int64) {
	t.Helper()
	var boxes [2]*box
	for i, edit := range edits {
		b := newV2Box(t)
		b.shared = true
		b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: major, Minor: minor}}
		b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices,
			specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: &major, Minor: &minor, Access: "r"})
		edit(b.spec.Linux.Resources)
		// Several at a time, so that the container always has something to wait for.
		b.shellOf("for i in 1 2 3 4; do while :; do dd if=/dev/disk of=/dev/null bs=4k count=2000 iflag=direct 2>/dev/null || exit 1; done & done; wait")
		b.launch()
		boxes[i] = b
	}
	count := func(b *box) int64 {
		for line := range strings.Lines(b.value("io.stat") + "\n") {
			if rest, ok := strings.CutPrefix(line, fmt.Sprintf("%d:%d ", major, minor)); ok {
				_, after, _ := strings.Cut(rest, "rios=")
				n, err := strconv.ParseInt(strings.Fields(after)[0], 10, 64)
				b.must(err)
				return n
			}
		}
		return 0
	}
	for _, b := range boxes {
		b.until("the first reads", func() bool { return count(b) > 3 })
	}
	time.Sleep(time.Second) // in which the kernel gets to know them
	before := [2]int64{count(boxes[0]), count(boxes[1])}
	time.Sleep(4 * time.Second)
	for i, b := range boxes {
		reads[i] = count(b) - before[i]
	}
	for _, b := range boxes {
		b.remove("--force")
	}
	return reads
}

// TestV2IOShares: of a disk that is busy two readers get parts as their weights
// say, from the scheduler BFQ and from the kernel's cost model.
func TestV2IOShares(t *testing.T) {
	major, minor := nullDisk(t)
	weight := func(w uint16) func(*specs.LinuxResources) {
		return func(r *specs.LinuxResources) { r.BlockIO = &specs.LinuxBlockIO{Weight: &w} }
	}
	unified := func(w string) func(*specs.LinuxResources) {
		return func(r *specs.LinuxResources) { r.Unified = map[string]string{"io.weight": w} }
	}
	// A few seconds of an emulated machine may be anybody's: three times they are not.
	check := func(what string, limits [2]func(*specs.LinuxResources), least, most float64) {
		t.Helper()
		for range 3 {
			reads := readers(t, major, minor, limits)
			ratio := float64(reads[1]) / float64(max(reads[0], 1))
			t.Logf("%s: %d and %d reads, 1 to %.1f", what, reads[0], reads[1], ratio)
			if ratio >= least && ratio <= most {
				return
			}
		}
		t.Errorf("%s: expected from %.1f to %.1f", what, least, most)
	}
	hostRun(t, "modprobe", "bfq")
	// Without the guesses about who is interactive, which change weights.
	hostRun(t, "sh", "-c", "echo bfq >/sys/block/nullb0/queue/scheduler; echo 0 >/sys/block/nullb0/queue/iosched/low_latency")
	check("BFQ, 100 and 100", [2]func(*specs.LinuxResources){weight(100), weight(100)}, 0.6, 1.6)
	check("BFQ, 100 and 800", [2]func(*specs.LinuxResources){weight(100), weight(800)}, 1.8, 20)
	hostRun(t, "sh", "-c", "echo none >/sys/block/nullb0/queue/scheduler")
	adjust(t, v2Root+"/io.cost.qos", fmt.Sprintf("%d:%d enable=1 ctrl=user min=100.00 max=100.00", major, minor), fmt.Sprintf("%d:%d enable=0", major, minor))
	adjust(t, v2Root+"/io.cost.model", fmt.Sprintf("%d:%d ctrl=user model=linear rbps=163840 rseqiops=40 rrandiops=40 wbps=163840 wseqiops=40 wrandiops=40", major, minor),
		fmt.Sprintf("%d:%d ctrl=auto", major, minor))
	check("io.cost, 100 and 800", [2]func(*specs.LinuxResources){unified("100"), unified("800")}, 1.8, 20)
}

// TestV2WhatTheKernelLacks: this kernel limits nothing by io.latency, RDMA devices
// or what misc counts. That is shown, and that tare says so.
func TestV2WhatTheKernelLacks(t *testing.T) {
	b := newV2Box(t, prober("pause"))
	b.create()
	for file, there := range map[string]bool{"io.latency": false, "rdma.max": true, "misc.max": true} {
		if _, err := os.Stat(b.cgroup() + "/" + file); (err == nil) != there {
			t.Errorf("%s: %v; the test is to be rewritten for this kernel", file, err)
		}
	}
	expect(t, "what misc counts", strings.TrimSpace(readText(t, v2Root+"/misc.capacity")), "")
	if devices, _ := os.ReadDir("/sys/class/infiniband"); len(devices) != 0 {
		t.Errorf("there are RDMA devices: %v", devices)
	}
	b.remove("--force")
	b.must(os.Remove(b.dir + "/io/pid"))
	for file, want := range map[string][]string{
		"io.latency": {"254:32 target=10000", "CONFIG_BLK_CGROUP_IOLATENCY"},
		"misc.max":   {"sev 1", "misc.capacity"},
		"rdma.max":   {"mlx5_0 hca_handle=2", "no RDMA device"},
	} {
		b.spec.Linux.Resources = &specs.LinuxResources{Unified: map[string]string{file: want[0]}}
		b.createFails(`linux.resources.unified["`+file, want[1])
	}
}

// TestV2ThreadedInside: a container that makes threaded cgroups of its own can be
// listed, executed into, paused, counted and removed.
func TestV2ThreadedInside(t *testing.T) {
	b := newV2Box(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), withNamespace(specs.CgroupNamespace, ""))
	b.shellOf("cd /sys/fs/cgroup && mkdir -p t/deeper && echo threaded >t/cgroup.type && echo threaded >t/deeper/cgroup.type && " +
		"(sleep 1000 & echo $! >t/deeper/cgroup.threads || echo $! >t/cgroup.procs) && cat cgroup.type; exec sleep 1000")
	r := b.launch()
	b.until("the threads", func() bool { return strings.Contains(readText(t, r.outFile), "threaded") })
	expect(t, "type", b.value("cgroup.type"), "domain threaded")
	expect(t, "threads below", len(strings.Fields(b.value("t/deeper/cgroup.threads"))), 1)
	if list := strings.TrimSpace(b.ok("ps", "--format", "json", b.id).Stdout); len(strings.Split(list, ",")) != 2 {
		t.Errorf("ps lists %s", list)
	}
	expect(t, "output of exec", b.ok("exec", b.id, "/bin/busybox", "echo", "in").Stdout, "in\n")
	b.ok("pause", b.id)
	expect(t, "status", b.status(), "paused")
	b.ok("resume", b.id)
	expect(t, "pids", b.stats().Data.Pids.Current, uint64(2))
	b.ok("kill", "--all", b.id, "KILL")
	expect(t, "how it ended", b.wait(), 137)
	b.remove()
	b.nothingLeft()
}

// TestV2ExecTight: where a limit has room for one process only, the one that is run
// is born into the cgroup from within the container's pid namespace. A frozen
// cgroup makes it wait there, before it has done anything; who may trace it finds
// the container's own cgroup, read-only, and nothing above.
func TestV2ExecTight(t *testing.T) {
	for name, edit := range map[string]func(*specs.Spec){"plain": func(*specs.Spec) {}, "user namespace": userNamespace(100000)} {
		b := newV2Box(t, edit, withNamespace(specs.CgroupNamespace, ""), prober("quiet", "pause"))
		b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(2))}
		b.launch()
		b.ok("pause", b.id)
		cmd, done := b.command("exec", "--ignore-paused", b.id, "/prober", "quiet", "exit:5")
		b.must(cmd.Start())
		end := make(chan struct{})
		go func() { _ = cmd.Wait(); close(end) }()
		b.until("the second process", func() bool { return len(strings.Fields(b.value("cgroup.procs"))) == 2 })
		found := 0
		for _, pid := range strings.Fields(b.value("cgroup.procs")) {
			if pid == strconv.Itoa(b.pid) {
				continue
			}
			its, err1 := os.Readlink(procPath(b.pid, "ns/pid"))
			own, err2 := os.Readlink("/proc/" + pid + "/ns/pid")
			if err1 != nil || err2 != nil || its != own {
				t.Errorf("%s: the pid namespaces are %s and %s", name, its, own)
			}
			root, err := os.Stat(procPath(b.pid, "root"))
			b.must(err)
			for _, link := range []string{"cwd", "root"} {
				if to, err := os.Stat("/proc/" + pid + "/" + link); err == nil {
					if !os.SameFile(to, root) {
						t.Errorf("%s: its %s is not the container's root", name, link)
					}
				}
			}
			for _, fd := range mustGlob(t, "/proc/"+pid+"/fd/*") {
				open, err := os.Stat(fd)
				if err != nil || !open.IsDir() || os.SameFile(open, root) {
					continue
				}
				found++
				above, err := os.Stat(fd + "/..")
				if err != nil || !os.SameFile(open, above) {
					t.Errorf("%s: from descriptor %s a way leads up", name, fd)
				}
				if limit := strings.TrimSpace(readText(t, fd+"/pids.max")); limit != "2" {
					t.Errorf("%s: descriptor %s has the limit %q", name, fd, limit)
				}
				if err := os.WriteFile(fd+"/pids.max", []byte("9"), 0); !errors.Is(err, unix.EROFS) {
					t.Errorf("%s: the limit can be raised through descriptor %s: %v", name, fd, err)
				}
			}
		}
		if found == 0 {
			t.Errorf("%s: no directory was open: nothing was proven", name)
		}
		b.ok("resume", b.id)
		<-end
		expect(t, "exit code", done().Code, 5)
		b.remove("--force")
	}
}
