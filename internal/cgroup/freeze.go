package cgroup

import (
	"bytes"
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
// stopped. If that takes longer than the deadline, they are set going again and
// the error is a *BusyError. In v1 the cgroup must be in the freezer's hierarchy.
func Freeze(mount, rel string, deadline time.Time) error {
	return setFrozen(mount, rel, true, deadline)
}

// Thaw is the reverse of Freeze. What a container has frozen below by itself
// stays frozen.
func Thaw(mount, rel string, deadline time.Time) error {
	return setFrozen(mount, rel, false, deadline)
}

func setFrozen(mount, rel string, frozen bool, deadline time.Time) error {
	o, err := Dir{mount, rel}.open()
	if err != nil {
		return err
	}
	defer unix.Close(o.fd)
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		// Again each time: v1 tries anew to stop what was in the middle of something.
		if err := o.writeFreezer(frozen); err != nil {
			return &Error{Op: freezeOp(frozen), Path: o.dir.Path(), Err: err}
		}
		now, err := isFrozenAll(o.fd, o.v2)
		if err != nil {
			return &Error{Op: freezeOp(frozen), Path: o.dir.Path(), Err: err}
		}
		if now == frozen {
			return nil
		}
		if !time.Now().Before(deadline) {
			pids, _ := pidsBelow(o.fd, nil) // the error to tell is that they go on
			if frozen {
				if err := o.writeFreezer(false); err != nil {
					return &Error{Op: "thaw", Path: o.dir.Path(), Err: err}
				}
			}
			return busy(o.dir, pids)
		}
		time.Sleep(min(pause, time.Until(deadline)))
	}
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
