package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The form of events --stats, as engines decode it.
type counter4 struct{ Limit, Usage, Max, Failcnt uint64 }

type ioLine struct {
	Major, Minor uint64
	Op           string
	Value        uint64
}

type statsEvent struct {
	Type string
	ID   string
	Data *struct {
		CPU struct {
			Usage struct {
				Total        uint64
				PerCPU       []uint64
				PerCPUKernel []uint64 `json:"percpu_kernel"`
				PerCPUUser   []uint64 `json:"percpu_user"`
				Kernel, User uint64
			}
			Throttling struct{ Periods, ThrottledPeriods, ThrottledTime uint64 }
		}
		CPUSet struct {
			CPUs, Mems       []int
			SchedLoadBalance int `json:"sched_load_balance"`
		}
		Memory struct {
			Cache                          uint64
			Usage, Swap, Kernel, KernelTCP counter4
			Raw                            map[string]uint64
		}
		Pids  struct{ Current, Limit uint64 }
		Blkio struct {
			Bytes      []ioLine `json:"ioServiceBytesRecursive"`
			Operations []ioLine `json:"ioServicedRecursive"`
		}
		Hugetlb    map[string]counter4
		Interfaces []struct {
			Name                string
			RxBytes, RxPackets  uint64
			TxBytes, TxPackets  uint64
			RxErrors, TxDropped uint64
		} `json:"network_interfaces"`
	}
}

func (b *box) stats() statsEvent {
	b.t.Helper()
	return b.event(b.ok("events", "--stats", b.id).Stdout)
}

func (b *box) event(line string) (e statsEvent) {
	b.t.Helper()
	if !strings.HasSuffix(line, "}\n") || strings.Count(line, "\n") != 1 {
		b.t.Fatalf("an event is not one line: %q", line)
	}
	b.must(json.Unmarshal([]byte(line), &e))
	return e
}

// members lists an object's member names in their order, with those of inner
// objects behind a dot.
func members(t *testing.T, text string) []string {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	var out []string
	var value func(prefix string)
	value = func(prefix string) {
		tok, err := d.Token()
		if err != nil {
			t.Fatal(err)
		}
		switch tok {
		case json.Delim('{'):
			for d.More() {
				key, _ := d.Token()
				out = append(out, prefix+key.(string))
				value(prefix + key.(string) + ".")
			}
			_, _ = d.Token()
		case json.Delim('['):
			for d.More() {
				value(prefix + "[].")
			}
			_, _ = d.Token()
		}
	}
	value("")
	return out
}

// TestEventsForm: the members, their order and those that are left out.
func TestEventsForm(t *testing.T) {
	b := newBox(t, prober("quiet", "pause"), memoryLimit(64<<20))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(42))}
	b.launch()
	text := b.ok("events", "--stats", b.id).Stdout
	var got []string
	for _, m := range members(t, text) {
		if !strings.Contains(m, "psi") && !strings.Contains(m, ".raw.") && !strings.Contains(m, "hugetlb.") && !strings.Contains(m, ".percpu") &&
			!strings.Contains(m, "[]") && !slices.Contains(got, m) {
			got = append(got, m)
		}
	}
	// These are left out when they are zero.
	maybe := []string{"data.cpu.throttling.periods", "data.memory.cache", "data.memory.kernelTCP.usage", "data.memory.kernelTCP.max",
		"data.blkio.ioServiceBytesRecursive", "data.blkio.ioServicedRecursive", "data.memory.usage.usage", "data.memory.swap.usage",
		"data.memory.usage.max", "data.memory.swap.max", "data.memory.kernel.usage", "data.memory.kernel.max"}
	got = slices.DeleteFunc(got, func(m string) bool { return slices.Contains(maybe, m) })
	want := []string{"type", "id", "data", "data.cpu", "data.cpu.usage", "data.cpu.usage.total", "data.cpu.usage.kernel", "data.cpu.usage.user", "data.cpu.throttling",
		"data.cpuset", "data.cpuset.cpus", "data.cpuset.cpu_exclusive", "data.cpuset.mems", "data.cpuset.mem_hardwall", "data.cpuset.mem_exclusive",
		"data.cpuset.memory_migrate", "data.cpuset.memory_spread_page", "data.cpuset.memory_spread_slab", "data.cpuset.memory_pressure",
		"data.cpuset.sched_load_balance", "data.cpuset.sched_relax_domain_level",
		"data.memory", "data.memory.usage", "data.memory.usage.limit", "data.memory.usage.failcnt", "data.memory.swap", "data.memory.swap.limit", "data.memory.swap.failcnt",
		"data.memory.kernel", "data.memory.kernel.limit", "data.memory.kernel.failcnt", "data.memory.kernelTCP", "data.memory.kernelTCP.limit",
		"data.memory.kernelTCP.failcnt", "data.memory.raw", "data.pids", "data.pids.current", "data.pids.limit", "data.blkio", "data.hugetlb", "data.intel_rdt",
		"data.network_interfaces"}
	expectList(t, "members", got, want)
	e := b.event(text)
	expect(t, "type", e.Type, "stats")
	expect(t, "id", e.ID, b.id)
	expect(t, "memory limit", e.Data.Memory.Usage.Limit, 64<<20)
	if isTare { // runc 1.1 has a thread there
		expect(t, "pids", e.Data.Pids.Current, 1)
	}
	expect(t, "pids limit", e.Data.Pids.Limit, 42)
	if raw := members(t, text); !slices.IsSorted(slices.DeleteFunc(raw, func(m string) bool { return !strings.Contains(m, ".raw.") })) {
		t.Error("the members of memory.raw are not sorted")
	}
}

