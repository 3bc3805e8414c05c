package cli

import (
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/catch"
	"github.com/tare-oci/tare/internal/entry"
)

// runPause lets the container go on when it is interrupted before all of it has
// stopped.
func runPause(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	signals, err := catch.Open()
	if err == nil {
		err = catch.Once(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	}
	if err != nil {
		return err
	}
	cancel := make(chan struct{})
	entry.Parallel()
	go func() {
		for n := 0; n == 0; { // a signal also interrupts the wait for it
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(signals), Events: unix.POLLIN}}, -1)
			n = max(n, 0)
		}
		close(cancel)
	}()
	return ctr.Pause(cancel)
}
