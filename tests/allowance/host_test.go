package allowance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tare-oci/tare/tests/cgroupview"
	"github.com/tare-oci/tare/tests/syscalltrace"
	"golang.org/x/sys/unix"
)

// hierarchies are those that the file's figures hold for: each more is some ten
// system calls more.
var hierarchies = []string{"blkio", "cpu", "cpuacct", "cpuset", "devices", "freezer", "memory", "pids", "systemd"}

// repeats is how often each command is counted. The least of each figure is
// taken: the scheduler of a busy machine only ever adds.
const repeats = 7

// attempts is how often that is done over, for a figure that is too great: memory
// that the kernel is short of comes back as page faults.
const attempts = 4

// host is where the commands are counted.
type host struct {
	tare, strace string
	dir, state   string
	bundle       string // whose program ends at once
	waiting      string // whose program waits to be killed
	parent       string // of the containers' cgroups
}

// openHost prepares bundles, and a view of the cgroups with hierarchies alone.
func openHost(t *testing.T) *host {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	if runtime.GOARCH != "amd64" {
		t.Skipf("the figures in %s are those for amd64", file)
	}
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	// Names are as long in every run: they are in what is read.
	name := fmt.Sprintf("tare-allowance-%08d", os.Getpid())
	dir := filepath.Join("/run", name)
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	h := &host{tare: built(t, "tare"), strace: strace, dir: dir, state: filepath.Join(dir, "state"), parent: name}
	if _, err := cgroupview.Enter(dir, hierarchies...); err != nil {
		t.Fatal(err)
	}
	if have, err := cgroupview.Hierarchies(); err != nil || !slices.Equal(have, hierarchies) {
		t.Skipf("the figures in %s are those for the hierarchies %v, this host has %v (%v)", file, hierarchies, have, err)
	}
	t.Cleanup(func() {
		left, _ := exec.Command(h.tare, "--root", h.state, "list", "--quiet").Output() // none without a state directory
		for _, id := range strings.Fields(string(left)) {
			if out, err := exec.Command(h.tare, "--root", h.state, "delete", "--force", id).CombinedOutput(); err != nil {
				t.Errorf("delete %s: %v: %s", id, err, out)
			}
		}
		if err := cgroupview.Sweep(h.parent); err != nil {
			t.Error(err)
		}
	})
	h.bundle = h.writeBundle(t, "run", "")
	h.waiting = h.writeBundle(t, "wait", "wait")
	return h
}

