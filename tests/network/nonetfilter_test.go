package network

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const lackingEnv = "TARE_TEST_LACKING"

// lacking becomes a program that gets no socket of nfnetlink, as on a kernel that is built
// without it (CONFIG_NETFILTER_NETLINK), where socket(2) says EPROTONOSUPPORT.
func lacking(args []string) error {
	load := func(offset uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
	}
	unless := func(value uint32, skip uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: value, Jf: skip}
	}
	// struct seccomp_data (seccomp(2)): the number, then the arguments from byte 16 on,
	// each with its low half first on the machines that these tests run on.
	prog := []unix.SockFilter{
		load(0), unless(unix.SYS_SOCKET, 5),
		load(16), unless(unix.AF_NETLINK, 3),
		load(32), unless(unix.NETLINK_NETFILTER, 1),
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPROTONOSUPPORT)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
	runtime.LockOSThread() // the filter is the thread's, which becomes the program
	if _, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog))); errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if err := os.Unsetenv(lackingEnv); err != nil {
		return err
	}
	return syscall.Exec(args[0], args, syscall.Environ())
}
