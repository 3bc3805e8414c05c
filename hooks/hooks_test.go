package hooks

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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
	if err := Run("createRuntime", 0, &h, &Setting{State: []byte(`{"id":"x"}`), Dir: dir}); err != nil {
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
	t.Setenv("TARE_SELF", "/bin/tare") // not for others
	dir := t.TempDir()
	for name, c := range map[string]struct {
		env  []string
		want string
	}{
		"absent": {nil, "yes"},
		"empty":  {[]string{}, ""},
	} {
		out := filepath.Join(dir, name)
		h := specs.Hook{Path: script(t, `echo "$TARE_TEST_INHERITED$TARE_SELF" > `+out), Env: c.env}
		if err := Run("poststart", 0, &h, &Setting{Dir: dir}); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(out); strings.TrimSpace(string(got)) != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestFailuresNameTheHook(t *testing.T) {
	limit := 3 // in which a shell begins also on a busy machine
	for name, c := range map[string]struct {
		hook specs.Hook
		want []string
	}{
		"exit":    {specs.Hook{Path: script(t, "echo reason >&2; exit 3")}, []string{`hooks.prestart[2]`, "exit status 3", ": reason"}},
		"signal":  {specs.Hook{Path: script(t, "kill -USR1 $$")}, []string{"killed by user defined signal 1"}},
		"missing": {specs.Hook{Path: "/does/not/exist"}, []string{`hooks.prestart[2] "/does/not/exist"`, "no such file or directory"}},
		"timeout": {specs.Hook{Path: script(t, "echo before; sleep 100"), Timeout: &limit}, []string{"killed after its timeout of 3 s", ": before"}},
	} {
		err := Run("prestart", 2, &c.hook, &Setting{Dir: "/"})
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
	limit := 3 // in which a shell begins also on a busy machine
	pidFile := filepath.Join(t.TempDir(), "pid")
	h := specs.Hook{Path: script(t, "sleep 100 & echo $! > "+pidFile+"; wait"), Timeout: &limit}
	if err := Run("createRuntime", 0, &h, &Setting{Dir: "/"}); err == nil {
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
	end := time.Now().Add(30 * time.Second)
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
	if err := Run("prestart", 0, &h, &Setting{State: make([]byte, 4<<20), Dir: "/"}); err != nil {
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
	if err := RunAll("poststart", hs, &Setting{Dir: dir}); err == nil || ran() != 1 {
		t.Errorf("RunAll: %v", err)
	}
	if errs := RunEach("poststop", hs, &Setting{Dir: dir}); len(errs) != 2 || ran() != 2 {
		t.Errorf("RunEach: %v", errs)
	}
}

// The files that are named for it take the output, whole and after what they
// had; what has no file is in the error.
func TestOutputFiles(t *testing.T) {
	dir := t.TempDir()
	in := &Setting{Dir: dir, Stdout: dir + "/out", Stderr: dir + "/err"}
	h := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "echo one; echo two >&2; exit 3"}}
	for range 2 {
		if err := Run("prestart", 0, &h, in); err == nil || err.Error() != `hooks.prestart[0] "/bin/sh": exit status 3` {
			t.Errorf("got %v", err)
		}
	}
	for name, want := range map[string]string{"out": "one\none\n", "err": "two\ntwo\n"} {
		if got, err := os.ReadFile(dir + "/" + name); err != nil || string(got) != want {
			t.Errorf("%s has %q, %v, want %q", name, got, err, want)
		}
		if st, err := os.Stat(dir + "/" + name); err != nil || st.Mode() != 0o600 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
	in.Stderr = ""
	if err := Run("prestart", 0, &h, in); err == nil || err.Error() != `hooks.prestart[0] "/bin/sh": exit status 3: two` {
		t.Errorf("got %v", err)
	}
	in.Stdout = dir + "/none/out"
	if err := Run("prestart", 0, &h, in); err == nil || !strings.Contains(err.Error(), `its output: open `+dir+`/none/out: no such file or directory`) {
		t.Errorf("got %v", err)
	}
}

// What a hook has printed is told whole where its end is, and a child that still has the
// output open is not waited for, be it quiet or not.
func TestChildrenThatKeepTheOutput(t *testing.T) {
	for _, child := range []string{"sleep 20", "while :; do echo noise; done"} {
		pidFile := filepath.Join(t.TempDir(), "pid")
		h := specs.Hook{Path: script(t, "("+child+") & echo $! >"+pidFile+"; echo reason; exit 3")}
		begin := time.Now()
		err := Run("poststop", 1, &h, &Setting{Dir: "/"})
		took := time.Since(begin)
		data, readErr := os.ReadFile(pidFile)
		if readErr != nil {
			t.Fatal(readErr)
		}
		pid, atoiErr := strconv.Atoi(strings.TrimSpace(string(data)))
		if atoiErr != nil || pid <= 1 {
			t.Fatalf("%q, %v", data, atoiErr)
		}
		// The hook had a process group to itself.
		if group, groupErr := syscall.Getpgid(pid); groupErr == nil && group != syscall.Getpgrp() {
			_ = syscall.Kill(-group, syscall.SIGKILL)
		}
		if err == nil || !strings.Contains(err.Error(), "exit status 3: ") || took > 15*time.Second {
			t.Errorf("%s: %v after %v", child, err, took)
		}
		if child == "sleep 20" && !strings.HasSuffix(err.Error(), ": reason") {
			t.Errorf("%s: %v", child, err)
		}
	}
	// More than a pipe holds, and its end.
	h := specs.Hook{Path: script(t, "i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done; exit 4")}
	if err := Run("poststop", 1, &h, &Setting{Dir: "/"}); err == nil || !strings.HasSuffix(err.Error(), "line 19998\nline 19999") {
		t.Errorf("%v", err)
	}
}

// TestCallersSlack: in a program that begins as tare does, with other timer slack for
// its threads, every hook has that of the program's caller.
func TestCallersSlack(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-ldflags=-E tare_entry", "-o", dir+"/slack", "./testdata/slack")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(dir+"/slack", dir+"/out")
	cmd.Env = append(os.Environ(), "GOMAXPROCS=8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	got, err := os.ReadFile(dir + "/out")
	if err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile("/proc/self/timerslack_ns")
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != strings.Repeat(string(own), 16) {
		t.Errorf("slack of the hooks:\n%swant %s of each", got, own)
	}
}
