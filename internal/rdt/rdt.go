// Package rdt handles groups of the resctrl file system, through which the
// kernel shares out caches and memory bandwidth (Intel RDT and what other makers
// call theirs): config-linux.md, IntelRdt, and resctrl.rst of the kernel.
//
// A group is a directory. The kernel fills it with files when it is made, and
// takes them away with it, so that rmdir(2) removes a group that is not empty;
// tasks that are still in it go to its parent.
package rdt

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"syscall"

	"github.com/tare-oci/tare/internal/sys"
)

// Make makes a group and says whether it did: one that is there is used as it is.
func Make(group string) (made bool, err error) {
	switch err := syscall.Mkdir(group, 0o755); err {
	case nil:
		return true, nil
	case syscall.EEXIST:
		return false, nil
	default:
		return false, refused(group, &fs.PathError{Op: "mkdir", Path: group, Err: err})
	}
}

// MakeNew makes a group that must not be there yet. ENOSPC means that the CPU
// has no more classes, or no more monitoring groups.
func MakeNew(group string) error {
	made, err := Make(group)
	if err == nil && !made {
		err = &fs.PathError{Op: "mkdir", Path: group, Err: syscall.EEXIST}
	}
	return err
}

// Exists is an error when the group is not there.
func Exists(group string) error {
	var st syscall.Stat_t
	if err := syscall.Stat(group, &st); err != nil {
		return &fs.PathError{Op: "stat", Path: group, Err: err}
	}
	if st.Mode&syscall.S_IFMT != syscall.S_IFDIR {
		return &fs.PathError{Op: "stat", Path: group, Err: syscall.ENOTDIR}
	}
	return nil
}

// Write writes lines to the schemata file of a group, in one write(2).
func Write(group, lines string) error {
	return refused(group, sys.WriteFile(group+"/schemata", lines+"\n"))
}

// Schemata is the schemata file of a group, as the kernel shows it.
func Schemata(group string) (string, error) {
	data, err := sys.ReadFile(group+"/schemata", 1<<20)
	return string(data), err
}

// Join moves a process into a group. Its children follow it, those that it has
// already do not.
func Join(group string, pid int) error {
	return refused(group, sys.WriteFile(group+"/tasks", strconv.Itoa(pid)))
}

// Remove removes a group; that it is gone is no error.
func Remove(group string) error {
	if err := syscall.Rmdir(group); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: group, Err: err}
	}
	return nil
}

// Unused says that no process is in a group; one without a list has none.
func Unused(group string) bool {
	data, err := sys.ReadFile(group+"/tasks", maxTasks)
	return err == nil && len(data) == 0 || errors.Is(err, syscall.ENOENT)
}

const maxTasks = 1 << 20

// refused adds what the kernel has to say: the files refuse with EINVAL whatever
// is wrong, and info/last_cmd_status has the reason.
func refused(group string, err error) error {
	if err == nil || errors.Is(err, syscall.ENOENT) {
		return err
	}
	for dir := group; len(dir) > 1; dir = path.Dir(dir) {
		if text := strings.TrimSpace(sys.Text(dir + "/info/last_cmd_status")); text != "" && text != "ok" {
			return fmt.Errorf("%w: %s", err, text)
		}
	}
	return err
}
