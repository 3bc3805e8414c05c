package main

import (
	"errors"
	"slices"
	"strings"

	"github.com/tare-oci/tare/tests/cgroupview"
)

// floor is the C program of tests/bench/floor: what `run` of the default bundle
// asks of the kernel, without a runtime.
type floor struct {
	rootfs  string
	cgroup  string // below every hierarchy
	names   string // of the hierarchies, separated by colons
	beside  bool   // the network namespace is made in a process beside
	payload []string
}

// The names under which the floor's times are kept.
const (
	floorName  = "floor"
	besideName = "floor, network beside"
)

// floors returns the floor in both forms as contestants for `run` of the default
// bundle; none when no program was given.
func (b *bench) floors(program string) ([]*ociRuntime, error) {
	if program == "" {
		return nil, nil
	}
	names, err := cgroupview.Hierarchies()
	if err != nil {
		return nil, err
	}
	list := strings.Join(names, ":")
	if list == "" {
		list = "-"
	}
	var out []*ociRuntime
	for _, name := range []string{floorName, besideName} {
		cgroup := strings.TrimPrefix(b.cgroups.path("floor"), "/")
		out = append(out, &ociRuntime{Name: name, path: program, floor: &floor{
			rootfs: b.fs.dir, cgroup: cgroup, names: list, beside: name == besideName, payload: b.fs.payload.exit,
		}})
	}
	return out, nil
}

// argv returns its command line; main.c describes it.
func (f *floor) argv(program string) []string {
	argv := []string{program, f.rootfs, f.cgroup, f.names}
	if f.beside {
		argv = append(argv, "--beside")
	}
	return append(append(argv, "--"), f.payload...)
}

// clean removes what a floor that failed left.
func (f *floor) clean() error {
	return errors.Join(killOrphans(settleTime, nil), cgroupview.Sweep(f.cgroup))
}

// contestants returns who is measured with a command on a bundle.
func (b *bench) contestants(v variant, c command) []*ociRuntime {
	if v == defaultBundle && c == cmdRun {
		return slices.Concat(b.runtimes, b.floor)
	}
	return b.runtimes
}
