package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The structures of linux/seccomp.h.
type (
	seccompData struct {
		nr   int32
		arch uint32
		ip   uint64
		args [6]uint64
	}
	seccompNotif struct {
		id         uint64
		pid, flags uint32
		data       seccompData
	}
	seccompResp struct {
		id    uint64
		val   int64
		error int32
		flags uint32
	}
)

// The requests of seccomp_unotify(2), and the answer that lets the kernel go on.
const (
	notifRecv     = 0xc0502100
	notifSend     = 0xc0182101
	notifContinue = 1
)

// agent is a seccomp agent: it takes listeners, and answers for the container.
type agent struct {
	t      *testing.T
	socket *net.UnixListener
	answer func(seccompNotif) seccompResp
	once   bool // dies after one answer
	wait   sync.WaitGroup

	mu     sync.Mutex
	states []specs.ContainerProcessState
	raw    []string
	asked  []seccompNotif
	failed []string
}

// newAgent listens at a path of any length and answers every question with answer.
func newAgent(t *testing.T, path string, answer func(seccompNotif) seccompResp) *agent {
	t.Helper()
	dir, err := os.Open(dirOf(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	socket, err := net.ListenUnix("unix", &net.UnixAddr{Net: "unix", Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), baseOf(path))})
	if err != nil {
		t.Fatal(err)
	}
	socket.SetUnlinkOnClose(false)
	a := &agent{t: t, socket: socket, answer: answer}
	a.wait.Add(1)
	go a.accept()
	t.Cleanup(a.end)
	return a
}

func dirOf(path string) string {
	for i := len(path) - 1; i > 0; i-- {
		if path[i] == '/' {
			return path[:i]
		}
	}
	return "/"
}

func baseOf(path string) string { return path[len(dirOf(path))+1:] }

// end stops listening and demands that every listener has ended with its processes.
func (a *agent) end() {
	a.socket.Close()
	done := make(chan struct{})
	go func() { a.wait.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		a.t.Error("a seccomp listener outlives its container")
	}
	for _, f := range a.failed {
		a.t.Error(f)
	}
}

func (a *agent) fail(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = append(a.failed, fmt.Sprintf(format, args...))
}

func (a *agent) accept() {
	defer a.wait.Done()
	for {
		conn, err := a.socket.AcceptUnix()
		if err != nil {
			return
		}
		a.wait.Add(1)
		go a.serve(conn)
	}
}

// serve takes the one state of a connection and answers until the filter has no
// process any more.
func (a *agent) serve(conn *net.UnixConn) {
	defer a.wait.Done()
	defer conn.Close()
	var text, rights []byte
	for {
		buf, oob := make([]byte, 64<<10), make([]byte, 256)
		n, oobn, _, _, err := conn.ReadMsgUnix(buf, oob)
		text, rights = append(text, buf[:n]...), append(rights, oob[:oobn]...)
		if err != nil || n == 0 { // the runtime must close after one state
			break
		}
	}
	messages, err := unix.ParseSocketControlMessage(rights)
	if err != nil || len(messages) != 1 {
		a.fail("agent: %d control messages, %v", len(messages), err)
		return
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		a.fail("agent: %d descriptors, %v", len(fds), err)
		return
	}
	defer unix.Close(fds[0])
	var s specs.ContainerProcessState
	if err := json.Unmarshal(text, &s); err != nil {
		a.fail("agent: state %q: %v", text, err)
		return
	}
	a.mu.Lock()
	a.states, a.raw = append(a.states, s), append(a.raw, string(text))
	a.mu.Unlock()
	a.answerAll(fds[0])
}

func (a *agent) answerAll(fd int) {
	for {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if _, err := unix.Poll(p, -1); err != nil && !errors.Is(err, unix.EINTR) {
			a.fail("agent: poll: %v", err)
			return
		}
		if p[0].Revents&unix.POLLIN == 0 {
			if p[0].Revents&(unix.POLLHUP|unix.POLLERR) != 0 {
				return // nobody is left under the filter
			}
			continue
		}
		var n seccompNotif
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifRecv, uintptr(unsafe.Pointer(&n))); e != 0 {
			continue // the process was killed while it asked
		}
		a.mu.Lock()
		a.asked = append(a.asked, n)
		a.mu.Unlock()
		r := a.answer(n)
		r.id = n.id
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), notifSend, uintptr(unsafe.Pointer(&r)))
		if a.once {
			return
		}
	}
}

// told waits for a number of states.
func (a *agent) told(b *box, n int) {
	b.t.Helper()
	b.until("the agent's state", func() bool {
		a.mu.Lock()
		defer a.mu.Unlock()
		return len(a.states) >= n
	})
}

// questions are the numbers of the calls that the agent has been asked about.
func (a *agent) questions() []int {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []int
	for _, n := range a.asked {
		out = append(out, int(n.data.nr))
	}
	return out
}
