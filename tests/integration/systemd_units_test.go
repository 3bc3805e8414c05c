//go:build vm

package integration

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// systemdUpdate: new limits, which systemd learns of and so does not take back.
func systemdUpdate(t *testing.T) {
	b := systemdBox(t, prober("pause"), systemdLimited)
	b.create()
	unit := "tare-" + b.id + ".scope"
	b.forget()
	b.ok("update", "--memory", "50331648", "--pids-limit", "9", "--cpu-quota", "25050", "--cpu-share", "1024", b.id)
	want := map[string]string{"TasksMax": "9", "CPUQuotaPerSecUSec": "2.510000s"}
	memory, quota := "50331648", "25050"
	if unifiedOnly() {
		want["MemoryMax"], want["CPUWeight"] = memory, "100"
	} else {
		want["MemoryLimit"], want["CPUShares"] = memory, "1024"
	}
	shows(t, unit, want)
	held := func(when string, quotas ...string) {
		path := "/system.slice/" + unit
		file := limitFile(path, "memory/memory.limit_in_bytes", "memory.max")
		expect(t, file+" after "+when, strings.TrimSpace(readText(t, file)), memory)
		file = limitFile(path, "cpu/cpu.cfs_quota_us", "cpu.max")
		if got := strings.Fields(readText(t, file))[0]; !slices.Contains(quotas, got) {
			t.Errorf("%s after %s is %s, expected %s", file, when, got, quotas)
		}
	}
	held("update", quota)
	systemctl(t, "daemon-reload")
	held("daemon-reload", quota, "25100")
	file := b.dir + "/limits"
	b.must(os.WriteFile(file, []byte(`{"memory":{"limit":41943040}}`), 0o644))
	in, err := os.Open(file)
	b.must(err)
	defer in.Close()
	b.stdin = in
	b.ok("update", "--resources=-", b.id)
	b.stdin = nil
	memory = "41943040"
	held("a second update", quota, "25100")
	b.remove()
	unknown(t, unit)
}

// systemdExec: a further process is in the scope as well, with its limits.
func systemdExec(t *testing.T) {
	b := systemdBox(t, prober("pause"), systemdLimited)
	r := b.create()
	b.start()
	b.output(r)
	unit := "tare-" + b.id + ".scope"
	b.forget()
	rep := b.parse(b.ok("exec", b.id, "/prober", "fork:8").Stdout)
	for name, path := range cgroupOf(rep.Cgroup) {
		expect(t, "cgroup of exec in hierarchy "+name, path, "/system.slice/"+unit)
	}
	expect(t, "errno of the fork over the limit", rep.result("fork:8").Err, 11)
	b.remove("--force")
	unknown(t, unit)
	b.nothingLeft()
}

// systemdPause: the freezer, below systemd's eyes.
func systemdPause(t *testing.T) {
	b := systemdBox(t, prober("pause"))
	r := b.create()
	b.start()
	b.output(r)
	unit := "tare-" + b.id + ".scope"
	b.forget()
	b.ok("pause", b.id)
	expect(t, "status", b.status(), "paused")
	shows(t, unit, map[string]string{"ActiveState": "active"})
	b.ok("resume", b.id)
	expect(t, "status", b.status(), "running")
	b.ok("pause", b.id)
	b.remove("--force")
	unknown(t, unit)
	b.nothingLeft()
}

// systemdFailedBefore: a failed unit of the same name is forgotten.
func systemdFailedBefore(t *testing.T) {
	b := systemdBox(t, prober("quiet", "exit:4"))
	unit := "tare-" + b.id + ".scope"
	out, err := exec.Command("systemd-run", "--scope", "--quiet", "--unit", unit, "-p", "RuntimeMaxSec=100ms", "sleep", "1000").CombinedOutput()
	if err == nil {
		t.Fatalf("the unit that should fail has not: %s", out)
	}
	b.until("the unit to fail", func() bool { return systemctl(t, "show", "-p", "ActiveState", "--value", unit) == "failed" })
	expect(t, "exit code", b.run().Code, 4)
	unknown(t, unit)
	b.nothingLeft()
}

// systemdTaken: a unit that others run is refused, and left as it is.
func systemdTaken(t *testing.T) {
	b := systemdBox(t)
	unit := "tare-" + b.id + ".scope"
	other := exec.Command("systemd-run", "--scope", "--quiet", "--unit", unit, "sleep", "1000")
	b.must(other.Start())
	defer func() {
		_ = exec.Command("systemctl", "stop", unit).Run()
		_ = other.Wait()
	}()
	b.until("the other unit", func() bool { return systemctl(t, "show", "-p", "ActiveState", "--value", unit) == "active" })
	b.writeConfig()
	b.refused([]string{"linux.cgroupsPath", unit, "not empty"}, "create", "--bundle", b.bundle, b.id)
	b.stateEmpty()
	shows(t, unit, map[string]string{"ActiveState": "active"})
	if err := other.Process.Signal(unix.Signal(0)); err != nil {
		t.Errorf("the process of the other unit is gone: %v", err)
	}
}

