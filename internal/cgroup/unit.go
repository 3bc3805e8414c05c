package cgroup

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// CheckUnused refuses a cgroup that exists and that no container can be created
// in, with the error of MakeJoin; it is for who has somebody else make the cgroup.
func CheckUnused(mount, rel string) error {
	t, err := openTree(mount)
	if err != nil {
		return err
	}
	defer t.close()
	parent, leaf, err := t.parentOf(rel)
	if err == nil {
		err = checkReusable(parent, leaf, t, strings.Trim(rel, "/"))
		t.closeParent(parent)
	}
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// EnableAbove enables every controller on the way to a cgroup of v2, as MakeJoin does
// with prepare. What cannot be enabled is told by the write that misses it.
func EnableAbove(mount, rel string) {
	t, err := openTree(mount)
	if err != nil {
		return
	}
	defer t.close()
	enableControllers(t.fd)
	rel = strings.Trim(rel, "/")
	for i := 0; i < len(rel); i++ {
		if rel[i] != '/' {
			continue
		}
		fd, err := openAt(t.fd, rel[:i], unix.O_PATH|unix.O_DIRECTORY)
		if err != nil {
			return
		}
		enableControllers(fd)
		unix.Close(fd)
	}
}
