package cgroup

import (
	"strings"

	"golang.org/x/sys/unix"
)

// resolve keeps a path inside one hierarchy.
const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV

// tree is an open mount point of a hierarchy.
type tree struct {
	fd    int
	v2    bool
	mount string
}

// openTree opens a mount point and verifies what is mounted there.
func openTree(mount string) (tree, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(mount, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return tree{}, &Error{Op: "open", Path: mount, Err: err}
	}
	v2, err := verify(fd)
	if err != nil {
		unix.Close(fd)
		return tree{}, &Error{Op: "open", Path: mount, Err: err}
	}
	return tree{fd: fd, v2: v2, mount: mount}, nil
}

func (t tree) close() { unix.Close(t.fd) }

// verify tells cgroup v2 from v1 and refuses everything else.
func verify(fd int) (v2 bool, err error) {
	var st unix.Statfs_t
	if _, err := retry(func() (int, error) { return 0, unix.Fstatfs(fd, &st) }); err != nil {
		return false, err
	}
	switch st.Type {
	case unix.CGROUP_SUPER_MAGIC:
		return false, nil
	case unix.CGROUP2_SUPER_MAGIC:
		return true, nil
	}
	return false, errNotCgroup
}

// openAt opens a path below a directory of a hierarchy.
func openAt(dirfd int, path string, flags uint64) (int, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve}
	for tries := 0; ; tries++ {
		fd, err := unix.Openat2(dirfd, path, &how)
		// EAGAIN: a rename anywhere on the machine came between (openat2(2)).
		if err == unix.EINTR || err == unix.EAGAIN && tries < maxRaces {
			continue
		}
		return fd, err
	}
}

// clean splits a path below a mount point into its directory, "" for the mount
// point itself, and its last component. It refuses the mount point and
// everything that openat2 could resolve to somewhere else.
func clean(rel string) (parent, leaf string, err error) {
	rel = strings.Trim(rel, "/")
	for rest, more := rel, true; more; {
		var part string
		part, rest, more = strings.Cut(rest, "/")
		switch part {
		case "", ".", "..":
			return "", "", &Error{Op: "use cgroup", Path: "/" + rel, Hint: "it must be a plain path below the top of the hierarchy", Err: unix.EINVAL}
		}
	}
	if i := strings.LastIndexByte(rel, '/'); i >= 0 {
		return rel[:i], rel[i+1:], nil
	}
	return "", rel, nil
}

// openDir opens the cgroup itself with an O_PATH descriptor.
func (t tree) openDir(rel string) (int, error) {
	if _, _, err := clean(rel); err != nil {
		return -1, err
	}
	rel = strings.Trim(rel, "/")
	fd, err := openAt(t.fd, rel, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, &Error{Op: "open", Path: t.mount + "/" + rel, Err: err}
	}
	return fd, nil
}

// parentOf opens the directory that holds the cgroup. The caller closes the
// descriptor with t.closeParent, because for a cgroup at the top it is t's own.
func (t tree) parentOf(rel string) (fd int, leaf string, err error) {
	parent, leaf, err := clean(rel)
	if err != nil {
		return -1, "", err
	}
	if parent == "" {
		return t.fd, leaf, nil
	}
	fd, err = openAt(t.fd, parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, leaf, &Error{Op: "open", Path: t.mount + "/" + parent, Err: err}
	}
	return fd, leaf, nil
}

func (t tree) closeParent(fd int) {
	if fd != t.fd {
		unix.Close(fd)
	}
}
