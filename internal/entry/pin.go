package entry

import "unsafe"

// cpus is the mask of the processors that the program may run on, as the kernel gave it
// when it began: known bytes, 0 if it was left as it was. only has the bit of the one on
// which it began. The assembly fills them (sched_setaffinity(2)).
var (
	cpus, only [1024]byte
	known      int
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
	const atFdcwd, readDirectory = ^uintptr(99), 0o2000000 // O_CLOEXEC; getdents64 asks for a directory
	fd := call(sysOpenat, atFdcwd, uintptr(unsafe.Pointer(&ownTasks)), readDirectory)
	if int(fd) < 0 {
		release(0) // this one
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
				release(tid)
			}
		}
	}
	call(sysClose, fd, 0, 0)
}

func release(tid uintptr) {
	call(sysSchedSetaffinity, tid, uintptr(known), uintptr(unsafe.Pointer(&cpus)))
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
