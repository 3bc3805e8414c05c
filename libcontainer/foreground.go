package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// BecomeSubreaper makes orphans of the calling program's descendants its
// children (PR_SET_CHILD_SUBREAPER, prctl(2)). A program that runs a container
// in the foreground does so before Run and reaps with Ended.
func BecomeSubreaper() error {
	return os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// Ended is Wait for a program whose every child may be reaped, and which learns
// from SIGCHLD when to look: it reaps all that have ended, orphans of the
// container included, and says whether the container's program is among them.
func (c *Container) Ended() (code int, ended bool, err error) {
	if !c.child {
		return -1, false, errors.New("only the program that created a container can wait for it")
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return -1, false, fmt.Errorf("wait for process %d: %w", c.rec.Pid, err)
		case pid == 0:
			return -1, false, nil
		case pid == c.rec.Pid:
			return ExitCode(ws), true, nil
		}
	}
}
