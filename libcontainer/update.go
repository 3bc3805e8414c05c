package libcontainer

import (
	"errors"
	"fmt"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/rdt"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// UpdateOptions says what of a container's limits to change. What is not set
// stays as it is.
type UpdateOptions struct {
	// Resources has the new limits; device rules in it have no effect.
	Resources *specs.LinuxResources
	// L3CacheSchema and MemBwSchema are lines of a resctrl schemata file,
	// "L3:0=f" and "MB:0=20".
	L3CacheSchema, MemBwSchema string
}

// DecodeResources decodes the JSON form of linux.resources. unknown are the
// members that the specification does not define.
func DecodeResources(data []byte) (r *specs.LinuxResources, unknown []string, err error) {
	r, errs := ociconfig.DecodeResourcesUnknown(data, func(path string) { unknown = append(unknown, path) })
	return r, unknown, errs.Err()
}

// Update changes limits of a container, all of them or, with an error, none.
func (c *Container) Update(o UpdateOptions) error {
	rec, err := c.locked()
	if err != nil {
		return err
	}
	defer rec.Unlock()
	if err := c.runtime.needsSystemd(rec); err != nil {
		return err
	}
	if err := require(opUpdate, derive(observe(rec)), rec.ID); err != nil {
		return err
	}
	schemata, err := newSchemata(rec, &o)
	if err != nil {
		return err
	}
	undo, err := c.runtime.updateCgroups(rec, o.Resources)
	if err != nil {
		return err
	}
	undoRdt, err := applySchemata(rec, schemata)
	if err != nil {
		return errors.Join(err, undo())
	}
	if recordNetwork(rec, o.Resources) {
		err = rec.Save()
	}
	if err != nil {
		return errors.Join(err, undoRdt(), undo())
	}
	return nil
}

// updateCgroups changes the limits of the container's cgroups, and returns what
// changes them back.
func (r *Runtime) updateCgroups(rec *state.Record, resources *specs.LinuxResources) (undo func() error, err error) {
	layout := layoutOf(rec)
	in := specconv.UpdateInput{Resources: resources, Cgroup: layout, Now: make(map[string]string)}
	for _, f := range specconv.UpdateReads(resources, layout) {
		text, err := cgroup.ReadFile(dirOf(rec, f.Dir), f.Name)
		switch {
		case err == nil:
			in.Now[f.Name] = text
		case !cgroup.IsGone(err):
			return nil, err
		}
	}
	planned, err := specconv.Update(in)
	if err != nil {
		return nil, err
	}
	changes := make([]cgroup.Change, len(planned))
	for i, p := range planned {
		if g := &rec.Cgroups[p.Dir]; g.V2 {
			controller, _, _ := strings.Cut(p.File, ".")
			if err := cgroup.Enable(g.Mount, g.Path, controller); err != nil {
				return nil, err
			}
		}
		changes[i] = cgroup.Change{Dir: dirOf(rec, p.Dir), File: p.File, Value: p.Value, Optional: p.Optional}
	}
	done, err := cgroup.Apply(changes)
	if err != nil {
		var failed *cgroup.ChangeError
		if errors.As(err, &failed) {
			return nil, &field.Error{Path: planned[failed.Index].Field, Why: failed.Error(), Class: field.Host, Err: err}
		}
		return nil, err
	}
	if rec.Unit == "" {
		return done.Undo, nil
	}
	// The kernel takes the limits: systemd is told, writes what it makes of them,
	// and has its coarser values replaced again.
	err = r.changeUnit(rec, planned, layout)
	if err == nil {
		_, err = cgroup.Apply(changes)
	}
	if err != nil {
		return nil, errors.Join(err, done.Undo())
	}
	return done.Undo, nil
}

// layoutOf are the hierarchies that the container is in, which need not be the
// ones that are mounted by now.
func layoutOf(rec *state.Record) *facts.Cgroup {
	layout := &facts.Cgroup{Unified: true}
	for i := range rec.Cgroups {
		g := &rec.Cgroups[i]
		h := facts.Hierarchy{Name: g.Hierarchy, Mount: g.Mount, Own: "/", V2: g.V2}
		switch {
		case g.V2:
			h.Controllers = strings.Fields(sys.Text(g.Mount + "/cgroup.controllers"))
		case !strings.HasPrefix(g.Hierarchy, "name="):
			h.Controllers = strings.Split(g.Hierarchy, ",")
		}
		layout.Unified = layout.Unified && g.V2
		layout.Hierarchies = append(layout.Hierarchies, h)
	}
	return layout
}

func dirOf(rec *state.Record, i int) string { return rec.Cgroups[i].Mount + rec.Cgroups[i].Path }

// recordNetwork keeps what state shows of the traffic's marks, and says whether
// that has changed.
func recordNetwork(rec *state.Record, r *specs.LinuxResources) bool {
	if r == nil || r.Network == nil {
		return false
	}
	if r.Network.ClassID != nil {
		rec.ClassID = *r.Network.ClassID
	}
next:
	for _, p := range r.Network.Priorities {
		for i := range rec.Priorities {
			if rec.Priorities[i].Name == p.Name {
				rec.Priorities[i] = p
				continue next
			}
		}
		rec.Priorities = append(rec.Priorities, p)
	}
	return true
}

// newSchemata are the lines for the container's resctrl group.
func newSchemata(rec *state.Record, o *UpdateOptions) ([]string, error) {
	var lines []string
	for _, l := range []struct{ flag, line, resource string }{
		{"--l3-cache-schema", o.L3CacheSchema, "L3"}, {"--mem-bw-schema", o.MemBwSchema, "MB"},
	} {
		if l.line == "" {
			continue
		}
		resource, domains, _ := strings.Cut(l.line, ":")
		if !strings.HasPrefix(strings.TrimSpace(resource), l.resource) || !strings.Contains(domains, "=") || strings.ContainsAny(l.line, "\n\x00") {
			return nil, &field.Error{Path: l.flag, Value: l.line, Why: "is not a line of the form " + l.resource + ":DOMAIN=VALUE;…"}
		}
		if len(rec.RdtGroups) == 0 {
			return nil, &field.Error{Path: l.flag, Value: l.line, Class: field.Host,
				Why: "the container is in no resctrl group; it is put into one by linux.intelRdt in its config, on a host with resctrl mounted"}
		}
		lines = append(lines, l.line)
	}
	return lines, nil
}

// applySchemata writes lines to the container's class, all or none, and returns
// what takes them back.
func applySchemata(rec *state.Record, lines []string) (undo func() error, err error) {
	if len(lines) == 0 {
		return func() error { return nil }, nil
	}
	group := rec.RdtGroups[0] // the class; what follows only monitors
	old, err := rdt.Schemata(group)
	if err != nil {
		return nil, err
	}
	undo = func() error { return rdt.Write(group, strings.TrimRight(old, "\n")) }
	for _, l := range lines {
		if err := rdt.Write(group, l); err != nil {
			return nil, errors.Join(fmt.Errorf("schema %q: %w", l, err), undo())
		}
	}
	return undo, nil
}
