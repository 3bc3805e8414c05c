package binary_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bundle makes a bundle whose program is a busybox shell running script.
func bundle(t *testing.T, script string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	busybox, err := os.ReadFile("/bin/busybox")
	if err != nil {
		t.Skip("needs a static busybox: ", err)
	}
	dir := t.TempDir()
	for _, d := range []string{"bin", "proc", "dev", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "rootfs/bin/busybox"), busybox, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("busybox", filepath.Join(dir, "rootfs/bin/sh")); err != nil {
		t.Fatal(err)
	}
	if r := run(t, "", "spec", "-b", dir); r != (result{}) {
		t.Fatalf("%+v", r)
	}
	edit(t, dir, func(config map[string]any) {
		config["process"].(map[string]any)["args"] = []string{"sh", "-c", script}
	})
	return dir
}

func edit(t *testing.T, dir string, change func(map[string]any)) {
	t.Helper()
	path := filepath.Join(dir, "config.json")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	change(config)
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cleanRoot is a state directory whose containers are gone when the test ends.
func cleanRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	t.Cleanup(func() {
		if r := run(t, "", "--root", root, "delete", "-f", "-r", ""); r.code != 0 {
			t.Errorf("clean up: %+v", r)
		}
	})
	return root
}

func id(t *testing.T) string { return "cli-" + strconv.Itoa(os.Getpid()) + "-" + t.Name() }

func status(t *testing.T, root string) string {
	t.Helper()
	r := run(t, "", "--root", root, "state", id(t))
	if r.code != 0 {
		return strings.TrimSpace(r.stderr)
	}
	if r.stderr != "" || strings.HasSuffix(r.stdout, "\n") || !strings.HasPrefix(r.stdout, "{\n  \"ociVersion\": ") {
		t.Errorf("state: %+v", r)
	}
	var s struct{ Status string }
	if err := json.Unmarshal([]byte(r.stdout), &s); err != nil {
		t.Fatal(err)
	}
	return s.Status
}

func TestRunExitCode(t *testing.T) {
	for script, want := range map[string]result{
		"echo out; echo err >&2; exit 7": {7, "out\n", "err\n"},
		"exit 0":                         {0, "", ""},
		"kill -9 $$; sleep 1":            {0, "", ""}, // the first process of a pid namespace ignores its own signals
	} {
		dir, root := bundle(t, script), cleanRoot(t)
		r := run(t, "", "--root", root, "run", "-b", dir, id(t))
		if r != want {
			t.Errorf("%s: %+v, want %+v", script, r, want)
		}
		if got := status(t, root); !strings.Contains(got, "container does not exist") {
			t.Errorf("%s: afterwards it is %s", script, got)
		}
	}
}

func TestRunKeepsWithKeep(t *testing.T) {
	dir, root := bundle(t, "exit 3"), cleanRoot(t)
	if r := run(t, "", "--root", root, "run", "--keep", "-b", dir, id(t)); r.code != 3 {
		t.Errorf("%+v", r)
	}
	if got := status(t, root); got != "stopped" {
		t.Errorf("it is %s", got)
	}
}

// A signal to tare reaches the program, and the exit code tells of it.
func TestRunForwardsSignals(t *testing.T) {
	for _, c := range []struct {
		script string
		sig    syscall.Signal
		want   int
	}{
		{`trap "exit 41" TERM; echo ready; while :; do read x; done`, syscall.SIGTERM, 41},
		{`trap "exit 42" USR1; echo ready; while :; do read x; done`, syscall.SIGUSR1, 42},
		{`trap "exit 43" WINCH; echo ready; while :; do read x; done`, syscall.SIGWINCH, 43},
	} {
		dir, root := bundle(t, c.script), cleanRoot(t)
		in, feed, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(tare, "--root", root, "run", "-b", dir, id(t))
		cmd.Stdin = in
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		if _, err := out.Read(make([]byte, 16)); err != nil {
			t.Fatal(err)
		}
		waitCaught(t, cmd.Process.Pid, c.sig)
		if err := cmd.Process.Signal(c.sig); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		feed.Close()
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%s: exit code %d (%v), want %d", c.sig, got, cmd.ProcessState, c.want)
		}
	}
}

