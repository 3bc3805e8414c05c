package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestCPUQuota: two processes that want a CPU each get half of one together.
func TestCPUQuota(t *testing.T) {
	b := newShellBox(t, "while :; do :; done & while :; do :; done")
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000))}
	b.launch()
	allowed := 0.5
	// On a machine that is busy with other things, less is left than half a CPU.
	for end := time.Now().Add(3 * time.Second); b.field("cpu", "cpu.stat", "nr_throttled") == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			allowed = 0.1
			b.ok("update", "--cpu-quota", "10000", b.id)
			b.until("the first throttling", func() bool { return b.field("cpu", "cpu.stat", "nr_throttled") > 0 })
		}
	}
	start, used := time.Now(), b.cpuUsed()
	throttled, periods := b.field("cpu", "cpu.stat", "nr_throttled"), b.field("cpu", "cpu.stat", "nr_periods")
	time.Sleep(1500 * time.Millisecond) // what is measured is what happens in this time
	used = b.cpuUsed() - used
	part := float64(used) / float64(time.Since(start))
	// A quota is handed out in slices of 5 ms for each CPU, so that a period can go over it.
	if part > 1.3*allowed+0.03 {
		t.Errorf("%.1f of a CPU were allowed, and %.2f used", allowed, part)
	}
	throttled, periods = b.field("cpu", "cpu.stat", "nr_throttled")-throttled, b.field("cpu", "cpu.stat", "nr_periods")-periods
	// Other load on the machine can only take away: then the quota is not what limits.
	if part > 0.8*allowed && throttled*2 < periods {
		t.Errorf("throttled in %d of %d periods", throttled, periods)
	}
	b.ok("update", "--cpu-quota", "-1", b.id)
	expect(t, "quota", b.limits().quota, -1)
	start, used = time.Now(), b.cpuUsed()
	throttled = b.field("cpu", "cpu.stat", "nr_throttled")
	time.Sleep(500 * time.Millisecond)
	t.Logf("%.1f of a CPU: %.2f used; without a quota: %.2f", allowed, part, float64(b.cpuUsed()-used)/float64(time.Since(start)))
	expect(t, "periods throttled without a quota", b.field("cpu", "cpu.stat", "nr_throttled"), throttled)
}

// TestCPUSet: the kernel lets the process run on the CPUs of the list and no other.
func TestCPUSet(t *testing.T) {
	all := strings.TrimSpace(readText(t, "/sys/devices/system/cpu/online"))
	if all == "0" {
		t.Skip("one CPU is online: there is no other to be kept from")
	}
	for _, list := range []string{"1", "0", "0-1"} {
		b := newBox(t, func(s *specs.Spec) { s.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: list, Mems: "0"} })
		status := b.probe("read:/proc/self/status").result("read:/proc/self/status").Data
		for line, want := range map[string]string{"Cpus_allowed_list": list, "Mems_allowed_list": "0"} {
			if !strings.Contains(status, line+":\t"+want+"\n") {
				t.Errorf("with cpus %q: %s is not %s in %s", list, line, want, status)
			}
		}
	}
}

// TestCPUShares: of two containers on one CPU, one with three times the share has
// three times as much of it.
func TestCPUShares(t *testing.T) {
	var boxes [2]*box
	for i, shares := range []uint64{3072, 1024} {
		boxes[i] = newShellBox(t, "while :; do :; done", func(s *specs.Spec) {
			s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: &shares, Cpus: "0"}
		})
		boxes[i].shared = true
		boxes[i].launch()
	}
	usage := func(b *box) float64 { return float64(b.cpuUsed()) }
	first, second := usage(boxes[0]), usage(boxes[1])
	for end := time.Now().Add(patience); usage(boxes[0])-first < 1.5e9 && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	ratio := (usage(boxes[0]) - first) / (usage(boxes[1]) - second)
	if ratio < 2 || ratio > 4.5 {
		t.Errorf("shares of 3 to 1 gave CPU times of %.2f to 1", ratio)
	}
	for _, b := range boxes {
		b.remove("--force")
	}
}

