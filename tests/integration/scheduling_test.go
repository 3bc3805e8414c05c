package integration

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestPersonality(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32}
	r := b.run()
	if !isTare {
		t.Skip("runc 1.1 does not know it")
	}
	expect(t, "exit code", r.Code, 0)
	expect(t, "personality", b.probe().Personality, 8)
	b.spec.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux}
	expect(t, "personality", b.probe().Personality, 0)
	b.spec.Linux.Personality = &specs.LinuxPersonality{Domain: "SUN"}
	b.createFails("linux.personality.domain", "SUN")
}

func TestScheduler(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 does not know it")
	}
	for policy, want := range map[specs.LinuxSchedulerPolicy]int{specs.SchedBatch: 3, specs.SchedIdle: 5, specs.SchedOther: 0} {
		b := newBox(t)
		b.spec.Process.Scheduler = &specs.Scheduler{Policy: policy}
		if policy != specs.SchedIdle {
			b.spec.Process.Scheduler.Nice = 5
		}
		r := b.probe()
		expect(t, string(policy)+": policy", r.Policy, want)
		if policy != specs.SchedIdle {
			expect(t, string(policy)+": nice", r.Nice, 5)
		}
	}
	b := newBox(t)
	if _, err := os.Stat("/sys/fs/cgroup/cpu/cpu.rt_runtime_us"); err == nil {
		// With real-time group scheduling a cgroup needs a share of the time for it.
		b.spec.Linux.Resources.CPU = &specs.LinuxCPU{RealtimePeriod: ptr(uint64(1000000)), RealtimeRuntime: ptr(int64(1000))}
	}
	b.spec.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedFIFO, Priority: 7, Flags: []specs.LinuxSchedulerFlag{specs.SchedFlagResetOnFork}}
	expect(t, "real-time policy with its flag", b.probe().Policy, 1|0x40000000)
	b.spec.Process.Scheduler = &specs.Scheduler{Policy: "SCHED_NOPE"}
	b.createFails("process.scheduler.policy", "SCHED_NOPE")
}

func TestIOPriority(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 does not know it")
	}
	for class, want := range map[specs.IOPriorityClass]int{specs.IOPRIO_CLASS_RT: 1, specs.IOPRIO_CLASS_BE: 2, specs.IOPRIO_CLASS_IDLE: 3} {
		b := newBox(t)
		b.spec.Process.IOPriority = &specs.LinuxIOPriority{Class: class, Priority: 4}
		got := b.probe().IOPrio
		expect(t, string(class), got>>13, want)
		expect(t, string(class)+": priority", got&7, 4)
	}
	b := newBox(t)
	b.spec.Process.IOPriority = &specs.LinuxIOPriority{Class: "NOPE", Priority: 9}
	b.createFails("process.ioPriority")
}

// TestAffinity: the container runs on the CPUs of its cpuset, whatever the caller's
// affinity is.
func TestAffinity(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "0", Mems: "0"}
	expect(t, "affinity in a cpuset", b.probe().Affinity, fmt.Sprintf("%016x", 1))
}

// TestCallersAffinity: a caller that is bound to one CPU does not bind the container,
// whose cpuset says where it runs; it keeps its own nice value to itself too.
func TestCallersAffinity(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 passes the caller's affinity on")
	}
	b := newBox(t)
	want := b.probe().Affinity
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var old, one unix.CPUSet
	b.must(unix.SchedGetaffinity(0, &old))
	if old.Count() < 2 {
		t.Skip("this host has one CPU")
	}
	one.Set(0)
	b.must(unix.SchedSetaffinity(0, &one))
	defer func() { b.must(unix.SchedSetaffinity(0, &old)) }()
	expect(t, "affinity", b.probe().Affinity, want)
}

// TestUnsupported: what this version cannot honour is never taken silently.
func TestUnsupported(t *testing.T) {
	b := newBox(t)
	b.spec.Linux.IntelRdt = &specs.LinuxIntelRdt{ClosID: "x"}
	if isTare {
		r := b.run()
		if r.Code == 0 || !strings.Contains(r.Stderr, "linux.intelRdt") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
		b.nothingLeft()
	}
	b = newBox(t)
	b.spec.Process.ApparmorProfile, b.spec.Process.SelinuxLabel = "some-profile", "u:r:t:s0"
	if isTare {
		b.createFails("process.apparmorProfile", "process.selinuxLabel")
	}
}
