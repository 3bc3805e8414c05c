package ops

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// patience bounds every wait for the init.
const patience = time.Minute

// box is one run of the init: a plan, and the world that it runs in.
type box struct {
	t        testing.TB
	plan     plan.Plan
	flags    uintptr // CLONE_NEW* of the clone; a mount namespace in any case
	fail     []injectCall
	flagged  []flaggedCall
	root     string               // chroot of the init, before it runs
	user     *syscall.SysProcAttr // runs the init as another user
	out      *os.File
	extra    []*os.File // inherited as descriptors 3 and up
	gate     string     // path of the fifo
	holdGate bool       // the test keeps the fifo open, as fifo
	fifo     *os.File
	weak     string // the path of another init, see weakened
	passed   []int  // what the host has opened since the spawn
	before   func() // called when the descriptors are open, before the init is started

	pid  int
	pids []int
	sync int
}

// newBox prepares a run whose mount tree is private.
func newBox(t testing.TB) *box {
	t.Helper()
	out, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, sync: -1, out: out}
	t.Cleanup(b.end)
	return b
}

// inject makes a system call of the init fail.
func (b *box) inject(call int, errno syscall.Errno) *box {
	b.fail = append(b.fail, injectCall{uint32(call), uint32(errno)})
	return b
}

// add appends ops.
func (b *box) add(ops ...plan.Op) *box {
	for _, op := range ops {
		b.plan.Add(op)
	}
	return b
}

// in begins with the two ops that make dir the root of what follows.
func (b *box) in(dir string) *box {
	return b.add(plan.MountPropagation("f", plan.PropPrivate|plan.PropRec), plan.RootBind("f", dir, plan.NoSlot, plan.FlagRecursive))
}

// start runs the plan as it stands.
func (b *box) start() *box {
	// The init dies with the thread that started it, and threads that entered a
	// namespace end here all the time.
	runtime.LockOSThread()
	b.t.Cleanup(runtime.UnlockOSThread)
	b.t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	b.must("socketpair", err)
	defer unix.Close(pair[1])
	b.sync = pair[0]
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	b.must("timeout", unix.SetsockoptTimeval(b.sync, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))

	exe, err := b.open()
	b.must("init", err)
	defer unix.Close(exe)
	planFile, err := unix.MemfdCreate("plan", unix.MFD_CLOEXEC)
	b.must("memfd", err)
	defer unix.Close(planFile)
	_, err = unix.Write(planFile, b.plan.Encode())
	b.must("plan", err)

	null, err := os.Open("/dev/null")
	b.must("null", err)
	defer null.Close()
	files := []uintptr{null.Fd(), b.out.Fd(), b.out.Fd()}
	for _, f := range b.extra {
		files = append(files, f.Fd())
	}
	base := len(files)
	files = append(files, uintptr(pair[1]), uintptr(planFile))
	spawned := false
	for i := range b.plan.Ops {
		spawned = spawned || b.plan.Ops[i].Code == plan.OpSpawn
		switch fd := b.host(&b.plan.Ops[i]); {
		case fd < 0:
		case spawned:
			b.passed = append(b.passed, fd)
			b.t.Cleanup(func() { unix.Close(fd) })
		default:
			defer unix.Close(fd)
			files = append(files, uintptr(fd))
		}
	}
	if b.before != nil {
		b.before()
	}
	attr := &syscall.ProcAttr{Env: []string{}, Files: files, Sys: &syscall.SysProcAttr{Cloneflags: b.flags | unix.CLONE_NEWNS}}
	if b.user != nil {
		attr.Sys.Credential, attr.Sys.AmbientCaps = b.user.Credential, b.user.AmbientCaps
	}
	high, err := unix.FcntlInt(uintptr(exe), unix.F_DUPFD_CLOEXEC, 500)
	b.must("dup", err)
	defer unix.Close(high)
	path, args := "/proc/self/fd/"+strconv.Itoa(high), []string{"tare-init", strconv.Itoa(base)}
	if len(b.fail)+len(b.flagged) > 0 || b.root != "" {
		o, err := json.Marshal(launchOptions{Exe: len(files), Base: strconv.Itoa(base), Chroot: b.root, Fail: b.fail, Flags: b.flagged})
		b.must("options", err)
		attr.Files = append(files, uintptr(high))
		attr.Env = []string{launchEnv + "=" + string(o)}
		path = self(b.t)
	}
	b.pid, err = syscall.ForkExec(path, args, attr)
	b.must("start init", err)
	b.pids = append(b.pids, b.pid)
	return b
}

