package libcontainer

import (
	"fmt"
	"runtime"
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
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

// network is a network namespace in the making.
type network struct{ done chan netns }

// startNetwork begins to make a network namespace with lo up. The thread that
// does enters the namespace, and so is never given back: it ends with its
// goroutine.
func startNetwork() *network {
	n := &network{make(chan netns, 1)}
	go func() {
		runtime.LockOSThread()
		var st unix.Stat_t
		fd, err := newNetwork()
		if err == nil {
			err = unix.Fstat(fd, &st)
		}
		n.done <- netns{fd, st.Ino, err}
	}()
	return n
}

// earlyNetwork begins before there is a plan, if the plan is going to have a
// net-make op; the condition is that of package specconv.
func earlyNetwork(spec *specs.Spec) *network {
	if spec.Linux == nil || unix.Geteuid() != 0 {
		return nil
	}
	fresh := false
	for _, n := range spec.Linux.Namespaces {
		switch n.Type {
		case specs.UserNamespace:
			return nil
		case specs.NetworkNamespace:
			fresh = n.Path == ""
		}
	}
	if !fresh {
		return nil
	}
	return startNetwork()
}

// wait takes the namespace out; there is one to take.
func (n *network) wait() netns {
	got := <-n.done
	n.done = nil
	return got
}

// drop gives up a namespace that was not taken.
func (n *network) drop() {
	if n == nil || n.done == nil {
		return
	}
	if got := n.wait(); got.err == nil {
		unix.Close(got.fd)
	}
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

// pending says that the plan has a slot for the namespace.
func (h *host) pending() bool { return slices.Contains(h.slots, pendingFD) }

// collectNetwork waits for the namespace and puts it where the init expects it.
func (h *host) collectNetwork() error {
	if h.net == nil || !h.pending() {
		return nil
	}
	n := h.net.wait()
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
