//go:build vm

package integration

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loadProfile loads an AppArmor profile that allows all but writing to /work.
func loadProfile(t *testing.T, name string) {
	t.Helper()
	file := t.TempDir() + "/profile"
	text := "abi <abi/3.0>,\nprofile " + name + " flags=(attach_disconnected,mediate_deleted) {\n  file,\n  capability,\n  network,\n  mount,\n  signal,\n" +
		"  deny /work/** w,\n}\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	hostRun(t, "apparmor_parser", "-rK", file)
	t.Cleanup(func() { hostRun(t, "apparmor_parser", "-R", file) })
}

// TestV2AppArmor: the program runs under the profile, and what it denies is denied.
func TestV2AppArmor(t *testing.T) {
	name := "tare-test-" + strings.TrimSuffix(tag, "-")
	loadProfile(t, name)
	ops := []string{"create:/work/new", "create:/tmp/new", "read:/proc/self/attr/current"}
	b := newBox(t)
	b.allow = []string{"tmp/new", "work/new"}
	r := b.probe(ops...)
	expect(t, "errno without a profile", r.result("create:/work/new").Err, 0)
	expect(t, "label without a profile", strings.TrimSpace(r.result("read:/proc/self/attr/current").Data), "unconfined")
	for _, f := range []string{"/work/new", "/tmp/new"} {
		b.must(os.Remove(b.rootfs + f))
	}
	for _, noNewPrivs := range []bool{false, true} {
		b.spec.Process.ApparmorProfile = name
		b.spec.Process.NoNewPrivileges = noNewPrivs
		r = b.probe(ops...)
		expect(t, "errno of what the profile denies", r.result("create:/work/new").Err, int(unix.EACCES))
		expect(t, "errno of what it allows", r.result("create:/tmp/new").Err, 0)
		expect(t, "label", strings.TrimSpace(r.result("read:/proc/self/attr/current").Data), name+" (enforce)")
		b.must(os.Remove(b.rootfs + "/tmp/new"))
	}
	b.spec.Process.ApparmorProfile = "unconfined"
	expect(t, "label", strings.TrimSpace(b.probe(ops...).result("read:/proc/self/attr/current").Data), "unconfined")
}

// TestV2AppArmorMissing: a profile that is not loaded is refused before anything
// is made.
func TestV2AppArmorMissing(t *testing.T) {
	b := newBox(t, prober("quiet"))
	b.spec.Process.ApparmorProfile = "not-loaded"
	r := b.createFails("process.apparmorProfile", "not-loaded", "is not loaded")
	if strings.Contains(r.Stderr, "(op ") {
		t.Errorf("something was done before: %s", r.Stderr)
	}
}

// TestV2AppArmorExec: a process that is executed in a container has the profile of
// the container, or its own.
func TestV2AppArmorExec(t *testing.T) {
	name := "tare-exec-" + strings.TrimSuffix(tag, "-")
	loadProfile(t, name)
	for _, own := range []string{"", name} {
		b := newBox(t, prober("pause"))
		b.allow = []string{"tmp/new", "work/new"}
		b.spec.Process.ApparmorProfile = own
		b.launch()
		words := []string{"exec"}
		if own == "" {
			words = append(words, "--apparmor", name)
		}
		r := b.parse(b.ok(append(words, b.id, "/prober", "create:/work/new", "create:/tmp/new", "read:/proc/self/attr/current")...).Stdout)
		expect(t, "label", strings.TrimSpace(r.result("read:/proc/self/attr/current").Data), name+" (enforce)")
		expect(t, "errno of what the profile denies", r.result("create:/work/new").Err, int(unix.EACCES))
		expect(t, "errno of what it allows", r.result("create:/tmp/new").Err, 0)
		if own == "" {
			expect(t, "label of the container", strings.TrimSpace(readText(t, procPath(b.pid, "attr/current"))), "unconfined")
			refused := b.call("exec", "--apparmor", "not-loaded", b.id, "/prober")
			if refused.Code != 255 || !strings.Contains(refused.Stderr, `process.apparmorProfile "not-loaded"`) || !strings.Contains(refused.Stderr, "is not loaded") {
				t.Errorf("a profile that is not loaded: exit code %d, %s", refused.Code, refused.Stderr)
			}
		}
		b.remove("--force")
	}
}

// TestV2AppArmorUnderTheEyesOfASpy: a process that is executed with a profile is out of
// reach of the container's own, which have none, until the profile holds.
func TestV2AppArmorUnderTheEyesOfASpy(t *testing.T) {
	name := "tare-spied-" + strings.TrimSuffix(tag, "-")
	loadProfile(t, name)
	newBox(t).execUnderEyes(30, "--apparmor", name)
}
