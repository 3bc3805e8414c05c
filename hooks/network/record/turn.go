package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"golang.org/x/crypto/blake2s"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrBusy says that somebody else has the turn.
var ErrBusy = errors.New("another process is at work on it")

// Turn is held by who works on a container, from before its record is read until
// after the last of its rules, links and records is made or gone: what a runtime
// that was killed has started goes on, while the next one has come to undo it.
//
// It is one byte of one file for each name, locked by its open file description
// (fcntl(2), F_OFD_SETLK): there may be any number of containers, no file
// is left of them, and it ends with its process like a Lock.
type Turn struct{ fd int }

// Turn is one that has no name yet.
func (s *Store) Turn() (*Turn, error) {
	path := filepath.Join(s.Dir, "locks", "turns")
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("turn: %s: %w", path, err)
	}
	return &Turn{fd}, nil
}

// Take takes the turn of a name, or says after wait that somebody has it; a wait
// of 0 only tries. Several names may be taken, and end together.
func (t *Turn) Take(name string, wait time.Duration) error {
	sum := blake2s.Sum256([]byte(name))
	at := unix.Flock_t{Type: unix.F_WRLCK, Start: int64(binary.BigEndian.Uint64(sum[:]) >> 2), Len: 1}
	err := unix.FcntlFlock(uintptr(t.fd), unix.F_OFD_SETLK, &at)
	if err != unix.EAGAIN && err != unix.EACCES {
		return err
	}
	if wait == 0 {
		return ErrBusy
	}
	// In a thread of its own, for it cannot be told to give up.
	got := make(chan error, 1)
	go func() {
		err := unix.FcntlFlock(uintptr(t.fd), unix.F_OFD_SETLKW, &at)
		for err == unix.EINTR {
			err = unix.FcntlFlock(uintptr(t.fd), unix.F_OFD_SETLKW, &at)
		}
		got <- err
	}()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case err = <-got:
		return err
	case <-timer.C:
		return fmt.Errorf("%w for more than %s", ErrBusy, wait)
	}
}

// End gives the turns back; a second time does nothing.
func (t *Turn) End() {
	if t != nil && t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
	}
}
