package link

import (
	"sync"

	"golang.org/x/sys/unix"
)

// ownProcfs asks for a procfs of this process alone.
var ownProcfs bool

// OwnProcfs says whether parameters are to be reached by a mount of proc(5) that is
// this process's alone. It is for whoever has not yet looked at one.
//
// In the one that everybody uses all network namespaces have their entries below
// the same directory, /proc/sys/net: the entry "ipv6" of each one has the same
// parent and the same name, so all are in one chain of the kernel's hash table
// (proc_sys_compare), for as long as their namespaces live. With a thousand
// containers whose parameters have been looked at, a path there took 1.2 ms, in
// place of 20 µs. Since Linux 5.8 each mount has entries of its own. To make one and
// to end it takes 0.1 ms, but each waits for all processors: of a hundred hooks at
// once it doubled the time.
func OwnProcfs(own bool) { ownProcfs = own }

// procfs is that mount, which ends with the process; AT_FDCWD where there is none to be
// had.
var procfs = sync.OnceValue(func() int {
	if !ownProcfs {
		return unix.AT_FDCWD
	}
	fs, err := unix.Fsopen("proc", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return unix.AT_FDCWD // Linux before 5.2, or not permitted
	}
	defer unix.Close(fs)
	if unix.FsconfigCreate(fs) != nil {
		return unix.AT_FDCWD
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return unix.AT_FDCWD // in a user namespace with a /proc that is masked
	}
	return fd
})

// openProc opens a file of procfs without the poller that package os would add
// it to.
func openProc(path string, flags int) (int, error) {
	if at := procfs(); at != unix.AT_FDCWD {
		return unix.Openat(at, path, flags|unix.O_CLOEXEC, 0)
	}
	return unix.Open("/proc/"+path, flags|unix.O_CLOEXEC, 0)
}
