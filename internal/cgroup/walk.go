package cgroup

import (
	"bytes"
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// level is a cgroup on the way from the top of a walk to where it stands.
type level struct {
	name string   // in the cgroup above
	todo []string // cgroups below that were not visited yet
}

// walk visits a cgroup and all below it: enter on the way down, leave, with
// the directory above and the name, on the way up. Either may be nil. Cgroups
// that vanish meanwhile are skipped.
//
// One descriptor is open at a time, however deep a container has nested its
// cgroups. The way back is "..", which holds, because no cgroup ever changes
// its parent.
func walk(top int, enter func(fd int) error, leave func(above int, name string) error) error {
	at, err := openAt(top, ".", unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer func() { unix.Close(at) }()
	first, err := visit(at, enter)
	if err != nil {
		return err
	}
	path := []level{{todo: first}}
	for {
		here := &path[len(path)-1]
		if n := len(here.todo); n > 0 {
			name := here.todo[n-1]
			here.todo = here.todo[:n-1]
			next, err := openAt(at, name, unix.O_PATH|unix.O_DIRECTORY)
			if err == nil {
				unix.Close(at)
				at = next
				var below []string
				below, err = visit(at, enter)
				path = append(path, level{name: name, todo: below})
			}
			if err != nil && !isGone(err) {
				return err
			}
			continue
		}
		if len(path) == 1 {
			return nil
		}
		above, err := retry(func() (int, error) {
			return unix.Openat(at, "..", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		})
		if err != nil {
			return err
		}
		unix.Close(at)
		at = above
		if leave != nil {
			if err := leave(at, here.name); err != nil && !isGone(err) {
				return err
			}
		}
		path = path[:len(path)-1]
	}
}

// visit enters one cgroup and lists those below it.
func visit(fd int, enter func(fd int) error) ([]string, error) {
	if enter != nil {
		if err := enter(fd); err != nil {
			return nil, err
		}
	}
	return childNames(fd)
}

// childNames lists the cgroups below one. The kernel's directory entries are
// read as they are, because their type tells the few directories from the many
// files without a stat for each.
func childNames(dirfd int) ([]string, error) { return entryNames(dirfd, true) }

// fileNames lists the files of a cgroup.
func fileNames(dirfd int) ([]string, error) { return entryNames(dirfd, false) }

func entryNames(dirfd int, dirs bool) ([]string, error) {
	fd, err := openAt(dirfd, ".", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var names []string
	buf := make([]byte, 8192)
	for {
		n, err := retry(func() (int, error) { return unix.Getdents(fd, buf) })
		if err != nil || n == 0 {
			return names, err
		}
		for b := buf[:n]; len(b) > 0; {
			name, isDir, size := dirent(b)
			if isDir == dirs && name != "." && name != ".." {
				names = append(names, name)
			}
			b = b[size:]
		}
	}
}

// The layout of struct linux_dirent64 (getdents64(2)).
const (
	direntReclen = 16
	direntType   = 18
	direntName   = 19
)

func dirent(b []byte) (name string, isDir bool, size int) {
	size = int(binary.NativeEndian.Uint16(b[direntReclen:]))
	raw := b[direntName:size]
	if i := bytes.IndexByte(raw, 0); i >= 0 {
		raw = raw[:i]
	}
	return string(raw), b[direntType] == unix.DT_DIR, size
}
