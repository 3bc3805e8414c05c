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
	if writeAt(dirfd, "cgroup.subtree_control", line[1:]) == nil {
		return
	}
	for _, w := range wanted { // one that is refused spoils the whole line
		_ = writeAt(dirfd, "cgroup.subtree_control", w)
	}
}
