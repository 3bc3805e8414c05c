package state

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// lockWait bounds how long a command waits for another on the same container.
const lockWait = 10 * time.Second

// flockWithin takes the lock, or says ErrBusy when it is held for too long.
func flockWithin(fd int, wait time.Duration) error {
	end := time.Now().Add(wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK {
			return err
		}
		if time.Now().After(end) {
			return ErrBusy
		}
		time.Sleep(pause)
	}
}

func flock(fd, how int) error {
	for {
		if err := syscall.Flock(fd, how); err != syscall.EINTR {
			return err
		}
	}
}
