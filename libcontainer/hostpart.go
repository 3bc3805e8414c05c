package libcontainer

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/netdev"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/rdt"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/specconv"
)

// moveDevice moves a network device into the container. While create may still
// fail, the mover stays open: it can give the device back even when the
// namespace has lost its last process. Once the container is made, the device
// is its namespace's own (config-linux.md, Network Devices).
func (h *host) moveDevice(device, to string) error {
	if h.devices == nil {
		m, err := netdev.NewMover("/proc/" + strconv.Itoa(h.pid) + "/ns/net")
		if err != nil {
			return err
		}
		h.devices = m
	}
	moved, err := h.devices.Move(device, to)
	if err != nil {
		return err
	}
	h.undo = append(h.undo, moved.Return)
	return nil
}

// closeDevices lets go of the container's network namespace.
func (h *host) closeDevices() {
	if h.devices != nil {
		h.devices.Close()
		h.devices = nil
	}
}

// rdtGroup finds or makes a resctrl group. What delete removes has been recorded
// before (recordRdt); a class that the config names stays, unless create fails
// and nobody is in it.
func (h *host) rdtGroup(op *plan.Op) error {
	path := op.RdtGroupArgs()
	if op.Has(plan.FlagExisting) {
		return rdt.Exists(path)
	}
	if op.Has(plan.FlagNew) {
		if err := rdt.MakeNew(path); err != nil {
			return err
		}
	} else if made, err := rdt.Make(path); err != nil || !made {
		return err
	}
	h.rdtMade = append(h.rdtMade, path)
	recorded := slices.Contains(h.rec.RdtMade, path)
	h.undo = append(h.undo, func() error {
		if !recorded && !rdt.Unused(path) {
			return nil
		}
		return rdt.Remove(path)
	})
	return nil
}

func (h *host) rdtSchema(op *plan.Op) error {
	group, schema := op.RdtSchemaArgs()
	if op.Has(plan.FlagMatch) && !slices.Contains(h.rdtMade, group) {
		return rdt.Match(group, schema)
	}
	return rdt.Write(group, schema)
}

// recordRdt notes the groups, and which of them delete is to remove: those that
// are the container's own and are not there yet.
func recordRdt(rec *state.Record, groups []specconv.RdtGroup) {
	for _, g := range groups {
		rec.RdtGroups = append(rec.RdtGroups, g.Path)
		if g.Own && errors.Is(rdt.Exists(g.Path), fs.ErrNotExist) {
			rec.RdtMade = append(rec.RdtMade, g.Path)
		}
	}
}

// removeRdt removes the groups that were made for the container, the inner one first.
func removeRdt(rec *state.Record) error {
	var errs []error
	for i := len(rec.RdtMade) - 1; i >= 0; i-- {
		errs = append(errs, rdt.Remove(rec.RdtMade[i]))
	}
	return errors.Join(errs...)
}

// openHookLog opens a file for the output of hooks, for the init to inherit.
func openHookLog(path string) (int, error) {
	f, err := hooks.OpenLog(path)
	if err != nil {
		return -1, err
	}
	defer f.Close()
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}
