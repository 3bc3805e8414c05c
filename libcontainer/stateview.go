package libcontainer

import (
	"os/user"
	"sort"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/specconv"
)

// stateJSON is the state that hooks read on their stdin (runtime.md, State).
func stateJSON(rec *state.Record, status Status, pid int) []byte {
	var w ojson.Writer
	writeState(&w, rec, status, pid)
	return w.Bytes()
}

func writeState(w *ojson.Writer, rec *state.Record, status Status, pid int) {
	w.Object()
	w.Key("ociVersion").String(specs.Version)
	w.Key("id").String(rec.ID)
	w.Key("status").String(string(status))
	if pid > 0 {
		w.Key("pid").Int(int64(pid))
	}
	w.Key("bundle").String(rec.Bundle)
	annotations(w, rec.Annotations)
	w.End()
}

// hookSetting is what a hook of the runtime's namespaces finds.
func hookSetting(rec *state.Record, status Status, pid int) *hooks.Setting {
	return &hooks.Setting{State: stateJSON(rec, status, pid), Dir: rec.Bundle,
		Stdout: rec.Annotations[specconv.HookStdout], Stderr: rec.Annotations[specconv.HookStderr]}
}

func annotations(w *ojson.Writer, m map[string]string) {
	if len(m) == 0 {
		return
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	w.Key("annotations").Object()
	for _, k := range keys {
		w.Key(k).String(m[k])
	}
	w.End()
}

// View is what `state` and `list` show of a container.
type View struct {
	rec    *state.Record
	Status Status
	Pid    int    // 0 when stopped
	Owner  string // user name, "" where it was not asked for
}

// View looks at the container.
func (c *Container) View() View {
	v := View{rec: c.rec, Status: c.Status()}
	if v.Status != Stopped {
		v.Pid = c.rec.Pid
	}
	return v
}

// ID, Bundle and Created are what the record says.
func (v *View) ID() string { return v.rec.ID }

// Bundle is the absolute path of the bundle.
func (v *View) Bundle() string { return v.rec.Bundle }

// Created is the time of creation, RFC 3339 with nanoseconds, UTC.
func (v *View) Created() string { return v.rec.Created }

// WriteTo writes the view in the field order that engines know.
func (v *View) Write(w *ojson.Writer) {
	w.Object()
	w.Key("ociVersion").String(specs.Version)
	w.Key("id").String(v.rec.ID)
	w.Key("pid").Int(int64(v.Pid))
	w.Key("status").String(string(v.Status))
	w.Key("bundle").String(v.rec.Bundle)
	w.Key("rootfs").String(v.rec.Rootfs)
	w.Key("created").String(v.rec.Created)
	annotations(w, v.rec.Annotations)
	if strings.HasSuffix(v.rec.Unit, ".scope") {
		w.Key("systemd-scope").String(v.rec.Unit)
	}
	w.Key("owner").String(v.Owner)
	v.rec.WriteNetwork(w)
	w.End()
}

// List looks at every container, in the order of their ids. Entries that cannot
// be read are returned as errors beside the others.
func (r *Runtime) List() ([]View, []error, error) {
	store, err := state.Open(r.root, false)
	if err != nil {
		return nil, nil, err
	}
	ids, err := store.List()
	if err != nil {
		return nil, nil, err
	}
	var views []View
	var broken []error
	names := make(map[uint32]string)
	for _, id := range ids {
		c, err := r.Load(id)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		v := c.View()
		owner, ok := names[c.rec.Owner]
		if !ok {
			owner = "#" + strconv.FormatUint(uint64(c.rec.Owner), 10)
			if u, err := user.LookupId(owner[1:]); err == nil {
				owner = u.Username
			}
			names[c.rec.Owner] = owner
		}
		v.Owner = owner
		views = append(views, v)
	}
	return views, broken, nil
}

// Processes lists the pids of the container on the host, ascending.
func (c *Container) Processes() ([]int, error) {
	rec, err := c.runtime.load(c.rec.ID, false)
	if err != nil {
		return nil, err
	}
	if err := require(opProcesses, derive(observe(rec)), rec.ID); err != nil {
		return nil, err
	}
	return processes(rec)
}
