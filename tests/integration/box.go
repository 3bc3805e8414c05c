package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What the tests share; set once, before the first.
var (
	binary   string // the runtime
	isTare   bool   // its wordings are tare's
	proberAt string // the compiled prober
	workDir  string // everything that the tests write, mode 0711
	outerPid int    // a process in the host's network namespace
)

// patience bounds every wait of the tests; nothing takes that long.
var patience = time.Minute

var boxes atomic.Int32

// tag is a part of every container's id and cgroup, which tells what these tests
// have made from what others have.
var tag = "it" + strconv.Itoa(os.Getpid()) + "-"

// box is one test's container: a bundle, a state root and an id of its own.
type box struct {
	t      *testing.T
	id     string
	dir    string // all of it
	bundle string
	rootfs string
	root   string // --root
	spec   *specs.Spec
	pid    int // of the container's process, after create
	allow  []string
	stdin  *os.File            // instead of /dev/null
	env    []string            // instead of the test's own
	user   *syscall.Credential // who runs the commands, instead of root
	global []string            // flags before the command
	noRoot bool                // without --root
	wrap   []string            // a command that runs those of the runtime
	calls  int
	reaped bool
	shared bool   // other tests run at the same time
	files  func() // remembers the rootfs as it is at the first create or run

	patch func(config string) string // what Go's encoder cannot say

	ownMounts []string // made by the test below dir
}

// newBox makes a bundle whose rootfs holds the prober and the usual mount points.
// When the test ends, whatever the container has left behind fails it.
func newBox(t *testing.T, edits ...func(*specs.Spec)) *box {
	t.Helper()
	n := boxes.Add(1)
	b := &box{t: t, id: tag + strconv.Itoa(int(n)), dir: filepath.Join(workDir, strconv.Itoa(int(n)))}
	b.bundle, b.root, b.rootfs = b.dir+"/bundle", b.dir+"/state", b.dir+"/bundle/rootfs"
	for _, d := range []string{"", "/io", "/bundle", "/bundle/rootfs"} {
		b.must(os.Mkdir(b.dir+d, 0o755))
	}
	for _, d := range []string{"dev", "etc", "proc", "sys", "tmp", "work"} {
		b.must(os.Mkdir(b.rootfs+"/"+d, 0o755))
	}
	b.copyFile(proberAt, "prober", 0o755)
	b.spec = defaultSpec()
	b.edit(edits...)
	b.watch()
	return b
}

func (b *box) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// edit changes the config.
func (b *box) edit(edits ...func(*specs.Spec)) {
	for _, e := range edits {
		e(b.spec)
	}
}

// copyFile copies a file of the host into the rootfs.
func (b *box) copyFile(from, to string, mode os.FileMode) {
	b.t.Helper()
	data, err := os.ReadFile(from)
	b.must(err)
	b.put(to, string(data), mode)
}

// put writes a file into the rootfs, and the directories above it.
func (b *box) put(name, data string, mode os.FileMode) {
	b.t.Helper()
	p := filepath.Join(b.rootfs, name)
	b.must(os.MkdirAll(filepath.Dir(p), 0o755))
	b.must(os.WriteFile(p, []byte(data), mode))
	b.must(os.Chmod(p, mode))
}

// own gives the rootfs to the root of a user namespace.
func (b *box) own(id int) {
	b.t.Helper()
	b.must(filepath.WalkDir(b.rootfs, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(p, id, id)
	}))
}

// writeConfig writes config.json as the spec is now.
func (b *box) writeConfig() {
	b.t.Helper()
	b.files()
	data, err := json.MarshalIndent(b.spec, "", " ")
	b.must(err)
	if b.patch != nil {
		data = []byte(b.patch(string(data)))
	}
	b.must(os.WriteFile(b.bundle+"/config.json", data, 0o644))
}

// result is what a command has done.
type result struct {
	Code           int // exit code, 128 and more for a signal
	Stdout, Stderr string
	outFile        string
}

// command prepares a call of the runtime. Its streams are files: a container
// that inherits a pipe would keep its reader waiting.
func (b *box) command(args ...string) (*exec.Cmd, func() result) {
	b.t.Helper()
	b.calls++
	name := b.dir + "/io/" + strconv.Itoa(b.calls)
	out, err := os.Create(name + ".out")
	b.must(err)
	errs, err := os.Create(name + ".err")
	b.must(err)
	args = slices.Concat(b.global, args)
	if !b.noRoot {
		args = append([]string{"--root", b.root}, args...)
	}
	args = append(append(slices.Clone(b.wrap), binary), args...)
	cmd := exec.Command(args[0], args[1:]...)
	if b.user != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: b.user}
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr, cmd.Env = b.dir, out, errs, b.env
	if b.stdin != nil {
		cmd.Stdin = b.stdin
	}
	return cmd, func() result {
		defer out.Close()
		defer errs.Close()
		r := result{outFile: name + ".out"}
		if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			r.Code = 128 + int(ws.Signal())
		} else {
			r.Code = cmd.ProcessState.ExitCode()
		}
		stdout, err := os.ReadFile(name + ".out")
		b.must(err)
		stderr, err := os.ReadFile(name + ".err")
		b.must(err)
		r.Stdout, r.Stderr = string(stdout), string(stderr)
		return r
	}
}

// call runs one command of the runtime to its end.
func (b *box) call(args ...string) result {
	b.t.Helper()
	cmd, done := b.command(args...)
	b.must(cmd.Start())
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	var exit *exec.ExitError
	if err := cmd.Wait(); err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return done()
}