// waitCaught waits until a process has a handler for a signal (proc(5), SigCgt)
// and forwarding is set up: SIGUSR2, at the end of the list, has one as well.
func waitCaught(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "SigCgt:\t")
		mask, _ := strconv.ParseUint(strings.SplitN(rest, "\n", 2)[0], 16, 64)
		// The Go runtime handles most signals from its start; the real-time ones
		// come last.
		if mask>>(sig-1)&1 == 1 && mask>>63 == 1 {
			return
		}
	}
	t.Fatalf("process %d does not handle %s", pid, sig)
}

func TestLifecycle(t *testing.T) {
	dir, root := bundle(t, "echo running; sleep 1000"), cleanRoot(t)
	t.Chdir(dir)
	// Files, not pipes: the container keeps its streams open.
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(tare, "--root", root, "create", id(t), "--pid-file", "pid")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		text, _ := os.ReadFile(out.Name())
		t.Fatalf("create: %v: %s", err, text)
	}
	pid, err := os.ReadFile("pid") // in the caller's directory
	if err != nil {
		t.Fatal(err)
	}
	if _, err := strconv.Atoi(string(pid)); err != nil {
		t.Error(err)
	}
	step := func(want string, wantCode int, args ...string) result {
		t.Helper()
		r := run(t, "", append([]string{"--root", root}, args...)...)
		if r.code != wantCode || r.code == 0 && r.stderr != "" {
			t.Errorf("%v: %+v", args, r)
		}
		if got := status(t, root); got != want {
			t.Errorf("after %v it is %s, want %s", args, got, want)
		}
		return r
	}
	step("created", 1, "create", "-b", dir, id(t))
	step("running", 0, "start", id(t))
	step("running", 1, "start", id(t))
	step("running", 1, "delete", id(t))
	if r := step("running", 0, "list", "-q"); r.stdout != id(t)+"\n" {
		t.Errorf("list -q: %q", r.stdout)
	}
	var views []map[string]any
	r := step("running", 0, "list", "-f", "json")
	if err := json.Unmarshal([]byte(r.stdout), &views); err != nil || strings.Count(r.stdout, "\n") != 1 || views[0]["owner"] != "root" {
		t.Errorf("list: %q: %v", r.stdout, err)
	}
	var pids []int
	r = step("running", 0, "ps", "--format=json", id(t))
	if err := json.Unmarshal([]byte(r.stdout), &pids); err != nil || strconv.Itoa(pids[0]) != string(pid) {
		t.Errorf("ps: %q: %v", r.stdout, err)
	}
	step("running", 0, "kill", id(t), "0")
	run(t, "", "--root", root, "kill", id(t), "sigKILL")
	for end := time.Now().Add(10 * time.Second); status(t, root) != "stopped" && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if r := step("stopped", 1, "kill", id(t)); !strings.Contains(r.stderr, "container not running") {
		t.Errorf("%+v", r)
	}
	step("stopped", 0, "kill", "--all", id(t), "9")
	step(`tare: container does not exist: "`+id(t)+`"`, 0, "delete", id(t))
}

// Without a pid namespace an orphan has no init of its own: it becomes tare's
// child and is reaped while the program still runs.
func TestRunReapsOrphans(t *testing.T) {
	dir, root := bundle(t, `(sh -c 'exit 5' & echo $!) ; read x; exit 0`), cleanRoot(t)
	edit(t, dir, func(config map[string]any) {
		config["linux"].(map[string]any)["namespaces"] = []map[string]string{{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}}
		config["mounts"] = []map[string]any{}
		linux := config["linux"].(map[string]any)
		delete(linux, "maskedPaths")
		delete(linux, "readonlyPaths")
	})
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(tare, "--root", root, "run", "-b", dir, id(t))
	cmd.Stdin = in
	errs := filepath.Join(t.TempDir(), "err")
	if cmd.Stderr, err = os.Create(errs); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	buf := make([]byte, 32)
	n, err := out.Read(buf)
	if err != nil {
		text, _ := os.ReadFile(errs)
		t.Fatalf("%v: %s", err, text)
	}
	orphan := "/proc/" + strings.TrimSpace(string(buf[:n]))
	gone := false
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(orphan); err != nil {
			gone = true
			break
		}
	}
	feed.Close()
	if err := cmd.Wait(); err != nil || !gone {
		t.Errorf("%v; the orphan is gone: %v", err, gone)
	}
}
