package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/state"
)

// dirs are the container's cgroups in the form of package cgroup.
func dirs(rec *state.Record) []cgroup.Dir {
	out := make([]cgroup.Dir, len(rec.Cgroups))
	for i := range rec.Cgroups {
		out[i] = cgroup.Dir{Mount: rec.Cgroups[i].Mount, Rel: rec.Cgroups[i].Path}
	}
	return out
}

// killCgroups kills every process of the container and waits until they are gone.
func killCgroups(rec *state.Record) error {
	if !rec.CgroupsMade {
		return nil // what lies there was refused, and is somebody else's
	}
	return cgroup.Kill(time.Now().Add(removeWait), dirs(rec)...)
}

// removeCgroups removes what create made, and nothing else. Each hierarchy is
// tried, whatever happens to another.
func removeCgroups(rec *state.Record) error {
	deadline := time.Now().Add(removeWait)
	if !rec.CgroupsMade { // of a creator that was killed early: only what is empty
		for i := range rec.Cgroups {
			_ = cgroup.Remove(rec.Cgroups[i].Mount, rec.Cgroups[i].Path, rec.Cgroups[i].Created, time.Now())
		}
		return nil
	}
	var errs []error
	for i := len(rec.Cgroups) - 1; i >= 0; i-- {
		errs = append(errs, removeCgroup(&rec.Cgroups[i], deadline))
	}
	return errors.Join(errs...)
}

func removeCgroup(c *state.Cgroup, deadline time.Time) error {
	if !slices.Contains(c.Created, c.Path) {
		return nil // it was there before, so it is not ours to remove
	}
	return cgroup.Remove(c.Mount, c.Path, c.Created, deadline)
}

// thaw lets frozen processes go on; there is nothing to do when they are not
// frozen, and nothing to say when the cgroup is gone.
func thaw(rec *state.Record) {
	for i := range rec.Cgroups {
		c := &rec.Cgroups[i]
		dir := c.Mount + c.Path
		switch {
		case c.Hierarchy == "freezer":
			_ = cgroup.Write(dir, "freezer.state", "THAWED")
		case c.V2:
			_ = cgroup.Write(dir, "cgroup.freeze|", "0")
		}
	}
}

// thawBelow thaws the cgroups that the container has made in v1's freezer. Whether
// there are any is told by one system call.
func thawBelow(rec *state.Record) {
	for i := range rec.Cgroups {
		c := &rec.Cgroups[i]
		if c.Hierarchy != "freezer" || !rec.CgroupsMade {
			continue
		}
		var st unix.Stat_t
		if unix.Stat(c.Mount+c.Path, &st) == nil && st.Nlink > 2 {
			cgroup.ThawAll(c.Mount, c.Path)
		}
	}
}

// processes lists the container's pids on the host, ascending.
func processes(rec *state.Record) ([]int, error) {
	if !rec.CgroupsMade {
		return nil, nil
	}
	for i := range rec.Cgroups {
		c := &rec.Cgroups[i]
		// One hierarchy is enough: a process is in all of them. A named one has no
		// controllers that could have moved it elsewhere.
		if i == len(rec.Cgroups)-1 || c.V2 || c.Hierarchy == "name=systemd" {
			pids, err := cgroup.Pids(c.Mount, c.Path, true)
			if err != nil {
				return nil, err
			}
			slices.Sort(pids)
			return pids, nil
		}
	}
	if !observe(rec).alive {
		return nil, nil
	}
	return namespaceProcesses(rec), nil
}

// signalAll signals every process of the container; that there is none is no
// error.
func signalAll(rec *state.Record, sig syscall.Signal) error {
	if len(rec.Cgroups) == 0 && (sig == syscall.SIGKILL || !rec.PidNamespace) {
		if !observe(rec).alive {
			return nil
		}
		return signalInit(rec, sig) // the others of its pid namespace die with it
	}
	if sig == syscall.SIGKILL {
		err := killCgroups(rec)
		if errors.Is(err, fs.ErrPermission) && observe(rec).alive {
			return signalInit(rec, sig) // whose cgroups are somebody else's by now
		}
		return err
	}
	pids, err := processes(rec)
	if err != nil {
		if errors.Is(err, syscall.ENOENT) {
			return nil
		}
		return err
	}
	// Each is held, then looked for once more: a number that was given to another
	// process meanwhile is not hit.
	held := make(map[int]int, len(pids))
	for _, pid := range pids {
		if fd, err := unix.PidfdOpen(pid, 0); err == nil {
			held[pid] = fd
			defer unix.Close(fd)
		}
	}
	again, err := processes(rec)
	if err != nil {
		return err
	}
	for _, pid := range again {
		fd, ok := held[pid]
		if !ok {
			continue
		}
		if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil && err != syscall.ESRCH {
			return fmt.Errorf("signal %d to process %d: %w", int(sig), pid, err)
		}
	}
	return nil
}