// writeBundle makes a bundle of the benchmark's default config, with its program.
func (h *host) writeBundle(t *testing.T, name, argument string) string {
	t.Helper()
	dir := filepath.Join(h.dir, name)
	for _, d := range []string{"bin", "dev", "proc", "sys"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	build := exec.Command("cc", "-static", "-Os", "-nostdlib", "-s", "-Wl,--build-id=none", "-Wl,-z,noseparate-code",
		"-o", filepath.Join(dir, "rootfs/bin/payload"), "../bench/testdata/payload.c")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("cc payload.c: %v\n%s", err, out)
	}
	config, err := os.ReadFile("../bench/testdata/default.json")
	if err != nil {
		t.Fatal(err)
	}
	args := `"/bin/payload"`
	if argument != "" {
		args += `, "` + argument + `"`
	}
	text := strings.Replace(string(config), `"/bin/true"`, args, 1)
	text = strings.Replace(text, `"linux": {`, `"linux": {"cgroupsPath": "/`+h.parent+`/`+name+`",`, 1)
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// measure counts every command, repeats times traced and as often for the page
// faults, which a tracer would add to, and leaves the least of each figure and of
// what is there in least.
func (h *host) measure(t *testing.T, least map[string]command) {
	t.Helper()
	for i := range 2 * repeats {
		traced := i%2 == 0
		for name, got := range h.life(t, fmt.Sprintf("allowance-%02d", i), traced) {
			l, ok := least[name]
			switch {
			case !ok && !traced:
				t.Fatal("the first round is traced")
			case !ok:
				l = got
			case traced:
				l.Calls, l.Processes, l.Threads = min(l.Calls, got.Calls), min(l.Processes, got.Processes), min(l.Threads, got.Threads)
				l.Opened, l.Mountinfo, l.BytesRead = min(l.Opened, got.Opened), min(l.Mountinfo, got.Mountinfo), min(l.BytesRead, got.BytesRead)
				l.Execs, l.ProcsWrites, l.TasksWrites = min(l.Execs, got.Execs), min(l.ProcsWrites, got.ProcsWrites), min(l.TasksWrites, got.TasksWrites)
			case l.Faults == 0:
				l.Faults = got.Faults
			default:
				l.Faults = min(l.Faults, got.Faults)
			}
			least[name] = l
		}
	}
}

// life leads one container through every command.
func (h *host) life(t *testing.T, id string, traced bool) map[string]command {
	t.Helper()
	got := map[string]command{}
	pidFile := filepath.Join(h.dir, "pid")
	for _, step := range []struct {
		name string
		args []string
	}{
		{"run", []string{"run", "--bundle", h.bundle, id}},
		{"create", []string{"create", "--bundle", h.waiting, "--pid-file", pidFile, id}},
		{"start", []string{"start", id}},
		{"state", []string{"state", id}},
		{"exec", []string{"exec", id, "/bin/payload"}},
		{"kill", []string{"kill", id, "KILL"}},
		{"delete", []string{"delete", id}},
	} {
		if step.name == "delete" {
			awaitEnd(t, pidFile)
		}
		got[step.name] = h.count(t, step.args, traced)
	}
	return got
}

// count runs one command.
func (h *host) count(t *testing.T, args []string, traced bool) command {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	argv := append([]string{h.tare, "--root", h.state}, args...)
	out := filepath.Join(h.dir, "strace")
	if traced {
		argv = syscalltrace.Command(h.strace, out, argv...)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	// A created container keeps the standard files open: no pipe may be one.
	said, err := os.Create(filepath.Join(h.dir, "said"))
	if err != nil {
		t.Fatal(err)
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	if traced && args[0] == "create" {
		err = runUntilEnded(ctx, cmd, h.tare, filepath.Join(h.dir, "pid"))
	} else {
		err = cmd.Run()
	}
	if err != nil {
		text, _ := os.ReadFile(said.Name())
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, text)
	}
	if !traced {
		return command{Faults: cmd.ProcessState.SysUsage().(*syscall.Rusage).Minflt}
	}
	counts, err := syscalltrace.ParseFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return command{Counts: *counts}
}

// runUntilEnded runs strace until the program that it started has written its pid
// file and has ended. It
// would go on with the container's, which waits.
func runUntilEnded(ctx context.Context, cmd *exec.Cmd, program, pidFile string) error {
	if err := os.RemoveAll(pidFile); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	children := fmt.Sprintf("/proc/%[1]d/task/%[1]d/children", cmd.Process.Pid)
	for alive := true; alive && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		_, err := os.Stat(pidFile) // the program has done its work
		alive = err != nil
		list, _ := os.ReadFile(children) // strace has ended: Wait says how
		for _, pid := range strings.Fields(string(list)) {
			// One that is ending has no /proc/PID/exe any more, and strace does not
			// come back from letting go of it.
			comm, _ := os.ReadFile("/proc/" + pid + "/comm")
			alive = alive || string(comm) == filepath.Base(program)+"\n"
		}
	}
	// It lets go of what it traces. A signal that comes just before it waits for
	// the next call is forgotten, so there are more.
	ended := make(chan struct{})
	go func() {
		for {
			_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	err := cmd.Wait()
	close(ended)
	if cmd.ProcessState.Sys().(syscall.WaitStatus).Signal() == syscall.SIGTERM {
		return nil
	}
	return err
}

// awaitEnd waits for the process that a pid file names.
func awaitEnd(t *testing.T, pidFile string) {
	t.Helper()
	text, err := os.ReadFile(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") || unix.Kill(pid, 0) != nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the container's process %d is alive 30 s after it was killed", pid)
		}
	}
}
