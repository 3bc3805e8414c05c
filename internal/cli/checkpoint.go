//go:build !tare_front

package cli

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/catch"
	"github.com/tare-oci/tare/libcontainer"
)

// runCheckpoint lets the container go on when it is interrupted while that stands still.
func runCheckpoint(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	if err := ctr.Manageable(); err != nil {
		return err
	}
	f := &c.flags
	o := libcontainer.CheckpointOptions{LeaveRunning: f.bool("leave-running"), PreDump: f.bool("pre-dump"), ParentPath: f.str("parent-path"),
		PageServer: f.str("page-server"), TCPSkipInFlight: f.bool("tcp-skip-in-flight"), LinkRemap: f.bool("link-remap")}
	if o.CriuOptions, err = c.criuOptions(); err != nil {
		return err
	}
	if f.isSet("status-fd") {
		if !o.LazyPages {
			return errors.New("--status-fd: is only for --lazy-pages")
		}
		if o.StatusFile, err = statusFile(f.int("status-fd")); err != nil {
			return err
		}
	}
	// It may take long: one that nohup(1) keeps from SIGHUP goes on.
	ends := slices.DeleteFunc([]syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP}, catch.Ignored)
	if o.Cancel, err = interruptible(func() {
		c.warn([]string{"interrupted: what CRIU has begun is undone first; once more ends " + c.program + " at once"})
	}, ends...); err != nil {
		return err
	}
	return ctr.Checkpoint(o)
}

// statusFile is a descriptor of the caller's that can be written to.
func statusFile(fd int) (*os.File, error) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if own, e := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); e == nil && own&unix.FD_CLOEXEC != 0 {
		err = unix.EBADF // not given to tare but opened by it: see checkPreserved
	}
	if err == nil && flags&unix.O_ACCMODE == unix.O_RDONLY {
		err = errors.New("it is open for reading only")
	}
	if err != nil {
		return nil, fmt.Errorf("--status-fd %d: %w", fd, err)
	}
	return os.NewFile(uintptr(fd), "status-fd"), nil
}

// criuOptions are the flags that checkpoint and restore share.
func (c *call) criuOptions() (libcontainer.CriuOptions, error) {
	f := &c.flags
	o := libcontainer.CriuOptions{Criu: c.global.str("criu"), TCPEstablished: f.bool("tcp-established"), ExtUnixSockets: f.bool("ext-unix-sk"),
		ShellJob: f.bool("shell-job"), FileLocks: f.bool("file-locks"), AutoDedup: f.bool("auto-dedup"), LazyPages: f.bool("lazy-pages"),
		NetworkLock: f.str("network-lock"), ManageCgroups: f.str("manage-cgroups-mode")}
	for _, ns := range f.list("empty-ns") {
		if ns != "network" {
			return o, fmt.Errorf("--empty-ns %q: use network", ns)
		}
		o.EmptyNetwork = true
	}
	if err := c.path("work-path", &o.WorkDir); err != nil {
		return o, err
	}
	var err error
	o.ImageDir, err = absolute(f.str("image-path"))
	return o, err
}

func runRestore(c *call) error {
	r, err := c.runtime()
	if err != nil {
		return err
	}
	o := libcontainer.RestoreOptions{TCPClose: c.flags.bool("tcp-close"), LSMProfile: c.flags.str("lsm-profile"), LSMMountContext: c.flags.str("lsm-mount-context")}
	if o.CreateOptions, err = c.bundleOptions(c.args[0]); err != nil {
		return err
	}
	o.Program = c.program
	if err := c.sockets(&o.PidFile, &o.ConsoleSocket, &o.PidfdSocket); err != nil {
		return err
	}
	if o.CriuOptions, err = c.criuOptions(); err != nil {
		return err
	}
	if err := makeRoot(&c.global, r.Root()); err != nil {
		return err
	}
	return c.begin(&o.CreateOptions, func() (*libcontainer.Container, error) { return r.Restore(o) })
}
