package cgroup

import (
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// delegable lists the files of a cgroup that may be given away; the kernel's
// list of them, since 4.15.
const delegable = "/sys/kernel/cgroup/delegate"

// Delegate gives a v2 cgroup to a user, who can then make cgroups below it and
// move processes between them, but not change the limits of the cgroup itself
// (cgroups(7), "Cgroups delegation"). dir is a path on cgroup v2.
func Delegate(dir string, uid int) error {
	fd, err := retry(func() (int, error) {
		return unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return &Error{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(fd)
	v2, err := verify(fd)
	if err == nil && !v2 {
		err = unix.EOPNOTSUPP // delegation is not secure in v1 (config-linux, "Cgroup ownership")
	}
	if err != nil {
		return &Error{Op: "delegate", Path: dir, Err: err}
	}
	list, err := os.ReadFile(delegable)
	if err != nil { // the spec's own list for this case
		list = []byte("cgroup.procs cgroup.subtree_control cgroup.threads")
	}
	if err := unix.Fchown(fd, uid, -1); err != nil {
		return &Error{Op: "chown", Path: dir, Err: err}
	}
	for _, name := range strings.Fields(string(list)) {
		// Not every cgroup has every file: memory.oom.group needs the controller.
		err := unix.Fchownat(fd, name, uid, -1, unix.AT_SYMLINK_NOFOLLOW)
		if err != nil && err != unix.ENOENT {
			return &Error{Op: "chown", Path: dir + "/" + name, Err: err}
		}
	}
	return nil
}
