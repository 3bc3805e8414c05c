package sys

import (
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Ready waits until fd can be read, or its other end is closed, but at most for
// limit, and says whether it can. It blocks without telling the Go scheduler,
// which would otherwise, after some 20 µs, start a thread to look for other work:
// in a program that has none this is a third of the time that a short wait
// takes. Waits that may be long, and in which goroutines want to run, belong in
// an ordinary system call after this one.
func Ready(fd int, limit time.Duration) bool {
	p := unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	ts := unix.NsecToTimespec(int64(limit))
	n, _, e := syscall.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&p)), 1, uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	return e == 0 && n == 1
}
