package console

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func isTerminal(fd int) bool {
	_, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	return err == nil
}

// OwnSize is the size of the terminal that this program's streams are, nil when
// none of them is one.
func OwnSize() *unix.Winsize {
	for fd := range 3 {
		if size, err := unix.IoctlGetWinsize(fd, unix.TIOCGWINSZ); err == nil {
			return size
		}
	}
	return nil
}

// makeRaw hands every key on to the container's terminal, which does with it
// what it has to (cfmakeraw(3)), and returns how to undo that. Output stays as it
// is but for OPOST: the container's terminal has made CR LF of newlines already.
func makeRaw(tty int) (restore func(), err error) {
	old, err := unix.IoctlGetTermios(tty, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("terminal: get its modes: %w", err)
	}
	raw := *old
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag &^= unix.CSIZE | unix.PARENB
	raw.Cflag |= unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	if err := unix.IoctlSetTermios(tty, unix.TCSETS, &raw); err != nil {
		return nil, fmt.Errorf("terminal: make it raw: %w", err)
	}
	return func() { _ = unix.IoctlSetTermios(tty, unix.TCSETSW, old) }, nil
}
