package console

import (
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxPath is the longest path of a socket's address (unix(7)).
const maxPath = 107

// Dial connects to a socket in the file system, however long its path is. The
// descriptor is close-on-exec. Errors are *fs.PathError.
func Dial(path string) (int, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "socket", Path: path, Err: err}
	}
	err = connect(fd, path)
	if err != nil {
		unix.Close(fd)
		return -1, &fs.PathError{Op: "connect", Path: path, Err: err}
	}
	return fd, nil
}

func connect(fd int, path string) error {
	name := path
	if len(path) > maxPath || strings.HasPrefix(path, "@") { // an @ would make it abstract
		at, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(at)
		name = "/proc/self/fd/" + strconv.Itoa(at)
	}
	for {
		if err := unix.Connect(fd, &unix.SockaddrUnix{Name: name}); err != unix.EINTR {
			return err
		}
	}
}

// Send sends one message of text and one descriptor.
func Send(socket int, text string, fd int) error {
	for {
		err := unix.Sendmsg(socket, []byte(text), unix.UnixRights(fd), nil, unix.MSG_NOSIGNAL)
		if err != unix.EINTR {
			return os.NewSyscallError("sendmsg", err)
		}
	}
}

// Receive receives one message with one descriptor, which is close-on-exec. A
// message that is not there yet is not waited for.
func Receive(socket int) (text string, fd int, err error) {
	var data [256]byte
	oob := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	for {
		n, oobn, _, _, err = unix.Recvmsg(socket, data[:], oob, unix.MSG_CMSG_CLOEXEC|unix.MSG_DONTWAIT)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		return "", -1, os.NewSyscallError("recvmsg", err)
	}
	fds, err := rights(oob[:oobn])
	if err != nil {
		return "", -1, err
	}
	if len(fds) != 1 {
		for _, f := range fds {
			unix.Close(f)
		}
		return "", -1, fmt.Errorf("message with %d descriptors, expected 1", len(fds))
	}
	return string(data[:n]), fds[0], nil
}

func rights(oob []byte) ([]int, error) {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	var fds []int
	for i := range msgs {
		f, err := unix.ParseUnixRights(&msgs[i])
		if err == nil {
			fds = append(fds, f...)
		}
	}
	return fds, nil
}
