package cgroup

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// fillCpuset gives a v1 cpuset the CPUs and memory nodes of the one above,
// where it has none. fresh says that it was just made and has none for sure.
func fillCpuset(parent int, name string, fresh bool) error {
	for _, file := range [...]string{"cpuset.cpus", "cpuset.mems"} {
		var buf [256]byte
		if !fresh {
			have, err := readAt(parent, name+"/"+file, buf[:])
			if err != nil {
				return err
			}
			if len(bytes.TrimSpace(have)) > 0 {
				continue
			}
		}
		value, err := readAt(parent, file, buf[:])
		if err != nil {
			return err
		}
		if len(bytes.TrimSpace(value)) == 0 {
			return unix.ENOSPC // the kernel's own word for a cpuset without CPUs
		}
		if err := writeAt(parent, name+"/"+file, value); err != nil {
			return err
		}
	}
	return nil
}

// enableControllers gives the children of a v2 cgroup every controller that it
// has. That is an offer: a controller that cannot be enabled (the cgroup has
// processes, or the controller is held elsewhere) is missed only by a container
// that has a limit for it, and Write says so there.
func enableControllers(dirfd int) {
	var have, on [256]byte
	all, err := readAt(dirfd, "cgroup.controllers", have[:])
	if err != nil || len(bytes.TrimSpace(all)) == 0 {
		return
	}
	enabled, err := readAt(dirfd, "cgroup.subtree_control", on[:])
	if err != nil || len(enabled) >= len(all) {
		return // what is enabled is a subset of what there is
	}
	present := bytes.Fields(enabled)
	var wanted [][]byte
	var line []byte
next:
	for _, c := range bytes.Fields(all) {
		for _, p := range present {
			if bytes.Equal(c, p) {
				continue next
			}
		}
		line = append(append(line, " +"...), c...)
		wanted = append(wanted, line[len(line)-len(c)-1:])
	}
	switch err := writeAt(dirfd, "cgroup.subtree_control", line[1:]); err {
	case nil, unix.EBUSY, unix.EOPNOTSUPP:
		// The latter two: the cgroup has processes, or is part of a threaded tree.
		// It would still take the controllers that work on threads, and become the
		// root of a threaded tree itself, in which no container can live.
		return
	}
	for _, w := range wanted { // one that is refused spoils the whole line
		_ = writeAt(dirfd, "cgroup.subtree_control", w)
	}
}

// Enable gives a v2 cgroup that exists one more controller, for a limit that
// comes later than the cgroup. It does nothing where the cgroup has it, and in
// v1. Like in MakeJoin, what cannot be enabled is missed by a Write.
func Enable(mount, rel, controller string) error {
	above, leaf, err := clean(rel)
	if err != nil {
		return err
	}
	t, err := openTree(mount)
	if err != nil {
		return err
	}
	defer t.close()
	if !t.v2 {
		return nil
	}
	var buf [256]byte
	have, err := readAt(t.fd, join(above, leaf)+"/cgroup.controllers", buf[:])
	if err != nil {
		return &Error{Op: "read controllers of", Path: Dir{mount, rel}.Path(), Err: err}
	}
	for _, c := range bytes.Fields(have) {
		if string(c) == controller {
			return nil
		}
	}
	_ = writeAt(t.fd, "cgroup.subtree_control", []byte("+"+controller))
	for i, c := range []byte(above + "/") {
		if c == '/' && i > 0 {
			_ = writeAt(t.fd, above[:i]+"/cgroup.subtree_control", []byte("+"+controller))
		}
	}
	return nil
}
