package libcontainer

import (
	"slices"

	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/state"
)

// loadTorn takes what a damaged record still says.
func (r *Runtime) loadTorn(id string) (*state.Record, error) {
	store, err := state.Open(r.root, false)
	if err != nil {
		return nil, err
	}
	rec, err := store.LoadTorn(id)
	if err == nil {
		guessCgroups(rec)
	}
	return rec, err
}

// guessCgroups adds the cgroups that a record has lost. They have the path of those
// that it names, or else the one that a container of this name has by default; of
// the latter, which may be somebody else's, only empty ones will go.
func guessCgroups(rec *state.Record) {
	if probe.Rootless() {
		return
	}
	path := "/" + rec.ID
	if len(rec.Cgroups) > 0 {
		path = rec.Cgroups[0].Path
	} else {
		rec.CgroupsMade = false
	}
	for _, h := range probe.Host(probe.Want{}).Cgroup.Hierarchies {
		if !slices.ContainsFunc(rec.Cgroups, func(c state.Cgroup) bool { return c.Mount == h.Mount }) {
			rec.Cgroups = append(rec.Cgroups, state.Cgroup{Hierarchy: h.Name, Mount: h.Mount, Path: path, V2: h.V2, Created: []string{path}})
		}
	}
}
