package libcontainer

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// A container without a mount namespace of its own (config-linux.md: a type that
// is not listed is inherited, one with a path is joined) is mounted where others
// are. All of it lies below one mount, that of its root, and goes with it.

// inMountNS runs f in the mount namespace at path, or here when that is empty. What
// f gets is the host's procfs: in there everything may be the container's, what is at
// /proc too, which could be a pipe and never end. If the inode that is expected is not
// 0, a namespace with another one is not the one that was meant: that is ENOENT. The
// thread that enters the namespace ends with the goroutine.
func inMountNS(path string, inode uint64, f func(proc int) error) error {
	proc, err := unix.Open("/proc", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open /proc: %w", err)
	}
	defer unix.Close(proc)
	if path == "" {
		return f(proc)
	}
	ns, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("mount namespace %s: %w", path, err)
	}
	defer unix.Close(ns)
	var st unix.Stat_t
	if err := unix.Fstat(ns, &st); err != nil {
		return fmt.Errorf("mount namespace %s: fstat: %w", path, err)
	}
	if inode != 0 && st.Ino != inode {
		return fmt.Errorf("mount namespace %s is another one by now: %w", path, unix.ENOENT)
	}
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		// The working directory is shared by threads, and setns(2) changes it.
		err := unix.Unshare(unix.CLONE_FS)
		if err == nil {
			err = unix.Setns(ns, unix.CLONE_NEWNS)
		}
		if err != nil {
			done <- fmt.Errorf("enter mount namespace %s: %w", path, err)
			return
		}
		done <- f(proc)
	}()
	return <-done
}

// mountsAt counts the mounts of the calling thread's namespace at exactly this
// path.
func mountsAt(proc int, path string) int {
	fd, err := unix.Openat(proc, "thread-self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(fd)
	text, _ := sys.ReadAll(fd, 1<<30) // what cannot be read is not there
	n := 0
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(path)
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] == escaped {
			n++
		}
	}
	return n
}

// realPath is path as mountinfo shows it, without links and doubled slashes.
func realPath(path string) string { return realPathBy(unix.AT_FDCWD, path) }

// realPathBy asks a procfs, or with AT_FDCWD the one at /proc.
func realPathBy(proc int, path string) string {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return path // create will say what is wrong with it
	}
	defer unix.Close(fd)
	var buf [unix.PathMax]byte
	link := "thread-self/fd/" + strconv.Itoa(fd)
	if proc == unix.AT_FDCWD {
		link = "/proc/" + link
	}
	n, err := unix.Readlinkat(proc, link, buf[:])
	if err != nil {
		return path
	}
	return string(buf[:n])
}

// removeHostMounts takes away what the container has mounted, and nothing that
// was at its root before. A namespace that is gone has taken its mounts along.
func removeHostMounts(rec *state.Record) error {
	if !rec.HostMounts {
		return nil
	}
	err := inMountNS(rec.MountNS, rec.MountNSInode, func(proc int) error {
		for n := mountsAt(proc, rec.MountsAt); n > rec.MountsBefore; n-- {
			if err := unix.Unmount(rec.MountsAt, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
				return fmt.Errorf("unmount %s: %w", rec.MountsAt, err)
			}
		}
		return nil
	})
	if rec.MountNS != "" && errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}
