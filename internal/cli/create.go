package cli

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/libcontainer"
)

func runCreate(c *call) error {
	r, o, err := c.toCreate()
	if err != nil {
		return err
	}
	ctr, err := r.Create(o)
	if err != nil {
		return err
	}
	c.warn(ctr.Warnings)
	return nil
}

// toCreate reads what create and run share, and makes the state directory.
func (c *call) toCreate() (*libcontainer.Runtime, libcontainer.CreateOptions, error) {
	r, err := c.runtime()
	if err != nil {
		return nil, libcontainer.CreateOptions{}, err
	}
	o, err := c.createOptions(c.args[0])
	if err == nil {
		err = makeRoot(&c.global, r.Root())
	}
	return r, o, err
}

// createOptions are the flags that create and run share. Paths are resolved
// before anything else happens.
func (c *call) createOptions(id string) (libcontainer.CreateOptions, error) {
	o, err := c.planOptions(id)
	if err != nil {
		return o, err
	}
	o.Program = c.program
	o.NotifySocket = os.Getenv("NOTIFY_SOCKET")
	if o.ListenFDs, o.ListenNames, err = listenFDs(); err != nil {
		return o, err
	}
	if err := checkPreserved(o.PreserveFDs, o.ListenFDs); err != nil {
		return o, err
	}
	return o, c.sockets(&o.PidFile, &o.ConsoleSocket, &o.PidfdSocket)
}

// planOptions are the flags that have a say in the plan.
func (c *call) planOptions(id string) (libcontainer.CreateOptions, error) {
	f := &c.flags
	o, err := c.bundleOptions(id)
	if err != nil {
		return o, err
	}
	o.NoPivot, o.NoNewKeyring, o.PreserveFDs = f.bool("no-pivot"), f.bool("no-new-keyring"), f.int("preserve-fds")
	if o.PreserveFDs < 0 {
		return o, fmt.Errorf("--preserve-fds %d: must not be negative", o.PreserveFDs)
	}
	return o, nil
}

// bundleOptions are the flags that say which config is meant, and the global
// ones that change its meaning.
func (c *call) bundleOptions(id string) (libcontainer.CreateOptions, error) {
	f := &c.flags
	o := libcontainer.CreateOptions{
		ID:            id,
		SystemdCgroup: c.global.bool("systemd-cgroup") || c.global.str("cgroup-manager") == "systemd",
		NoCgroup:      c.global.str("cgroup-manager") == "disabled",

		SeccompCompiler: c.global.str("seccomp-compiler"),
	}
	var err error
	if o.Bundle, err = absolute(f.str("bundle")); err != nil {
		return o, err
	}
	if config := f.str("config"); config != "" {
		if o.Config, err = absolute(config); err != nil {
			return o, err
		}
	}
	return o, nil
}

// checkPreserved looks for the descriptors that --preserve-fds promises, and for
// those of a service manager, which come first. One that is marked close-on-exec
// was not given to tare but opened by it: the Go runtime takes the lowest free
// numbers before anything else runs.
func checkPreserved(n, listening int) error {
	if n < 0 {
		return fmt.Errorf("--preserve-fds %d: must not be negative", n)
	}
	for fd := 3; fd < 3+listening+n; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			continue
		}
		if fd < 3+listening {
			return fmt.Errorf("LISTEN_FDS %d: descriptor %d is not open", listening, fd)
		}
		return fmt.Errorf("--preserve-fds %d: descriptor %d is not open", n, fd)
	}
	return nil
}

// listenFDs reads what a service manager says of the sockets that it has passed
// on (sd_listen_fds(3)). What was meant for another process is not ours.
func listenFDs() (n int, names string, err error) {
	count := os.Getenv("LISTEN_FDS")
	if count == "" || os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, "", nil
	}
	n, err = strconv.Atoi(count)
	if err != nil || n < 0 {
		return 0, "", fmt.Errorf("LISTEN_FDS %q: is not a number of descriptors", count)
	}
	return n, os.Getenv("LISTEN_FDNAMES"), nil
}
