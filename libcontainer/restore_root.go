//go:build !tare_front

package libcontainer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"
)

// underRoot runs f in a mount namespace of its own, in which rootfs is a mount at
// the path "root" below at, and nothing else is below at. CRIU wants the root to be
// a mount whose parent is not covered; here nobody else sees it, and it is gone with
// the last process of the namespace. What CRIU is to work in must be opened in this
// namespace too, which before does, while all is still there.
//
// The thread ends with the goroutine.
func underRoot(at, rootfs string, before, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		err := unshareMounts()
		if err == nil {
			err = before()
		}
		if err == nil {
			err = bindRoot(at, rootfs)
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// unshareMounts gives the thread mounts of its own, from which nothing goes back to
// the host.
func unshareMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil { // and CLONE_FS with it
		return os.NewSyscallError("unshare", err)
	}
	return os.NewSyscallError("mount", unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, ""))
}

func bindRoot(at, rootfs string) error {
	// Opened here, because it has to be of this namespace, and because it may be below
	// what is covered now.
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root.path %q: %w", rootfs, err)
	}
	defer unix.Close(root)
	if err := unix.Mount("tmpfs", at, "tmpfs", 0, "mode=700"); err != nil {
		return &os.PathError{Op: "mount", Path: at, Err: err}
	}
	to := filepath.Join(at, "root")
	if err := unix.Mkdir(to, 0o755); err != nil {
		return &os.PathError{Op: "mkdir", Path: to, Err: err}
	}
	if err := unix.Mount("/proc/self/fd/"+strconv.Itoa(root), to, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return &os.PathError{Op: "mount", Path: rootfs, Err: err}
	}
	return nil
}
