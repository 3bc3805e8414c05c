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
// in the foreground does so before Run and reaps with WaitReaping.
func BecomeSubreaper() error {
	return os.NewSyscallError("prctl(PR_SET_CHILD_SUBREAPER)", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
}

// WaitReaping is Wait for a program whose every child may be reaped: orphans of
// the container that end earlier are.
func (c *Container) WaitReaping() (int, error) {
	if !c.child {
		return -1, errors.New("only the program that created a container can wait for it")
	}
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return -1, fmt.Errorf("wait for process %d: %w", c.rec.Pid, err)
		case pid == c.rec.Pid:
			return ExitCode(ws), nil
		}
	}
}
