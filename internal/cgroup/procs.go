package cgroup

import (
	"bytes"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Pids returns the processes of the cgroup, and with recursive those of all
// cgroups below it, sorted. Processes that the caller's pid namespace has no
// number for are left out. The error is os.ErrNotExist when there is no such
// cgroup.
func Pids(mount, rel string, recursive bool) ([]int, error) {
	t, err := openTree(mount)
	if err != nil {
		return nil, err
	}
	defer t.close()
	fd, err := t.openDir(rel)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var pids []int
	if recursive {
		pids, err = pidsBelow(fd, nil)
	} else {
		pids, err = pidsOf(fd, nil)
	}
	if err != nil {
		return nil, &Error{Op: "read processes of", Path: Dir{mount, rel}.Path(), Err: err}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// pidsOf appends the processes of one cgroup.
func pidsOf(dirfd int, pids []int) ([]int, error) {
	var buf [4096]byte
	data, err := readAt(dirfd, "cgroup.procs", buf[:])
	if err == unix.EOPNOTSUPP {
		// A threaded cgroup of v2: its processes stand in the cgroup.procs of the
		// domain above; their threads stand here.
		return pids, nil
	}
	if err != nil {
		return pids, err
	}
	for line := range bytes.Lines(data) {
		pid, err := strconv.Atoi(string(bytes.TrimSpace(line)))
		if err == nil && pid > 0 {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// pidsBelow appends the processes of a cgroup and all below it. A cgroup that
// is removed meanwhile has none.
func pidsBelow(dirfd int, pids []int) ([]int, error) {
	err := walk(dirfd, func(fd int) (err error) {
		pids, err = pidsOf(fd, pids)
		return err
	}, nil)
	return pids, err
}