// TestEventsNumbers: what a container does shows in its counters, as the kernel's
// own files have them.
func TestEventsNumbers(t *testing.T) {
	b := newShellBox(t, "busybox dd if=/dev/zero of=/work/f bs=64k count=32 2>/dev/null; echo done; while :; do :; done", memoryLimit(64<<20))
	r := b.launch()
	b.output(r)
	b.until("some CPU time", func() bool { return b.cpuUsed() > 300*time.Millisecond })
	low := b.cpuUsed()
	e := b.stats()
	high := b.cpuUsed()
	u := e.Data.CPU.Usage
	if d := time.Duration(u.Total); d < low || d > high {
		t.Errorf("CPU time %d, the kernel says %d before and %d after", u.Total, low, high)
	}
	var sum uint64
	for _, n := range u.PerCPU {
		sum += n
	}
	if !b.onV2("cpuacct") {
		expect(t, "sum over the CPUs", sum, u.Total)
	}
	if u.User+u.Kernel == 0 || len(u.PerCPUUser) != len(u.PerCPU) || len(u.PerCPUKernel) != len(u.PerCPU) {
		t.Errorf("CPU times %+v", u)
	}
	if m := e.Data.Memory; m.Usage.Usage == 0 || m.Usage.Max < m.Usage.Usage || m.Cache < 2<<20 || m.Swap.Limit < 1<<62 ||
		m.Cache != m.Raw[map[bool]string{false: "cache", true: "file"}[b.onV2("memory")]] {
		t.Errorf("memory %+v", m)
	}
	if len(e.Data.CPUSet.CPUs) == 0 || len(e.Data.CPUSet.Mems) == 0 || e.Data.CPUSet.SchedLoadBalance != 1 && !b.onV2("cpuset") {
		t.Errorf("cpuset %+v", e.Data.CPUSet)
	}
}

// TestEventsPressure: two that want one CPU wait for it, and that shows wherever a
// v2 tree measures it.
func TestEventsPressure(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no pressure")
	}
	b := newShellBox(t, "while :; do :; done & while :; do :; done", func(s *specs.Spec) { s.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "0"} })
	b.launch()
	found := ""
	for _, d := range cgroupDirs(b.id) {
		if _, err := os.ReadFile(d + "/cpu.pressure"); err == nil {
			found = d + "/cpu.pressure"
		}
	}
	if found == "" {
		t.Skip("no cgroup of the container has a readable cpu.pressure")
	}
	var e struct {
		Data struct {
			CPU struct {
				PSI struct {
					Some, Full struct {
						Avg10, Avg60, Avg300 float64
						Total                uint64
					}
				}
			}
		}
	}
	b.until("the pressure", func() bool {
		b.must(json.Unmarshal([]byte(b.ok("events", "--stats", b.id).Stdout), &e))
		return e.Data.CPU.PSI.Some.Avg10 > 1
	})
	if total := e.Data.CPU.PSI.Some.Total; total == 0 || e.Data.CPU.PSI.Some.Avg10 > 100 {
		t.Errorf("pressure %+v, the kernel says %s", e.Data.CPU.PSI, readText(t, found))
	}
}

// TestEventsNetwork: the interfaces are those of the container, and without a
// namespace of its own there are none.
func TestEventsNetwork(t *testing.T) {
	if !isTare {
		t.Skip("runc counts only interfaces that its library has made")
	}
	b := newShellBox(t, "busybox ping -c 3 -s 1000 -i 0.01 127.0.0.1 >/dev/null; echo done; busybox sleep 1000")
	for _, set := range []*[]string{&b.spec.Process.Capabilities.Bounding, &b.spec.Process.Capabilities.Effective, &b.spec.Process.Capabilities.Permitted} {
		*set = append(*set, "CAP_NET_RAW")
	}
	b.output(b.launch())
	e := b.stats()
	if n := e.Data.Interfaces; len(n) != 1 || n[0].Name != "lo" || n[0].RxPackets != 6 || n[0].TxPackets != 6 || n[0].RxBytes != 6*(1000+28+14) && n[0].RxBytes != 6*(1000+28) {
		t.Errorf("interfaces %+v, expected lo with three requests and three answers", n)
	}
	b.remove("--force")
	b.edit(withoutNamespace(specs.NetworkNamespace), args("/bin/busybox", "sleep", "1000"))
	b.launch()
	if n := b.stats().Data.Interfaces; n != nil {
		t.Errorf("interfaces %+v, expected none", n)
	}
}

