package hooks

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func script(t *testing.T, body string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+body+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestHookGetsStateArgsEnvAndDirectory(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "out")
	h := specs.Hook{Path: script(t, `cat > `+out+`; echo >> `+out+`; echo "$0|$1|$A|$HOME|$(pwd)" >> `+out+`; exec ls /proc/self/fd >> `+out),
		Args: []string{"zero", "one"}, Env: []string{"A=b", "PATH=/usr/bin:/bin"}}
	if err := Run("createRuntime", 0, &h, []byte(`{"id":"x"}`), dir); err != nil {
		t.Fatal(err)
	}
	got, _ := os.ReadFile(out)
	// A script's $0 is its path; beside the three streams ls has open only the
	// directory that it lists.
	if want := "{\"id\":\"x\"}\n" + h.Path + "|one|b||" + dir + "\n0\n1\n2\n3\n"; string(got) != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestEnvironment(t *testing.T) {
	t.Setenv("TARE_TEST_INHERITED", "yes")
	dir := t.TempDir()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"absent": {nil, "yes"},
		"empty":  {[]string{}, ""},
	} {
		out := filepath.Join(dir, name)
		h := specs.Hook{Path: script(t, `echo "$TARE_TEST_INHERITED" > `+out), Env: c.env}
		if err := Run("poststart", 0, &h, nil, dir); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(out); strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestFailuresNameTheHook(t *testing.T) {
	one := 1
	for name, c := range map[string]struct {
		hook specs.Hook
		want []string
	}{
		"exit":    {specs.Hook{Path: script(t, "echo reason >&2; exit 3")}, []string{`hooks.prestart[2]`, "exit status 3", ": reason"}},
		"signal":  {specs.Hook{Path: script(t, "kill -USR1 $$")}, []string{"killed by user defined signal 1"}},
		"missing": {specs.Hook{Path: "/does/not/exist"}, []string{`hooks.prestart[2] "/does/not/exist"`, "no such file or directory"}},
		"timeout": {specs.Hook{Path: script(t, "echo before; sleep 100"), Timeout: &one}, []string{"killed after its timeout of 1 s", ": before"}},
	} {
		err := Run("prestart", 2, &c.hook, nil, "/")
		var he *Error
		if !errors.As(err, &he) || he.Kind != "prestart" || he.Index != 2 || he.Path != c.hook.Path {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", name, err, w)
			}
		}
	}
}

// The timeout ends the hook's children too.
func TestTimeoutKillsTheGroup(t *testing.T) {
	one := 1
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := specs.Hook{Path: script(t, "sleep 100 & echo $! > "+pidFile+"; wait"), Timeout: &one}
	if err := Run("createRuntime", 0, &h, nil, "/"); err == nil {
		t.Fatal("no error")
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid := 0
	for _, c := range strings.TrimSpace(string(data)) {
		pid = pid*10 + int(c-'0')
	}
	end := time.Now().Add(5 * time.Second)
	for syscall.Kill(pid, 0) == nil {
		if stat, err := os.ReadFile("/proc/" + strings.TrimSpace(string(data)) + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			break // dead, and waits for its new parent
		}
		if time.Now().After(end) {
			t.Fatalf("the hook's child %d still runs", pid)
		}
		time.Sleep(time.Millisecond)
	}
}

// A hook that never reads its stdin blocks nobody.
func TestHugeStateUnread(t *testing.T) {
	h := specs.Hook{Path: "/bin/true"}
	if err := Run("prestart", 0, &h, make([]byte, 4<<20), "/"); err != nil {
		t.Error(err)
	}
}

func TestRunAllStopsAndRunEachGoesOn(t *testing.T) {
	dir := t.TempDir()
	ok := specs.Hook{Path: script(t, "echo ran >> "+dir+"/log")}
	bad := specs.Hook{Path: script(t, "exit 1")}
	hs := []specs.Hook{ok, bad, ok, bad}
	ran := func() int {
		data, _ := os.ReadFile(dir + "/log")
		_ = os.Remove(dir + "/log")
		return strings.Count(string(data), "ran")
	}
	if err := RunAll("poststart", hs, nil, dir); err == nil || ran() != 1 {
		t.Errorf("RunAll: %v", err)
	}
	if errs := RunEach("poststop", hs, nil, dir); len(errs) != 2 || ran() != 2 {
		t.Errorf("RunEach: %v", errs)
	}
}
