package entry

import "unsafe"

// cpus is the mask of the processors that the program may run on, as the kernel gave it
// when it began: known bytes, 0 if it was left as it was. only has the bit of the one on
// which it began. The assembly fills them (sched_setaffinity(2)).
var (
	cpus, only, now [1024]byte
	known           int
)

// call makes a system call.
//
//go:noescape
func call(nr, a, b, c uintptr) uintptr

var (
	ownTasks = [...]byte{'/', 'p', 'r', 'o', 'c', '/', 's', 'e', 'l', 'f', '/', 't', 'a', 's', 'k', 0}
	dirents  [1024]byte
)

// unpin gives the threads that there are their processors back: programs can be started
// from any, and would inherit one alone.
func unpin() {
	if known <= 0 {
		return
	}
	mask := unlimited()
	const atFdcwd, readDirectory = ^uintptr(99), 0o2000000 // O_CLOEXEC; getdents64 asks for a directory
	fd := call(sysOpenat, atFdcwd, uintptr(unsafe.Pointer(&ownTasks)), readDirectory)
	if int(fd) < 0 {
		return
	}
	for {
		n := int(call(sysGetdents64, fd, uintptr(unsafe.Pointer(&dirents)), uintptr(len(dirents))))
		if n <= 0 {
			break
		}
		// struct linux_dirent64: the length of the entry at 16, its name at 19.
		for at := 0; at < n; at += int(dirents[at+16]) | int(dirents[at+17])<<8 {
			tid := uintptr(0)
			for _, c := range dirents[at+19 : n] {
				if c < '0' || c > '9' {
					break
				}
				tid = tid*10 + uintptr(c-'0')
			}
			if tid != 0 { // no number: "." and ".."
				setAffinity(tid, mask)
			}
		}
	}
	call(sysClose, fd, 0, 0)
}

// unlimited gives the calling thread its processors back, and returns the mask that
// does. What a thread has asked for stays when its cpuset grows, and goes to all that it
// starts; so the mask is of all processors there can be, unless the caller's own was
// less than its cpuset (user_cpus_ptr, Linux 6.2).
func unlimited() *[1024]byte {
	for i := range only[:known] {
		only[i] = 0xff
	}
	setAffinity(0, &only)
	call(sysSchedGetaffinity, 0, uintptr(known), uintptr(unsafe.Pointer(&now)))
	if now == cpus {
		return &only
	}
	setAffinity(0, &cpus)
	return &cpus
}

func setAffinity(tid uintptr, mask *[1024]byte) {
	call(sysSchedSetaffinity, tid, uintptr(known), uintptr(unsafe.Pointer(mask)))
}

// processors counts those that the program may run on.
func processors() int {
	n := 0
	for _, b := range cpus[:max(known, 0)] {
		for ; b != 0; b &= b - 1 {
			n++
		}
	}
	return n
}
