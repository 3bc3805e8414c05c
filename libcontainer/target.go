package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// findTarget looks at what an exec has to know of the container.
func findTarget(rec *state.Record, o *ExecOptions, ownUserNS bool) (specconv.Target, error) {
	t := specconv.Target{Pid: rec.Pid, Start: rec.PidStart, NewKeyring: !rec.NoKeyring, RdtGroups: rec.RdtGroups, Taken: rec.Taken}
	if ownUserNS {
		own, err1 := os.Readlink("/proc/self/ns/user")
		its, err2 := os.Readlink("/proc/" + strconv.Itoa(rec.Pid) + "/ns/user")
		if err := errors.Join(err1, err2); err != nil {
			return t, err
		}
		t.SharesUserNS = own == its
	}
	subs, err := subCgroups(o.Cgroups)
	if err != nil {
		return t, err
	}
	if t.Cgroups, err = targetCgroups(rec, subs); err != nil {
		return t, err
	}
	for i := range t.Cgroups {
		t.Tight = t.Tight || t.Cgroups[i].V2 && tight(t.Cgroups[i].Mount+t.Cgroups[i].Path)
	}
	return t, nil
}

// tight says that a v2 cgroup has no room for two more processes.
func tight(dir string) bool {
	limit, err := strconv.Atoi(strings.TrimSpace(sys.Text(dir + "/pids.max")))
	if err != nil { // no limit, or no controller
		return false
	}
	now, err := strconv.Atoi(strings.TrimSpace(sys.Text(dir + "/pids.current")))
	return err == nil && now+2 > limit
}

// subCgroups reads --cgroup: "PATH", or "CONTROLLER[,CONTROLLER...]:PATH" more
// than once. The key "" stands for every hierarchy.
func subCgroups(args []string) (map[string]string, error) {
	subs := make(map[string]string, len(args))
	for _, a := range args {
		names, sub, ok := strings.Cut(a, ":")
		if !ok {
			if len(args) > 1 {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (missing <controller>: prefix)", a)
			}
			names, sub = "", a
		} else if names == "" {
			return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", a)
		}
		for _, part := range strings.Split(sub, "/") {
			if part == ".." {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (must stay below the container's cgroup)", a)
			}
		}
		for _, name := range strings.Split(names, ",") {
			if name == "" && ok {
				return nil, fmt.Errorf("invalid --cgroup argument: %s (empty <controller> prefix)", a)
			}
			if _, twice := subs[name]; twice {
				return nil, fmt.Errorf("invalid --cgroup argument(s): controller %s specified multiple times", name)
			}
			subs[name] = path.Clean("/" + sub)
		}
	}
	return subs, nil
}

// targetCgroups are the directories to join: those of the record, on v2 the one
// below it that the container's process has moved to, because a cgroup whose
// controllers are given to its children takes no processes of its own
// (cgroups(7)); or the ones that --cgroup names, which are never replaced.
func targetCgroups(rec *state.Record, subs map[string]string) ([]specconv.CgroupDir, error) {
	if !rec.CgroupsMade {
		return nil, nil
	}
	out := make([]specconv.CgroupDir, 0, len(rec.Cgroups))
	current, looked := "", false
	for i := range rec.Cgroups {
		g := &rec.Cgroups[i]
		d := specconv.CgroupDir{Hierarchy: g.Hierarchy, Mount: g.Mount, Path: g.Path, V2: g.V2}
		sub, named := subs[""]
		if !named {
			for _, name := range strings.Split(strings.TrimPrefix(g.Hierarchy, "name="), ",") {
				if s, ok := subs[name]; ok && name != "" {
					sub, named = s, true
				}
			}
		}
		switch {
		case named:
			d.Path = path.Join(g.Path, sub)
		case g.V2:
			if !looked {
				current, looked = unifiedOf(sys.Text("/proc/"+strconv.Itoa(rec.Pid)+"/cgroup")), true
			}
			if strings.HasPrefix(current, strings.TrimSuffix(g.Path, "/")+"/") {
				d.Path = current
			}
		}
		out = append(out, d)
	}
	for name := range subs {
		if name != "" && !hasController(rec, name) {
			return nil, fmt.Errorf("invalid --cgroup argument: the container has no cgroup of controller %q", name)
		}
	}
	return out, nil
}

func hasController(rec *state.Record, name string) bool {
	for i := range rec.Cgroups {
		for _, n := range strings.Split(strings.TrimPrefix(rec.Cgroups[i].Hierarchy, "name="), ",") {
			if n == name {
				return true
			}
		}
	}
	return false
}

// unifiedOf is the path of the v2 hierarchy in /proc/PID/cgroup.
func unifiedOf(text string) string {
	for _, line := range strings.Split(text, "\n") {
		if p, ok := strings.CutPrefix(line, "0::"); ok {
			return p
		}
	}
	return ""
}

// openTarget opens a pidfd of the container's process. The start time proves that
// the number has not been given to another since it was recorded.
func openTarget(pid int, start uint64) (int, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err == nil {
		if got, _, ok := state.StartTime(pid); !ok || got != start {
			unix.Close(fd)
			err = unix.ESRCH
		}
	}
	if err != nil {
		return -1, &fs.PathError{Op: "pidfd_open", Path: strconv.Itoa(pid), Err: err}
	}
	return fd, nil
}

// openCgroup opens a cgroup's file for writing, or the directory itself. Neither
// is made: where a --cgroup does not exist, it is a mistake. A detached directory is
// a read-only mount of its own, above which there is nothing.
func openCgroup(dir, file string, detached bool) (int, error) {
	name, flags := dir, unix.O_PATH|unix.O_DIRECTORY
	magic := int64(unix.CGROUP2_SUPER_MAGIC)
	if file != "" {
		name, flags, magic = dir+"/"+file, unix.O_WRONLY, unix.CGROUP_SUPER_MAGIC
	}
	fd, err := sys.Open(name, flags|unix.O_NOFOLLOW, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil || int64(st.Type) != magic {
		unix.Close(fd)
		return -1, fmt.Errorf("%s is not on a cgroup file system", name)
	}
	if !detached {
		return fd, nil
	}
	defer unix.Close(fd)
	tree, err := unix.OpenTree(fd, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return -1, &fs.PathError{Op: "open_tree", Path: name, Err: err}
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		unix.Close(tree)
		return -1, &fs.PathError{Op: "mount_setattr", Path: name, Err: err}
	}
	return tree, nil
}

// openRoot opens the root directory of a process, which is proven to be the one
// with that start time afterwards.
func openRoot(pid int, start uint64) (int, error) {
	name := "/proc/" + strconv.Itoa(pid) + "/root"
	fd, err := sys.Open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	if got, _, ok := state.StartTime(pid); !ok || got != start {
		unix.Close(fd)
		return -1, &fs.PathError{Op: "open", Path: name, Err: unix.ESRCH}
	}
	return fd, nil
}

// spawnAffinity sets the CPUs of the thread that clones the init, which inherits
// them; restoreAffinity takes that back when it has.
func (h *host) spawnAffinity(mask []byte) error {
	runtime.LockOSThread()
	h.locked = true
	old, err := sys.Affinity()
	if err == nil {
		h.cpus = old
		err = sys.SetAffinity(mask)
	}
	return err
}

func (h *host) restoreAffinity() {
	if h.cpus != nil {
		_ = sys.SetAffinity(h.cpus)
		h.cpus = nil
	}
}
