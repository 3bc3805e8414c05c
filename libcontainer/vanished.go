package libcontainer

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/console"
)

// connection is one to an engine's console socket. Whoever accepts it waits for the
// terminal to come through it, so another attempt must take the same.
type connection struct{ fd int }

// dial returns a descriptor of the connection, which is made at the first call.
func (c *connection) dial(path string) (int, error) {
	if c.fd < 0 {
		fd, err := console.Dial(path)
		if err != nil {
			return -1, err
		}
		c.fd = fd
	}
	fd, err := unix.FcntlInt(uintptr(c.fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

func (c *connection) close() {
	if c.fd >= 0 {
		unix.Close(c.fd)
	}
}

// vanishedError is the failure of a create whose cgroup was there and is not any
// more. A cgroup without processes can be removed by everybody: by the delete of an
// earlier container with the same linux.cgroupsPath, by a service manager that does
// not know it. Nothing of the container has happened by then, so it can be made anew.
type vanishedError struct {
	path string
	err  error
}

func (e *vanishedError) Error() string {
	return e.err.Error() + " (somebody else has removed the cgroup " + e.path + " meanwhile)"
}

func (e *vanishedError) Unwrap() error { return e.err }

// vanished makes a vanishedError of a failure that is one: files and descriptors of
// a removed cgroup give ENOENT and ENODEV.
func (h *host) vanished(err error) error {
	if h.hooked || h.told || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENODEV) {
		return err
	}
	for i := range h.made {
		var st unix.Stat_t
		if path := h.made[i].Mount + h.made[i].Path; unix.Stat(path, &st) == unix.ENOENT {
			return &vanishedError{path, err}
		}
	}
	return err
}