// systemdSlices: nested slices, and the root.
func systemdSlices(t *testing.T) {
	b := systemdBox(t, prober("pause"))
	top := "taretest" + strings.TrimSuffix(strings.ReplaceAll(tag, "-", ""), "-")
	b.spec.Linux.CgroupsPath = top + "-low-er.slice:x:" + b.id
	leftSlices(t, top+".slice")
	b.create()
	unit := "x-" + b.id + ".scope"
	inCgroup(t, b.pid, "/"+top+".slice/"+top+"-low.slice/"+top+"-low-er.slice/"+unit)
	shows(t, unit, map[string]string{"Slice": top + "-low-er.slice"})
	b.forget()
	b.remove()
	unknown(t, unit)
	b = systemdBox(t, prober("pause"))
	b.spec.Linux.CgroupsPath = "-:x:" + b.id
	b.create()
	unit = "x-" + b.id + ".scope"
	inCgroup(t, b.pid, "/"+unit)
	shows(t, unit, map[string]string{"Slice": "-.slice"})
	b.remove()
	unknown(t, unit)
}

// systemdSlice: the name of a slice makes one, in which the process is.
func systemdSlice(t *testing.T) {
	b := systemdBox(t, prober("fork:5"))
	top := "taretest" + strings.ReplaceAll(b.id, "-", "")
	unit := top + "-in.slice"
	leftSlices(t, top+".slice")
	b.spec.Linux.CgroupsPath = "::" + unit
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(3))}
	b.create()
	inCgroup(t, b.pid, "/"+top+".slice/"+unit)
	shows(t, unit, map[string]string{"ActiveState": "active", "TasksMax": "3"})
	b.forget()
	b.remove()
	shows(t, unit, map[string]string{"ActiveState": "inactive"})
	if hasDir("/" + top + ".slice/" + unit) {
		t.Errorf("the cgroup of %s is left", unit)
	}
	b.nothingLeft()
}

// systemdAnnotations: properties that the config sets.
func systemdAnnotations(t *testing.T) {
	b := systemdBox(t, prober("pause"))
	b.spec.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "12.5", "org.systemd.property.CollectMode": "'inactive-or-failed'",
		"org.systemd.property.RuntimeMaxUSec": "uint64 3600000000", "org.systemd.property.After": "['basic.target', 'network.target']",
		"org.systemd.property.SendSIGHUP": "true", "org.systemd.property.Description": `"it's \u00e9"`}
	b.create()
	unit := "tare-" + b.id + ".scope"
	shows(t, unit, map[string]string{"TimeoutStopUSec": "12.500000s", "CollectMode": "inactive-or-failed", "RuntimeMaxUSec": "1h", "SendSIGHUP": "yes", "Description": "it's é"})
	if after := systemctl(t, "show", "-p", "After", "--value", unit); !strings.Contains(after, "basic.target") || !strings.Contains(after, "network.target") {
		t.Errorf("After is %q", after)
	}
	b.remove()
	unknown(t, unit)
}

// systemdRefused: what systemd refuses is told with its reason, and leaves nothing.
func systemdRefused(t *testing.T) {
	b := systemdBox(t)
	b.spec.Annotations = map[string]string{"org.systemd.property.Nonsense": "true"}
	b.createFails("linux.cgroupsPath", "tare-"+b.id+".scope", "Nonsense")
	unknown(t, "tare-"+b.id+".scope")
	b.spec.Annotations = map[string]string{"org.systemd.property.MemoryMax": "'many'"}
	b.createFails("tare-" + b.id + ".scope")
	b.spec.Annotations = nil
	for _, path := range []string{"/a/path", "a:b", "a.slice:b:c:d", "a/b.slice:c:d", "a--b.slice:c:d", "noslice:c:d", "a.slice:b/c:d"} {
		b.spec.Linux.CgroupsPath = path
		b.createFails("linux.cgroupsPath", path)
	}
}

