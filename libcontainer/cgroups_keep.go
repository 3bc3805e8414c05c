package libcontainer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// keepCgroups puts the process back into the cgroups that it has joined, where it is
// not in them any more.
func (h *host) keepCgroups(op *plan.Op) error {
	if op.Has(plan.FlagReady) && h.systemd != nil {
		if _, _, err := h.systemd.Manager(); err != nil { // answers between two things that it does
			return err
		}
	}
	return keepCgroups(h.pid, op.CgroupKeepArgs(), h.rec.Cgroups)
}

// keepCgroups looks for the end of the path only: what lies before it the kernel may
// show otherwise than the mount point does, to a program in a container.
func keepCgroups(pid int, dirs []string, known []state.Cgroup) error {
	is := cgroupsOf(pid)
	for i := range known {
		c := &known[i]
		for _, dir := range dirs {
			below, ok := strings.CutPrefix(dir, c.Mount)
			at, alive := is[c.Hierarchy]
			if !ok || !strings.HasPrefix(below, c.Path) || !alive || strings.HasSuffix(at, below) {
				continue
			}
			if err := cgroup.Write(dir, "cgroup.procs", strconv.Itoa(pid)); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("process %d was taken to %s in hierarchy %q, and cannot be put back into %s: %w", pid, at, c.Hierarchy, dir, err)
			}
		}
	}
	return nil
}

// cgroupsOf returns where a process is, by hierarchy; nothing of one that has died.
func cgroupsOf(pid int) map[string]string {
	is := map[string]string{}
	for line := range strings.SplitSeq(sys.Text("/proc/"+strconv.Itoa(pid)+"/cgroup"), "\n") {
		if _, rest, ok := strings.Cut(line, ":"); ok {
			if name, path, ok := strings.Cut(rest, ":"); ok {
				is[name] = path
			}
		}
	}
	return is
}

// cgroupOf returns where a process is in a hierarchy, "" if that cannot be told:
// a process that has died says it by itself.
func cgroupOf(pid int, hierarchy string) string { return cgroupsOf(pid)[hierarchy] }
