//go:build vm

package integration

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestV2Pause: a paused container does nothing, and goes on where it was.
func TestV2Pause(t *testing.T) {
	b := newV2Box(t)
	b.shellOf(spin)
	b.launch()
	b.ok("pause", b.id)
	expect(t, "cgroup.freeze", b.value("cgroup.freeze"), "1")
	expect(t, "frozen", b.counter("cgroup.events", "frozen"), 1)
	expect(t, "status", b.status(), "paused")
	expect(t, "processor time of a paused loop", b.cpuTime(time.Second), 0)
	b.ok("resume", b.id)
	expect(t, "frozen", b.counter("cgroup.events", "frozen"), 0)
	expect(t, "status", b.status(), "running")
	if used := b.cpuTime(time.Second); used < 100 {
		t.Errorf("the loop used %d thousandths of a processor", used)
	}
	b.ok("pause", b.id)
	b.remove("--force")
	b.nothingLeft()
}

// TestV2Update: each value reaches its file, and device rules are not touched.
func TestV2Update(t *testing.T) {
	b := newV2Box(t, memoryLimit(64<<20))
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/disk", Type: "b", Major: diskMajor, Minor: diskMinor}}
	b.shellOf("while ! [ -e /go ]; do sleep 0.05; done; dd if=/dev/disk of=/dev/null bs=512 count=1; echo tried; exec sleep 1000")
	b.allow = append(b.allow, "go")
	r := b.launch()
	b.ok("update", "--memory", "48m", "--memory-swap", "80m", "--memory-reservation", "8m", "--cpu-quota", "30000", "--cpu-period", "60000",
		"--cpu-share", "2048", "--cpuset-cpus", "1", "--pids-limit", "77", b.id)
	for file, want := range map[string]string{"memory.max": "50331648", "memory.swap.max": "33554432", "memory.low": "8388608", "cpu.max": "30000 60000",
		"cpuset.cpus": "1", "pids.max": "77", "cpu.weight": "170"} {
		if file == "cpu.weight" {
			if w := b.value(file); w == "100" {
				t.Error("the weight is as it was")
			}
			continue
		}
		expect(t, file, b.value(file), want)
	}
	b.ok(b.updateJSON(&specs.LinuxResources{
		Devices: []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}},
		Unified: map[string]string{"memory.high": "40M", "cpu.idle": "0"},
		BlockIO: &specs.LinuxBlockIO{ThrottleReadIOPSDevice: throttle(9)}})...)
	expect(t, "memory.high", b.value("memory.high"), "41943040")
	expect(t, "memory.max", b.value("memory.max"), "50331648")
	expect(t, "io.max", b.value("io.max"), "254:32 rbps=max wbps=max riops=9 wiops=max")
	b.put("go", "", 0o644)
	b.output(r)
	if errs := readText(t, strings.TrimSuffix(r.outFile, ".out")+".err"); !strings.Contains(errs, "Operation not permitted") {
		t.Errorf("a device that is not allowed was opened after update: %q", errs)
	}
	b.refused([]string{"linux.resources.unified", "memory.max"}, b.updateJSON(&specs.LinuxResources{
		Pids: &specs.LinuxPids{Limit: ptr(int64(5))}, Unified: map[string]string{"memory.max": "many"}})...)
	expect(t, "pids.max after an update that failed", b.value("pids.max"), "77")
	b.remove("--force")
}

// TestV2Stats: events --stats tells what the kernel counts.
func TestV2Stats(t *testing.T) {
	b := newV2Box(t, memoryLimit(64<<20), prober("alloc:8192", "fork:3", "pause"))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(42))}
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0"}
	r := b.launch()
	b.output(r)
	d := b.stats().Data
	expect(t, "pids", [2]uint64{d.Pids.Current, d.Pids.Limit}, [2]uint64{4, 42})
	expect(t, "memory limit", d.Memory.Usage.Limit, 64<<20)
	if d.Memory.Usage.Usage < 8<<20 || d.Memory.Usage.Usage > 16<<20 {
		t.Errorf("%d bytes of memory are used", d.Memory.Usage.Usage)
	}
	if anon := uint64(b.counter("memory.stat", "anon")); d.Memory.Raw["anon"] != anon {
		t.Errorf("anon is %d, the kernel says %d", d.Memory.Raw["anon"], anon)
	}
	usage := uint64(b.counter("cpu.stat", "usage_usec")) * 1000
	if d.CPU.Usage.Total == 0 || d.CPU.Usage.Total > usage {
		t.Errorf("processor time is %d, the kernel says %d", d.CPU.Usage.Total, usage)
	}
	b.remove("--force")
}

// TestV2EventsOOM: the kernel's kill is an event.
func TestV2EventsOOM(t *testing.T) {
	b := newV2Box(t, memoryLimit(16<<20))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(16 << 20))
	b.shellOf("while ! [ -e /go ]; do sleep 0.05; done; /prober quiet alloc:65536; echo ended $?; exec sleep 1000")
	b.allow = append(b.allow, "go")
	r := b.launch()
	lines, end := b.stream("--interval=1h")
	b.until("the watch", func() bool { return watching(b) })
	b.put("go", "", 0o644)
	expect(t, "what the container says", b.output(r), "ended 137\n")
	b.until("the event", func() bool { return len(lines()) > 0 })
	expect(t, "event", lines()[0], `{"type":"oom","id":"`+b.id+`"}`+"\n")
	b.kill("KILL")
	end()
	b.remove()
}

// TestV2FrozenFromOutside: what somebody else has frozen can be killed.
func TestV2FrozenFromOutside(t *testing.T) {
	b := newV2Box(t, prober("pause"))
	b.create()
	b.must(os.WriteFile(b.cgroup()+"/cgroup.freeze", []byte("1"), 0))
	b.until("the freezer", func() bool { return b.counter("cgroup.events", "frozen") == 1 })
	b.ok("kill", b.id, "KILL")
	expect(t, "how it ended", b.wait(), 128+int(unix.SIGKILL))
	b.remove()
}