// TestBlockIO: direct writes to a device take as long as its rate demands, and the
// weight is BFQ's.
func TestBlockIO(t *testing.T) {
	b := newShellBox(t, "")
	image := b.dir + "/image"
	b.must(os.WriteFile(image, make([]byte, 8<<20), 0o644))
	path := loopDevice(b, image)
	dev := deviceOf(b, path)
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: dev.Major, Minor: dev.Minor}}
	b.spec.Linux.Resources.Devices = append(b.spec.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "b", Major: &dev.Major, Minor: &dev.Minor, Access: "rwm"})
	b.spec.Process.Args[2] = "busybox dd if=/dev/zero of=/dev/disk bs=256k count=16 oflag=direct 2>/work/err || busybox cat /work/err"
	write := func() time.Duration {
		start := time.Now()
		r := b.run()
		expect(t, "exit code", r.Code, 0)
		if r.Stdout != "" {
			t.Fatal(r.Stdout)
		}
		return time.Since(start)
	}
	free := write()
	b.spec.Linux.Resources.BlockIO = &specs.LinuxBlockIO{ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: 2 << 20}}}
	slow := write()
	// 4 MiB at 2 MiB a second.
	if slow < 1500*time.Millisecond {
		t.Errorf("4 MiB were written in %v, although only 2 MiB a second are allowed (%v without a limit)", slow, free)
	}
	b.spec.Linux.Resources.BlockIO = &specs.LinuxBlockIO{ThrottleWriteIOPSDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: 10}}}
	// 16 writes, 10 a second.
	if slow := write(); slow < 1000*time.Millisecond {
		t.Errorf("16 writes took %v, although only 10 a second are allowed (%v without a limit)", slow, free)
	}
	// While it runs: the counters have the bytes, and an update lets it go on.
	b.spec.Linux.Resources.BlockIO = &specs.LinuxBlockIO{Weight: ptr(uint16(200)),
		ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: 64 << 10}}}
	if _, err := os.Stat("/sys/fs/cgroup/blkio/blkio.bfq.weight"); err != nil {
		b.spec.Linux.Resources.BlockIO.Weight = nil
	}
	rates := map[bool]string{false: "blkio.throttle.write_bps_device", true: "io.max"}[b.onV2("blkio")]
	b.launch()
	var written uint64
	b.until("the first write", func() bool {
		for _, l := range b.stats().Data.Blkio.Bytes {
			if int64(l.Major) == dev.Major && int64(l.Minor) == dev.Minor && l.Op == "Write" {
				written = l.Value
			}
		}
		return written > 0
	})
	if written > 2<<20 {
		t.Errorf("%d bytes were written at once", written)
	}
	if b.spec.Linux.Resources.BlockIO.Weight != nil {
		expect(t, "weight", strings.TrimPrefix(b.limit("blkio", "blkio.bfq.weight"), "default "), "200")
		b.ok("update", "--blkio-weight", "321", b.id)
		expect(t, "weight", strings.TrimPrefix(b.limit("blkio", "blkio.bfq.weight"), "default "), "321")
	}
	b.ok(b.updateJSON(&specs.LinuxResources{BlockIO: &specs.LinuxBlockIO{
		ThrottleWriteBpsDevice: []specs.LinuxThrottleDevice{{LinuxBlockIODevice: dev, Rate: 0}}}})...)
	expect(t, "rates", b.limit("blkio", rates), "")
	expect(t, "exit code", b.wait(), 0)
}

// TestHugePages: a page over the limit is refused, and costs the program its life.
func TestHugePages(t *testing.T) {
	const pool = "/proc/sys/vm/nr_hugepages"
	before := strings.TrimSpace(readText(t, pool))
	old, err := strconv.Atoi(before)
	need(t, "huge pages", err)
	if free := hugePages(t, "HugePages_Free"); free < 3 {
		need(t, "huge pages", os.WriteFile(pool, []byte(strconv.Itoa(old+3-free)), 0o644))
		t.Cleanup(func() {
			if err := os.WriteFile(pool, []byte(before), 0o644); err != nil {
				t.Error(err)
			}
		})
		if free := hugePages(t, "HugePages_Free"); free < 3 {
			t.Skipf("the kernel finds only %d free huge pages of the 3 that are needed", free)
		}
	}
	if v2 := readText(t, "/proc/self/mountinfo"); !strings.Contains(v2, ",hugetlb") && !hasController(t, "hugetlb") {
		mountHierarchy(t, "hugetlb")
	}
	b := newBox(t, prober("quiet", "huge:1", "exit:3"))
	b.spec.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: "2MB", Limit: 2 << 20}}
	expect(t, "exit code with a page that is allowed", b.run().Code, 3)
	b.edit(prober("quiet", "huge:2", "exit:3"))
	r := b.run()
	// Reservations are limited where the kernel counts them (5.7): then mmap fails.
	if r.Code != 128+7 && !(r.Code == 3 && b.parse(r.Stdout).result("huge:2").Err == 12) {
		t.Errorf("with a page over the limit: exit code %d, %s", r.Code, r.Stdout)
	}
	b.edit(prober("quiet", "huge:1", "pause"))
	b.output(b.launch())
	if h, ok := b.stats().Data.Hugetlb["2MB"]; !ok || h.Usage != 2<<20 {
		t.Errorf("hugetlb counters %+v", h)
	}
	b.remove("--force")
}

// hasController says that the v2 tree, if it is mounted, has a controller.
func hasController(t *testing.T, name string) bool {
	t.Helper()
	for _, m := range parseMounts(readText(t, "/proc/self/mountinfo")) {
		if m.fstype == "cgroup2" {
			return strings.Contains(readText(t, m.at+"/cgroup.controllers"), name)
		}
	}
	return false
}

