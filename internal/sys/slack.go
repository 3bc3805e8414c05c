package sys

import (
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/entry"
)

// AsCaller runs start, which starts a program, on a thread with the timer slack of
// this program's caller, which the other program inherits.
func AsCaller(start func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	OwnSlack()
	return start()
}

// OwnSlack gives the calling thread the timer slack of this program's caller: package
// entry has changed that of threads that the main one did not start.
func OwnSlack() {
	if ns, changed := entry.Slack(); changed {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_PRCTL, unix.PR_SET_TIMERSLACK, uintptr(ns), 0, 0, 0, 0) // fails for no number
	}
}
