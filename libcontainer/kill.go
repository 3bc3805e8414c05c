package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/state"
)

// Kill sends a signal to the container's process. With all, to every process of
// the container, and a stopped container is no error.
//
// It takes no lock: a container can be killed whatever another command is doing.
func (c *Container) Kill(sig syscall.Signal, all bool) error {
	rec, err := c.runtime.load(c.rec.ID, false)
	if err != nil {
		return err
	}
	status := derive(observe(rec))
	if all {
		return signalAll(rec, sig)
	}
	if err := require(opKill, status, rec.ID); err != nil {
		// The first process is gone, but others of a shared pid namespace may not be.
		if sig == unix.SIGKILL && !rec.PidNamespace {
			if pids, _ := processes(rec); len(pids) > 0 {
				return killCgroups(rec)
			}
		}
		return err
	}
	if err := signalInit(rec, sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		// A frozen v1 cgroup keeps even the killed from dying, and so does one that
		// the container has made itself and frozen.
		if status == Paused {
			thaw(rec)
		}
		thawBelow(rec)
		if !rec.PidNamespace {
			// Who has no access to the cgroups any more has signalled the first process.
			if err := killCgroups(rec); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		}
	}
	return nil
}

// signalInit signals through a pidfd whose process is proven to be the recorded
// one, so that a reused pid is never hit.
func signalInit(rec *state.Record, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(rec.Pid, 0)
	if err != nil {
		return fmt.Errorf("container not running: %w", err)
	}
	defer unix.Close(fd)
	if start, _, ok := state.StartTime(rec.Pid); !ok || start != rec.PidStart {
		return &StatusError{ID: rec.ID, Status: Stopped, Why: "container not running"}
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		if err == unix.ESRCH {
			return fmt.Errorf("container not running: %w", err)
		}
		return fmt.Errorf("signal %d to process %d: %w", int(sig), rec.Pid, err)
	}
	return nil
}

// killInit kills the container's process and waits until it is gone.
func killInit(rec *state.Record, paused bool) error {
	fd, err := unix.PidfdOpen(rec.Pid, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	if start, _, ok := state.StartTime(rec.Pid); !ok || start != rec.PidStart {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill process %d: %w", rec.Pid, err)
	}
	if paused {
		thaw(rec)
	}
	if err := waitGone(fd, rec.Pid, frozenWait); err == nil || !rec.CgroupsMade {
		return waitGone(fd, rec.Pid, removeWait)
	}
	// It may wait for the others of its pid namespace, and they may be in a cgroup
	// that the container has frozen itself, where v1 keeps even the killed.
	if err := killCgroups(rec); err != nil {
		if waitGone(fd, rec.Pid, 0) != nil {
			err = fmt.Errorf("container init still running: %w", err)
		}
		return err
	}
	return waitGone(fd, rec.Pid, removeWait)
}

// frozenWait is how long a process may take to die before its cgroups are looked
// through for what keeps it.
const frozenWait = 200 * time.Millisecond

func waitGone(pidfd, pid int, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		left := time.Until(end)
		p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(max(left.Milliseconds(), 0)))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", pid, err)
		case n > 0:
			return nil
		default:
			_, letter, _ := state.StartTime(pid)
			return fmt.Errorf("container init still running: process %d is in state %c after %v", pid, letter, timeout)
		}
	}
}
