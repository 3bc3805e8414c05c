package binary_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

// checkable makes a bundle that create would take.
func checkable(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/rootfs", 0o755); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "spec", "--rootless", "-b", dir); r != (result{}) {
		t.Fatalf("%+v", r)
	}
	return dir
}

func TestCheckExitCodes(t *testing.T) {
	good := func(map[string]any) {}
	info := func(c map[string]any) { c["Hostname"] = "x" }
	host := func(c map[string]any) { c["root"] = map[string]any{"path": "/nonexistent/root"} }
	wrong := func(c map[string]any) { c["hostname"] = 5 }
	for _, c := range []struct {
		name    string
		changes []func(map[string]any)
		code    int
		lines   string
	}{
		{"good", []func(map[string]any){good}, 0, ""},
		{"info", []func(map[string]any){info}, 0,
			"info (config) Hostname: is not a field of the specification and is ignored; did you mean hostname? [config.md#extensibility]\n"},
		{"host", []func(map[string]any){host, info}, 2,
			"info (config) Hostname: is not a field of the specification and is ignored; did you mean hostname? [config.md#extensibility]\n" +
				"error (host) root.path \"/nonexistent/root\": does not exist [config.md#root]\n"},
		{"config and host", []func(map[string]any){host, wrong}, 1,
			"error (config) hostname: expected a string, found a number 5 [config.md#hostname]\n" +
				"error (host) root.path \"/nonexistent/root\": does not exist [config.md#root]\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := checkable(t)
			for _, change := range c.changes {
				edit(t, dir, change)
			}
			if r := run(t, "", "check", "--bundle", dir); r != (result{c.code, c.lines, ""}) {
				t.Errorf("%+v", r)
			}
			r := run(t, "", "check", "-f", dir+"/config.json", "-b", dir, "--format", "json")
			if r.code != c.code || r.stderr != "" {
				t.Errorf("%+v", r)
			}
			var found []map[string]string
			if err := json.Unmarshal([]byte(r.stdout), &found); err != nil || found == nil {
				t.Fatalf("%v: %q", err, r.stdout)
			}
			if len(found) != strings.Count(c.lines, "\n") {
				t.Errorf("%d findings in %s", len(found), r.stdout)
			}
			if c.name == "host" {
				want := map[string]string{"severity": "error", "class": "host", "field": "root.path", "value": "/nonexistent/root",
					"reason": "does not exist", "section": "config.md#root"}
				if !reflect.DeepEqual(found[1], want) {
					t.Errorf("%v, want %v", found[1], want)
				}
			}
		})
	}
	for _, args := range [][]string{{"-b", "/nonexistent"}, {"-f", "/nonexistent"}, {"-b", t.TempDir()}} {
		if r := run(t, "", append([]string{"check"}, args...)...); r.code != 3 || r.stdout != "" || !strings.HasPrefix(r.stderr, "tare: ") {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if r := run(t, "", "check", "--format", "xml"); r != (result{1, "", "tare: --format \"xml\": use text or json\n"}) {
		t.Errorf("%+v", r)
	}
}

// An ordinary user gets the same verdict on a config that an ordinary user can run.
func TestCheckWithoutRoot(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("every other test of this file is that one")
	}
	dir := checkable(t)
	edit(t, dir, func(c map[string]any) { c["hostname"] = strings.Repeat("h", 65) })
	if err := os.Chmod(dir+"/config.json", 0o644); err != nil {
		t.Fatal(err)
	}
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Dir(tare), 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tare, "check", "-b", dir)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := cmd.CombinedOutput()
	want := "error (config) hostname \"" + strings.Repeat("h", 65) + "\": is longer than the kernel's 64 bytes [config.md#hostname]\n"
	if cmd.ProcessState.ExitCode() != 1 || string(out) != want {
		t.Errorf("%v: %s", err, out)
	}
}
