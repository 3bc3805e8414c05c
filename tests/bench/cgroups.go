package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	cgroupRoot  = "/sys/fs/cgroup"
	unifiedRoot = cgroupRoot + "/unified"
)

// settleTime bounds the wait for the kernel to let go of a dying cgroup or
// hierarchy.
const settleTime = 5 * time.Second

// cgroupHost is what the benchmark found and changed below /sys/fs/cgroup.
type cgroupHost struct {
	parent  string   // name of the cgroup that holds all containers of this run
	before  []string // entries of cgroupRoot before the first container
	mounted []string // controllers mounted as v1 hierarchies by the benchmark
	made    []string // mount points made for them
}

// openCgroups remembers the state of the host before the first container.
func openCgroups(parent string) (*cgroupHost, error) {
	before, err := entries(cgroupRoot)
	if err != nil {
		return nil, err
	}
	return &cgroupHost{parent: parent, before: before}, nil
}

// path returns linux.cgroupsPath for the containers of one runtime.
func (h *cgroupHost) path(runtime string) string { return "/" + h.parent + "/" + runtime }

// layout names the host's cgroup layout.
func layout() string {
	if isCgroup2(cgroupRoot) {
		return "cgroup v2"
	}
	hierarchies := 0
	names, err := entries(cgroupRoot)
	if err != nil {
		return "no cgroups"
	}
	for _, name := range names {
		if isMountPoint(filepath.Join(cgroupRoot, name)) {
			hierarchies++
		}
	}
	if isCgroup2(unifiedRoot) {
		return fmt.Sprintf("cgroup v1 hybrid (%d v1 hierarchies and a cgroup2)", hierarchies-1)
	}
	return fmt.Sprintf("cgroup v1 (%d hierarchies)", hierarchies)
}

// strandedControllers lists the controllers of a cgroup2 beside v1
// hierarchies. crun refuses such a host.
func strandedControllers() []string {
	if isCgroup2(cgroupRoot) || !isCgroup2(unifiedRoot) {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(unifiedRoot, "cgroup.controllers"))
	if err != nil {
		return nil
	}
	return strings.Fields(string(text))
}

// mountStranded mounts each stranded controller as a v1 hierarchy of its own,
// until restore. It returns the names.
func (h *cgroupHost) mountStranded() ([]string, error) {
	for _, name := range strandedControllers() {
		dir := filepath.Join(cgroupRoot, name)
		err := os.Mkdir(dir, 0o755)
		if err == nil && !slices.Contains(h.made, dir) {
			h.made = append(h.made, dir)
		} else if err != nil && !errors.Is(err, fs.ErrExist) {
			return h.mounted, err
		}
		if err := mountController(name); err != nil {
			return h.mounted, err
		}
		if !slices.Contains(h.mounted, name) {
			h.mounted = append(h.mounted, name)
		}
	}
	return h.mounted, nil
}

// restore removes the cgroups of this run and the mounts and directories that
// it made.
func (h *cgroupHost) restore() error {
	errs := []error{h.sweep()}
	for _, name := range h.mounted {
		errs = append(errs, h.dissolve(name))
	}
	h.mounted = nil
	for _, dir := range h.made {
		errs = append(errs, removeEmpty(dir))
	}
	h.made = nil
	return errors.Join(append(errs, h.removeStrayRoots())...)
}

// mountController mounts the v1 hierarchy of one controller at its usual place.
func mountController(name string) error {
	err := unix.Mount(name, filepath.Join(cgroupRoot, name), "cgroup", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, name)
	if err != nil {
		return fmt.Errorf("mount cgroup v1 %s: %w", name, err)
	}
	return nil
}

