package aside_test

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/aside"
)

type work struct {
	calls [3]aside.Call
	name  [16]byte
	fds   [2]int32
}

func wait(t *aside.Thread) {
	for word := t.TID(); ; {
		tid := atomic.LoadUint32(word)
		if tid == 0 {
			return
		}
		_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), 0, uintptr(tid), 0, 0, 0)
	}
}

// The thread's descriptors are the process's; its working directory is not.
func TestThread(t *testing.T) {
	for range 200 {
		w := &work{}
		copy(w.name[:], "/proc")
		w.calls[0] = aside.Call{NR: unix.SYS_PIPE2, Args: [6]uintptr{uintptr(unsafe.Pointer(&w.fds)), unix.O_CLOEXEC}}
		w.calls[1] = aside.Call{NR: unix.SYS_CHDIR, Args: [6]uintptr{uintptr(unsafe.Pointer(&w.name))}}
		w.calls[2] = aside.Call{NR: unix.SYS_GETTID}
		th, e := aside.Start(w.calls[:])
		if e != 0 {
			t.Fatal(syscall.Errno(e))
		}
		garbage = bytes.Repeat([]byte("x"), 1<<16) // what the thread uses must not be collected
		runtime.GC()
		wait(th)
		if i, e := th.Done(); i != -1 || e != 0 {
			t.Fatalf("call %d: %v", i, syscall.Errno(e))
		}
		if tid := int(w.calls[2].Ret); tid == os.Getpid() || tid == 0 {
			t.Errorf("ran on thread %d of process %d", tid, os.Getpid())
		}
		for _, fd := range w.fds {
			if err := unix.Close(int(fd)); err != nil {
				t.Fatal(err)
			}
		}
		if dir, err := os.Getwd(); err != nil || dir == "/proc" {
			t.Fatalf("working directory %s, %v", dir, err)
		}
	}
}

var (
	garbage []byte
	word    byte
)

// The list ends where a call fails, and a result can be an argument.
func TestThreadFails(t *testing.T) {
	w := &work{}
	w.calls[0] = aside.Call{NR: unix.SYS_SOCKET, Args: [6]uintptr{unix.AF_UNIX, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, To: &w.calls[1].Args[0]}
	w.calls[1] = aside.Call{NR: unix.SYS_LISTEN} // a datagram socket cannot
	w.calls[2] = aside.Call{NR: unix.SYS_CLOSE}
	th, e := aside.Start(w.calls[:])
	if e != 0 {
		t.Fatal(syscall.Errno(e))
	}
	wait(th)
	if i, e := th.Done(); i != 1 || syscall.Errno(e) != syscall.EOPNOTSUPP {
		t.Errorf("call %d failed with %v, want 1 with EOPNOTSUPP", i, syscall.Errno(e))
	}
	if w.calls[2].Ret != aside.Pending {
		t.Errorf("a call after the failure returned %d", w.calls[2].Ret)
	}
	if err := unix.Close(int(w.calls[0].Ret)); err != nil {
		t.Error(err)
	}
}

func TestSpawn(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	m := &aside.Memory{}
	args := m.List("grep", "-E", "SigBlk|SigCgt", "/proc/self/status")
	calls := []aside.Call{
		{NR: unix.SYS_DUP3, Args: [6]uintptr{uintptr(p[1]), 1, 0}},
		{NR: unix.SYS_EXECVE, Args: [6]uintptr{m.String("/bin/grep"), args, m.List()}},
	}
	pid, i, e := aside.Spawn(0, -1, 0, calls)
	runtime.KeepAlive(m)
	unix.Close(p[1])
	if e != 0 {
		t.Fatalf("call %d: %v", i, syscall.Errno(e))
	}
	f := os.NewFile(uintptr(p[0]), "pipe")
	defer f.Close()
	var out bytes.Buffer
	_, _ = out.ReadFrom(f)
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != 0 {
		t.Fatalf("%v, exit %d", err, ws.ExitStatus())
	}
	// All signals are blocked: whoever is executed puts that right.
	for _, want := range []string{"SigBlk:\tfffffffffffbfeff"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in %q", want, out.String())
		}
	}
	var mask unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &mask); err != nil || mask.Val[0]&(1<<(unix.SIGTERM-1)) != 0 {
		t.Errorf("the caller's signals are blocked: %x, %v", mask.Val[0], err)
	}
}

