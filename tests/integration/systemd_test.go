//go:build vm

package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestSystemd is about the systemd cgroup driver, with a real systemd: what it
// shows of the units is held against the kernel's files.
func TestSystemd(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err != nil { // sd_booted(3)
		t.Skip("needs systemd as process 1:", err)
	}
	if !isTare {
		t.Skip("asserts tare's wordings and names")
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"default", systemdDefault}, {"limits", systemdLimits}, {"update", systemdUpdate}, {"pause", systemdPause}, {"exec", systemdExec}, {"posture", systemdPosture}, {"reload", systemdReload}, {"unified", systemdUnified},
		{"devices", systemdDevices}, {"privileged", systemdPrivileged}, {"stopped", systemdStopped}, {"kill", systemdKill},
		{"failed_before", systemdFailedBefore}, {"taken", systemdTaken}, {"slices", systemdSlices}, {"slice", systemdSlice},
		{"annotations", systemdAnnotations}, {"refused", systemdRefused}, {"create_fails", systemdCreateFails},
		{"creator_dies", systemdCreatorDies}, {"taken_along", systemdTakenAlong}, {"joined_pid_namespace", systemdJoinedPid},
	} {
		t.Run(c.name, c.test)
	}
}

// systemdBox is a box whose cgroups are systemd's.
func systemdBox(t *testing.T, edits ...func(*specs.Spec)) *box {
	t.Helper()
	b := newBox(t, edits...)
	b.global = []string{"--systemd-cgroup"}
	t.Cleanup(func() { // before the harness deletes: without the flag, as engines do
		b.global = nil
	})
	return b
}

// forget drops the flag: the record of a container says which driver it has.
func (b *box) forget() { b.global = nil }

