package specconv

import (
	"path"
	"slices"
	"strings"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
)

// unit is the systemd unit that linux.cgroupsPath names.
type unit struct {
	name  string // "docker-abc.scope", or "batch.slice"
	slice string // of a scope: "system.slice", "-.slice"
	path  string // of its cgroups below a hierarchy's top: "/system.slice/docker-abc.scope"
}

// isSlice says that the unit is a slice, which systemd puts no process into: the
// process joins its cgroups as it joins those of no unit.
func (u *unit) isSlice() bool { return strings.HasSuffix(u.name, ".slice") }

// Unit is what the runtime must remember of a container's unit.
type Unit struct {
	Name string // "" without one
	User bool   // it belongs to the caller's manager, not to the system's
}

const cgroupsPathField = "linux.cgroupsPath"

// maxUnitName is the length that systemd gives names, in bytes.
const maxUnitName = 255

// readUnit reads "slice:prefix:name". Without a path a scope is named after the
// container.
func (c *compiler) readUnit() (u unit, ok bool) {
	p := c.linux().CgroupsPath
	slice, prefix, name := "", "tare", c.ID
	if p != "" {
		parts := strings.Split(p, ":")
		if len(parts) != 3 || parts[2] == "" {
			c.errs.Add(cgroupsPathField, p, `expected cgroupsPath to be of format "slice:prefix:name" for systemd cgroups`)
			return u, false
		}
		slice, prefix, name = parts[0], parts[1], parts[2]
	}
	given := slice != ""
	switch {
	case slice == "-":
		slice = "-.slice"
	case !given && c.Facts.Systemd.User:
		slice = "user.slice"
	case !given:
		slice = "system.slice"
	}
	above, why := slicePath(slice)
	if why != "" {
		c.errs.Add(cgroupsPathField, p, why)
		return u, false
	}
	u = unit{name: name, slice: slice}
	if !u.isSlice() {
		u.name = escapeUnit(prefix + "-" + name + ".scope")
		u.path = above + "/" + u.name
	} else if u.path, why = slicePath(name); why == "" {
		// A slice's name says where it is.
		if parent := path.Dir(u.path); given && parent != "/"+strings.Trim(above, "/") {
			c.errs.Add(cgroupsPathField, p, "has a slice that lies in "+parent+", as its name says")
			return u, false
		}
	}
	switch {
	case why != "":
		c.errs.Add(cgroupsPathField, p, why)
	case strings.Contains(u.name, "/"):
		c.errs.Add(cgroupsPathField, p, "has a slash in the name of a unit")
	case len(u.name) > maxUnitName:
		c.errs.Add(cgroupsPathField, p, "gives a name of more than 255 bytes to the unit")
	case u.path == "":
		c.errs.Add(cgroupsPathField, p, "is the root slice, which belongs to the host")
	default:
		return u, true
	}
	return u, false
}

// slicePath is where a slice's cgroup lies: "a-b.slice" is in "a.slice"
// (systemd.slice(5)). The root slice gives "".
func slicePath(name string) (dir, why string) {
	stem, ok := strings.CutSuffix(name, ".slice")
	switch {
	case strings.Contains(name, "/"):
		return "", "has a slash in the name of a slice"
	case !ok || stem == "":
		return "", "has a slice whose name does not end in .slice"
	case stem == "-":
		return "", ""
	}
	for i := 0; i <= len(stem); i++ {
		if i < len(stem) && stem[i] != '-' {
			continue
		}
		if i == 0 || stem[i-1] == '-' {
			return "", "has a slice with an empty part between dashes"
		}
		dir += "/" + stem[:i] + ".slice"
	}
	if escapeUnit(name) != name {
		return "", "has a slice with a character that units cannot have in their names"
	}
	return dir, ""
}

// escapeUnit writes what a unit's name cannot have, the + of an id for example,
// as systemd-escape(1) does.
func escapeUnit(s string) string {
	const digits = "0123456789abcdef"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		ch := s[i]
		switch {
		case ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9', strings.IndexByte(`:-_.\@/`, ch) >= 0:
			b.WriteByte(ch)
		default:
			b.WriteString(`\x`)
			b.WriteByte(digits[ch>>4])
			b.WriteByte(digits[ch&15])
		}
	}
	return b.String()
}

