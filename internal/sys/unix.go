package sys

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// maxSunPath is the longest path that a socket address takes (unix(7)), without
// the NUL.
const maxSunPath = 107

// DialUnix connects to the UNIX socket at path, of any length, with a socket of
// type typ (unix.SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM). timeout bounds the
// connection and each later write. The socket is close-on-exec and blocking.
// Errors are *fs.PathError.
func DialUnix(path string, typ int, timeout time.Duration) (int, error) {
	fail := func(op string, err error) (int, error) { return -1, &fs.PathError{Op: op, Path: path, Err: err} }
	fd, err := unix.Socket(unix.AF_UNIX, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	tv := unix.NsecToTimeval(timeout.Nanoseconds())
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv); err != nil {
		unix.Close(fd)
		return fail("setsockopt", err)
	}
	address := path
	if len(path) > maxSunPath {
		// What is too long for the address is reached through a descriptor.
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			unix.Close(fd)
			return fail("open", err)
		}
		defer unix.Close(dir)
		address = "/proc/self/fd/" + strconv.Itoa(dir) + "/" + filepath.Base(path)
	}
	for {
		err = unix.Connect(fd, &unix.SockaddrUnix{Name: address})
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return fail("connect", err)
	}
	return fd, nil
}
