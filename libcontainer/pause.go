package libcontainer

import (
	"errors"
	"time"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/state"
)

// freezeWait bounds how long Pause waits for processes that are busy in the
// kernel, before it lets all of them go on.
const freezeWait = 5 * time.Second

// Pause stops every process of a created or running container where it is.
// When it fails, or once cancel is closed, which may be nil, they go on.
func (c *Container) Pause(cancel <-chan struct{}) error {
	rec, err := c.locked()
	if err != nil {
		return err
	}
	defer rec.Unlock()
	o := observe(rec)
	if err := require(opPause, derive(o), rec.ID); err != nil {
		return err
	}
	g, err := freezer(rec)
	if err != nil {
		return err
	}
	if err := cgroup.Freeze(g.Mount, g.Path, time.Now().Add(freezeWait), cancel); err != nil {
		return err
	}
	if !o.gate {
		return nil
	}
	// Whether a container that waits at its gate is frozen is looked at only when
	// the record says that it may be.
	rec.PausedAtGate = true
	if err := rec.Save(); err != nil {
		return errors.Join(err, cgroup.Thaw(g.Mount, g.Path, time.Now().Add(freezeWait)))
	}
	return nil
}

// Resume lets a paused container go on.
func (c *Container) Resume() error {
	rec, err := c.locked()
	if err != nil {
		return err
	}
	defer rec.Unlock()
	if err := require(opResume, derive(observe(rec)), rec.ID); err != nil {
		return err
	}
	for i := range rec.Cgroups {
		g := &rec.Cgroups[i]
		if !freezes(g) {
			continue
		}
		// Whichever of a hybrid host's two freezers holds it.
		if frozen, err := cgroup.Frozen(g.Mount, g.Path); err != nil || !frozen {
			continue
		}
		if err := cgroup.Thaw(g.Mount, g.Path, time.Now().Add(freezeWait)); err != nil {
			return err
		}
	}
	if rec.PausedAtGate {
		rec.PausedAtGate = false
		return rec.Save()
	}
	return nil
}

// freezes says that processes can be frozen by this cgroup.
func freezes(g *state.Cgroup) bool { return g.V2 || g.Hierarchy == "freezer" }

// freezer is the cgroup that freezes the container. Of the two that a hybrid
// host has, it is v1's, which is where other programs look there.
func freezer(rec *state.Record) (*state.Cgroup, error) {
	var found *state.Cgroup
	for i := range rec.Cgroups {
		if g := &rec.Cgroups[i]; freezes(g) && (found == nil || !g.V2) {
			found = g
		}
	}
	if found == nil {
		return nil, errors.New("the container has no cgroup that could freeze it: mount cgroup v2, or the freezer of v1 " +
			"(mkdir -p /sys/fs/cgroup/freezer && mount -t cgroup -o freezer freezer /sys/fs/cgroup/freezer), before it is created")
	}
	return found, nil
}
