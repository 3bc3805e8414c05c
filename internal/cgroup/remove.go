package cgroup

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Remove removes the cgroup and every cgroup that the container has made below
// it, and then, innermost first, those of created that are empty by now: the
// ancestors that MakeJoin made, and no others. What is gone already is fine.
//
// A cgroup whose last process has just died stays busy for a moment; it is
// waited for up to the deadline, after which the error is a *BusyError.
func Remove(mount, rel string, created []string, deadline time.Time) error {
	t, err := openTree(mount)
	if err != nil {
		return err
	}
	defer t.close()
	parent, leaf, err := t.parentOf(rel)
	if err == nil {
		err = t.remove(parent, leaf, Dir{mount, rel}, deadline)
		t.closeParent(parent)
	}
	if err != nil && !isGone(err) {
		return err
	}
	t.removeAncestors(rel, created)
	return nil
}

// removeAncestors leaves what others use: rmdir(2) refuses it.
func (t tree) removeAncestors(rel string, created []string) {
	rel = strings.Trim(rel, "/")
	for i := len(created) - 1; i >= 0; i-- {
		above := strings.Trim(created[i], "/")
		if !strings.HasPrefix(rel, above+"/") {
			continue
		}
		if parent, leaf, err := t.parentOf(above); err == nil {
			_ = rmdir(parent, leaf)
			t.closeParent(parent)
		}
	}
}

func rmdir(parent int, leaf string) error {
	_, err := retry(func() (int, error) { return 0, unix.Unlinkat(parent, leaf, unix.AT_REMOVEDIR) })
	if err == unix.ENOENT {
		return nil
	}
	return err
}

// remove removes one cgroup with all below. Usually the first call does it.
func (t tree) remove(parent int, leaf string, d Dir, deadline time.Time) error {
	err := rmdir(parent, leaf)
	for pause := minPause; err == unix.EBUSY; pause = min(2*pause, maxPause) {
		fd, openErr := openAt(parent, leaf, unix.O_PATH|unix.O_DIRECTORY)
		if openErr == unix.ENOENT {
			return nil
		}
		if openErr != nil {
			return &Error{Op: "open", Path: d.Path(), Err: openErr}
		}
		if err = removeBelow(fd); err == nil {
			err = rmdir(parent, leaf)
		}
		if err == unix.EBUSY {
			if !time.Now().Before(deadline) {
				pids, _ := pidsBelow(fd, nil) // the error to tell is EBUSY
				unix.Close(fd)
				return busy(d, pids)
			}
			t.waitEmpty(fd, min(pause, time.Until(deadline)), deadline)
		}
		unix.Close(fd)
	}
	if err != nil && !isGone(err) {
		return &Error{Op: "rmdir", Path: d.Path(), Err: err}
	}
	return nil
}

// removeBelow removes the cgroups below one, the deepest first.
func removeBelow(dirfd int) error { return walk(dirfd, nil, rmdir) }

// waitEmpty waits for a change. In v2 the kernel tells when the last process
// leaves; v1 can only be looked at again after a pause.
func (t tree) waitEmpty(dirfd int, pause time.Duration, deadline time.Time) {
	if t.v2 {
		if events, err := openAt(dirfd, "cgroup.events", unix.O_RDONLY); err == nil {
			defer unix.Close(events)
			var buf [128]byte
			if data, err := readAll(events, buf[:]); err == nil && flag(data, "populated") {
				left := max(time.Until(deadline).Milliseconds(), 1)
				_, _ = unix.Poll([]unix.PollFd{{Fd: int32(events), Events: unix.POLLPRI}}, int(left)) // then looked at again
				return
			}
		}
	}
	time.Sleep(pause)
}