// systemctl runs systemctl(1), which has to succeed.
func systemctl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("systemctl", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("systemctl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// shows holds properties of a unit against what they have to be.
func shows(t *testing.T, unit string, want map[string]string) {
	t.Helper()
	has := map[string]string{}
	for _, line := range strings.Split(systemctl(t, "show", unit), "\n") {
		name, value, _ := strings.Cut(line, "=")
		has[name] = value
	}
	for name, value := range want {
		if has[name] != value {
			t.Errorf("%s of %s is %q, expected %q", name, unit, has[name], value)
		}
	}
}

// unknown demands that systemd has forgotten a unit.
func unknown(t *testing.T, unit string) {
	t.Helper()
	// It is asked for the unit's end, and forgets the unit some time after that.
	(&box{t: t}).until("systemd to forget "+unit, func() bool {
		return systemctl(t, "show", "-p", "LoadState", "--value", unit) == "not-found"
	})
	shows(t, unit, map[string]string{"LoadState": "not-found", "ActiveState": "inactive"})
}

// unifiedOnly says that there is no cgroup v1.
func unifiedOnly() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

// limitFile is a file of a cgroup, by its names in v1, with the hierarchy before
// it, and in v2.
func limitFile(path, v1, v2 string) string {
	if unifiedOnly() {
		return "/sys/fs/cgroup" + path + "/" + v2
	}
	hierarchy, file, _ := strings.Cut(v1, "/")
	return "/sys/fs/cgroup/" + hierarchy + path + "/" + file
}

// inCgroup demands that a process is at a path in every hierarchy.
func inCgroup(t *testing.T, pid int, path string) {
	t.Helper()
	for name, got := range cgroupOf(readText(t, procPath(pid, "cgroup"))) {
		expect(t, "cgroup in hierarchy "+name, got, path)
	}
}

// systemdPosture: where systemd has made the cgroups, everything observable of the
// container's process, and of one that is run in it, is what it is elsewhere.
func systemdPosture(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	b := systemdBox(t)
	b.env = append(os.Environ(), "SECRET=1")
	posture(t, b, b.probe())
	posture(t, b, b.createdReport())
	b = systemdBox(t, prober("pause"))
	b.launch()
	b.execPosture()
	b.remove("--force")
}

// systemdDefault leads a container without a path through its life.
func systemdDefault(t *testing.T) {
	b := systemdBox(t, prober("pause"), withNamespace(specs.CgroupNamespace, ""))
	r := b.create()
	unit := "tare-" + b.id + ".scope"
	inCgroup(t, b.pid, "/system.slice/"+unit)
	shows(t, unit, map[string]string{"ActiveState": "active", "Slice": "system.slice", "Delegate": "yes", "DefaultDependencies": "no",
		"CPUAccounting": "yes", "MemoryAccounting": "yes", "TasksAccounting": "yes", "Description": "container " + b.id, "Transient": "yes"})
	b.forget()
	var state map[string]any
	b.must(json.Unmarshal([]byte(b.ok("state", b.id).Stdout), &state))
	expect(t, "systemd-scope of the state", state["systemd-scope"], any(unit))
	b.start()
	rep := b.parse(b.output(r))
	for name, path := range cgroupOf(rep.Cgroup) {
		expect(t, "cgroup in hierarchy "+name+" as the container sees it", path, "/")
	}
	b.kill("KILL")
	b.remove()
	unknown(t, unit)
	b.nothingLeft()
}

// systemdLimits: both systemd and the kernel have the limits, and they hold.
func systemdLimits(t *testing.T) {
	b := systemdBox(t, prober("fork:8", "pause"), systemdLimited)
	b.spec.Linux.CgroupsPath = "system.slice:tareprefix:" + b.id
	r := b.create()
	unit := "tareprefix-" + b.id + ".scope"
	path := "/system.slice/" + unit
	inCgroup(t, b.pid, path)
	want := map[string]string{"TasksMax": "6", "CPUQuotaPerSecUSec": "1.510000s", "CPUQuotaPeriodUSec": "10ms"}
	if unifiedOnly() {
		for name, value := range map[string]string{"MemoryMax": "67108864", "MemoryLow": "33554432", "MemorySwapMax": "67108864", "CPUWeight": "59",
			"AllowedCPUs": "0", "AllowedMemoryNodes": "0"} {
			want[name] = value
		}
	} else {
		want["MemoryLimit"], want["CPUShares"] = "67108864", "512"
	}
	shows(t, unit, want)
	for _, f := range []struct{ v1, v2, one, two string }{
		{"memory/memory.limit_in_bytes", "memory.max", "67108864", "67108864"},
		{"memory/memory.soft_limit_in_bytes", "memory.low", "33554432", "33554432"},
		{"cpu/cpu.shares", "cpu.weight", "512", "59"},
		{"cpu/cpu.cfs_quota_us", "cpu.max", "15050", "15050 10000"},
		{"cpu/cpu.cfs_period_us", "cpu.max", "10000", "15050 10000"},
		{"pids/pids.max", "pids.max", "6", "6"},
		{"cpuset/cpuset.cpus", "cpuset.cpus", "0", "0"},
		{"cpuset/cpuset.mems", "cpuset.mems", "0", "0"},
	} {
		value := f.one
		if unifiedOnly() {
			value = f.two
		}
		file := limitFile(path, f.v1, f.v2)
		expect(t, file, strings.TrimSpace(readText(t, file)), value)
	}
	b.start()
	rep := b.parse(b.output(r))
	expect(t, "errno of the fork over the limit", rep.result("fork:8").Err, 11)
	b.kill("KILL")
	b.remove()
	unknown(t, unit)
}

func systemdLimited(s *specs.Spec) {
	s.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(64 << 20)), Reservation: ptr(int64(32 << 20))}
	if unifiedOnly() {
		s.Linux.Resources.Memory.Swap = ptr(int64(128 << 20))
	}
	s.Linux.Resources.CPU = &specs.LinuxCPU{Shares: ptr(uint64(512)), Quota: ptr(int64(15050)), Period: ptr(uint64(10000)), Cpus: "0", Mems: "0"}
	s.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(6))}
}