// dissolve unmounts the v1 hierarchy of a controller and proves that the
// controller is back in the cgroup2.
//
// The kernel ends a hierarchy at its last unmount only if it has no cgroups
// then, and removed ones count until they are released some RCU grace periods
// later. Otherwise it lives on unmounted, and only another mount and unmount
// ends it.
func (h *cgroupHost) dissolve(name string) error {
	dir := filepath.Join(cgroupRoot, name)
	var err error
	if !isMountPoint(dir) { // another program of the host unmounted it
		if slices.Contains(strandedControllers(), name) {
			return nil
		}
		// Below the unmounted hierarchy are cgroups of this run.
		if err = os.MkdirAll(dir, 0o755); err == nil {
			err = mountController(name)
		}
		if err = errors.Join(err, h.sweep()); err != nil {
			return err
		}
	}
	done := settle(func() bool {
		settle(func() bool { return cgroupCount(name) <= 1 })
		if err = unix.Unmount(dir, 0); err != nil {
			return true
		}
		for range 20 { // 200 ms: the root is released by RCU, too
			if slices.Contains(strandedControllers(), name) {
				return true
			}
			time.Sleep(10 * time.Millisecond)
		}
		err = mountController(name)
		return err != nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("end the cgroup v1 hierarchy of %s: %w", name, err)
	case !done:
		return errors.Join(fmt.Errorf("the cgroup v1 hierarchy of %s is held by others: a copy of its mount in another namespace, or cgroups of theirs", name), unix.Unmount(dir, 0))
	}
	return nil
}

// cgroupCount returns the number of cgroups of a controller, dying ones
// included, from /proc/cgroups; 1 is the root alone. It returns 0 when the
// controller is unknown.
func cgroupCount(controller string) int {
	text, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line) // name, hierarchy, number of cgroups, enabled
		if len(words) == 4 && words[0] == controller {
			n, _ := strconv.Atoi(words[2]) // 0 for a line that is no number
			return n
		}
	}
	return 0
}

// sweep removes the cgroups of this run from every hierarchy.
func (h *cgroupHost) sweep() error {
	roots := []string{cgroupRoot}
	names, err := entries(cgroupRoot)
	if err != nil {
		return err
	}
	for _, name := range names {
		roots = append(roots, filepath.Join(cgroupRoot, name))
	}
	var errs []error
	for _, root := range roots {
		errs = append(errs, removeTree(filepath.Join(root, h.parent)))
	}
	return errors.Join(errs...)
}

// removeStrayRoots removes the directories that crun makes on the tmpfs for
// controllers that are mounted nowhere. Mount points and directories in use
// by others stay.
func (h *cgroupHost) removeStrayRoots() error {
	names, err := entries(cgroupRoot)
	if err != nil || isCgroup2(cgroupRoot) {
		return err
	}
	for _, name := range names {
		dir := filepath.Join(cgroupRoot, name)
		if !slices.Contains(h.before, name) && !isMountPoint(dir) {
			_ = unix.Rmdir(dir) // ENOTEMPTY: another runtime of this host put something there
		}
	}
	return nil
}

// removeTree removes the cgroup at dir and those below it, deepest first. The
// files of a cgroup are not removed: they go with their directory.
func removeTree(dir string) error {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, entry := range names {
		if entry.IsDir() {
			if err := removeTree(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return removeEmpty(dir)
}

// removeEmpty removes one directory and waits while it is busy with processes
// that are dying.
func removeEmpty(dir string) error {
	var err error
	settle(func() bool {
		err = unix.Rmdir(dir)
		return err != unix.EBUSY
	})
	if err != nil && err != unix.ENOENT {
		return fmt.Errorf("remove %s: %w", dir, err)
	}
	return nil
}

// settle asks every 10 ms, at most for settleTime, whether done.
func settle(done func() bool) bool {
	for deadline := time.Now().Add(settleTime); ; time.Sleep(10 * time.Millisecond) {
		if done() {
			return true
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// isCgroup2 reports whether path lies on a cgroup2 file system.
func isCgroup2(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC
}

// isMountPoint reports whether a file system is mounted at path.
func isMountPoint(path string) bool {
	var st unix.Statx_t
	if unix.Statx(unix.AT_FDCWD, path, unix.AT_SYMLINK_NOFOLLOW, 0, &st) != nil {
		return false
	}
	return st.Attributes&unix.STATX_ATTR_MOUNT_ROOT != 0
}

// entries lists the names of the directories in dir.
func entries(dir string) ([]string, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, entry := range list {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}