// managedV1 are the v1 hierarchies in which systemd makes the cgroups of its
// units, when it is the system's.
var managedV1 = []string{"name=systemd", "cpu", "cpuacct", "blkio", "memory", "devices", "pids"}

// managed says that systemd makes and removes a unit's directory in a hierarchy.
func managed(h *facts.Hierarchy) bool {
	return h.V2 || slices.Contains(managedV1, h.Name) ||
		slices.ContainsFunc(h.Controllers, func(name string) bool { return slices.Contains(managedV1, name) })
}

// systemdKnows are the controllers of cgroup v2 that systemd enables for units.
var systemdKnows = []string{"cgroup", "cpu", "cpuset", "io", "memory", "pids"}

// emitUnit is emitCgroups for the systemd driver. A scope is made around a
// process, so it and its limits come after the spawn; what systemd does not
// manage is made here, as without it. A slice comes first, and is then joined.
func (c *compiler) emitUnit() {
	sd := c.Facts.Systemd
	if sd == nil {
		c.errs.AddHost(cgroupsPathField, c.linux().CgroupsPath, "nothing is known of systemd")
		return
	}
	if sd.Missing != "" {
		c.errs.AddHost(cgroupsPathField, c.linux().CgroupsPath, sd.Missing)
	}
	if sd.User && !c.Facts.Cgroup.Unified {
		c.errs.AddHost(cgroupsPathField, c.linux().CgroupsPath, "a user's systemd makes cgroups for containers only on a host with cgroup v2 alone")
	}
	u, ok := c.readUnit()
	if !ok {
		return
	}
	c.unit, c.taken = Unit{Name: u.name, User: sd.User}, takesAlong(&c.Facts.Cgroup)
	p := sd.Root + u.path
	writes := resourceWrites(c.linux().Resources, &c.Facts.Cgroup, &c.errs)
	start := c.unitStart(&u, p, writes)
	if u.isSlice() {
		c.add(start)
	}
	for i := range c.Facts.Cgroup.Hierarchies {
		h := &c.Facts.Cgroup.Hierarchies[i]
		if u.isSlice() || !managed(h) {
			c.emitCgroupDir(i, p, writes)
			continue
		}
		c.cgroups = append(c.cgroups, CgroupDir{Hierarchy: h.Name, Mount: h.Mount, Path: p, V2: h.V2, Unit: true})
		c.cgroupSlots = append(c.cgroupSlots, plan.NoSlot)
	}
	if u.isSlice() {
		c.emitCgroupWrites(writes)
		c.emitCgroupV2()
	} else {
		c.scope, c.scopeWrites = &start, writes
	}
}

// unitStart is the op that starts the unit.
func (c *compiler) unitStart(u *unit, p string, writes []resourceWrite) plan.Op {
	sd := c.Facts.Systemd
	manager := "system"
	if sd.User {
		manager = "user"
	}
	var flags uint32
	var dirs []string
	for i := range c.Facts.Cgroup.Hierarchies {
		h := &c.Facts.Cgroup.Hierarchies[i]
		if managed(h) {
			dirs = append(dirs, h.Mount+p)
		}
	}
	if !u.isSlice() {
		flags |= plan.FlagProcess
		for _, w := range writes {
			name, _, _ := strings.Cut(w.file, ".")
			if c.Facts.Cgroup.Hierarchies[w.hierarchy].V2 && !slices.Contains(systemdKnows, name) {
				flags |= plan.FlagReady
			}
		}
	}
	return plan.UnitStart(cgroupsPathField, manager, u.name, dirs, c.unitProperties(u, writes), flags)
}

// emitScope starts the scope around the spawned process, which waits meanwhile:
// nothing of the container happens outside of its cgroups. Only then the process
// is recorded; should the runtime be killed before, it dies with it, and systemd
// forgets the empty scope.
func (c *compiler) emitScope(s shape) {
	if c.scope == nil {
		return
	}
	c.add(*c.scope)
	c.emitCgroupWrites(c.scopeWrites)
	if !c.unit.User { // a user may neither attach programs nor give files away
		c.emitCgroupV2()
	}
	if !s.fork {
		c.add(plan.StateSave("process"))
	}
	c.add(plan.SyncAwait("in-scope"))
}
