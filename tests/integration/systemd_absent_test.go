package integration

import (
	"os"
	"strings"
	"testing"
)

// TestSystemdAbsent: where systemd does not run, the plan can be looked at, and
// whoever wants a container is told what is missing.
func TestSystemdAbsent(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t)
	nobody := "unix:path=" + b.dir + "/nobody"
	b.env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+nobody)
	b.spec.Linux.CgroupsPath = "a-b.slice:x:" + b.id
	b.spec.Annotations = map[string]string{"org.systemd.property.TimeoutStopSec": "3"}
	b.global = []string{"--systemd-cgroup"}
	b.createFails("linux.cgroupsPath", "systemd cannot be reached", b.dir+"/nobody")
	plan := b.ok("plan", "--bundle", b.bundle, b.id).Stdout
	for _, want := range []string{`unit-start manager="system" unit="x-` + b.id + `.scope"`, "/a.slice/a-b.slice/x-" + b.id + ".scope", `"Slice='a-b.slice'"`,
		`"Delegate=true"`, `"TimeoutStopUSec=uint64 3000000"`, ` process  # linux.cgroupsPath`, `sync-await at="in-scope"`} {
		if !strings.Contains(plan, want) {
			t.Errorf("the plan lacks %s:\n%s", want, plan)
		}
	}
	if i, j := strings.Index(plan, " spawn "), strings.Index(plan, " unit-start "); i > j || i < 0 {
		t.Errorf("the unit is started before there is a process for it:\n%s", plan)
	}
	b.global = []string{"--cgroup-manager", "systemd", "--debug"}
	r := b.call("plan", "--bundle", b.bundle, b.id)
	if !strings.Contains(r.Stderr, "warning: systemd cannot be reached") || r.Stdout != plan {
		t.Errorf("with --debug: %s", r.Stderr)
	}
	if r := b.call("check", "--bundle", b.bundle); r.Code != 2 || !strings.Contains(r.Stdout, "error (host) linux.cgroupsPath") {
		t.Errorf("check: exit code %d\n%s", r.Code, r.Stdout)
	}
	b.global = nil
	if plan := b.ok("plan", "--bundle", b.bundle, b.id).Stdout; strings.Contains(plan, "unit-start") {
		t.Errorf("without the flag:\n%s", plan)
	}
	if text := b.call("--debug", "plan", "--bundle", b.bundle, b.id).Stderr; !strings.Contains(text, "has no effect without the systemd cgroup driver") {
		t.Errorf("nothing is said of the annotation: %s", text)
	}
	b.ok("features")
}
