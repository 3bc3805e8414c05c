package sys

import (
	"syscall"
	"unsafe"
)

// maxMask is a mask for more CPUs than any kernel is built for, in bytes.
const maxMask = 1024

// Affinity returns the CPUs of the calling thread as a mask, lowest CPU first. It
// is as long as the kernel's; unix.CPUSet ends at CPU 1023.
func Affinity() ([]byte, error) {
	mask := make([]byte, maxMask)
	n, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_GETAFFINITY, 0, maxMask, uintptr(unsafe.Pointer(&mask[0])))
	if errno != 0 {
		return nil, errno
	}
	return mask[:n], nil
}

// SetAffinity sets the CPUs of the calling thread.
func SetAffinity(mask []byte) error {
	if len(mask) == 0 {
		return syscall.EINVAL
	}
	_, _, errno := syscall.RawSyscall(syscall.SYS_SCHED_SETAFFINITY, 0, uintptr(len(mask)), uintptr(unsafe.Pointer(&mask[0])))
	if errno != 0 {
		return errno
	}
	return nil
}
