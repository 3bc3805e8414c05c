package cli

import (
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

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
	if o.Detach = c.flags.bool("detach"); o.Detach {
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
	made := make(chan func(syscall.Signal), 1)
	o.BeforeStart = func() { catch(made) }
	o.ConsoleSize = ownSize
	ctr, err := r.Run(o)
	if err != nil {
		return err
	}
	c.warn(ctr.Warnings)
	code, err := c.attend(made, ctr.Terminal(), func(s syscall.Signal) { _ = ctr.Kill(s, false) }, ctr.WaitReaping)
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

// first are the signals that a program is likely to be sent as soon as it runs,
// and that would end tare.
var first = [...]os.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}

// settled is how long a program runs before the other signals are caught. To
// catch one takes Go two switches of threads: all of them would cost a program
// that ends at once a tenth of its whole run.
const settled = 20 * time.Millisecond

// forwardable are the others that a person or a program sends on purpose; so are
// the real-time signals. Not among them: those that cannot be caught, those
// that a fault raises, SIGCHLD, and SIGPIPE and SIGURG, which are about this
// process.
var forwardable = [...]os.Signal{
	syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGALRM,
	syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGIO, syscall.SIGPWR, syscall.SIGXCPU, syscall.SIGXFSZ,
	// The last to be caught does no harm before: a test that must know sends it
	// until it arrives.
	syscall.SIGWINCH,
}

// catch begins to catch signals, and returns when those that come first are
// caught: a program that says it is ready may be sent one at once. While a
// container is made, one that ends tare ends the container too.
func catch(made <-chan func(syscall.Signal)) {
	ch := make(chan os.Signal, 64)
	signal.Notify(ch, first[:]...)
	go forwardSignals(ch, made)
}

// forwardSignals sends the signals that tare receives to the program, once that
// runs. It is for a goroutine of its own.
func forwardSignals(ch chan os.Signal, made <-chan func(syscall.Signal)) {
	send, held := hold(ch, made)
	for _, s := range held {
		forward(send, s)
	}
	for late := time.After(settled); late != nil; {
		select {
		case s := <-ch:
			forward(send, s)
		case <-late:
			late = nil
		}
	}
	signals := make([]os.Signal, 0, rtMax-rtMin+1+len(forwardable))
	for n := rtMin; n <= rtMax; n++ {
		signals = append(signals, syscall.Signal(n))
	}
	signal.Notify(ch, append(signals, forwardable[:]...)...)
	for s := range ch {
		forward(send, s)
	}
}

// hold keeps signals until the container is made. One that comes for the second
// time has its usual effect: somebody is tired of waiting, for a hook perhaps.
func hold(ch <-chan os.Signal, made <-chan func(syscall.Signal)) (func(syscall.Signal), []os.Signal) {
	var held []os.Signal
	for {
		select {
		case send := <-made:
			return send, held
		case s := <-ch:
			if sig, ok := s.(syscall.Signal); ok && slices.Contains(held, s) {
				signal.Reset(s)
				_ = syscall.Kill(os.Getpid(), sig)
			}
			held = append(held, s)
		}
	}
}

// forward sends a signal to the program. It fails when that has just ended;
// then there is nobody to forward to, and nothing to tell.
func forward(send func(syscall.Signal), s os.Signal) {
	if sig, ok := s.(syscall.Signal); ok {
		send(sig)
	}
}
