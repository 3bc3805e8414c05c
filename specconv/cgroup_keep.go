package specconv

import (
	"strings"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
)

// On a host with cgroup v1 alone systemd moves the processes of a unit between the
// cgroups of a controller whenever that unit, or one beside it, begins or ceases to
// need the controller. Which processes these are it reads in its own hierarchy; then it
// moves one after the other, and each move waits for the kernel. A process that is read
// there, in its maker's unit, and then joins the container's cgroups, is taken out of
// one of them again, and of that one's limits. Units with Delegate=yes, which those of
// the engines are, are left alone, scopes of containers too; with cgroup v2 a process is
// born where it belongs.

const trackedBy = "name=systemd" // the hierarchy of systemd's own

// takesAlong says that this may happen to what this program starts: at the top of the
// hierarchy, where everybody is without systemd, there is no unit to be taken along
// with.
func takesAlong(cg *facts.Cgroup) bool {
	taken := false
	for i := range cg.Hierarchies {
		h := &cg.Hierarchies[i]
		if h.V2 {
			return false
		}
		taken = taken || h.Name == trackedBy && h.Own != "/"
	}
	return taken
}

// emitCgroupJoin joins those of v1; into that of v2 the process is born. Systemd's own
// hierarchy is the first, so that it finds the process in its maker's unit for as short
// a time as can be.
func (c *compiler) emitCgroupJoin() {
	for _, tracked := range []bool{true, false} {
		for i := range c.cgroups {
			if c.joins(i) && tracked == (c.cgroups[i].Hierarchy == trackedBy) {
				c.add(plan.CgroupJoin("linux.cgroupsPath", c.cgroupSlots[i]))
			}
		}
	}
}

// joins says that the process joins the i-th cgroup by itself.
func (c *compiler) joins(i int) bool {
	return !c.cgroups[i].V2 && c.cgroupSlots[i] != plan.NoSlot
}

// emitSliceKeep comes before the cgroup namespace, whose root is where its maker is.
// With a slice systemd is at hand: it answers when it is done with what it was at, and
// after that it cannot find the process in its maker's unit any more.
func (c *compiler) emitSliceKeep() {
	if !c.taken || !strings.HasSuffix(c.unit.Name, ".slice") {
		return
	}
	c.add(plan.SyncArrive("in-cgroups"))
	c.add(plan.CgroupKeep("linux.cgroupsPath", c.joined(), plan.FlagReady))
	c.add(plan.SyncAwait("in-cgroups"))
}

// keepsLate says that the cgroups are looked at when all but the start is done, which
// gives systemd, whom nobody asks, the longest time.
func (c *compiler) keepsLate() bool { return c.taken && c.unit.Name == "" && len(c.joined()) > 0 }

func (c *compiler) emitLateKeep() {
	if c.keepsLate() {
		c.add(plan.CgroupKeep("linux.cgroupsPath", c.joined(), 0))
	}
}

// joined are the directories of the cgroups that the process joins.
func (c *compiler) joined() []string {
	var dirs []string
	for i := range c.cgroups {
		if c.joins(i) {
			dirs = append(dirs, c.cgroups[i].Mount+c.cgroups[i].Path)
		}
	}
	return dirs
}
