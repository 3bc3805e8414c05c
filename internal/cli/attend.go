package cli

import (
	"os"
	"os/signal"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/console"
)

// attend stands in for a program in the foreground until it ends: signals that
// come to tare go to it, and if it has a terminal, what is typed, and what it
// prints comes back. It returns the exit code.
func (c *call) attend(made chan<- func(syscall.Signal), terminal *os.File, send func(syscall.Signal), wait func() (int, error)) (int, error) {
	if terminal == nil {
		made <- send
		return wait()
	}
	link, err := console.Connect(terminal, int(os.Stdin.Fd()), int(c.stdout.Fd()))
	if err != nil {
		send(syscall.SIGKILL)
		_, _ = wait()
		return -1, err
	}
	// Whatever happens, the caller's terminal is left as it was.
	defer link.Finish()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	go func() {
		for range resized {
			link.Resize()
		}
	}()
	link.Resize() // it may have changed since the program's was made
	made <- func(s syscall.Signal) {
		if s != syscall.SIGWINCH { // the kernel sends that one itself
			send(s)
		}
	}
	return wait()
}

// ownSize is the size of the caller's terminal, for that of the program.
func ownSize() *specs.Box {
	size := console.OwnSize()
	if size == nil || size.Row == 0 && size.Col == 0 {
		return nil
	}
	return &specs.Box{Height: uint(size.Row), Width: uint(size.Col)}
}
