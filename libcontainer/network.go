package libcontainer

import (
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// netns is a network namespace, or why there is none.
type netns struct {
	fd    int
	inode uint64
	err   error
}

// pendingFD stands for a descriptor that collectNetwork fills in.
const pendingFD = -2

// makeNetwork makes a network namespace with lo up. Its thread enters the
// namespace, and so is never given back: it ends with the goroutine.
func makeNetwork(done chan<- netns) {
	runtime.LockOSThread()
	fd, err := newNetwork()
	var st unix.Stat_t
	if err == nil {
		err = unix.Fstat(fd, &st)
	}
	done <- netns{fd, st.Ino, err}
}

func newNetwork() (int, error) {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return -1, fmt.Errorf("unshare: %w", err)
	}
	if err := loopbackUp(); err != nil {
		return -1, fmt.Errorf("lo up: %w", err)
	}
	fd, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("open /proc/thread-self/ns/net: %w", err)
	}
	return fd, nil
}

// inode is the number of a namespace file, 0 when it cannot be read.
func inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
}

func loopbackUp() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, ifr); err != nil {
		return err
	}
	ifr.SetUint16(ifr.Uint16() | unix.IFF_UP)
	return unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr)
}

// collectNetwork waits for the namespace and puts it where the init expects it.
func (h *host) collectNetwork() error {
	if h.net == nil {
		return nil
	}
	n := <-h.net
	h.net = nil
	if n.err != nil {
		return n.err
	}
	h.rec.NetNS, h.netMade = n.inode, true
	for i, fd := range h.slots {
		if fd == pendingFD {
			h.slots[i] = n.fd
		}
	}
	for i, fd := range h.order {
		if fd == pendingFD {
			h.order[i] = n.fd
		}
	}
	return nil
}
