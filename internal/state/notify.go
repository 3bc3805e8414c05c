package state

import (
	"io/fs"
	"syscall"
)

// NotifySocket is the name of the socket in the directory of MakeNotifyDir.
const NotifySocket = "notify.sock"

// NotifyDir is the directory of a container's readiness socket.
func NotifyDir(root, id string) string { return root + "/" + id + ".notify" }

// NotifyDir is where the container's readiness socket is made.
func (r *Record) NotifyDir() string { return NotifyDir(r.store.root, r.ID) }

// MakeNotifyDir makes that directory, which the container's user can search.
func (r *Record) MakeNotifyDir() error {
	path := r.NotifyDir()
	err := syscall.Mkdir(path, 0o755)
	if err == nil || err == syscall.EEXIST { // of a creator that was killed
		err = syscall.Chmod(path, 0o755)
	}
	if err != nil {
		return &fs.PathError{Op: "mkdir", Path: path, Err: err}
	}
	return nil
}

// removeNotifyDir removes it; nothing else is ever in it.
func (r *Record) removeNotifyDir() error {
	if !r.Notify {
		return nil
	}
	path := r.NotifyDir()
	_ = syscall.Unlink(path + "/" + NotifySocket)
	if err := syscall.Rmdir(path); err != nil && err != syscall.ENOENT {
		return &fs.PathError{Op: "rmdir", Path: path, Err: err}
	}
	return nil
}
