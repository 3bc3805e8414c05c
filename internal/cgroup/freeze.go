package cgroup

import (
	"bytes"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Frozen reports whether the cgroup is frozen or on the way there. In v1 only
// the freezer's hierarchy knows; the others say false.
func Frozen(mount, rel string) (bool, error) {
	t, err := openTree(mount)
	if err != nil {
		return false, err
	}
	defer t.close()
	fd, err := t.openDir(rel)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	frozen, err := isFrozen(fd, t.v2)
	if err != nil {
		return false, &Error{Op: "read state of", Path: Dir{mount, rel}.Path(), Err: err}
	}
	return frozen, nil
}

// Freeze stops every process of the cgroup and below, and returns when all have
// stopped. If that takes longer than the deadline, or once cancel is closed,
// they are set going again and the error is a *BusyError, which names those that
// do not stop. In v1 the cgroup must be in the freezer's hierarchy. A nil cancel
// never comes.
func Freeze(mount, rel string, deadline time.Time, cancel <-chan struct{}) error {
	return setFrozen(mount, rel, true, deadline, cancel)
}

// Thaw is the reverse of Freeze. What a container has frozen below by itself
// stays frozen.
func Thaw(mount, rel string, deadline time.Time) error {
	return setFrozen(mount, rel, false, deadline, nil)
}

// ThawAll thaws a cgroup of v1's freezer and every cgroup below it that was frozen
// by itself. It is for processes that are to die; what is gone meanwhile is fine.
func ThawAll(mount, rel string) {
	if o, err := (Dir{mount, rel}).open(); err == nil {
		setFreezer(o.fd, "THAWED")
		unix.Close(o.fd)
	}
}

// thawEvery is the number of tries to freeze a v1 cgroup after which its
// processes run for a moment. One that waits in the kernel for another that is
// frozen already, as the caller of vfork(2) does for its child, cannot be frozen
// otherwise.
const thawEvery = 8

func setFrozen(mount, rel string, frozen bool, deadline time.Time, cancel <-chan struct{}) error {
	o, err := Dir{mount, rel}.open()
	if err != nil {
		return err
	}
	defer unix.Close(o.fd)
	fail := func(err error) error {
		if frozen {
			if thawErr := o.writeFreezer(false); thawErr != nil && !isGone(thawErr) {
				return &Error{Op: "thaw", Path: o.dir.Path(), Err: thawErr}
			}
		}
		return err
	}
	pause := minPause
	for try := 1; ; try++ {
		// Again each time: v1 tries anew to stop what was in the middle of something.
		if !o.v2 || try == 1 {
			if err := o.writeFreezer(frozen); err != nil {
				return fail(&Error{Op: freezeOp(frozen), Path: o.dir.Path(), Err: err})
			}
		}
		now, err := isFrozenAll(o.fd, o.v2)
		if err != nil {
			return fail(&Error{Op: freezeOp(frozen), Path: o.dir.Path(), Err: err})
		}
		if now == frozen {
			return nil
		}
		if !time.Now().Before(deadline) || cancelled(cancel) {
			pids, _ := pidsBelow(o.fd, nil) // the error to tell is that they go on
			e := busy(o.dir, pids)
			e.Why = "does not " + freezeOp(frozen)
			if frozen {
				e.Processes = slices.DeleteFunc(e.Processes, func(p Process) bool { return p.frozen() })
			}
			return fail(e)
		}
		if !o.v2 && frozen && try%thawEvery == 0 {
			if err := o.writeFreezer(false); err != nil {
				return fail(&Error{Op: "thaw", Path: o.dir.Path(), Err: err})
			}
		}
		o.waitChange(min(pause, time.Until(deadline)))
		pause = min(2*pause, maxPause)
	}
}

func cancelled(cancel <-chan struct{}) bool {
	select {
	case <-cancel:
		return true
	default:
		return false
	}
}

// waitChange waits for a change of cgroup.events, which v2 announces: that the last
// process has stopped, or has left. In v1 it only waits.
func (o openDir) waitChange(pause time.Duration) {
	if o.v2 {
		if fd, err := openAt(o.fd, "cgroup.events", unix.O_RDONLY); err == nil {
			defer unix.Close(fd)
			var buf [128]byte
			// Read first: only what changes after that wakes the poll.
			if _, err := readAll(fd, buf[:]); err == nil {
				ms := max(int(pause.Milliseconds()), 1)
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLPRI}}, ms) // looked at again in any case
				return
			}
		}
	}
	time.Sleep(pause)
}

// frozen says that the process waits for the freezer of v1 or v2.
func (p *Process) frozen() bool {
	return p.Wchan == "__refrigerator" || p.Wchan == "do_freezer_trap"
}

func freezeOp(frozen bool) string {
	if frozen {
		return "freeze"
	}
	return "thaw"
}

func (o openDir) writeFreezer(frozen bool) error {
	file, value := "freezer.state", "THAWED"
	switch {
	case o.v2 && frozen:
		file, value = "cgroup.freeze", "1"
	case o.v2:
		file, value = "cgroup.freeze", "0"
	case frozen:
		value = "FROZEN"
	}
	return writeAt(o.fd, file, []byte(value))
}

// isFrozenAll reports whether every process has stopped; isFrozen says so from
// the moment on which they have been told to.
func isFrozenAll(dirfd int, v2 bool) (bool, error) {
	if v2 {
		return isFrozen(dirfd, v2)
	}
	var buf [128]byte
	state, err := readAt(dirfd, "freezer.state", buf[:])
	return bytes.HasPrefix(state, []byte("FROZEN")), err
}

func isFrozen(dirfd int, v2 bool) (bool, error) {
	var buf [128]byte
	if v2 {
		events, err := readAt(dirfd, "cgroup.events", buf[:])
		if err != nil {
			return false, err
		}
		return flag(events, "frozen"), nil
	}
	state, err := readAt(dirfd, "freezer.state", buf[:])
	if err == unix.ENOENT {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return !bytes.HasPrefix(state, []byte("THAWED")), nil
}

// flag reads one line of cgroup.events: "populated 1".
func flag(events []byte, name string) bool {
	for line := range bytes.Lines(events) {
		if f := bytes.Fields(line); len(f) == 2 && string(f[0]) == name {
			return string(f[1]) == "1"
		}
	}
	return false
}
