package console

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/entry"
)

// Link copies between the terminal of a container and the streams of this
// program, whose own terminal it makes raw meanwhile.
type Link struct {
	master  *os.File
	in, out int
	stop    [2]int // a pipe: closed at its writing end when the program has ended
	drained chan struct{}
	restore func()
	once    sync.Once
}

// chunk is how much is copied at once, in bytes.
const chunk = 4096

// Connect begins to copy. The master becomes the link's. in and out are
// descriptors; if in is a terminal, it is made raw until Finish.
func Connect(master *os.File, in, out int) (*Link, error) {
	l := &Link{master: master, in: in, out: out, drained: make(chan struct{}), restore: func() {}}
	// Only its own description: those of the streams are shared with others, which
	// do not expect them to change.
	if err := unix.SetNonblock(l.fd(), true); err != nil {
		return nil, os.NewSyscallError("fcntl", err)
	}
	if err := unix.Pipe2(l.stop[:], unix.O_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("pipe", err)
	}
	// Keys that come by in are the program's. Those of a terminal that is only
	// written to still end tare: nobody else could be told.
	if isTerminal(in) {
		restore, err := makeRaw(in)
		if err != nil {
			return nil, err
		}
		l.restore = restore
	}
	entry.Parallel() // both wait in the kernel, each at any time
	go l.copyIn()
	go l.copyOut()
	return l, nil
}

// fd is the master; (*os.File).Fd would make it blocking.
func (l *Link) fd() int {
	fd := -1
	if c, err := l.master.SyscallConn(); err == nil {
		_ = c.Control(func(n uintptr) { fd = int(n) })
	}
	return fd
}

// Resize gives the container's terminal the size of this program's own.
func (l *Link) Resize() {
	if size := OwnSize(); size != nil {
		_ = unix.IoctlSetWinsize(l.fd(), unix.TIOCSWINSZ, size)
	}
}

// Finish copies what the program has printed to the last byte, and makes this
// program's terminal what it was. It is called when the program has ended;
// others that still hold its terminal are not waited for.
func (l *Link) Finish() {
	l.once.Do(func() {
		unix.Close(l.stop[1])
		<-l.drained
		l.restore()
		_ = l.master.Close()
	})
}

// copyIn copies what is typed. It ends with the program, or with its input.
func (l *Link) copyIn() {
	var buf [chunk]byte
	for {
		p := []unix.PollFd{{Fd: int32(l.in), Events: unix.POLLIN}, {Fd: int32(l.stop[0])}}
		if _, err := unix.Poll(p, -1); err == unix.EINTR {
			continue
		} else if err != nil || p[1].Revents != 0 {
			return
		}
		n, err := unix.Read(l.in, buf[:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 || !l.put(l.fd(), buf[:n]) {
			return
		}
	}
}

// put writes all of data to a descriptor, waiting where it cannot take more.
func (l *Link) put(fd int, data []byte) bool {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}, {Fd: int32(l.stop[0])}}
			if fd == l.out { // what is printed last is still to be written
				p = p[:1]
			}
			_, _ = unix.Poll(p, -1)
			if len(p) > 1 && p[1].Revents != 0 {
				return false
			}
		case err != nil:
			return false
		default:
			data = data[n:]
		}
	}
	return true
}

// A terminal that nobody has open reads as EIO; the program may open it again, as
// an init does that closes its streams first. Meanwhile it is looked at this often.
const (
	leastPause = time.Millisecond
	mostPause  = 50 * time.Millisecond
)

// copyOut copies what the program prints. When it has ended, a read that finds
// nothing is the end: the kernel first delivers what is on its way (n_tty_read).
func (l *Link) copyOut() {
	defer close(l.drained)
	var buf [chunk]byte
	master, broken, ended := l.fd(), false, false
	for pause := leastPause; ; {
		n, err := unix.Read(master, buf[:])
		switch {
		case n > 0:
			pause = leastPause
			// Where nobody reads, the program may go on printing all the same.
			broken = broken || !l.put(l.out, buf[:n])
		case err == unix.EINTR:
		case ended:
			return
		case err == unix.EAGAIN:
			p := []unix.PollFd{{Fd: int32(master), Events: unix.POLLIN}, {Fd: int32(l.stop[0])}}
			_, _ = unix.Poll(p, -1)
			ended = p[1].Revents != 0
		default:
			p := []unix.PollFd{{Fd: int32(l.stop[0])}}
			_, _ = unix.Poll(p, int(pause.Milliseconds()))
			ended = p[0].Revents != 0
			pause = min(2*pause, mostPause)
		}
	}
}