// systemdReload: neither limits nor devices are lost when systemd reads all its
// units again, nor when it writes a limit of the unit anew.
func systemdReload(t *testing.T) {
	b := systemdBox(t, systemdLimited, oddDevices, prober("read:/dev/allowed", "read:/dev/denied", "wait:/work/go", "read:/dev/allowed", "read:/dev/denied"))
	r := b.create()
	b.start()
	unit := "tare-" + b.id + ".scope"
	held := func(when string) {
		for _, f := range []struct{ v1, v2, value string }{{"memory/memory.limit_in_bytes", "memory.max", "67108864"}, {"cpuset/cpuset.cpus", "cpuset.cpus", "0"}} {
			file := limitFile("/system.slice/"+unit, f.v1, f.v2)
			expect(t, file+" after "+when, strings.TrimSpace(readText(t, file)), f.value)
		}
		quota := strings.Fields(readText(t, limitFile("/system.slice/"+unit, "cpu/cpu.cfs_quota_us", "cpu.max")))[0]
		if quota != "15050" && quota != "15100" { // systemd knows hundredths of a CPU
			t.Errorf("quota after %s: %s", when, quota)
		}
	}
	systemctl(t, "daemon-reload")
	held("daemon-reload")
	shows(t, unit, map[string]string{"ActiveState": "active", "DevicePolicy": "strict"})
	systemctl(t, "set-property", "--runtime", unit, "TasksMax=9")
	held("set-property")
	pids := limitFile("/system.slice/"+unit, "pids/pids.max", "pids.max")
	expect(t, pids+" after set-property", strings.TrimSpace(readText(t, pids)), "9")
	b.put("work/go", "", 0o644)
	b.allow = append(b.allow, "work/go")
	rep := b.parse(b.output(r))
	for i, want := range []int{enxio, eperm, 0, enxio, eperm} {
		expect(t, "errno of "+rep.Results[i].Op, rep.Results[i].Err, want)
	}
	b.wait()
	b.forget()
	b.remove()
	b.must(os.RemoveAll("/run/systemd/system.control/" + unit + ".d")) // of set-property
}

// The errors of devices that nobody drives: the kernel looks for a driver only
// when the cgroup allows to open the node.
const (
	eperm = 1
	enxio = 6
)

// oddDevices are two nodes of a driver that there is not, of which one may be used.
func oddDevices(s *specs.Spec) {
	const major = 234
	s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/allowed", Type: "c", Major: major, Minor: 7}, {Path: "/dev/denied", Type: "c", Major: major, Minor: 8}}
	s.Linux.Resources.Devices = append(s.Linux.Resources.Devices,
		specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(major)), Minor: ptr(int64(7)), Access: "rw"})
}

// systemdDevices: exceptions from what is allowed, which systemd cannot say, hold too.
func systemdDevices(t *testing.T) {
	if !unifiedOnly() {
		t.Skip("cgroup v1 has no exceptions either")
	}
	b := systemdBox(t, oddDevices)
	r := b.spec.Linux.Resources
	r.Devices = append(r.Devices, specs.LinuxDeviceCgroup{Allow: true, Type: "c", Major: ptr(int64(234)), Access: "rw"},
		specs.LinuxDeviceCgroup{Type: "c", Major: ptr(int64(234)), Minor: ptr(int64(8)), Access: "rw"})
	rep := b.probe("read:/dev/allowed", "read:/dev/denied", "write:/dev/null=x")
	expect(t, "errno of the allowed", rep.result("read:/dev/allowed").Err, enxio)
	expect(t, "errno of the denied", rep.result("read:/dev/denied").Err, eperm)
	expect(t, "errno of /dev/null", rep.result("write:/dev/null=x").Err, 0)
}

