package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/tare-oci/tare/libcontainer"
)

func runRun(c *call) error {
	r, err := c.runtime()
	if err != nil {
		return err
	}
	o, err := c.createOptions(c.args[0])
	if err != nil {
		return err
	}
	if err := makeRoot(&c.global, r.Root()); err != nil {
		return err
	}
	if c.flags.bool("detach") {
		ctr, err := r.Run(o)
		if err == nil {
			c.warn(ctr.Warnings)
		}
		return err
	}
	return c.foreground(r, o)
}

// foreground runs a container and stands in for its program until that ends.
func (c *call) foreground(r *libcontainer.Runtime, o libcontainer.CreateOptions) error {
	if !c.flags.bool("no-subreaper") {
		if err := libcontainer.BecomeSubreaper(); err != nil {
			return err
		}
	}
	made := make(chan *libcontainer.Container, 1)
	go forwardSignals(made)
	ctr, err := r.Run(o)
	if err != nil {
		return err
	}
	made <- ctr
	c.warn(ctr.Warnings)
	code, err := ctr.WaitReaping()
	if err != nil {
		return err
	}
	if !c.flags.bool("keep") {
		if err := ctr.Delete(libcontainer.DeleteOptions{Force: true}); err != nil {
			// The program's exit code is what the caller asked for; only a success
			// would hide that something is left behind.
			if end := c.report(err); code == 0 {
				code = end
			}
		}
	}
	return exitCode(code)
}

// forwardable are the signals that a person or a program sends on purpose. Not
// among them: those that cannot be caught, those that a fault raises, SIGCHLD,
// and SIGPIPE and SIGURG, which are about this process.
var forwardable = [...]os.Signal{
	syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2,
	syscall.SIGALRM, syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU,
	syscall.SIGWINCH, syscall.SIGIO, syscall.SIGPWR, syscall.SIGXCPU, syscall.SIGXFSZ,
}

// forwardSignals catches signals, beside the making of the container, and sends
// them to it once it is there.
func forwardSignals(made <-chan *libcontainer.Container) {
	signals := forwardable[:]
	for n := rtMin; n <= rtMax; n++ {
		signals = append(signals, syscall.Signal(n))
	}
	ch := make(chan os.Signal, 64)
	signal.Notify(ch, signals...)
	ctr := <-made
	for s := range ch {
		if sig, ok := s.(syscall.Signal); ok {
			// It fails when the program has just ended; then there is nobody to
			// forward to, and nothing to tell.
			_ = ctr.Kill(sig, false)
		}
	}
}
