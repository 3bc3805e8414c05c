package libcontainer

import (
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/console"
	"github.com/tare-oci/tare/internal/state"
)

// notifyAt is where the container finds the socket by which it says that it is
// ready; other runtimes have it there, too.
const notifyAt = "/run/notify"

// activated adds to the config what the protocols of a service manager need:
// the variables of sd_listen_fds(3), and those of sd_notify(3) with a mount for
// the socket.
func (o *CreateOptions) activated(spec *specs.Spec, root string) *specs.Spec {
	if o.ListenFDs == 0 && o.NotifySocket == "" || spec.Process == nil {
		return spec
	}
	s, p := *spec, *spec.Process
	p.Env = slices.Clip(p.Env)
	if o.ListenFDs > 0 {
		p.Env = append(p.Env, "LISTEN_FDS="+strconv.Itoa(o.ListenFDs), "LISTEN_PID=1")
		if o.ListenNames != "" {
			p.Env = append(p.Env, "LISTEN_FDNAMES="+o.ListenNames)
		}
	}
	if o.NotifySocket != "" {
		p.Env = append(p.Env, "NOTIFY_SOCKET="+notifyAt+"/"+state.NotifySocket)
		s.Mounts = append(slices.Clip(s.Mounts), specs.Mount{Destination: notifyAt, Source: state.NotifyDir(root, o.ID), Type: "bind",
			Options: []string{"bind", "nosuid", "noexec", "nodev", "ro"}})
	}
	s.Process = &p
	return &s
}

// StartNotify is Start for a container that was created with a NotifySocket: it
// waits until the program says that it is ready, and hands that on to the socket.
// With an empty one, or a container that was created without, it is Start.
func (c *Container) StartNotify(socket string) (warnings []string, err error) {
	rec, err := c.runtime.load(c.rec.ID, false)
	if err != nil {
		return nil, err
	}
	if socket == "" || !rec.Notify || derive(observe(rec)) != Created {
		return nil, c.Start()
	}
	l, err := listen(rec)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := c.Start(); err != nil {
		return nil, err
	}
	return l.forward(socket, rec, true), nil
}

// listener is the host's end of a container's readiness socket.
type listener struct{ fd int }

func (l *listener) close() {
	if l != nil && l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
}

// listen makes the socket, which every user of the container may write to.
func listen(rec *state.Record) (*listener, error) {
	path := rec.NotifyDir() + "/" + state.NotifySocket
	fail := func(call string, err error) (*listener, error) {
		return nil, &fs.PathError{Op: call, Path: path, Err: err}
	}
	dir, err := unix.Open(rec.NotifyDir(), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail("socket", err)
	}
	_ = unix.Unlinkat(dir, state.NotifySocket, 0) // of a start that was killed
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/" + state.NotifySocket})
	if err == nil {
		err = unix.Fchmodat(dir, state.NotifySocket, 0o777, 0)
	}
	if err != nil {
		unix.Close(fd)
		return fail("bind", err)
	}
	return &listener{fd}, nil
}

const (
	// looks is how often it is looked whether the container still lives.
	looks = 100 * time.Millisecond
	// barrier is how long a service manager may take to note what it was told.
	barrier = 30 * time.Second
)

// forward waits for the container's READY=1 and tells the service manager: with
// main also which process the service is, and then it waits until that is noted.
// It ends with the container. What goes wrong is no reason to end that.
func (l *listener) forward(socket string, rec *state.Record, main bool) (warnings []string) {
	warn := func(what string, err error) []string {
		return []string{"NOTIFY_SOCKET " + strconv.Quote(socket) + ": " + what + ": " + err.Error()}
	}
	ready := l.await(rec)
	if ready == "" {
		return nil
	}
	to, err := dialNotify(socket)
	if err != nil {
		return warn("connect", err)
	}
	defer unix.Close(to)
	if err := unix.Send(to, []byte(ready+"\n"), unix.MSG_NOSIGNAL); err != nil {
		return warn("send", err)
	}
	if !main {
		return nil
	}
	if err := unix.Send(to, []byte("MAINPID="+strconv.Itoa(rec.Pid)), unix.MSG_NOSIGNAL); err != nil {
		return warn("send", err)
	}
	if err := sendBarrier(to); err != nil {
		return warn("barrier", err)
	}
	return nil
}

// await returns the line of the container that says it is ready, "" when it ends.
func (l *listener) await(rec *state.Record) string {
	buf := make([]byte, 4096)
	for {
		p := []unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}
		if n, err := unix.Poll(p, int(looks.Milliseconds())); n <= 0 {
			if err != nil && err != unix.EINTR || !observe(rec).alive {
				return ""
			}
			continue
		}
		n, _, err := unix.Recvfrom(l.fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			continue
		}
		for _, line := range strings.Split(string(buf[:n]), "\n") {
			if strings.HasPrefix(line, "READY=") {
				return line
			}
		}
	}
}

// dialNotify connects to a service manager's socket, whose name may be abstract.
func dialNotify(name string) (int, error) {
	if !strings.HasPrefix(name, "@") && len(name) > 107 {
		return -1, unix.ENAMETOOLONG
	}
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// sendBarrier sends the end of a pipe, which the service manager closes when it
// has come to it (sd_notify_barrier(3)).
func sendBarrier(to int) error {
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return os.NewSyscallError("pipe", err)
	}
	defer unix.Close(pipe[0])
	err := console.Send(to, "BARRIER=1", pipe[1])
	unix.Close(pipe[1])
	if err != nil {
		return err
	}
	for end := time.Now().Add(barrier); ; {
		p := []unix.PollFd{{Fd: int32(pipe[0])}}
		n, err := unix.Poll(p, int(max(time.Until(end).Milliseconds(), 0)))
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR:
			return os.NewSyscallError("poll", err)
		case err == nil:
			return os.ErrDeadlineExceeded
		}
	}
}
