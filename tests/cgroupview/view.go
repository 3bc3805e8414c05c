// Package cgroupview gives a test program a view of the host's cgroups that
// other programs cannot change under it, and removes what containers left in
// them. Only tests use it.
package cgroupview

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	// Root is where hosts mount their cgroups.
	Root = "/sys/fs/cgroup"
	// Unified is the place of a cgroup2 beside v1 hierarchies.
	Unified = Root + "/unified"
)

// insideEnv marks the process that has a mount namespace of its own.
const insideEnv = "TARE_TEST_MOUNTS_ARE_OWN"

// Isolate starts this program again in a mount namespace of its own, in which
// mounts are slaves of the host's. It returns only when that is done, or cannot
// be. It keeps the process: its pid, parent and standard files.
func Isolate() error {
	if os.Getenv(insideEnv) != "" {
		return os.Unsetenv(insideEnv)
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

// Enter puts a view of the cgroup v1 hierarchies in the place of the host's; its
// files are in dir, which must exist. A cgroup2 beside them is left out: crun 1.8
// refuses a host on which it has controllers, and to take those away would
// disturb others. On a host with cgroup v2 alone everything stays as it is, and
// Enter returns false.
//
// The caller is in a mount namespace of its own, whose mounts are slaves of the
// host's or private: the view must not get out.
//
// With names only those entries are shown: what other programs mount for a while
// is then in nobody's way.
func Enter(dir string, names ...string) (bool, error) {
	if IsCgroup2(Root) {
		return false, nil
	}
	at := filepath.Join(dir, "cgroup")
	if err := os.Mkdir(at, 0o755); err != nil {
		return false, err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755"); err != nil {
		return false, fmt.Errorf("mount tmpfs on %s: %w", at, err)
	}
	entries, err := os.ReadDir(Root)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		if len(names) > 0 && !slices.Contains(names, e.Name()) {
			continue
		}
		if err := show(filepath.Join(Root, e.Name()), filepath.Join(at, e.Name())); err != nil {
			return false, err
		}
	}
	// Instead of the host's and not on top of it: each mount that is not there
	// need not be copied for a container.
	if err := unix.Unmount(Root, unix.MNT_DETACH); err != nil {
		return false, fmt.Errorf("unmount %s: %w", Root, err)
	}
	if err := unix.Mount(at, Root, "", unix.MS_MOVE, ""); err != nil {
		return false, fmt.Errorf("move %s to %s: %w", at, Root, err)
	}
	return true, nil
}

// show puts one entry of the host's directory into the view: a link such as
// cpu -> cpu,cpuacct, or the mount of a v1 hierarchy. Nothing else is shown.
func show(from, to string) error {
	if target, err := os.Readlink(from); err == nil {
		return os.Symlink(target, to)
	}
	var st unix.Statfs_t
	if unix.Statfs(from, &st) != nil || st.Type != unix.CGROUP_SUPER_MAGIC {
		return nil
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(from, to, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s on %s: %w", from, to, err)
	}
	return nil
}

// Hierarchies lists the names below Root at which a hierarchy is mounted; none
// on a host with cgroup v2 alone.
func Hierarchies() ([]string, error) {
	if IsCgroup2(Root) {
		return nil, nil
	}
	list, err := os.ReadDir(Root)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range list {
		if e.IsDir() && isMountPoint(filepath.Join(Root, e.Name())) {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// Layout names the kind of host, and the number of v1 hierarchies.
func Layout() string {
	names, err := Hierarchies()
	switch {
	case err != nil:
		return "no cgroups"
	case IsCgroup2(Root):
		return "cgroup v2"
	case IsCgroup2(Unified):
		return fmt.Sprintf("cgroup v1 hybrid (%d v1 hierarchies and a cgroup2)", len(names)-1)
	}
	return fmt.Sprintf("cgroup v1 (%d hierarchies)", len(names))
}

// IsCgroup2 reports whether path lies on a cgroup2 file system.
func IsCgroup2(path string) bool {
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
