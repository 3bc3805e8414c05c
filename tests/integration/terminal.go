package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is the master of a pseudo terminal, as a person's terminal emulator
// or an engine holds it.
type terminal struct {
	t      *testing.T
	master int
	slave  *os.File // nil of one that came from a container
	seen   string   // all that was printed to it
}

// newTerminal makes a terminal for a runtime to run on.
func newTerminal(t *testing.T) *terminal {
	t.Helper()
	fail := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	master, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	fail(err)
	t.Cleanup(func() { unix.Close(master) })
	fail(unix.IoctlSetPointerInt(master, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(master, unix.TIOCGPTN)
	fail(err)
	slave, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	fail(err)
	t.Cleanup(func() { slave.Close() })
	return &terminal{t: t, master: master, slave: slave}
}

// modes are the terminal's, to be compared.
func (x *terminal) modes() unix.Termios {
	x.t.Helper()
	m, err := unix.IoctlGetTermios(int(x.slave.Fd()), unix.TCGETS)
	if err != nil {
		x.t.Fatal(err)
	}
	return *m
}

func (x *terminal) resize(rows, columns uint16) {
	x.t.Helper()
	if err := unix.IoctlSetWinsize(x.master, unix.TIOCSWINSZ, &unix.Winsize{Row: rows, Col: columns}); err != nil {
		x.t.Fatal(err)
	}
}

func (x *terminal) enter(text string) {
	x.t.Helper()
	if _, err := unix.Write(x.master, []byte(text)); err != nil {
		x.t.Fatal(err)
	}
}

// expect reads until the text appears behind what was expected before.
func (x *terminal) expect(text string) {
	x.t.Helper()
	for end := time.Now().Add(patience); ; {
		if i := strings.Index(x.seen, text); i >= 0 {
			x.seen = x.seen[i+len(text):]
			return
		}
		if !x.read(time.Until(end)) {
			x.t.Fatalf("the terminal does not show %q, but\n%s", text, x.seen)
		}
	}
}

// read reads once; false when nothing comes any more.
func (x *terminal) read(wait time.Duration) bool {
	p := []unix.PollFd{{Fd: int32(x.master), Events: unix.POLLIN}}
	n, err := unix.Poll(p, int(max(wait.Milliseconds(), 0)))
	if err == unix.EINTR { // a child of the test has ended
		return true
	}
	if n <= 0 {
		return false
	}
	var buf [4096]byte
	n, err = unix.Read(x.master, buf[:])
	if err != nil || n <= 0 {
		return err == unix.EAGAIN || err == unix.EINTR
	}
	x.seen += string(buf[:n])
	return true
}

// rest reads what is there.
func (x *terminal) rest() string {
	for x.read(0) {
	}
	return x.seen
}

// onTerminal is a call of the runtime whose streams and controlling terminal are x.
type onTerminal struct {
	*terminal
	b    *box
	wait func() int
	pid  int
}

// callOn starts a command of the runtime on a terminal of its own.
func (b *box) callOn(args ...string) *onTerminal {
	b.t.Helper()
	x := newTerminal(b.t)
	x.resize(30, 90)
	cmd, _ := b.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = x.slave, x.slave, x.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	b.must(cmd.Start())
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	return &onTerminal{terminal: x, b: b, pid: cmd.Process.Pid, wait: func() int {
		b.t.Helper()
		defer timer.Stop()
		done := make(chan struct{})
		go func() { _ = cmd.Wait(); close(done) }()
		for { // who does not read would hold the output up
			x.read(10 * time.Millisecond)
			select {
			case <-done:
				x.rest()
				if ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
					return 128 + int(ws.Signal())
				}
				return cmd.ProcessState.ExitCode()
			default:
			}
		}
	}}
}

// socket listens on a socket in a directory of the box, as an engine does.
type socket struct {
	b    *box
	fd   int
	path string
}

func (b *box) socket(name string) *socket {
	b.t.Helper()
	s := &socket{b: b, path: filepath.Join(b.dir, "io", name)}
	var err error
	s.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	b.must(err)
	b.t.Cleanup(func() { unix.Close(s.fd) })
	b.must(os.MkdirAll(filepath.Dir(s.path), 0o755))
	dir, err := unix.Open(filepath.Dir(s.path), unix.O_PATH|unix.O_CLOEXEC, 0)
	b.must(err)
	defer unix.Close(dir)
	b.must(unix.Bind(s.fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(s.path)}))
	b.must(unix.Listen(s.fd, 4))
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	b.must(unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	return s
}

// take accepts one connection with one message of one descriptor, and its end.
func (s *socket) take() (text string, fd int) {
	s.b.t.Helper()
	c, _, err := unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
	for err == unix.EINTR { // with SO_RCVTIMEO the kernel does not go on by itself
		c, _, err = unix.Accept4(s.fd, unix.SOCK_CLOEXEC)
	}
	s.b.must(err)
	defer unix.Close(c)
	data, oob := make([]byte, 256), make([]byte, 256)
	n, oobn, _, _, err := unix.Recvmsg(c, data, oob, unix.MSG_CMSG_CLOEXEC)
	s.b.must(err)
	msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
	s.b.must(err)
	if len(msgs) != 1 {
		s.b.t.Fatalf("%d control messages, expected 1", len(msgs))
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	s.b.must(err)
	if len(fds) != 1 {
		s.b.t.Fatalf("%d descriptors, expected 1", len(fds))
	}
	s.b.t.Cleanup(func() { unix.Close(fds[0]) })
	if more, _, err := unix.Recvfrom(c, data[n:], 0); err != nil || more != 0 {
		s.b.t.Errorf("%d bytes more after the message, %v", more, err)
	}
	return string(data[:n]), fds[0]
}

// terminal takes a terminal.
func (s *socket) terminal() (string, *terminal) {
	s.b.t.Helper()
	name, fd := s.take()
	s.b.must(unix.SetNonblock(fd, true))
	return name, &terminal{t: s.b.t, master: fd}
}