func TestSpawnFails(t *testing.T) {
	m := &aside.Memory{}
	defer runtime.KeepAlive(m)
	exe := []aside.Call{
		{NR: unix.SYS_GETPID},
		{NR: unix.SYS_EXECVE, Args: [6]uintptr{m.String("/nonexistent/program"), m.List("program"), m.List()}},
	}
	pid, i, e := aside.Spawn(0, -1, 0, exe)
	if i != 1 || syscall.Errno(e) != syscall.ENOENT {
		t.Fatalf("call %d: %v, want 1: ENOENT", i, syscall.Errno(e))
	}
	if int(exe[0].Ret) != pid {
		t.Errorf("the child %d said that it is %d", pid, exe[0].Ret)
	}
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != 127 {
		t.Errorf("%v, exit %d", err, ws.ExitStatus())
	}
	// A thread that is not the one asked for clones nothing.
	if pid, i, e := aside.Spawn(0, -1, 1<<30, exe); pid != 0 || i != -1 || syscall.Errno(e) != syscall.ESRCH {
		t.Errorf("asked for another thread: pid %d, call %d, %v", pid, i, syscall.Errno(e))
	}
	if pid, i, e := aside.Spawn(0, 1<<20, 0, exe); pid != 0 || i != -1 || syscall.Errno(e) != syscall.EBADF {
		t.Errorf("born into no cgroup: pid %d, call %d, %v", pid, i, syscall.Errno(e))
	}
}

// Package syscall has raised the limit by now; Files is what it was before.
func TestFiles(t *testing.T) {
	if os.Getenv("ASIDE_FILES") != "" {
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now.Cur == 200 {
			os.Exit(3)
		}
		if aside.Files.Soft != 200 || aside.Files.Hard != 300 {
			os.Exit(4)
		}
		os.Exit(0)
	}
	c := exec.Command("sh")
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c.Args = []string{"sh", "-c", "ulimit -Sn 200; ulimit -Hn 300; exec \"$0\" -test.run='^TestFiles$'", exe}
	c.Env = append(os.Environ(), "ASIDE_FILES=1")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// A child that nobody waits for makes its calls while its parent goes on, and what has
// failed can be asked once it has ended.
func TestBegin(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[0])
	for _, c := range []struct {
		program string
		status  int
		failed  int
		err     syscall.Errno
	}{{"/bin/true", 0, -1, 0}, {"/nonexistent/program", 127, 1, syscall.ENOENT}} {
		m := &aside.Memory{}
		calls := []aside.Call{
			{NR: unix.SYS_READ, Args: [6]uintptr{uintptr(p[0]), uintptr(unsafe.Pointer(&word)), 1}}, // until we write
			{NR: unix.SYS_EXECVE, Args: [6]uintptr{m.String(c.program), m.List("true"), m.List()}},
		}
		pid, child, e := aside.Begin(0, -1, 0, calls)
		if e != 0 {
			t.Fatal(syscall.Errno(e))
		}
		garbage = bytes.Repeat([]byte("x"), 1<<16)
		runtime.GC()
		if _, err := unix.Write(p[1], []byte("!")); err != nil {
			t.Fatal(err)
		}
		var ws syscall.WaitStatus
		if _, err := syscall.Wait4(pid, &ws, 0, nil); err != nil || ws.ExitStatus() != c.status {
			t.Errorf("%s: %v, exit %d, want %d", c.program, err, ws.ExitStatus(), c.status)
		}
		runtime.KeepAlive(m)
		if i, e := child.Failed(); i != c.failed || syscall.Errno(e) != c.err {
			t.Errorf("%s: call %d failed: %v, want %d: %v", c.program, i, syscall.Errno(e), c.failed, c.err)
		}
	}
	if _, _, e := aside.Begin(0, 1<<20, 0, []aside.Call{{NR: unix.SYS_GETPID}}); syscall.Errno(e) != syscall.EBADF {
		t.Errorf("born into no cgroup: %v", syscall.Errno(e))
	}
}
