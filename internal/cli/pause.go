package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// runPause lets the container go on when it is interrupted before all of it has
// stopped.
func runPause(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	signals, cancel := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		close(cancel)
	}()
	return ctr.Pause(cancel)
}
