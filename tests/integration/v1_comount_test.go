//go:build vm

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// elsewhere mounts a hierarchy at an odd path instead of where it is, for as long
// as the test runs.
func elsewhere(t *testing.T, controllers string) string {
	t.Helper()
	usual := "/sys/fs/cgroup/" + controllers
	if err := unix.Unmount(usual, unix.MNT_DETACH); err != nil {
		t.Fatalf("unmount %s: %v", usual, err)
	}
	t.Cleanup(func() {
		if err := unix.Mount("cgroup", usual, "cgroup", 0, controllers); err != nil {
			t.Error(err)
		}
	})
	return mountHierarchy(t, controllers)
}

// TestV1CoMounted: two controllers in one hierarchy, at a path that nobody expects,
// have one directory of the container, with the limits and counters of both.
func TestV1CoMounted(t *testing.T) {
	at := elsewhere(t, "cpu,cpuacct")
	b := newBox(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "ro"))
	b.shellOf("ls /sys/fs/cgroup/cpuacct/cpu.shares /sys/fs/cgroup/cpu/cpuacct.usage; " + spin)
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(20000)), Period: ptr(uint64(100000)), Shares: ptr(uint64(512))}
	r := b.launch()
	dir := filepath.Join(at, b.id)
	read := func(file string) string { return strings.TrimSpace(readText(t, dir+"/"+file)) }
	expect(t, "cpu.shares", read("cpu.shares"), "512")
	expect(t, "cpu.cfs_quota_us", read("cpu.cfs_quota_us"), "20000")
	expect(t, "processes", read("cgroup.procs"), strconv.Itoa(b.pid))
	usage := func() int64 {
		n, err := strconv.ParseInt(read("cpuacct.usage"), 10, 64)
		b.must(err)
		return n
	}
	b.until("the first throttling", func() bool { return !strings.Contains(read("cpu.stat"), "nr_throttled 0") })
	began, before := time.Now(), usage()
	time.Sleep(3 * time.Second)
	if part := float64(usage()-before) / float64(time.Since(began)); part > 0.3 {
		t.Errorf("a fifth of a processor was allowed, and %.2f used", part)
	}
	if d := b.stats().Data; d.CPU.Usage.Total == 0 || d.CPU.Throttling.ThrottledPeriods == 0 {
		t.Errorf("counters %+v", d.CPU)
	}
	b.ok("update", "--cpu-quota", "30000", b.id)
	expect(t, "cpu.cfs_quota_us after update", read("cpu.cfs_quota_us"), "30000")
	expect(t, "what the container sees of both", b.output(r), "/sys/fs/cgroup/cpu/cpuacct.usage\n/sys/fs/cgroup/cpuacct/cpu.shares\n")
	b.remove("--force")
	if _, err := os.Stat(dir); err == nil {
		t.Error("the cgroup is left behind")
	}
}

// TestV1NetPriority: net_cls and net_prio in one hierarchy at an odd path. What a
// container sends through an interface has the priority that it was given for it,
// as the bands of a priority queue count it, and the class at the same time.
func TestV1NetPriority(t *testing.T) {
	at := elsewhere(t, "net_cls,net_prio")
	// net_prio looks at the interfaces of the first network namespace alone
	// (write_priomap in net/core/netprio_cgroup.c), so that is where all happens.
	outside := []string{"nsenter", "--net=" + procPath(outerPid, "ns/net")}
	host := func(line string) string {
		t.Helper()
		return hostRun(t, append(outside[:len(outside):len(outside)], strings.Fields(line)...)...)
	}
	host("ip link add tare1 type veth peer name tare2")
	t.Cleanup(func() { host("ip link del tare1") })
	host("ip addr add 10.9.7.1/24 dev tare1")
	host("ip link set tare1 up")
	host("ip link set tare2 up")
	host("ip neigh add 10.9.7.2 lladdr 02:00:00:00:00:02 dev tare1") // nobody has to be there
	host("tc qdisc add dev tare1 root handle 1: prio bands 8 priomap 0 1 2 3 4 5 6 7 7 7 7 7 7 7 7 7")
	band := func(priority int) int {
		out := host(fmt.Sprintf("tc -s class show dev tare1 classid 1:%d", priority+1))
		_, rest, _ := strings.Cut(out, " bytes ")
		n, err := strconv.Atoi(strings.Fields(rest + " x")[0])
		if err != nil {
			t.Fatalf("tc printed %q", out)
		}
		return n
	}
	send := "busybox nc -w 1 10.9.7.2 9; true" // tries to connect to nobody
	sender := func(priority uint32) *box {
		b := newBox(t, withoutNamespace(specs.NetworkNamespace))
		b.wrap = outside
		b.spec.Mounts = b.spec.Mounts[:len(b.spec.Mounts)-1] // sysfs wants the network namespace
		b.spec.Linux.Resources.Network = &specs.LinuxNetwork{ClassID: ptr(uint32(0x100001 + priority))}
		if priority != 0 {
			b.spec.Linux.Resources.Network.Priorities = []specs.LinuxInterfacePriority{{Name: "tare1", Priority: priority}}
		}
		b.shellOf(send)
		return b
	}
	for _, priority := range []uint32{0, 5, 3} {
		b := sender(priority)
		var before [8]int
		for i := range before {
			before[i] = band(i)
		}
		if r := b.run(); r.Code != 0 {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
		for i := range before {
			got := band(i) - before[i]
			if i == int(priority) && got == 0 || i != int(priority) && i != 0 && got != 0 {
				t.Errorf("with priority %d: %d packets in the band of priority %d", priority, got, i)
			}
		}
	}
	// A container that runs, and an update of it.
	b := sender(4)
	b.shellOf("while ! [ -e /go ]; do sleep 0.05; done; " + send)
	b.allow = append(b.allow, "go")
	b.launch()
	dir := filepath.Join(at, b.id)
	if text := readText(t, dir+"/net_prio.ifpriomap"); !strings.Contains(text, "tare1 4\n") {
		t.Errorf("priorities: %s", text)
	}
	b.ok(b.updateJSON(&specs.LinuxResources{Network: &specs.LinuxNetwork{Priorities: []specs.LinuxInterfacePriority{{Name: "tare1", Priority: 6}}}})...)
	expect(t, "class", strings.TrimSpace(readText(t, dir+"/net_cls.classid")), strconv.Itoa(0x100005))
	before := [2]int{band(4), band(6)}
	b.put("go", "", 0o644)
	expect(t, "exit code", b.wait(), 0)
	if old, now := band(4)-before[0], band(6)-before[1]; old != 0 || now == 0 {
		t.Errorf("after an update from 4 to 6: %d packets with 4, %d with 6", old, now)
	}
	b.remove()
}