func hugePages(t *testing.T, name string) int {
	t.Helper()
	m := regexp.MustCompile(name + `: +(\d+)`).FindStringSubmatch(readText(t, "/proc/meminfo"))
	if m == nil {
		t.Skip("this kernel has no huge pages")
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// TestNetClass: packets carry the class of the cgroup. net_cls and net_prio are
// mounted together, under another name, and far from where everybody has them.
func TestNetClass(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 looks for the hierarchy below /sys/fs/cgroup")
	}
	tool, err := exec.LookPath("iptables")
	need(t, "iptables", err)
	b := newShellBox(t, "busybox nc -w 1 127.0.0.1 9; true", withoutNamespace(specs.NetworkNamespace))
	b.spec.Linux.Resources.Network = &specs.LinuxNetwork{ClassID: ptr(uint32(0x100005))}
	// Without the hierarchy there is nothing that could mark packets.
	if !strings.Contains(readText(t, "/proc/self/mountinfo"), "net_cls") {
		b.createFails("linux.resources.network.classID", "1048581", "net_cls", "mount it with: mkdir -p ", "mount -t cgroup -o net_cls net_cls ")
	}
	at := mountHierarchy(t, "net_cls,net_prio")
	prio := at
	if _, err := os.Stat(at + "/net_prio.ifpriomap"); err != nil { // somebody has mounted them apart
		prio = mountHierarchy(t, "net_prio")
	}
	run := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	tool2, err := exec.LookPath("ip")
	need(t, "ip of iproute2", err)
	run(tool2, "link", "set", "lo", "up")
	rule := func(class string) []string {
		return []string{"OUTPUT", "-p", "tcp", "--dport", "9", "-m", "cgroup", "--cgroup", class}
	}
	for _, class := range []string{"0x100005", "0x100006"} {
		out, err := exec.Command(tool, append([]string{"-A"}, rule(class)...)...).CombinedOutput()
		if err != nil {
			need(t, "the cgroup match of iptables", fmt.Errorf("%w: %s", err, out))
		}
		t.Cleanup(func() { run(append([]string{tool, "-D"}, rule(class)...)...) })
	}
	counts := func() (n [2]int) {
		list := run(tool, "-nvxL", "OUTPUT")
		for i, class := range []string{"1048581", "1048582"} {
			for line := range strings.Lines(list) {
				if f := strings.Fields(line); strings.HasSuffix(strings.TrimSpace(line), "cgroup "+class) {
					n[i], _ = strconv.Atoi(f[0])
				}
			}
		}
		return n
	}
	expect(t, "packets before", counts(), [2]int{0, 0})
	if r := b.run(); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	n := counts()
	if n[0] == 0 || n[1] != 0 {
		t.Errorf("packets of the class and of another: %v", n)
	}
	// And after an update of a container that runs.
	b.spec.Process.Args[2] = "while ! [ -e /work/go ]; do busybox sleep 0.02; done; busybox nc -w 1 127.0.0.1 9; true"
	b.launch()
	b.ok(b.updateJSON(&specs.LinuxResources{Network: &specs.LinuxNetwork{ClassID: ptr(uint32(0x100006)),
		Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 4}}}})...)
	dir := filepath.Join(at, b.id)
	expect(t, "class", strings.TrimSpace(readText(t, dir+"/net_cls.classid")), "1048582")
	if text := readText(t, filepath.Join(prio, b.id, "net_prio.ifpriomap")); !strings.Contains(text, "lo 4\n") {
		t.Errorf("priorities: %s", text)
	}
	if s := b.ok("state", b.id).Stdout; !strings.Contains(s, `"classID": 1048582`) || !strings.Contains(s, `"priority": 4`) {
		t.Errorf("the state has not kept the marks: %s", s)
	}
	b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
	expect(t, "exit code", b.wait(), 0)
	after := counts()
	if after[0] != n[0] || after[1] == 0 {
		t.Errorf("packets of the first class and of the new one: %v, before %v", after, n)
	}
	b.remove()
}

// TestNetPriority: the kernel has the priority of each interface. What packets do
// with it TestV1NetPriority shows in a machine of its own: net_prio looks at the
// interfaces of the host's first network namespace alone, and there nothing is
// tested.
func TestNetPriority(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 looks for the hierarchy below /sys/fs/cgroup")
	}
	at := mountHierarchy(t, "net_prio")
	b := newBox(t, prober("quiet", "pause"))
	b.spec.Linux.Resources.Network = &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 0x10003}}}
	b.launch()
	if text := readText(t, filepath.Join(at, b.id, "net_prio.ifpriomap")); !strings.Contains(text, "lo 65539\n") {
		t.Errorf("priorities: %s", text)
	}
	b.remove("--force")
	b.spec.Linux.Resources.Network.Priorities[0].Name = "no-such-link"
	b.runFails("linux.resources.network.priorities[0]", "no-such-link", "no such interface")
}

// TestPerfEvent: a hierarchy without limits of its own, mounted anywhere, has the
// container too, so that all of it can be measured.
func TestPerfEvent(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 looks for the hierarchy below /sys/fs/cgroup")
	}
	at := mountHierarchy(t, "perf_event")
	b := newBox(t, prober("quiet", "pause"))
	b.launch()
	expect(t, "processes", strings.TrimSpace(readText(t, filepath.Join(at, b.id, "cgroup.procs"))), strconv.Itoa(b.pid))
	b.remove("--force")
	if _, err := os.Stat(filepath.Join(at, b.id)); err == nil {
		t.Error("the cgroup is left behind")
	}
}
