//go:build tare_front

package specconv

import "github.com/tare-oci/tare/internal/facts"

// The front hands over what has to do with systemd before it compiles anything:
// it has no connection, and does not carry what a unit is told.

func (c *compiler) unitProperties(u *unit, _ []resourceWrite) []string {
	c.errs.Add(cgroupsPathField, u.name, "needs the systemd cgroup driver, which this program does not carry")
	return nil
}

// UnitChanges are the properties that an update means for a unit: see the whole.
func UnitChanges([]Change, *facts.Cgroup, *facts.Systemd) []string {
	panic("specconv: the front has no unit to change")
}