// host does the host's part of an op and returns the descriptor it makes, or -1.
func (b *box) host(op *plan.Op) int {
	b.t.Helper()
	var fd int
	var err error
	switch op.Code {
	case plan.OpNsOpen:
		path, _ := op.NsOpenArgs()
		fd, err = unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	case plan.OpCgroupMake:
		path, open := op.CgroupMakeArgs()
		flag := unix.O_WRONLY
		if !op.Has(plan.FlagV2) && open == "cgroup.procs" { // a file that the init cannot write
			flag = unix.O_RDONLY
		}
		if op.Has(plan.FlagV2) {
			flag = unix.O_PATH | unix.O_DIRECTORY
		}
		fd, err = unix.Open(filepath.Join(path, open), flag|unix.O_CLOEXEC, 0)
	case plan.OpTreeOpen:
		fd, err = unix.OpenTree(unix.AT_FDCWD, op.TreeOpenArgs(), unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	case plan.OpHookLog:
		fd, err = unix.Open(op.HookLogArgs(), unix.O_CREAT|unix.O_WRONLY|unix.O_APPEND|unix.O_CLOEXEC, 0o600)
	case plan.OpGateOpen:
		b.gate = filepath.Join(b.t.TempDir(), "gate")
		b.must("mkfifo", unix.Mkfifo(b.gate, 0o600))
		fd, err = unix.Open(b.gate, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if b.holdGate && err == nil {
			b.fifo, err = os.OpenFile(b.gate, os.O_RDWR, 0)
		}
	case plan.OpTargetOpen:
		pid, _ := op.TargetOpenArgs()
		fd, err = unix.PidfdOpen(pid, 0)
	case plan.OpRootOpen:
		fd, err = unix.Open("/proc/"+strconv.Itoa(op.RootOpenArgs())+"/root", unix.O_PATH|unix.O_CLOEXEC, 0)
	case plan.OpConsoleOpen:
		fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			err = unix.Connect(fd, &unix.SockaddrUnix{Name: op.ConsoleOpenArgs()})
		}
	default:
		return -1
	}
	b.must(op.Code.Name(), err)
	return fd
}

func (b *box) must(what string, err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatalf("%s: %v", what, err)
	}
}

// end kills what the box started and closes its side of the socket.
func (b *box) end() {
	for _, pid := range b.pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
		_, _ = syscall.Wait4(pid, nil, 0, nil)
	}
	b.pids = nil
	b.hangUp()
	b.out.Close()
}

// hangUp closes the host's end of the socket, as the death of the creator does.
func (b *box) hangUp() {
	if b.sync >= 0 {
		unix.Close(b.sync)
		b.sync = -1
	}
}

var errClosed = errors.New("the init closed its socket")

// report reads the next report of the init.
func (b *box) report() (initproto.Report, error) {
	var buf [initproto.Size + 1]byte
	for {
		n, _, err := unix.Recvfrom(b.sync, buf[:], 0)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return initproto.Report{}, fmt.Errorf("receive: %w", err)
		case n == 0:
			return initproto.Report{}, errClosed
		}
		return initproto.Parse(buf[:n])
	}
}

// look runs the plan up to a final sync and leaves the init waiting there.
func (b *box) look() *box {
	b.t.Helper()
	b.add(plan.SyncArrive("look"), plan.SyncAwait("looked"))
	b.start()
	b.arrive(len(b.plan.Ops) - 2)
	return b
}

// arrive expects the sync report of op i; a fork on the way is followed.
func (b *box) arrive(i int) {
	b.t.Helper()
	for {
		r, err := b.report()
		if err != nil {
			b.t.Fatalf("waiting for op %d %s: %v; output %q", i, b.plan.Ops[i].Code.Name(), err, b.output())
		}
		if r.Kind == initproto.Forked {
			b.pid = int(r.Value)
			b.pids = append(b.pids, b.pid)
			continue
		}
		if r.Kind != initproto.Sync || int(r.Op) != i {
			b.t.Fatalf("waiting for op %d: got %s", i, b.text(&r))
		}
		return
	}
}

// release lets the init past the sync-await at op i.
func (b *box) release(i int) {
	b.t.Helper()
	b.must("send", unix.Send(b.sync, []byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}, unix.MSG_NOSIGNAL))
}

// pass lets the init past the fd-pass at op i, with these descriptors.
func (b *box) pass(i int, fds ...int) {
	b.t.Helper()
	b.must("send", unix.Sendmsg(b.sync, []byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}, unix.UnixRights(fds...), nil, unix.MSG_NOSIGNAL))
}