// stream runs events in the background and returns what it has printed so far.
func (b *box) stream(flags ...string) (lines func() []string, end func() result) {
	b.t.Helper()
	cmd, done := b.command(append(append([]string{"events"}, flags...), b.id)...)
	out := cmd.Stdout.(*os.File).Name()
	b.must(cmd.Start())
	b.t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines = func() []string {
		text := readText(b.t, out)
		return slices.Collect(strings.Lines(text[:strings.LastIndexByte(text, '\n')+1])) // without one that is being written
	}
	return lines, func() result {
		timer := time.AfterFunc(patience, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		defer timer.Stop()
		_ = cmd.Wait()
		return done()
	}
}

// TestEventsStream: counters come again and again, until the container stops.
func TestEventsStream(t *testing.T) {
	b := newBox(t, prober("quiet", "pause"))
	b.launch()
	lines, end := b.stream("--interval=50ms")
	b.until("three events", func() bool { return len(lines()) >= 3 })
	for _, l := range lines()[:3] {
		expect(t, "type", b.event(l).Type, "stats")
	}
	b.kill("KILL")
	if isTare { // runc 1.1 waits for the cgroup's removal
		expect(t, "exit code", end().Code, 0)
	}
	b.refused([]string{"container with id " + b.id + " is not running"}, "events", b.id)
	for _, wrong := range []string{"0", "-1s", "soon"} {
		b.refused([]string{"interval"}, "events", "--interval", wrong, b.id)
	}
}

// TestEventsOOM: that the memory ran out is told at once, without waiting for the
// interval.
func TestEventsOOM(t *testing.T) {
	b := newShellBox(t, "busybox sleep 0; while ! [ -e /work/go ]; do busybox sleep 0.02; done; /prober quiet alloc:65536; echo ended $?; busybox sleep 1000", memoryLimit(16<<20))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(16 << 20))
	r := b.launch()
	lines, end := b.stream("--interval=1h")
	b.cgroupAt("memory")
	b.until("the watch", func() bool { return len(lines()) == 0 && watching(b) })
	b.must(os.WriteFile(b.rootfs+"/work/go", nil, 0o644))
	expect(t, "what the container says", b.output(r), "ended 137\n")
	b.until("the event", func() bool { return len(lines()) > 0 })
	expect(t, "event", lines()[0], `{"type":"oom","id":"`+b.id+`"}`+"\n")
	if m := b.stats().Data.Memory; m.Usage.Max < 15<<20 { // failcnt stays 0 on some kernels
		t.Errorf("the most memory so far was %d", m.Usage.Max)
	}
	if !isTare {
		return
	}
	b.kill("KILL")
	r = end()
	expect(t, "exit code", r.Code, 0)
	if strings.Contains(strings.ReplaceAll(r.Stdout, `"oom"`, ""), "oom\"}") || strings.Contains(r.Stdout, "stats") {
		t.Errorf("the end of the container is told as an event: %s", r.Stdout)
	}
}

// watching says that `events` has told the kernel what it watches, and waits: in poll(2)
// with an eventfd or inotify of its own open, or in read(2) of that, as runc does. An
// eventfd alone says nothing: the Go runtime has one too, and ours is made first and
// registered then.
func watching(b *box) bool {
	for _, pid := range children() {
		cmdline, _ := os.ReadFile(procPath(pid, "cmdline"))
		if !strings.Contains(string(cmdline), "events") || !strings.Contains(string(cmdline), b.id) {
			continue
		}
		watches := map[string]bool{}
		fds, _ := os.ReadDir(procPath(pid, "fd"))
		for _, fd := range fds {
			to, _ := os.Readlink(procPath(pid, "fd/"+fd.Name()))
			if n, err := strconv.Atoi(fd.Name()); err == nil && (strings.Contains(to, "eventfd") || strings.Contains(to, "inotify")) {
				watches[fmt.Sprintf("%#x", n)] = true
			}
		}
		calls, _ := filepath.Glob(procPath(pid, "task/*/syscall"))
		for _, f := range calls {
			text, _ := os.ReadFile(f) // "running" while it is in none
			call := strings.Fields(string(text))
			if len(call) < 2 || len(watches) == 0 {
				continue
			}
			switch nr, _ := strconv.Atoi(call[0]); {
			case nr == unix.SYS_PPOLL, nr == 7 && runtime.GOARCH == "amd64": // poll(2), which arm64 lacks
				return true
			case nr == unix.SYS_READ && watches[call[1]]:
				return true
			}
		}
	}
	return false
}
