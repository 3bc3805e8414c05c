package cgroupview

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// settleTime bounds the wait for the kernel to let go of a dying cgroup.
const settleTime = 5 * time.Second

// Sweep removes the cgroup of this name, and those below it, from every
// hierarchy.
func Sweep(name string) error {
	errs := []error{RemoveTree(filepath.Join(Root, name))}
	names, err := Hierarchies()
	errs = append(errs, err)
	for _, h := range names {
		errs = append(errs, RemoveTree(filepath.Join(Root, h, name)))
	}
	return errors.Join(errs...)
}

// RemoveTree removes the cgroup at dir and those below it, deepest first, and
// waits while one is busy with processes that are dying. The files of a cgroup
// are not removed: they go with their directory.
func RemoveTree(dir string) error {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		if e.IsDir() {
			if err := RemoveTree(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	for deadline := time.Now().Add(settleTime); ; time.Sleep(10 * time.Millisecond) {
		err := unix.Rmdir(dir)
		if err == nil || err == unix.ENOENT {
			return nil
		}
		if err != unix.EBUSY || time.Now().After(deadline) {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
	}
}
