package libcontainer

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/aside"
)

// netns is a network namespace, or why there is none.
type netns struct {
	fd    int
	inode uint64
	err   error
}

// pendingFD stands for a descriptor that collectNetwork fills in.
const pendingFD = -2

// network is a network namespace in the making, with lo up. That takes the
// kernel as long as reading a config and making the cgroups, so a thread of its
// own does it (package aside).
type network struct {
	calls  [len(networkSteps)]aside.Call
	ifr    [sizeofIfreq]byte
	path   [len(ownNetwork) + 1]byte
	stat   unix.Stat_t
	thread *aside.Thread
	err    error
}

// sizeofIfreq is the size of struct ifreq, netdevice(7).
const sizeofIfreq = 40

const ownNetwork = "/proc/thread-self/ns/net"

// The steps, by index of the call.
const (
	netUnshare = iota
	netSocket
	netUp
	netOpen
	netStat
)

var networkSteps = [...]string{"unshare", "lo up: socket", "lo up", "open " + ownNetwork, "fstat " + ownNetwork}

// startNetwork begins.
func startNetwork() *network {
	n := &network{}
	copy(n.ifr[:], "lo")
	binary.NativeEndian.PutUint16(n.ifr[unix.IFNAMSIZ:], unix.IFF_UP)
	copy(n.path[:], ownNetwork)
	c := &n.calls
	at := unix.AT_FDCWD
	c[netUnshare] = aside.Call{NR: unix.SYS_UNSHARE, Args: [6]uintptr{unix.CLONE_NEWNET}}
	c[netSocket] = aside.Call{NR: unix.SYS_SOCKET, Args: [6]uintptr{unix.AF_INET, unix.SOCK_DGRAM | unix.SOCK_CLOEXEC}, To: &c[netUp].Args[0]}
	c[netUp] = aside.Call{NR: unix.SYS_IOCTL, Args: [6]uintptr{0, unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&n.ifr))}}
	c[netOpen] = aside.Call{NR: unix.SYS_OPENAT, Args: [6]uintptr{uintptr(at), uintptr(unsafe.Pointer(&n.path)), unix.O_RDONLY | unix.O_CLOEXEC}, To: &c[netStat].Args[0]}
	c[netStat] = aside.Call{NR: unix.SYS_FSTAT, Args: [6]uintptr{0, uintptr(unsafe.Pointer(&n.stat))}}
	t, e := aside.Start(c[:])
	if e != 0 {
		n.err = os.NewSyscallError("clone", syscall.Errno(e))
	}
	n.thread = t
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
	if n.err != nil {
		return netns{-1, 0, n.err}
	}
	// A short wait is not worth what the Go scheduler does about it (sys.Ready).
	first := true
	ts := unix.NsecToTimespec(int64(patience))
	for word := n.thread.TID(); ; {
		tid := atomic.LoadUint32(word)
		if tid == 0 {
			break
		}
		const wait = 0 // FUTEX_WAIT, not private: the kernel's wake-up is not
		if first {
			_, _, _ = unix.RawSyscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), wait, uintptr(tid), uintptr(unsafe.Pointer(&ts)), 0, 0)
		} else {
			_, _, _ = unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(word)), wait, uintptr(tid), 0, 0, 0)
		}
		first = false
	}
	i, e := n.thread.Done()
	n.thread = nil
	if s := n.calls[netSocket].Ret; s < aside.Pending {
		unix.Close(int(s))
	}
	if i < 0 {
		return netns{int(n.calls[netOpen].Ret), n.stat.Ino, nil}
	}
	if fd := n.calls[netOpen].Ret; fd < aside.Pending {
		unix.Close(int(fd))
	}
	return netns{-1, 0, fmt.Errorf("%s: %w", networkSteps[i], syscall.Errno(e))}
}

// drop gives up a namespace that was not taken.
func (n *network) drop() {
	if n == nil || n.thread == nil {
		return
	}
	if got := n.wait(); got.err == nil {
		unix.Close(got.fd)
	}
}

// inode is the number of a namespace file, 0 when it cannot be read.
func inode(path string) uint64 {
	var st unix.Stat_t
	if unix.Stat(path, &st) != nil {
		return 0
	}
	return st.Ino
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
