package libcontainer

import (
	"fmt"
	"io/fs"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/devfilter"
)

// deviceNode makes a node on a tmpfs that is mounted nowhere, and returns a mount
// of the node alone. The file system belongs to the host's user namespace, so
// that the node works in a container of any other.
func deviceNode(mode, major, minor uint32, uid, gid int) (int, error) {
	fail := func(call string, err error) (int, error) {
		return -1, &fs.PathError{Op: call, Path: strconv.Itoa(int(major)) + ":" + strconv.Itoa(int(minor)), Err: err}
	}
	fsfd, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fail("fsopen", err)
	}
	defer unix.Close(fsfd)
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return fail("fsconfig", err)
	}
	dir, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return fail("fsmount", err)
	}
	defer unix.Close(dir)
	const name = "node"
	if err := unix.Mknodat(dir, name, mode, int(unix.Mkdev(major, minor))); err != nil {
		return fail("mknod", err)
	}
	// The umask is the caller's, and chown(2) takes set-id bits away.
	if err := unix.Fchownat(dir, name, uid, gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fail("chown", err)
	}
	if err := unix.Fchmodat(dir, name, mode&^syscall.S_IFMT, 0); err != nil {
		return fail("chmod", err)
	}
	fd, err := unix.OpenTree(dir, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err == unix.EINVAL { // before 6.15
		fd, err = cloneAttached(dir, name)
	}
	if err != nil {
		return -1, fmt.Errorf("open_tree of a new device node: %w", err)
	}
	return fd, nil
}

// cloneAttached clones what lies at name in a detached mount, for kernels that
// clone only mounts of the caller's own namespace: a thread makes itself a mount
// namespace, attaches the mount there, and ends.
func cloneAttached(mount int, name string) (fd int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		fd = -1
		if err = unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS); err != nil {
			return
		}
		// Nothing from here may come back to the host.
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return
		}
		if err = unix.MoveMount(mount, "", unix.AT_FDCWD, "/", unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return
		}
		fd, err = unix.OpenTree(mount, name, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	}()
	<-done
	return fd, err
}

// filterDevices restricts a v2 cgroup to the devices of a list.
func filterDevices(dir string, rules []string) error {
	list, err := devfilter.Parse(rules)
	if err != nil {
		return err
	}
	program, err := devfilter.Compile(list)
	if err != nil {
		return err
	}
	return devfilter.Attach(dir, program)
}
