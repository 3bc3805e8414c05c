// Package catch catches signals by a handler of a few instructions, which writes
// the signal's number to a pipe.
//
// Package os/signal takes two switches of threads for each signal that it begins
// to catch, and keeps two threads for as long as it does. A program that catches
// half a dozen before it starts another, and is not much more than that other's
// keeper, notices: see docs/performance.md.
//
// Signals caught here are not to be caught by os/signal too. SIGURG, and those
// that a fault raises, belong to the Go runtime.
package catch

import (
	"os"
	"syscall"
	"unsafe"
)

// sigaction is the kernel's struct sigaction, rt_sigaction(2).
type sigaction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	saRestorer  = 0x04000000
	saOnStack   = 0x08000000
	saRestart   = 0x10000000
	saResetHand = 0x80000000
)

// addresses of the handler and of what it returns to, 0 where the kernel
// provides that.
func addresses() (handler, restorer uintptr)

// into is the descriptor that the handler writes to.
var into int32

// out is the other end.
var out = -1

// Open makes the pipe, and returns its end to read from: one byte for each
// signal, its number, in their order. It is close-on-exec and does not block.
func Open() (int, error) {
	if out >= 0 {
		return out, nil
	}
	var p [2]int
	if err := syscall.Pipe2(p[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		return -1, os.NewSyscallError("pipe2", err)
	}
	out, into = p[0], int32(p[1])
	return out, nil
}

// Once catches signals, each until it has come once: the second time it has its
// usual effect (SA_RESETHAND). Open comes first.
func Once(signals ...syscall.Signal) error { return set(signals, handled(saResetHand)) }

// Each catches signals whenever they come. Open comes first.
func Each(signals ...syscall.Signal) error { return set(signals, handled(0)) }

// Ignored tells whether a signal is ignored, as nohup(1) has SIGHUP.
func Ignored(s syscall.Signal) bool {
	var act sigaction
	_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), 0, uintptr(unsafe.Pointer(&act)), 8, 0, 0)
	return e == 0 && act.handler == 1 // SIG_IGN
}

// Ignore ignores signals from now on.
func Ignore(signals ...syscall.Signal) error { return set(signals, sigaction{handler: 1 /* SIG_IGN */}) }

func handled(flags uint64) sigaction {
	handler, restorer := addresses()
	act := sigaction{handler: handler, flags: flags | saOnStack | saRestart, restorer: restorer, mask: ^uint64(0)}
	if restorer != 0 {
		act.flags |= saRestorer
	}
	return act
}

func set(signals []syscall.Signal, act sigaction) error {
	for _, s := range signals {
		_, _, e := syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(s), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
		if e != 0 {
			return os.NewSyscallError("rt_sigaction of signal "+s.String(), e)
		}
	}
	return nil
}
