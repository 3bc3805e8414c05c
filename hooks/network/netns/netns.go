// Package netns opens network namespaces and does things inside them.
package netns

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/record"
)

// Namespace is an open network namespace.
type Namespace struct {
	Handle netns.NsHandle
	ID     record.NetNS
}

// OfProcess opens the namespace of a process.
func OfProcess(pid int) (*Namespace, error) { return open("/proc/" + strconv.Itoa(pid) + "/ns/net") }

// Own opens the namespace of this thread.
func Own() (*Namespace, error) { return open("/proc/thread-self/ns/net") }

func open(path string) (*Namespace, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := errors.Join(unix.Fstatfs(fd, &fs), unix.Fstat(fd, &st)); err != nil {
		unix.Close(fd)
		return nil, err
	}
	if fs.Type != unix.NSFS_MAGIC {
		unix.Close(fd)
		return nil, fmt.Errorf("%s: is no namespace", path)
	}
	return &Namespace{Handle: netns.NsHandle(fd), ID: record.NetNS{Dev: st.Dev, Ino: st.Ino}}, nil
}

// Close closes it.
func (n *Namespace) Close() {
	if n != nil {
		_ = n.Handle.Close()
	}
}

// Do runs f on this thread in the namespace, and comes back. A thread that cannot
// come back never does anything else.
func (n *Namespace) Do(f func() error) error {
	runtime.LockOSThread()
	back, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer back.Close()
	if err := netns.Set(n.Handle); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("setns: %w", err)
	}
	err = f()
	if e := netns.Set(back); e != nil {
		// Locked for ever; what follows would happen to the container.
		panic(fmt.Sprintf("setns back to the host: %v", e))
	}
	runtime.UnlockOSThread()
	return err
}
