package main

import (
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/tare-oci/tare/tests/cgroupview"
	"golang.org/x/sys/unix"
)

// insideEnv marks the process that has a mount namespace of its own.
const insideEnv = "TARE_BENCH_INSIDE"

// isolate starts this program again in a mount namespace of its own, where
// cgroups can be shown as all runtimes take them without a change of the host.
// It returns only when that is done, or cannot be.
func isolate() error {
	if os.Getenv(insideEnv) != "" {
		return nil
	}
	// The namespace is the thread's, and execve makes the thread the process.
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return os.NewSyscallError("unshare mount namespace", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return os.NewSyscallError("mount / as slave", err)
	}
	return syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), insideEnv+"=1"))
}

// cgroupHost is the view of the host's cgroups that all runtimes get.
type cgroupHost struct {
	parent string   // name of the cgroup that holds all containers of this run
	before []string // hierarchies and other entries before the first container
}

// openCgroups makes the view; its files are in dir.
func openCgroups(dir, parent string) (*cgroupHost, error) {
	h := &cgroupHost{parent: parent}
	if _, err := cgroupview.Enter(dir); err != nil {
		return nil, err
	}
	var err error
	h.before, err = entries(cgroupview.Root)
	return h, err
}

// path returns linux.cgroupsPath for the containers of one runtime.
func (h *cgroupHost) path(words ...string) string {
	return "/" + h.parent + "/" + filepath.Join(words...)
}

// close removes the cgroups of this run, and the directories that crun makes
// for controllers that are mounted nowhere: they are in the view alone.
func (h *cgroupHost) close() error {
	err := cgroupview.Sweep(h.parent)
	if cgroupview.IsCgroup2(cgroupview.Root) {
		return err
	}
	names, listErr := entries(cgroupview.Root)
	if listErr != nil {
		return listErr
	}
	for _, name := range names {
		if !slices.Contains(h.before, name) {
			_ = unix.Rmdir(filepath.Join(cgroupview.Root, name)) // ENOTEMPTY: it goes with the namespace
		}
	}
	return err
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
