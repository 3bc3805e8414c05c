package libcontainer

import (
	"errors"
	"io/fs"
	"syscall"

	"golang.org/x/sys/unix"
)

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
