package libcontainer

import (
	"errors"
	"fmt"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/console"
)

// checkTerminal refuses a terminal that nobody would hold the other end of, and
// a socket to which none would be sent. The words are those that engines' users
// know, with the name of the program they called.
func checkTerminal(p *specs.Process, detach bool, socket, program string) error {
	terminal := p != nil && p.Terminal
	if program == "" {
		program = "tare"
	}
	switch {
	case terminal && detach && socket == "":
		return errors.New("cannot allocate tty if " + program + " will detach without setting console socket")
	case socket != "" && !(terminal && detach):
		return errors.New("cannot use console socket if " + program + " will not detach or allocate tty")
	}
	return nil
}

func (o *CreateOptions) checkTerminal(spec *specs.Spec, gate bool) error {
	return checkTerminal(spec.Process, gate || o.Detach, o.ConsoleSocket, o.Program)
}

// openConsole connects to the engine's socket, or makes a pair of which the init
// gets one end and this program keeps the other.
func (h *host) openConsole(path string) (int, error) {
	if path != "" {
		if h.opts.dialled != nil {
			return h.opts.dialled.dial(path)
		}
		return console.Dial(path)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, os.NewSyscallError("socketpair", err)
	}
	h.console = pair[0]
	return pair[1], nil
}

// receiveTerminal takes the terminal that the init has sent before it became the
// program; nil if it was to send none.
func (h *host) receiveTerminal() (*os.File, error) {
	if h.console < 0 {
		return nil, nil
	}
	name, fd, err := console.Receive(h.console)
	if err != nil {
		return nil, fmt.Errorf("process.terminal: receive it from init: %w", err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// sendPidfd sends a pidfd of the process to a socket.
func sendPidfd(path, kind string, pid int) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return os.NewSyscallError("pidfd_open", err)
	}
	defer unix.Close(fd)
	s, err := console.Dial(path)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	return console.Send(s, kind, fd)
}
