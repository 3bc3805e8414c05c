package state

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
)

// The gate is a frozen interface between versions of tare: a fifo, and one byte
// through it. The process keeps it open for reading and writing, close-on-exec,
// so that it has a reader exactly as long as the process waits.

// MakeGate makes the fifo and returns the descriptor that the process keeps.
func (r *Record) MakeGate() (int, error) {
	path := r.store.path(r.ID, ".gate")
	_ = syscall.Unlink(path) // of a creator that was killed
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return -1, &fs.PathError{Op: "mkfifo", Path: path, Err: err}
	}
	fd, err := open(path, unix.O_RDWR)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// GateClosed reports whether a process waits at the gate.
func (r *Record) GateClosed() bool {
	fd, err := open(r.store.path(r.ID, ".gate"), unix.O_WRONLY|unix.O_NONBLOCK)
	if err != nil {
		return false // no fifo, or nobody reads it
	}
	syscall.Close(fd)
	return true
}

// ErrNobodyWaits is returned by OpenGate when no process waits.
var ErrNobodyWaits = errors.New("no process waits at the start gate")

// Opened is a gate through which the byte has gone.
type Opened struct{ fd int }

// OpenGate lets the process go on. The fifo is gone then, so that nobody opens
// the gate twice, and the lock on the record may be given up.
func (r *Record) OpenGate() (*Opened, error) {
	path := r.store.path(r.ID, ".gate")
	w, err := open(path, unix.O_WRONLY|unix.O_NONBLOCK)
	if err == syscall.ENOENT || err == syscall.ENXIO {
		return nil, ErrNobodyWaits
	}
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	if _, err := syscall.Write(w, []byte{0}); err != nil {
		syscall.Close(w)
		return nil, &fs.PathError{Op: "write", Path: path, Err: err}
	}
	_ = syscall.Unlink(path)
	return &Opened{w}, nil
}

// Wait returns when the process has become the container's program or has died.
// A report that it left in the fifo is returned; nil means that there is none.
func (o *Opened) Wait() (*initproto.Report, error) {
	defer syscall.Close(o.fd)
	// The last reader goes away with the execve, or with the process.
	for {
		p := []unix.PollFd{{Fd: int32(o.fd)}}
		if _, err := unix.Poll(p, -1); err != nil && err != syscall.EINTR {
			return nil, fmt.Errorf("poll the start gate: %w", err)
		}
		if p[0].Revents&unix.POLLERR != 0 {
			break
		}
	}
	// What is still in the fifo, which our writing end keeps alive, is its report.
	fd, err := syscall.Open("/proc/self/fd/"+strconv.Itoa(o.fd), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("read the start gate: %w", err)
	}
	defer syscall.Close(fd)
	var buf [initproto.Size + 1]byte
	n, err := syscall.Read(fd, buf[:])
	if err != nil || n <= 0 {
		return nil, nil // empty: it has become the program, or was killed
	}
	rep, err := initproto.Parse(buf[:n])
	if err != nil {
		return nil, nil // the byte itself: killed before it was read
	}
	return &rep, nil
}
