package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/libcontainer"
)

// testCall is a call whose streams are files.
func testCall(t *testing.T, global ...string) (c *call, stderr func() string) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	c = &call{program: "tare", self: "tare", stdout: f, stderr: f, global: newValues(GlobalFlags)}
	if _, err := c.global.parse(global, true); err != nil {
		t.Fatal(err)
	}
	if err := c.checkGlobals(); err != nil {
		t.Fatal(err)
	}
	return c, func() string { return readFile(t, f.Name()) }
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestOneRecordForOneFailure(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	c, stderr := testCall(t, "--log", "file:"+log, "--log-format", "json")
	var l field.List
	l.Add("mounts[2].destination", "", "is required")
	l.Add("process.cwd", "x", "must be absolute")
	before := time.Now().Add(-time.Second)
	code, help := c.end(fmt.Errorf("create failed: %w", l.Err()))
	if code != 1 || help != nil {
		t.Errorf("exit code %d, help %v", code, help)
	}
	if got, want := stderr(), "tare: create failed: mounts[2].destination: is required\ntare: process.cwd \"x\": must be absolute\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
	text := readFile(t, log)
	if strings.Count(text, "\n") != 1 || !strings.HasPrefix(text, `{"level":"error","msg":"`) {
		t.Errorf("log %q is not one record", text)
	}
	var rec struct{ Level, Msg, Time string }
	if err := json.Unmarshal([]byte(text), &rec); err != nil {
		t.Fatal(err)
	}
	when, err := time.Parse(time.RFC3339, rec.Time)
	if err != nil || when.Before(before.Truncate(time.Second)) {
		t.Errorf("time %q: %v", rec.Time, err)
	}
	if want := "create failed: mounts[2].destination: is required\nprocess.cwd \"x\": must be absolute"; rec.Level != "error" || rec.Msg != want {
		t.Errorf("record %+v", rec)
	}
	if st, err := os.Stat(log); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}

func TestWarningsAreSilent(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	c, stderr := testCall(t, "--log="+log)
	hooks := &libcontainer.HookWarnings{Errs: []error{errors.New("hooks.poststop[0]: one"), errors.New("hooks.poststop[1]: two")}}
	if code, _ := c.end(hooks); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := stderr(); got != "" {
		t.Errorf("stderr %q", got)
	}
	text := readFile(t, log)
	if strings.Count(text, " level=warning msg=\"hooks.poststop[") != 2 || strings.Count(text, "\n") != 2 {
		t.Errorf("log %q", text)
	}
	// With --debug they are printed as well.
	c, stderr = testCall(t, "--debug")
	c.warn([]string{"x"})
	if got := stderr(); got != "tare: warning: x\n" {
		t.Errorf("stderr %q", got)
	}
}

func TestLogLevels(t *testing.T) {
	for name, want := range map[string]int{"error": 1, "warning": 2, "warn": 2, "info": 3, "debug": 4} {
		log := filepath.Join(t.TempDir(), "log")
		c, _ := testCall(t, "--log="+log, "--log-level", name)
		for at := levelError; at <= levelDebug; at++ {
			if err := c.log.write(at, "x"); err != nil {
				t.Fatal(err)
			}
		}
		if got := strings.Count(readFile(t, log), "\n"); got != want {
			t.Errorf("%s: %d records, want %d", name, got, want)
		}
	}
}

func TestLogThatCannotBeWritten(t *testing.T) {
	c, stderr := testCall(t, "--log", t.TempDir()+"/none/log")
	if code, _ := c.end(errors.New("first")); code != 1 {
		t.Errorf("exit code %d", code)
	}
	if got := stderr(); !strings.HasPrefix(got, "tare: first\ntare: --log: open ") {
		t.Errorf("stderr %q", got)
	}
}

func TestGlobalFlagValues(t *testing.T) {
	for line, want := range map[string]string{
		"--log-format xml":                 "invalid log-format: xml",
		"--log-level loud":                 `--log-level "loud": use debug, info, warning or error`,
		"--cgroup-manager x":               `--cgroup-manager "x": use cgroupfs, systemd or disabled`,
		"--rootless perhaps":               `--rootless "perhaps": use true, false or auto`,
		"--rootless=true":                  "",
		"--rootless auto --log-level=WARN": "",
		"--log /a:b":                       "",
	} {
		c := &call{global: newValues(GlobalFlags)}
		if _, err := c.global.parse(strings.Fields(line), true); err != nil {
			t.Fatal(err)
		}
		got := ""
		if err := c.checkGlobals(); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}