// systemdCreateFails: nothing of the unit is left when something else goes wrong.
func systemdCreateFails(t *testing.T) {
	b := systemdBox(t, args("/no/such/program"))
	b.createFails("/no/such/program")
	unit := "tare-" + b.id + ".scope"
	unknown(t, unit)
	b.spec.Process.Args = []string{"/prober"}
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
	b.createFails("hooks.createRuntime[0]")
	unknown(t, unit)
	b.spec.Hooks = nil
	b.spec.Linux.Resources.Memory = &specs.LinuxMemory{Limit: ptr(int64(4096))}
	b.createFails("linux.resources.memory.limit")
	unknown(t, unit)
}

// systemdCreatorDies: a creator that is killed leaves what delete --force removes,
// with the unit.
func systemdCreatorDies(t *testing.T) {
	b := systemdBox(t)
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "kill -9 $PPID"}}}}
	b.writeConfig()
	if r := b.call("create", "--bundle", b.bundle, b.id); r.Code != 128+9 {
		t.Fatalf("create: exit code %d\n%s", r.Code, r.Stderr)
	}
	b.forget()
	b.ok("delete", "--force", b.id)
	unknown(t, "tare-"+b.id+".scope")
	b.nothingLeft()
}

// systemdJoinedPid: a process that has to fork is in the scope as well.
func systemdJoinedPid(t *testing.T) {
	b := systemdBox(t, prober("pause"))
	h := hold(b, unix.CLONE_NEWPID)
	b.edit(withNamespace(specs.PIDNamespace, h.path(specs.PIDNamespace)))
	b.create()
	unit := "tare-" + b.id + ".scope"
	inCgroup(t, b.pid, "/system.slice/"+unit)
	b.start()
	b.forget()
	b.remove("--force")
	unknown(t, unit)
}

// systemdUserID is who has a manager for TestSystemdUser.
const systemdUserID = 65534

// TestSystemdUser: a container of an ordinary user, in a scope of his own manager.
func TestSystemdUser(t *testing.T) {
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		t.Skip("needs systemd as process 1:", err)
	}
	if !isTare || !unifiedOnly() {
		t.Skip("needs cgroup v2 alone")
	}
	systemctl(t, "start", "user@65534.service")
	t.Cleanup(func() { systemctl(t, "stop", "user@65534.service") })
	t.Run("plain", func(t *testing.T) { systemdUser(t, false) })
	t.Run("root_of_a_namespace", func(t *testing.T) { systemdUser(t, true) })
}

// systemdUser runs the runtime as the user, or as who is root in a user namespace
// that the user has made, as rootless engines do.
func systemdUser(t *testing.T, root bool) {
	b := newBox(t, prober("fork:8", "pause"))
	if !root {
		b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: systemdUserID, Size: 1}}
		b.spec.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: systemdUserID, Size: 1}}
		b.edit(withNamespace(specs.UserNamespace, ""))
	}
	b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}, {Destination: "/dev", Type: "tmpfs", Source: "tmpfs"}}
	b.spec.Linux.Resources = &specs.LinuxResources{Pids: &specs.LinuxPids{Limit: ptr(int64(6))}, Memory: &specs.LinuxMemory{Limit: ptr(int64(64 << 20))}}
	b.must(os.Mkdir(b.root, 0o700))
	b.must(os.Chown(b.root, systemdUserID, systemdUserID))
	b.must(os.Chown(b.dir+"/io", systemdUserID, systemdUserID))
	b.own(systemdUserID)
	// The user's runtime directory is mounted where systemd is, not in the tests'
	// own mount namespace.
	b.wrap = []string{"nsenter", "--mount=/proc/1/ns/mnt", "--", "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"}
	if root {
		b.wrap = append(b.wrap, "unshare", "--user", "--map-root-user", "--mount", "--propagation=unchanged", "--")
	}
	b.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR=/run/user/65534"}
	b.global = []string{"--systemd-cgroup"}
	r := b.create()
	unit := "tare-" + b.id + ".scope"
	path := "/user.slice/user-65534.slice/user@65534.service/user.slice/" + unit
	inCgroup(t, b.pid, path)
	expect(t, "pids.max", strings.TrimSpace(readText(t, "/sys/fs/cgroup"+path+"/pids.max")), "6")
	expect(t, "memory.max", strings.TrimSpace(readText(t, "/sys/fs/cgroup"+path+"/memory.max")), "67108864")
	b.forget()
	b.start()
	expect(t, "errno of the fork over the limit", b.parse(b.output(r)).result("fork:8").Err, 11)
	b.kill("KILL")
	b.remove()
	b.until("the scope to go", func() bool { return !hasDir(path) })
	b.nothingLeft()

	b.global = []string{"--systemd-cgroup"}
	b.env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "XDG_RUNTIME_DIR=/nowhere"}
	b.must(os.Remove(b.dir + "/io/pid")) // of the container before
	b.createFails("XDG_RUNTIME_DIR", "/nowhere")
}