// systemdPrivileged: whoever may use every device may.
func systemdPrivileged(t *testing.T) {
	b := systemdBox(t, oddDevices)
	b.spec.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
	rep := b.probe("read:/dev/allowed", "read:/dev/denied")
	expect(t, "errno of one", rep.result("read:/dev/allowed").Err, enxio)
	expect(t, "errno of the other", rep.result("read:/dev/denied").Err, enxio)
}

// systemdUnified: the map of cgroup v2 is both translated and written.
func systemdUnified(t *testing.T) {
	if !unifiedOnly() {
		t.Skip("needs cgroup v2 alone")
	}
	b := systemdBox(t, prober("pause"))
	b.spec.Linux.Resources.Unified = map[string]string{"memory.high": "50331648", "memory.max": "100663296", "cpu.weight": "250", "pids.max": "7",
		"cpu.max": "20000 40000", "memory.oom.group": "1", "hugetlb.2MB.max": "4194304"}
	if _, err := os.Stat("/sys/kernel/mm/hugepages/hugepages-2048kB"); err != nil {
		delete(b.spec.Linux.Resources.Unified, "hugetlb.2MB.max")
	}
	b.create()
	unit := "tare-" + b.id + ".scope"
	shows(t, unit, map[string]string{"MemoryHigh": "50331648", "MemoryMax": "100663296", "CPUWeight": "250", "TasksMax": "7",
		"CPUQuotaPerSecUSec": "500ms", "CPUQuotaPeriodUSec": "40ms"})
	for name, value := range b.spec.Linux.Resources.Unified {
		expect(t, name, strings.TrimSpace(readText(t, "/sys/fs/cgroup/system.slice/"+unit+"/"+name)), value)
	}
	b.remove()
}

// systemdStopped: a container whose unit systemd stops has stopped.
func systemdStopped(t *testing.T) {
	b := systemdBox(t, prober("pause"))
	b.spec.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "1"} // process 1 of a namespace ignores SIGTERM
	r := b.create()
	b.start()
	b.output(r)
	unit := "tare-" + b.id + ".scope"
	b.forget()
	expect(t, "status", b.status(), "running")
	systemctl(t, "stop", unit)
	b.wait()
	expect(t, "status", b.status(), "stopped")
	b.refused([]string{"container not running"}, "kill", b.id)
	b.ok("kill", "--all", b.id, "KILL")
	b.remove()
	unknown(t, unit)
	b.nothingLeft()
}

// systemdKill: delete --force, and the signals of a container without a pid
// namespace of its own.
func systemdKill(t *testing.T) {
	b := systemdBox(t, prober("fork:2", "pause"), withoutNamespace(specs.PIDNamespace))
	r := b.create()
	b.start()
	b.output(r)
	unit := "tare-" + b.id + ".scope"
	b.forget()
	procs := limitFile("/system.slice/"+unit, "pids/cgroup.procs", "cgroup.procs")
	expect(t, "processes", len(strings.Fields(readText(t, procs))), 3)
	b.remove("--force")
	unknown(t, unit)
	b.nothingLeft()
}

// leftSlices are the slices that a test has made systemd start: it keeps them.
func leftSlices(t *testing.T, names ...string) {
	t.Cleanup(func() {
		for _, n := range names {
			systemctl(t, "stop", n)
		}
		// The cgroups that systemd has made for them go with it.
		for _, h := range hierarchies() {
			for _, n := range names {
				_ = filepath.WalkDir(h, func(p string, d os.DirEntry, err error) error {
					if err == nil && d.IsDir() && filepath.Base(p) == n {
						t.Errorf("left behind: cgroup %s", p)
					}
					return nil
				})
			}
		}
	})
}

// hasDir says that some hierarchy has a cgroup.
func hasDir(path string) bool {
	return slices.ContainsFunc(hierarchies(), func(h string) bool {
		_, err := os.Stat(h + path)
		return err == nil
	})
}
