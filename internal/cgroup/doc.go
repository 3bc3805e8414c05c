// Package cgroup makes, fills, joins, empties and removes the control groups of
// one container, in cgroup v1 and v2.
//
// A cgroup is named by the mount point of its hierarchy and a path below it.
// The mount point is the host's and is trusted; what lies below is reached by
// openat2(2) without symlinks, and the file system is verified before anything
// in it is changed, so that a wrong path cannot make, write or remove anything
// elsewhere. The top of a hierarchy is never a container's cgroup and is
// refused everywhere.
//
// Every container passes through here once per hierarchy, a dozen times on a
// v1 host, so the common case costs few system calls: no mountinfo, no probes
// by access(2); mistakes are recognized by the errno of the call that matters.
package cgroup

import (
	"errors"
	"strings"
)

// Dir is a cgroup: a path below the mount point of a hierarchy.
type Dir struct {
	Mount string // "/sys/fs/cgroup/memory"
	Rel   string // "/system/x", in the view of the mount point
}

// Path is where the cgroup is found.
func (d Dir) Path() string { return d.Mount + "/" + strings.Trim(d.Rel, "/") }

// Error is a system call on a cgroup that failed.
type Error struct {
	Op   string // "mkdir", "write \"4096\" to"
	Path string
	Hint string // what it means, if that is not plain from the errno
	Err  error
}

// Error prints `op path: errno (hint)`.
func (e *Error) Error() string {
	s := e.Op + " " + e.Path + ": " + e.Err.Error()
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error { return e.Err }

// errNotCgroup says that something else is mounted where a hierarchy should be.
var errNotCgroup = errors.New("is not a cgroup file system")
