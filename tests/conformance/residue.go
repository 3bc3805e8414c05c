package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ownCgroups are the fixed cgroups that those programs make or ask for that
// share cgroups. Only one of them runs at a time.
var ownCgroups = []string{"cgrouptest", "testdir"}

// clean deletes the containers a program left behind, and then looks for what
// the runtime did not remove with them: state, processes, mounts and cgroups.
// It removes those too, and names each.
func (s *stage) clean(program, calls string) ([]string, error) {
	log, err := os.ReadFile(calls)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	ids := createdIDs(string(log))
	var residue []string
	for _, id := range ids {
		out := filepath.Join(s.Out, program+".delete")
		pid, err := s.spawn(s.Runtime, []string{"--root", s.root(), "delete", "--force", id}, out, out+".err")
		if err != nil {
			return nil, err
		}
		if _, err := reap(pid); err != nil { // a container that is gone already is no matter
			return nil, err
		}
		os.Remove(out)
		os.Remove(out + ".err")
		state := filepath.Join(s.root(), id)
		if _, err := os.Lstat(state); err == nil {
			residue = append(residue, "state directory of a container")
			os.RemoveAll(state)
		}
	}
	processes, err := killChildren()
	if err != nil {
		return nil, err
	}
	mounts, err := unmountBelow(s.Work)
	if err != nil {
		return nil, err
	}
	names := ids
	if sharesCgroups(program) {
		names = append(names, ownCgroups...)
	}
	cgroups, err := removeCgroups(names)
	if err != nil {
		return nil, err
	}
	residue = slices.Concat(residue, processes, mounts, cgroups)
	tmp := filepath.Join(s.Work, "tmp")
	if err := os.RemoveAll(tmp); err != nil {
		return nil, err
	}
	return residue, os.Mkdir(tmp, 0o755)
}

// createdIDs returns the container ids of the create commands in a log of calls.
func createdIDs(log string) []string {
	var ids []string
	for _, line := range strings.Split(log, "\n") {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "create" || strings.HasPrefix(f[len(f)-2], "--") {
			continue // an option stands last where the program tests that the id is required
		}
		if id := f[len(f)-1]; !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// killChildren ends every process that is a child of this one, until none is
// left: the children of a process that ends come here in turn. A process that
// is ending by itself gets a moment first.
func killChildren() ([]string, error) {
	const grace, limit = 5 * time.Second, 20 * time.Second
	killed := map[int]bool{}
	var names []string
	for start := time.Now(); time.Since(start) < limit; time.Sleep(5 * time.Millisecond) {
		if err := reapEnded(); err == syscall.ECHILD {
			return names, nil
		} else if err != nil {
			return nil, fmt.Errorf("wait for left processes: %w", err)
		}
		if time.Since(start) < grace {
			continue
		}
		children, err := childProcesses()
		if err != nil {
			return nil, err
		}
		for pid, name := range children {
			if !killed[pid] {
				killed[pid] = true
				names = append(names, "process "+name)
				syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	}
	return nil, fmt.Errorf("left processes do not end: %s", strings.Join(names, ", "))
}

// reapEnded collects the children that have ended; ECHILD means that there are
// no others either.
func reapEnded() error {
	for {
		pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil || pid == 0 {
			return err
		}
	}
}

// childProcesses returns the names of this process's children by process id.
func childProcesses() (map[int]string, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	children := map[int]string{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		if err != nil {
			continue // ended meanwhile
		}
		// pid (name) state ppid: the name may hold spaces and brackets.
		open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
		f := strings.Fields(string(stat[end+1:]))
		if len(f) > 1 && f[0] != "Z" && f[1] == strconv.Itoa(os.Getpid()) {
			children[pid] = string(stat[open+1 : end])
		}
	}
	return children, nil
}

// unmountBelow detaches every mount below dir in this mount namespace.
func unmountBelow(dir string) ([]string, error) {
	points, err := mountPoints(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, p := range slices.Backward(points) {
		names = append(names, "mount "+normalise(p))
		if err := unix.Unmount(p, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return nil, fmt.Errorf("unmount %s: %w", p, err)
		}
	}
	return names, nil
}

// mountPoints returns the mount points below dir in the order of mounting.
func mountPoints(dir string) ([]string, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var points []string
	for _, line := range strings.Split(string(data), "\n") {
		f := strings.Fields(line)
		if len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			points = append(points, f[4])
		}
	}
	return points, nil
}

// removeCgroups removes every cgroup whose path has one of names in it, in
// every hierarchy. Other cgroups belong to somebody else.
func removeCgroups(names []string) ([]string, error) {
	hierarchies := map[string]int{} // cgroup path: number of hierarchies
	var dirs []string
	err := filepath.WalkDir(cgroupRoot, func(path string, d fs.DirEntry, err error) error {
		switch {
		case os.IsNotExist(err):
			return nil // somebody else's, removed meanwhile
		case err != nil:
			return err
		case !d.IsDir():
			return nil
		}
		rel, _ := filepath.Rel(cgroupRoot, path)
		_, cgroup, _ := strings.Cut(rel, "/")
		if slices.ContainsFunc(names, func(n string) bool { return strings.Contains(cgroup, n) }) {
			dirs = append(dirs, path)
			hierarchies["/"+cgroup]++
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !os.IsNotExist(err) {
			return nil, fmt.Errorf("remove the cgroup that was left: %w", err)
		}
	}
	var residue []string
	for cgroup, n := range hierarchies {
		residue = append(residue, fmt.Sprintf("cgroup %s in %d hierarchies", normalise(cgroup), n))
	}
	sort.Strings(residue)
	return residue, nil
}
