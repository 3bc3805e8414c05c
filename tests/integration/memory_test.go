package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func memoryLimit(bytes int64) func(*specs.Spec) {
	return func(s *specs.Spec) { s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: &bytes} }
}

// TestSmallMemory: 512 KiB are enough for tare's part, run and create.
func TestSmallMemory(t *testing.T) {
	if !isTare {
		t.Skip("runc needs several MiB")
	}
	b := newBox(t, memoryLimit(512<<10), prober("exit:3"))
	r := b.run()
	expect(t, "exit code", r.Code, 3)
	if r.Code != 3 {
		t.Log(r.Stderr)
	}
	b.create()
	b.start()
	expect(t, "exit code", b.wait(), 3)
	b.remove()
}

// TestTooSmallMemory: the message names the limit and that it was the reason.
func TestTooSmallMemory(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t, memoryLimit(4096))
	r := b.createFails("linux.resources.memory.limit", "4096")
	if strings.Contains(r.Stderr, "EOF") {
		t.Errorf("the message speaks of EOF: %s", r.Stderr)
	}
}

// TestMemoryKillsProgram: a program that goes over its limit is killed, and that is
// its own exit code and not the runtime's failure.
func TestMemoryKillsProgram(t *testing.T) {
	b := newBox(t, memoryLimit(8<<20), prober("quiet", "alloc:65536"))
	b.spec.Linux.Resources.Memory.Swap = ptr(int64(8 << 20))
	expect(t, "exit code", b.run().Code, 137)
	b.nothingLeft()
}

func TestPidsLimit(t *testing.T) {
	b := newBox(t, prober("fork:5"))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(3))}
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	expect(t, "errno of the fork over the limit", b.parse(r.Stdout).result("fork:5").Err, 11)
	b = newBox(t, prober("quiet", "exit:2"))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(1))}
	if r := b.run(); isTare && r.Code != 2 {
		t.Errorf("with a limit of one process: exit code %d\n%s", r.Code, r.Stderr)
	}
}

// TestCgroupsPath puts the container where it was told to, and removes what it made
// and nothing else.
func TestCgroupsPath(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 leaves the parent that it has made behind, and takes .. as the top")
	}
	b := newBox(t)
	b.spec.Linux.CgroupsPath = "/" + b.id + "-parent/child"
	r := b.probe()
	for name, path := range cgroupOf(r.Cgroup) {
		expect(t, "cgroup of hierarchy "+name, path, b.spec.Linux.CgroupsPath)
	}
	b.spec.Linux.CgroupsPath = "../" + b.id
	b.createFails("linux.cgroupsPath", "..")
	b.spec.Linux.CgroupsPath = "/"
	b.createFails("linux.cgroupsPath")
}

// TestCgroupParentStays: a parent that was there before is not the container's to
// remove, and a cgroup with processes in it is refused.
func TestCgroupParentStays(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t, prober("quiet"))
	tree := "/sys/fs/cgroup/pids"
	if _, err := os.Stat(tree); err != nil {
		tree = "/sys/fs/cgroup" // cgroup v2
	}
	parent := tree + "/" + b.id + "-slice"
	b.must(os.Mkdir(parent, 0o755))
	t.Cleanup(func() { b.must(os.Remove(parent)) })
	b.spec.Linux.CgroupsPath = "/" + b.id + "-slice/c"
	expect(t, "exit code", b.run().Code, 0)
	if _, err := os.Stat(parent); err != nil {
		t.Error("the parent that was there before is gone")
	}
	h := hold(b, 0)
	b.must(os.Mkdir(parent+"/c", 0o755))
	b.must(os.WriteFile(parent+"/c/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0o644))
	r := b.run()
	b.mustSay(r, "run", "linux.cgroupsPath", "not empty")
	if data := readText(t, parent+"/c/cgroup.procs"); strings.TrimSpace(data) != strconv.Itoa(h.pid) {
		t.Errorf("the process that was in the cgroup is not any more: %q", data)
	}
	b.must(os.WriteFile(tree+"/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0o644))
	b.must(os.Remove(parent + "/c"))
}

func TestCgroupLimits(t *testing.T) {
	b := newBox(t, prober("pause"))
	res := b.spec.Linux.Resources
	res.CPU = &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(50000)), Period: ptr(uint64(100000)), Cpus: "0", Mems: "0"}
	res.Pids = &specs.LinuxPids{Limit: ptr(int64(42))}
	res.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20))}
	b.create()
	for file, want := range map[string]string{"cpu/cpu.shares": "512", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000",
		"cpuset/cpuset.cpus": "0", "cpuset/cpuset.mems": "0", "pids/pids.max": "42",
		"memory/memory.limit_in_bytes": "67108864", "memory/memory.soft_limit_in_bytes": "33554432"} {
		controller, name, _ := strings.Cut(file, "/")
		for _, d := range cgroupDirs(b.id) {
			if strings.HasPrefix(d, "/sys/fs/cgroup/"+controller+"/") {
				expect(t, file, strings.TrimSpace(readText(t, d+"/"+name)), want)
			}
		}
	}
}
