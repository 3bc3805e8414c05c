package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// stage runs programs in a process and a mount namespace of its own. There it
// may mount what the programs need, and every process they lose becomes its
// child. It is started again from this executable, and finds what to do in a
// file, because one process cannot leave its mount namespace in Go.
type stage struct {
	Work       string        // folder that holds everything of the run; the programs' working directory
	Bin        string        // folder of the compiled programs
	Out        string        // folder for the output of the programs
	Runtime    string        // executable of the runtime
	OCIVersion string        // version to write into every config.json instead of the programs' own
	Timeout    time.Duration // for one program
	Programs   []string      // in this order
	Mount      []string      // cgroup v1 controllers to mount, each as a hierarchy of its own
	Results    string        // file to write the results to

	group   atomic.Int64 // process group of the program that runs now, or 0
	stopped atomic.Bool  // a signal asked for the end
}

// stageCommand is the first argument that makes this executable a stage; the
// second one is the name of a file with its description.
const stageCommand = "stage"

// runStage is the whole life of a stage.
func runStage(file string) error {
	s := &stage{}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, s); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become the reaper of orphaned processes: %w", err)
	}
	if err := mountView(filepath.Join(s.Work, "cgroup"), s.Mount); err != nil {
		return err
	}
	s.stopOnSignal()
	var results []result
	for _, name := range s.Programs {
		r, err := s.runProgram(name)
		if s.stopped.Load() {
			return errors.Join(errors.New("stopped by a signal"), err)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		fmt.Fprintf(os.Stderr, "%-32s %4d ok %3d not ok %6.1fs\n", name, r.Passed, r.Failed, r.Seconds)
		results = append(results, r)
	}
	data, err = json.Marshal(results)
	if err != nil {
		return err
	}
	return os.WriteFile(s.Results, data, 0o644)
}

// stopOnSignal ends the running program on SIGINT or SIGTERM. What the program
// left is still cleaned up, then the stage ends.
func (s *stage) stopOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-c
		s.stopped.Store(true)
		if pid := s.group.Load(); pid != 0 {
			syscall.Kill(-int(pid), syscall.SIGKILL)
		}
	}()
}

const cgroupRoot = "/sys/fs/cgroup"

// mountView puts a view of all cgroup hierarchies in the place of the host's,
// and adds a cgroup v1 hierarchy for each of controllers. The host's folder is
// left alone: a folder made there for a hierarchy that only this namespace
// mounts would look like a cgroup to everybody else.
func mountView(at string, controllers []string) error {
	if len(controllers) == 0 {
		return nil
	}
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", at, err)
	}
	entries, err := os.ReadDir(cgroupRoot)
	if err != nil {
		return err
	}
	for _, e := range entries {
		from, to := filepath.Join(cgroupRoot, e.Name()), filepath.Join(at, e.Name())
		if e.Type()&os.ModeSymlink != 0 { // cpu -> cpu,cpuacct
			target, err := os.Readlink(from)
			if err != nil {
				return err
			}
			if err := os.Symlink(target, to); err != nil {
				return err
			}
			continue
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(from, to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("bind %s on %s: %w", from, to, err)
		}
	}
	for _, c := range controllers {
		if err := mountController(c, filepath.Join(at, c)); err != nil {
			return err
		}
	}
	if err := unix.Unmount(cgroupRoot, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s in the namespace of the run: %w", cgroupRoot, err)
	}
	if err := unix.Mount(at, cgroupRoot, "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("move %s to %s: %w", at, cgroupRoot, err)
	}
	return nil
}

// mountController mounts the cgroup v1 hierarchy of a controller, which is its alone
// unless the host has it together with others.
func mountController(controller, at string) error {
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(controller, at, "cgroup", 0, hierarchyOf(controller)); err != nil {
		return fmt.Errorf("mount cgroup v1 controller %s on %s: %w", controller, at, err)
	}
	return nil
}

// hierarchyOf is the options with which the hierarchy of a controller is to be mounted:
// all that it has, as "net_cls,net_prio", or the controller alone without one.
func hierarchyOf(controller string) string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(line, ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return f[1]
		}
	}
	return controller
}

// releaseCommand is the first argument that makes this executable give back
// controllers; the others are an empty folder and their names.
const releaseCommand = "release"

// release waits until the kernel has dissolved the hierarchies of controllers,
// which returns them to cgroup v2. A hierarchy whose last mount went away
// while one of its cgroups was still being freed stays; it is mounted and
// unmounted again, after which the kernel looks anew.
func release(at string, controllers []string) error {
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		bound, err := boundControllers()
		if err != nil {
			return err
		}
		var left []string
		for _, c := range controllers {
			if bound[c] {
				left = append(left, c)
			}
		}
		if len(left) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("controllers %s still belong to a cgroup v1 hierarchy, as they did not before the run: "+
				"a cgroup is left there, or somebody else has mounted them", strings.Join(left, ", "))
		}
		for _, c := range left {
			if err := mountController(c, at); err != nil {
				return err
			}
			time.Sleep(50 * time.Millisecond)
			if err := unix.Unmount(at, 0); err != nil {
				return fmt.Errorf("unmount %s: %w", at, err)
			}
		}
	}
}

// boundControllers tells which controllers belong to a cgroup v1 hierarchy.
// The result holds every controller of the kernel.
func boundControllers() (map[string]bool, error) {
	data, err := os.ReadFile("/proc/cgroups")
	if err != nil {
		return nil, err
	}
	bound := map[string]bool{}
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) == 4 && !strings.HasPrefix(line, "#") {
			bound[f[0]] = f[1] != "0"
		}
	}
	return bound, nil
}

// wanted are the cgroup v1 controllers that the programs look at. They expect
// each in a folder of its name.
var wanted = []string{
	"cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids",
	"net_cls", "net_prio", "perf_event", "hugetlb",
}

// controllers is what a run has to do about cgroup v1.
type controllers struct {
	usable bool     // the host has cgroup v1 hierarchies
	mount  []string // wanted, and not mounted in their place
	free   []string // of these, the ones that no hierarchy has: to be given back after the run
}

func inspectControllers() (controllers, error) {
	var c controllers
	bound, err := boundControllers()
	if err != nil {
		return c, err
	}
	for _, name := range wanted {
		isBound, known := bound[name]
		c.usable = c.usable || isBound
		if _, err := os.Stat(filepath.Join(cgroupRoot, name, "tasks")); err == nil || !known {
			continue
		}
		c.mount = append(c.mount, name)
		if !isBound {
			c.free = append(c.free, name)
		}
	}
	return c, nil
}
