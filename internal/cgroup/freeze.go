package cgroup

import (
	"bytes"

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
