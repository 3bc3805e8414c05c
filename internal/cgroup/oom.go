package cgroup

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/sys/unix"
)

// OOMWatch tells when the kernel has run out of a cgroup's memory.
type OOMWatch struct {
	fd    int // readable when something has happened
	dir   openDir
	kills uint64 // seen so far, in v2
}

// WatchOOM watches a cgroup of v2, or of the memory controller in v1. v1
// notifies an eventfd of each time that it was out of memory (memory.txt of the
// kernel); in v2 the file memory.events changes, and counts processes that were
// killed.
func WatchOOM(mount, rel string) (*OOMWatch, error) {
	o, err := Dir{mount, rel}.open()
	if err != nil {
		return nil, err
	}
	w := &OOMWatch{dir: o, fd: -1}
	if o.v2 {
		err = w.inotify()
	} else {
		err = w.eventfd()
	}
	if err != nil {
		w.Close()
		return nil, &Error{Op: "watch memory of", Path: o.dir.Path(), Err: err}
	}
	return w, nil
}

func (w *OOMWatch) eventfd() error {
	control, err := openAt(w.dir.fd, "memory.oom_control", unix.O_RDONLY)
	if err != nil {
		return err
	}
	defer unix.Close(control)
	if w.fd, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return err
	}
	return writeAt(w.dir.fd, "cgroup.event_control", []byte(strconv.Itoa(w.fd)+" "+strconv.Itoa(control)))
}

func (w *OOMWatch) inotify() (err error) {
	if w.fd, err = unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK); err != nil {
		return err
	}
	path := "/proc/self/fd/" + strconv.Itoa(w.dir.fd) + "/memory.events"
	if _, err = unix.InotifyAddWatch(w.fd, path, unix.IN_MODIFY); err != nil {
		return err
	}
	w.kills, err = w.killed()
	return err
}

// FD is readable when Count may have something to tell.
func (w *OOMWatch) FD() int { return w.fd }

// Count returns how often the memory has run out since the last call.
func (w *OOMWatch) Count() (uint64, error) {
	if !w.dir.v2 {
		var buf [8]byte
		n, err := retry(func() (int, error) { return unix.Read(w.fd, buf[:]) })
		if err != nil && err != unix.EAGAIN {
			return 0, err
		}
		if n != len(buf) {
			return 0, nil
		}
		// The removal of the cgroup notifies, too.
		if _, err := w.killed(); isGone(err) {
			return 0, nil
		}
		return binary.NativeEndian.Uint64(buf[:]), nil
	}
	var events [4096]byte
	if _, err := retry(func() (int, error) { return unix.Read(w.fd, events[:]) }); err != nil && err != unix.EAGAIN {
		return 0, err
	}
	now, err := w.killed()
	if isGone(err) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	n := now - w.kills
	w.kills = now
	return n, nil
}

// killed is the number of processes that were killed for want of memory.
func (w *OOMWatch) killed() (n uint64, err error) {
	file := "memory.oom_control"
	if w.dir.v2 {
		file = "memory.events"
	}
	r := reader{fd: w.dir.fd, buf: make([]byte, 512)}
	r.eachValue(file, func(name []byte, v uint64) {
		if string(name) == "oom_kill" {
			n = v
		}
	})
	if r.err == nil && n == 0 {
		// Missing altogether is how a removed cgroup looks from inside.
		if _, err := readAt(w.dir.fd, file, r.buf); err != nil {
			return 0, err
		}
	}
	return n, r.err
}

// Close ends the watch.
func (w *OOMWatch) Close() {
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	unix.Close(w.dir.fd)
}
