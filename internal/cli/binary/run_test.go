package binary_test

import (
	"encoding/json"
	"io"
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
	for sig, want := range map[syscall.Signal]int{
		syscall.SIGHUP: 31, syscall.SIGINT: 32, syscall.SIGTERM: 33, syscall.SIGUSR1: 34, syscall.SIGTSTP: 35, syscall.Signal(37): 36,
	} {
		number := strconv.Itoa(int(sig))
		dir, root := bundle(t, `trap "exit `+strconv.Itoa(want)+`" `+number+`; trap "echo seen" WINCH; echo ready; while :; do read x; done`), cleanRoot(t)
		p := startRun(t, root, dir)
		// WINCH is the last that tare catches, and does nothing before.
		seen := make(chan error, 1)
		go func() {
			_, err := p.out.Read(make([]byte, 8))
			seen <- err
		}()
		for waiting := true; waiting; {
			if err := p.cmd.Process.Signal(syscall.SIGWINCH); err != nil {
				t.Fatal(err)
			}
			select {
			case err := <-seen:
				if err != nil {
					t.Fatal(err)
				}
				waiting = false
			case <-time.After(10 * time.Millisecond):
			}
		}
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		_ = p.cmd.Wait()
		p.feed.Close()
		if got := p.cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: exit code %d (%v), want %d", sig, got, p.cmd.ProcessState, want)
		}
	}
}

// running is a foreground run whose program waits for its stdin.
type running struct {
	cmd  *exec.Cmd
	feed *os.File
	out  io.Reader
	said string // the first that the program printed
}

func startRun(t *testing.T, root, dir string, flags ...string) running {
	t.Helper()
	in, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	args := append(append([]string{"--root", root, "run", "-b", dir}, flags...), id(t))
	cmd := exec.Command(tare, args...)
	cmd.Stdin = in
	errs, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	in.Close()
	buf := make([]byte, 64)
	n, err := out.Read(buf)
	if err != nil {
		text, _ := os.ReadFile(errs.Name())
		t.Fatalf("%v: %s", err, text)
	}
	return running{cmd, feed, out, strings.TrimSpace(string(buf[:n]))}
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
	for end := time.Now().Add(30 * time.Second); status(t, root) != "stopped" && time.Now().Before(end); time.Sleep(time.Millisecond) {
	}
	if r := step("stopped", 1, "kill", id(t)); !strings.Contains(r.stderr, "container not running") {
		t.Errorf("%+v", r)
	}
	step("stopped", 0, "kill", "--all", id(t), "9")
	step(`tare: container does not exist: "`+id(t)+`"`, 0, "delete", id(t))
}

// Without a pid namespace an orphan has no init of its own: it becomes tare's
// child, unless that is not wanted, and is reaped while the program still runs.
func TestRunReapsOrphans(t *testing.T) {
	for _, flags := range [][]string{nil, {"-no-subreaper"}} {
		dir, root := bundle(t, `(sh -c 'echo $$; exec /bin/busybox sleep 1000' &); read x; exit 0`), cleanRoot(t)
		edit(t, dir, func(config map[string]any) {
			linux := config["linux"].(map[string]any)
			linux["namespaces"] = []map[string]string{{"type": "mount"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}}
			delete(linux, "maskedPaths")
			delete(linux, "readonlyPaths")
			config["mounts"] = []map[string]any{}
		})
		p := startRun(t, root, dir, flags...)
		orphan, err := strconv.Atoi(p.said)
		if err != nil {
			t.Fatal(err)
		}
		adopted := waitParent(t, orphan, p.cmd.Process.Pid)
		if want := flags == nil; adopted != want {
			t.Errorf("%v: tare is the orphan's parent: %v", flags, adopted)
		}
		if err := syscall.Kill(orphan, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
		gone := false
		for end := time.Now().Add(30 * time.Second); !gone && time.Now().Before(end); time.Sleep(time.Millisecond) {
			_, err := os.Stat("/proc/" + p.said)
			gone = err != nil
		}
		p.feed.Close()
		if err := p.cmd.Wait(); err != nil || !gone {
			t.Errorf("%v: %v; the orphan is gone: %v", flags, err, gone)
		}
	}
}

// waitParent waits until a process is an orphan, which is to say a child of
// tare or of the host's first process, and reports whether it is tare's.
func waitParent(t *testing.T, pid, tarePid int) bool {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(text), "PPid:\t")
		parent, _ := strconv.Atoi(strings.SplitN(rest, "\n", 2)[0])
		if parent == tarePid {
			return true
		}
		comm, _ := os.ReadFile("/proc/" + strconv.Itoa(parent) + "/comm")
		if string(comm) != "busybox\n" && string(comm) != "sh\n" {
			return false
		}
	}
	t.Fatalf("process %d is no orphan", pid)
	return false
}

// A hook that hangs can be interrupted: the first signal is held, the second
// ends tare, and what is left can be deleted.
func TestRunSecondSignalEndsIt(t *testing.T) {
	dir, root := bundle(t, "exit 0"), cleanRoot(t)
	mark := filepath.Join(t.TempDir(), "in-hook")
	edit(t, dir, func(config map[string]any) {
		config["hooks"] = map[string]any{"createRuntime": []map[string]any{
			{"path": "/bin/busybox", "args": []string{"sh", "-c", "echo $$ > " + mark + "; exec sleep 1000"}}}}
	})
	cmd := exec.Command(tare, "--root", root, "run", "-b", dir, id(t))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var hook int
	for end := time.Now().Add(30 * time.Second); hook == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		text, _ := os.ReadFile(mark)
		hook, _ = strconv.Atoi(strings.TrimSpace(string(text)))
	}
	if hook == 0 {
		t.Fatal("the hook does not run")
	}
	defer syscall.Kill(hook, syscall.SIGKILL)
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	for sent := 0; ; sent++ {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			break
		}
		select {
		case <-done:
			ws := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
				t.Errorf("%v", cmd.ProcessState)
			}
			if sent == 0 {
				t.Error("the first signal is not held")
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
		if sent > 50 {
			t.Fatal("signals do not end it")
		}
	}
}
