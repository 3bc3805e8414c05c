package cgroup

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// retry repeats a call that a signal interrupted; Go's own preemption signals
// do that.
func retry(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if err != unix.EINTR {
			return n, err
		}
	}
}

// readAt reads a small file of a cgroup. buf is used if it is large enough.
func readAt(dirfd int, name string, buf []byte) ([]byte, error) {
	fd, err := openAt(dirfd, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	return readAll(fd, buf)
}

func readAll(fd int, buf []byte) ([]byte, error) {
	data := buf[:0]
	for {
		if len(data) == cap(data) {
			data = append(data, 0)[:len(data)]
		}
		n, err := retry(func() (int, error) { return unix.Read(fd, data[len(data):cap(data)]) })
		if err != nil {
			return nil, err
		}
		if n == 0 {
			return data, nil
		}
		data = data[:len(data)+n]
	}
}

// writeAt writes a file of a cgroup in one call, as the kernel expects.
func writeAt(dirfd int, name string, value []byte) error {
	fd, err := openAt(dirfd, name, unix.O_WRONLY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return writeAll(fd, value)
}

func writeAll(fd int, value []byte) error {
	n, err := retry(func() (int, error) { return unix.Write(fd, value) })
	if err == nil && n != len(value) {
		err = unix.EIO
	}
	return err
}

// isGone reports whether a cgroup has been removed meanwhile: files of one that
// is going away answer ENODEV.
func isGone(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV)
}