// beside appends ops to the phase of that name.
func (b *box) beside(ops ...plan.Op) *box {
	for _, op := range ops {
		b.plan.AddBeside(op)
	}
	return b
}

// observed collects the ops whose failure a test has seen reported.
var observed = map[plan.Code]bool{}

// fails runs the plan and expects its last op to fail like this.
func (b *box) fails(step string, errno syscall.Errno, detail string) {
	b.t.Helper()
	b.start()
	b.failed(step, errno, detail)
}

// failed expects the report of a failure of the last op.
func (b *box) failed(step string, errno syscall.Errno, detail string) {
	b.t.Helper()
	for {
		r, err := b.report()
		if err != nil {
			b.t.Fatalf("no report of a failure: %v; output %q", err, b.output())
		}
		if r.Kind == initproto.Failed {
			b.expect(&r, step, errno, detail)
			break
		}
		if r.Kind == initproto.Forked {
			b.pid = int(r.Value)
			b.pids = append(b.pids, b.pid)
		}
	}
	if code := b.wait(); code != 1 {
		b.t.Errorf("the init ended with status %d, want 1", code)
	}
}

func (b *box) expect(r *initproto.Report, step string, errno syscall.Errno, detail string) {
	b.t.Helper()
	last := len(b.plan.Ops) - 1
	if r.Kind != initproto.Failed || int(r.Op) != last || plan.Step(r.Step).String() != step || r.Errno != errno || !strings.Contains(r.Detail, detail) {
		b.t.Fatalf("got %s\nwant op %d %s: %s: %v, detail with %q", b.text(r), last, b.plan.Ops[last].Code.Name(), step, errno, detail)
	}
	if detail == "" && r.Detail != "" {
		b.t.Fatalf("detail %q, want none", r.Detail)
	}
	observed[b.plan.Ops[last].Code] = true
}

func (b *box) text(r *initproto.Report) string {
	name := "?"
	if int(r.Op) < len(b.plan.Ops) {
		name = b.plan.Ops[r.Op].Code.Name()
	}
	return fmt.Sprintf("kind %d op %d %s: %s: %v, detail %q", r.Kind, r.Op, name, plan.Step(r.Step), r.Errno, r.Detail)
}

// wait returns the exit status of the process, or 128 plus its signal.
func (b *box) wait() int {
	b.t.Helper()
	var ws syscall.WaitStatus
	deadline := time.Now().Add(patience)
	fd, err := unix.PidfdOpen(b.pid, 0)
	b.must("pidfd", err)
	defer unix.Close(fd)
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(deadline).Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if n == 0 {
			b.t.Fatalf("process %d does not end", b.pid)
		}
		break
	}
	_, err = syscall.Wait4(b.pid, &ws, 0, nil)
	b.must("wait", err)
	for i, p := range b.pids {
		if p == b.pid {
			b.pids = append(b.pids[:i], b.pids[i+1:]...)
			break
		}
	}
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// output is what the init, its hooks and the program have printed.
func (b *box) output() string {
	data, err := os.ReadFile(b.out.Name())
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

// program appends the ops that end as the probe, runs the plan and returns what
// the probe saw. Ops between lock and exec are the caller's.
func (b *box) program(env ...string) *probed {
	b.t.Helper()
	b.add(plan.Env("f", append([]string{probeEnv + "=1"}, env...)), plan.ExecFind("f", self(b.t), ""))
	b.add(plan.Exec("f", []string{"probe", "two words"}))
	return b.ran()
}

// ran starts a plan that ends as the probe.
func (b *box) ran() *probed {
	b.t.Helper()
	b.start()
	for {
		r, err := b.report()
		if err == errClosed {
			break
		}
		if err != nil {
			b.t.Fatal(err)
		}
		if r.Kind != initproto.Forked {
			b.t.Fatalf("got %s", b.text(&r))
		}
		b.pid = int(r.Value)
		b.pids = append(b.pids, b.pid)
	}
	if code := b.wait(); code != 0 {
		b.t.Fatalf("the program ended with status %d: %s", code, b.output())
	}
	out := []byte(b.output())
	p := new(probed)
	if i := bytes.IndexByte(out, '{'); i < 0 || json.Unmarshal(out[i:], p) != nil {
		b.t.Fatalf("the probe printed %q", out)
	}
	return p
}

func self(t testing.TB) string {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return exe
}
