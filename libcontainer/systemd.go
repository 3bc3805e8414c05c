package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/specconv"
)

// Systemd is a connection to a service manager. Package libcontainer/systemd has
// the one over D-Bus; it is apart, so that a program without the systemd cgroup
// driver does not carry D-Bus. Properties are "Name=value", the value in GVariant's
// text format.
type Systemd interface {
	// Manager returns the manager's version and its own cgroup, "" for the top.
	Manager() (version int, root string, err error)
	// Start starts a transient unit, with a process in it if pid is not 0.
	Start(unit string, properties []string, pid int) error
	// Set changes properties of a unit that runs.
	Set(unit string, properties []string) error
	// Stop stops a unit and forgets it; one that there is not is no error.
	Stop(unit string) error
	Close()
}

// DialSystemd connects to the system's manager, or to the caller's own.
type DialSystemd func(user bool) (Systemd, error)

// ErrNoSystemd says that a container needs the systemd cgroup driver and that the
// Runtime has none; nothing has been changed.
var ErrNoSystemd = errors.New("the systemd cgroup driver is not linked into this program")

// WithSystemd returns the same runtime with the systemd cgroup driver. Which
// driver a container that exists has stands in its record.
func (r *Runtime) WithSystemd(dial DialSystemd) *Runtime {
	with := *r
	with.dialSystemd = dial
	return &with
}

// systemdFacts connects to the manager that the caller's containers belong to. A
// failure is a fact too: what it is for can be named only with the config.
func (r *Runtime) systemdFacts(f *facts.Facts) Systemd {
	sd := &facts.Systemd{User: probe.UserManager(f)}
	f.Systemd = sd
	conn, err := r.dialSystemd(sd.User)
	if err == nil {
		if sd.Version, sd.Root, err = conn.Manager(); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		sd.Missing = err.Error()
		return nil
	}
	probe.Delegated(f)
	return conn
}

// facts looks at the host for what a config depends on. The connection is nil
// without the systemd driver, and must be closed.
func (r *Runtime) facts(o *CreateOptions, want probe.Want) (*facts.Facts, Systemd, error) {
	f := probe.Host(want)
	if !o.SystemdCgroup || o.NoCgroup {
		return f, nil, nil
	}
	if r.dialSystemd == nil {
		return nil, nil, ErrNoSystemd
	}
	return f, r.systemdFacts(f), nil
}

// startUnit has systemd make the cgroups of a unit, whose paths are known before.
func (h *host) startUnit(op *plan.Op) error {
	unit, paths, properties := op.UnitStartArgs()
	dirs := make([]*state.Cgroup, len(paths))
	for i, path := range paths {
		if dirs[i] = h.cgroupAt(path); dirs[i] == nil {
			return fmt.Errorf("cgroup %s is not in the record", path)
		}
		if err := cgroup.CheckUnused(dirs[i].Mount, dirs[i].Path); err != nil {
			return err // whatever lies there is not ours
		}
	}
	pid := 0
	if op.Has(plan.FlagProcess) {
		pid = h.pid
	}
	if err := h.systemd.Start(unit, properties, pid); err != nil {
		return err
	}
	h.undo = append(h.undo, func() error { return h.systemd.Stop(unit) })
	if pid == 0 {
		return nil
	}
	h.rec.CgroupsMade = true
	for _, d := range dirs {
		if op.Has(plan.FlagReady) && d.V2 {
			cgroup.EnableAbove(d.Mount, d.Path)
		}
		if got := cgroupOf(pid, d.Hierarchy); got != d.Path && got != "" {
			return fmt.Errorf("systemd has left process %d in cgroup %s of hierarchy %q instead of %s", pid, got, d.Hierarchy, d.Path)
		}
	}
	return nil
}

