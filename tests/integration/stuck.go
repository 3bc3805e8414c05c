package integration

import (
	"bytes"
	endian "encoding/binary"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// stuckFS is a file system in which nobody finds anything: whoever looks for a
// name waits for an answer in the kernel, and once it has tried to interrupt that
// in vain neither the freezer nor SIGKILL gets it out. The tests serve it
// themselves, by the protocol of linux/fuse.h.
type stuckFS struct {
	b     *box
	at    string // mount point
	asked chan struct{}
	ended bool
	done  chan struct{}
}

func newStuckFS(b *box) *stuckFS {
	b.t.Helper()
	dev, err := unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0)
	need(b.t, "FUSE", err)
	fs := &stuckFS{b: b, at: b.dir + "/stuck", asked: make(chan struct{}, 64), done: make(chan struct{})}
	b.must(os.Mkdir(fs.at, 0o755))
	err = unix.Mount("stuck", fs.at, "fuse", 0, "fd="+strconv.Itoa(dev)+",rootmode=40000,user_id=0,group_id=0,allow_other")
	if err != nil {
		unix.Close(dev)
		need(b.t, "FUSE", err)
	}
	b.ownMounts = append(b.ownMounts, fs.at)
	go func() {
		fs.serve(dev)
		unix.Close(dev)
		close(fs.done)
	}()
	b.t.Cleanup(fs.end)
	return fs
}

// Operations of linux/fuse.h.
const (
	fuseLookup    = 1
	fuseForget    = 2
	fuseGetattr   = 3
	fuseInit      = 26
	fuseInterrupt = 36
)

// serve answers everything but questions for names, until the file system ends.
func (fs *stuckFS) serve(dev int) {
	buf := make([]byte, 1<<17)
	for {
		n, err := unix.Read(dev, buf)
		if err == unix.EINTR || err == unix.ENOENT {
			continue
		}
		if err != nil || n < 40 {
			return
		}
		op, unique := endian.NativeEndian.Uint32(buf[4:]), endian.NativeEndian.Uint64(buf[8:])
		var body []byte
		var errno int32
		switch op {
		case fuseLookup:
			fs.asked <- struct{}{}
			continue
		case fuseForget, fuseInterrupt:
			continue
		case fuseInit:
			body = make([]byte, 64)
			endian.NativeEndian.PutUint32(body, 7)
			endian.NativeEndian.PutUint32(body[4:], 31)
			endian.NativeEndian.PutUint32(body[20:], 4096) // max_write
		case fuseGetattr:
			body = make([]byte, 104)
			endian.NativeEndian.PutUint64(body, 3600)         // good for an hour
			endian.NativeEndian.PutUint64(body[16:], 1)       // ino
			endian.NativeEndian.PutUint32(body[76:], 0o40755) // mode
			endian.NativeEndian.PutUint32(body[80:], 2)       // nlink
		default:
			errno = -int32(unix.ENOSYS)
		}
		out := make([]byte, 16, 16+len(body))
		endian.NativeEndian.PutUint32(out, uint32(cap(out)))
		endian.NativeEndian.PutUint32(out[4:], uint32(errno))
		endian.NativeEndian.PutUint64(out[8:], unique)
		if _, err := unix.Write(dev, append(out, body...)); err != nil {
			return
		}
	}
}

// await waits until somebody is stuck.
func (fs *stuckFS) await() {
	fs.b.t.Helper()
	fs.b.until("somebody to be stuck", func() bool {
		select {
		case <-fs.asked:
			return true
		default:
			return false
		}
	})
}

// end lets everybody go, with an error.
func (fs *stuckFS) end() {
	if fs.ended {
		return
	}
	fs.ended = true
	_ = unix.Unmount(fs.at, unix.MNT_FORCE) // busy or not, the connection ends
	<-fs.done
	_ = unix.Unmount(fs.at, unix.MNT_DETACH)
}

// procState is the state letter of a process, "" when it is gone.
func procState(pid int) string {
	stat, err := os.ReadFile(procPath(pid, "stat"))
	if err != nil {
		return ""
	}
	return strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))[0]
}
