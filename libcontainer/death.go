package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/sys"
)

// died says how the init ended without a report: by which signal, and whether
// it was the memory limit. "EOF" is never a cause.
func (h *host) died() error {
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(h.pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("init ended without a report: %w", err)
		}
		break
	}
	if h.stage == h.pid {
		h.stage = 0
	}
	h.pid = 0
	if err := h.unborn(); err != nil {
		return err
	}
	return h.deathError(ws)
}

// unborn says why a process that nobody waited for has not become the init.
func (h *host) unborn() error {
	if h.born == nil {
		return nil
	}
	failed, e := h.born.Failed()
	spawn := slices.IndexFunc(h.plan.Ops, func(op plan.Op) bool { return op.Code == plan.OpSpawn })
	if failed < 0 || spawn < 0 {
		return nil
	}
	return hostError(h.plan, spawn, h.cloneError(h.plan.Ops[spawn].Value(), syscall.Errno(e)))
}

func (h *host) deathError(ws syscall.WaitStatus) error {
	if ws.Signaled() {
		if limit, kills := h.oomKills(); kills > 0 {
			if h.exec { // the count is the container's, since it was created
				return fmt.Errorf("init was killed by %s (signal %d); the container's memory limit of %s bytes has killed %d process(es) so far",
					ws.Signal(), int(ws.Signal()), limit, kills)
			}
			return fmt.Errorf("linux.resources.memory.limit: init was killed because the memory limit of %s bytes is too low", limit)
		}
		if limit := h.forgottenLimit(); limit != "" && ws.Signal() == syscall.SIGKILL {
			return fmt.Errorf("linux.resources.memory.limit: init was killed, probably because the memory limit of %s bytes is too low; "+
				"systemd has removed the cgroup that knew (journalctl -k may still)", limit)
		}
		return fmt.Errorf("init was killed by %s (signal %d)", ws.Signal(), int(ws.Signal()))
	}
	return fmt.Errorf("init exited with status %d without a report", ws.ExitStatus())
}

// cloneError explains what the kernel refuses: a process that begins its life in
// a v2 cgroup meets that cgroup's limits and state at once.
func (h *host) cloneError(value string, err error) error {
	for i := range h.rec.Cgroups {
		c := &h.rec.Cgroups[i]
		if !c.V2 {
			continue
		}
		file := func(name string) string { return strings.TrimSpace(sys.Text(c.Mount + c.Path + "/" + name)) }
		switch limit, kind := file("memory.max"), file("cgroup.type"); {
		case err == syscall.ENOMEM && limit != "" && limit != "max":
			return fmt.Errorf("linux.resources.memory.limit: the memory limit of %s bytes is too low to start a process: clone: %w", limit, err)
		case err == syscall.EAGAIN && file("pids.current") != "" && file("pids.current") == file("pids.max"):
			return fmt.Errorf("linux.resources.pids.limit: as many processes as the limit of %s allows are in the container already: clone: %w", file("pids.max"), err)
		case err == syscall.EOPNOTSUPP && kind != "domain":
			return fmt.Errorf("linux.cgroupsPath %q: clone: %w: the cgroup's type is %q, because one above it is threaded; a container needs a domain (cgroups(7), \"Thread mode\")",
				c.Path, err, kind)
		case err == syscall.EBUSY && file("cgroup.subtree_control") != "":
			return fmt.Errorf("linux.cgroupsPath %q: clone: %w: the cgroup passes controllers on to cgroups below it, so no process may be in it (cgroups(7), \"no internal processes\")",
				c.Path, err)
		}
	}
	return &fs.PathError{Op: "clone", Path: value, Err: err}
}

// forkError is cloneError for an init that was to go on in a cgroup.
func (h *host) forkError(i int, err error) error {
	var failed *OpError
	if !errors.As(err, &failed) || failed.Index != i || failed.Step != "clone" {
		return err
	}
	why := h.cloneError("", failed.Err)
	if _, plain := why.(*fs.PathError); plain { //nolint:errorlint // what it says when it has nothing to explain
		return err
	}
	return hostError(h.plan, i, why)
}

// diedInInit tells a process that became the program from one that was killed
// just before it could: the latter is still, or was when it ended, named
// tare:init. It looks without reaping, so that the exit status stays for the
// one who waits for the container.
func (h *host) diedInInit() error {
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, h.pid, &info, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != nil || info.Signo == 0 {
		return nil // alive, and past the execve
	}
	comm := sys.Text("/proc/" + strconv.Itoa(h.pid) + "/comm")
	if strings.TrimSpace(comm) != "tare:init" {
		return nil
	}
	return h.died()
}

// oomKills reads the memory limit of the container and how often it killed.
func (h *host) oomKills() (limit string, kills int) {
	for i := range h.rec.Cgroups {
		c := &h.rec.Cgroups[i]
		dir := c.Mount + c.Path
		switch {
		case c.Hierarchy == "memory":
			limit = strings.TrimSpace(sys.Text(dir + "/memory.limit_in_bytes"))
			kills = keyed(sys.Text(dir+"/memory.oom_control"), "oom_kill")
		case c.V2:
			if text := sys.Text(dir + "/memory.events"); text != "" {
				limit = strings.TrimSpace(sys.Text(dir + "/memory.max"))
				kills = keyed(text, "oom_kill")
			}
		}
		if kills > 0 {
			return limit, kills
		}
	}
	return "", 0
}

// keyed finds "key N" in a flat keyed file.
func keyed(text, key string) int {
	for _, line := range strings.Split(text, "\n") {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			n, _ := strconv.Atoi(strings.TrimSpace(v))
			return n
		}
	}
	return 0
}