// ok runs a command that has to succeed.
func (b *box) ok(args ...string) result {
	b.t.Helper()
	r := b.call(args...)
	if r.Code != 0 {
		b.t.Fatalf("%s: exit code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
	}
	if r.Stderr != "" {
		b.t.Errorf("%s: succeeded, yet printed on stderr:\n%s", strings.Join(args, " "), r.Stderr)
	}
	return r
}

// refused runs a command that has to fail with 1 and with every word in its
// message.
func (b *box) refused(words []string, args ...string) result {
	b.t.Helper()
	r := b.call(args...)
	b.mustSay(r, strings.Join(args, " "), words...)
	return r
}

func (b *box) mustSay(r result, what string, words ...string) {
	b.t.Helper()
	if r.Code == 0 {
		b.t.Errorf("%s: succeeded, expected a failure with %q", what, words)
		return
	}
	if isTare && r.Code != 1 {
		b.t.Errorf("%s: exit code %d, expected 1\n%s", what, r.Code, r.Stderr)
	}
	for _, w := range words {
		if isTare && !strings.Contains(r.Stderr, w) {
			b.t.Errorf("%s: message lacks %q:\n%s", what, w, r.Stderr)
		}
	}
}

// create makes the container and remembers its process.
func (b *box) create(flags ...string) result {
	b.t.Helper()
	b.writeConfig()
	pidFile := b.dir + "/io/pid"
	args := append([]string{"create", "--bundle", b.bundle, "--pid-file", pidFile}, flags...)
	r := b.ok(append(args, b.id)...)
	text, err := os.ReadFile(pidFile)
	b.must(err)
	b.pid, err = strconv.Atoi(string(text))
	b.must(err)
	b.reaped = false
	return r
}

// createFails demands that create fails with these words and leaves nothing.
func (b *box) createFails(words ...string) result {
	b.t.Helper()
	b.writeConfig()
	pidFile := b.dir + "/io/pid"
	r := b.refused(words, "create", "--bundle", b.bundle, "--pid-file", pidFile, b.id)
	if r.Code == 0 {
		b.call("delete", "--force", b.id)
		return r
	}
	if _, err := os.Lstat(pidFile); err == nil {
		b.t.Error("a create that failed has left a pid file")
	}
	b.nothingLeft()
	return r
}

// start starts the created container.
func (b *box) start() { b.t.Helper(); b.ok("start", b.id) }

// remove deletes the container and reaps its process.
func (b *box) remove(flags ...string) {
	b.t.Helper()
	b.ok(append(append([]string{"delete"}, flags...), b.id)...)
	b.reap()
}

func (b *box) reap() {
	if b.pid > 0 && !b.reaped {
		_, _ = unix.Wait4(b.pid, nil, unix.WNOHANG, nil)
		b.reaped = true
	}
}

// kill sends a signal and waits for the process's end.
func (b *box) kill(signal string) int {
	b.t.Helper()
	b.ok("kill", b.id, signal)
	return b.wait()
}

// wait waits for the container's process and returns its exit code, or 128 and
// its signal's number.
func (b *box) wait() int {
	b.t.Helper()
	fd, err := unix.PidfdOpen(b.pid, 0)
	b.must(err)
	defer unix.Close(fd)
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
	for end := time.Now().Add(patience); ; {
		n, err := unix.Poll(p, int(time.Until(end).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			b.t.Fatalf("the container's process %d still runs", b.pid)
		}
		break
	}
	var ws unix.WaitStatus
	_, err = unix.Wait4(b.pid, &ws, 0, nil)
	b.must(err)
	b.reaped = true
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// run runs the container in the foreground.
func (b *box) run(flags ...string) result {
	b.t.Helper()
	b.writeConfig()
	return b.call(append(append([]string{"run", "--bundle", b.bundle}, flags...), b.id)...)
}

// runFails demands that run fails with these words and leaves nothing.
func (b *box) runFails(words ...string) result {
	b.t.Helper()
	r := b.run()
	b.mustSay(r, "run", words...)
	b.nothingLeft()
	return r
}

// probe runs the prober with these ops and returns what it has seen.
func (b *box) probe(ops ...string) *report {
	b.t.Helper()
	b.spec.Process.Args = append([]string{"/prober"}, ops...)
	r := b.run()
	if r.Code != 0 {
		b.t.Fatalf("run: exit code %d\n%s", r.Code, r.Stderr)
	}
	return b.parse(r.Stdout)
}

func (b *box) parse(text string) *report {
	b.t.Helper()
	var rep report
	if err := json.Unmarshal([]byte(text), &rep); err != nil {
		b.t.Fatalf("the prober's report: %v\n%s", err, text)
	}
	rep.t = b.t
	return &rep
}

// status asks the runtime.
func (b *box) status() string {
	b.t.Helper()
	var s struct{ Status string }
	b.must(json.Unmarshal([]byte(b.ok("state", b.id).Stdout), &s))
	return s.Status
}

// until polls for a condition that no event announces.
func (b *box) until(what string, cond func() bool) {
	b.t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// output waits until the container has printed a whole line, and returns all.
func (b *box) output(r result) string {
	b.t.Helper()
	var text []byte
	b.until("the container's output", func() bool {
		var err error
		text, err = os.ReadFile(r.outFile)
		b.must(err)
		return strings.HasSuffix(string(text), "\n")
	})
	return string(text)
}

// need skips a test on a host that lacks a feature; lacks is the proof.
func need(t *testing.T, feature string, lacks error) {
	t.Helper()
	if lacks != nil {
		t.Skipf("this host lacks %s: %v", feature, lacks)
	}
}

func readText(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func procPath(pid int, name string) string { return fmt.Sprintf("/proc/%d/%s", pid, name) }
