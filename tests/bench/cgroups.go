package main

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/tare-oci/tare/tests/cgroupview"
	"golang.org/x/sys/unix"
)

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
