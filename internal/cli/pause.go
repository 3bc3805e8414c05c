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
	cancel, err := interruptible(func() {}, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	if err != nil {
		return err
	}
	return ctr.Pause(cancel)
}

// interruptible catches signals that end a command from outside, each once: the channel
// is closed then, after tell.
func interruptible(tell func(), by ...syscall.Signal) (<-chan struct{}, error) {
	signals, err := catch.Open()
	if err == nil {
		err = catch.Once(by...)
	}
	if err != nil {
		return nil, err
	}
	cancel := make(chan struct{})
	entry.Parallel()
	go func() {
		for n := 0; n == 0; { // a signal also interrupts the wait for it
			n, _ = unix.Poll([]unix.PollFd{{Fd: int32(signals), Events: unix.POLLIN}}, -1)
			n = max(n, 0)
		}
		tell()
		close(cancel)
	}()
	return cancel, nil
}
