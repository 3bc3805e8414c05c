package libcontainer

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/state"
)

// Event is something that Watch has to tell: counters, or that the container's
// memory has run out.
type Event struct {
	Stats *Stats // nil for a lack of memory
	At    time.Time
}

// Watch calls tell with the container's counters, each interval anew, and with
// each lack of memory at once. It returns nil when the container stops, and
// otherwise the error with which tell has ended it.
func (c *Container) Watch(interval time.Duration, tell func(Event) error) error {
	if interval <= 0 {
		return fmt.Errorf("interval %v: events interval must be greater than 0", interval)
	}
	rec, err := c.runtime.load(c.rec.ID, false)
	if err != nil {
		return err
	}
	if err := require(opEvents, derive(observe(rec)), rec.ID); err != nil {
		return err
	}
	proc, err := unix.PidfdOpen(rec.Pid, 0)
	if err != nil {
		return &StatusError{ID: rec.ID, Status: Stopped, Why: refusal(opEvents, Stopped, rec.ID)}
	}
	defer unix.Close(proc)
	if !observe(rec).alive { // what has been opened could be another process
		return &StatusError{ID: rec.ID, Status: Stopped, Why: refusal(opEvents, Stopped, rec.ID)}
	}
	watch, err := watchMemory(rec)
	if err != nil {
		return err
	}
	if watch != nil {
		defer watch.Close()
	}
	fds := []unix.PollFd{{Fd: int32(proc), Events: unix.POLLIN}, {Fd: -1, Events: unix.POLLIN}}
	if watch != nil {
		fds[1].Fd = int32(watch.FD())
	}
	next := time.Now().Add(interval)
	for {
		wait := max(time.Until(next), 0)
		n, err := unix.Poll(fds, int((wait+time.Millisecond-1)/time.Millisecond))
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("poll: %w", err)
		}
		if fds[1].Revents != 0 {
			if err := tellOOM(watch, tell); err != nil {
				return err
			}
		}
		if fds[0].Revents != 0 {
			return nil
		}
		if n > 0 || time.Now().Before(next) {
			continue
		}
		next = time.Now().Add(interval)
		s, err := readStats(rec)
		var gone *StatusError
		if errors.As(err, &gone) {
			return nil // stopped and deleted since the poll
		}
		if err == nil {
			err = tell(Event{Stats: s, At: time.Now()})
		}
		if err != nil {
			return err
		}
	}
}

func tellOOM(watch *cgroup.OOMWatch, tell func(Event) error) error {
	n, err := watch.Count()
	for ; err == nil && n > 0; n-- {
		err = tell(Event{At: time.Now()})
	}
	return err
}

// watchMemory is nil where nothing counts the container's memory.
func watchMemory(rec *state.Record) (*cgroup.OOMWatch, error) {
	for _, d := range statsDirs(rec) {
		if !d.V2 && slices.Contains(d.Controllers, "memory") {
			return cgroup.WatchOOM(d.Mount, d.Rel)
		}
	}
	for _, d := range statsDirs(rec) {
		if !d.V2 {
			continue
		}
		watch, err := cgroup.WatchOOM(d.Mount, d.Rel)
		if cgroup.IsGone(err) { // no memory controller in it
			return nil, nil
		}
		return watch, err
	}
	return nil, nil
}