// scopeFollows says that the process is put into its cgroups after the spawn.
func (h *host) scopeFollows() bool {
	if h.rec.Unit == "" {
		return false
	}
	for i := range h.plan.Ops {
		if op := &h.plan.Ops[i]; op.Code == plan.OpUnitStart {
			return op.Has(plan.FlagProcess)
		}
	}
	return false
}

// forgottenLimit is the memory limit of a scope whose cgroup is gone with all that
// it has counted: systemd removes one that has lost its last process.
func (h *host) forgottenLimit() string {
	if h.rec.Unit == "" || h.exec {
		return ""
	}
	for i := range h.plan.Ops {
		op := &h.plan.Ops[i]
		if op.Code != plan.OpCgroupWrite || op.Field != "linux.resources.memory.limit" {
			continue
		}
		dir, _, limit := op.CgroupWriteArgs()
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return limit
		}
	}
	return ""
}

// cgroupAt finds a directory in the record.
func (h *host) cgroupAt(path string) *state.Cgroup {
	for i := range h.rec.Cgroups {
		if c := &h.rec.Cgroups[i]; strings.HasPrefix(path, c.Mount) && path[len(c.Mount):] == c.Path {
			return c
		}
	}
	return nil
}

// stopUnit stops a container's unit. A manager that is not there any more has no
// units: the cgroups are then removed without it.
func (r *Runtime) stopUnit(rec *state.Record) error {
	if rec.Unit == "" || !rec.CgroupsMade {
		return nil // without, or with one that was never ours
	}
	conn, err := r.dialSystemd(rec.UserUnit)
	if err != nil {
		return nil //nolint:nilerr // see above
	}
	defer conn.Close()
	return conn.Stop(rec.Unit)
}

// changeUnit tells systemd of new limits, which it would take back otherwise the
// next time that it writes one.
func (r *Runtime) changeUnit(rec *state.Record, changes []specconv.Change, cg *facts.Cgroup) error {
	conn, err := r.dialSystemd(rec.UserUnit)
	if err != nil {
		return err
	}
	defer conn.Close()
	sd := facts.Systemd{User: rec.UserUnit}
	if sd.Version, sd.Root, err = conn.Manager(); err != nil {
		return err
	}
	return conn.Set(rec.Unit, specconv.UnitChanges(append(changes, bandwidth(rec, changes)...), cg, &sd))
}

// bandwidth is the CPU quota and its period as the kernel has them by now, where
// changes has one of the two: systemd wants them together.
func bandwidth(rec *state.Record, changes []specconv.Change) []specconv.Change {
	var out []specconv.Change
	for _, ch := range changes {
		files := []string{"cpu.max"}
		switch ch.File {
		case "cpu.max":
		case "cpu.cfs_quota_us", "cpu.cfs_period_us":
			files = []string{"cpu.cfs_quota_us", "cpu.cfs_period_us"}
		default:
			continue
		}
		for _, f := range files {
			if text, err := cgroup.ReadFile(dirOf(rec, ch.Dir), f); err == nil {
				out = append(out, specconv.Change{Dir: ch.Dir, File: f, Value: text})
			}
		}
	}
	return out
}

// needsSystemd refuses a container whose driver this program does not have.
func (r *Runtime) needsSystemd(rec *state.Record) error {
	if rec.Unit != "" && r.dialSystemd == nil {
		return ErrNoSystemd
	}
	return nil
}

// Manageable is nil, or ErrNoSystemd where commands that change the container's
// cgroups need a driver that its Runtime does not have.
func (c *Container) Manageable() error { return c.runtime.needsSystemd(c.rec) }

// wantOf says which facts a config needs.
func wantOf(spec *specs.Spec) probe.Want {
	var want probe.Want
	if p := spec.Process; p != nil {
		want.Profile = p.ApparmorProfile != ""
		want.LSM = want.Profile || p.SelinuxLabel != ""
	}
	if l := spec.Linux; l != nil {
		want.LSM = want.LSM || l.MountLabel != ""
		want.Resctrl = l.IntelRdt != nil
	}
	return want
}
