package specconv

import (
	"path"
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
)

// cgroupSlot is the slot that joins the i-th of c.cgroups.
func (c *compiler) cgroupSlot(i int) plan.Slot { return c.cgroupSlots[i] }

// cgroupPath is linux.cgroupsPath below a hierarchy's mount point; without one
// the container gets a directory of its own at the top.
func (c *compiler) cgroupPath() string {
	p := c.linux().CgroupsPath
	if p == "" {
		return "/" + c.ID
	}
	if !c.noNUL("linux.cgroupsPath", p) {
		return "/" + c.ID
	}
	if strings.IndexByte(p, '\n') >= 0 {
		c.errs.Add("linux.cgroupsPath", p, "has a line feed, which cgroup names cannot have")
		return "/" + c.ID
	}
	for _, part := range strings.Split(p, "/") {
		if part == ".." {
			c.errs.Add("linux.cgroupsPath", p, "must not climb with ..")
			return "/" + c.ID
		}
	}
	clean := path.Clean("/" + p)
	if clean == "/" {
		c.errs.Add("linux.cgroupsPath", p, "is the top of the hierarchy, which belongs to the host")
	}
	return clean
}

// emitCgroups makes one directory in every mounted hierarchy, v1 and v2, so
// that all that a container does is accounted to it wherever one looks.
func (c *compiler) emitCgroups() {
	if c.NoCgroup {
		if c.linux().Resources != nil {
			c.errs.Add("linux.resources", "", "cannot be honoured with cgroups disabled")
		}
		return
	}
	if c.SystemdCgroup {
		c.emitUnit()
		return
	}
	if c.cgroupsRefused {
		return
	}
	c.taken = takesAlong(&c.Facts.Cgroup)
	p := c.cgroupPath()
	writes := resourceWrites(c.linux().Resources, &c.Facts.Cgroup, &c.errs)
	for i := range c.Facts.Cgroup.Hierarchies {
		c.emitCgroupDir(i, c.ownCgroup(&c.Facts.Cgroup.Hierarchies[i], p), writes)
	}
	c.emitCgroupWrites(writes)
	c.emitCgroupV2()
}

// emitCgroupV2 is what only cgroup v2 has.
func (c *compiler) emitCgroupV2() {
	c.emitDeviceFilter()
	c.emitCgroupOwner()
}

// emitCgroupDir makes the container's directory in one hierarchy.
func (c *compiler) emitCgroupDir(i int, p string, writes []resourceWrite) {
	h := &c.Facts.Cgroup.Hierarchies[i]
	slot := c.plan.NewSlot("cgroup-" + hierarchyLabel(h))
	open := "tasks"
	var flags uint32
	if h.V2 {
		open = ""
		flags = plan.FlagV2
	}
	if c.needsReady(i, writes) {
		flags |= plan.FlagReady
	}
	c.cgroups = append(c.cgroups, CgroupDir{Hierarchy: h.Name, Mount: h.Mount, Path: p, V2: h.V2})
	c.cgroupSlots = append(c.cgroupSlots, slot)
	op := plan.CgroupMake("linux.cgroupsPath", hierarchyLabel(h), h.Mount+p, open, slot, flags)
	if h.V2 {
		c.add(op) // which the process is born into
		return
	}
	c.addHeld(op)
}

// needsReady says that a hierarchy's directories must be prepared: a v1 cpuset
// without CPUs cannot be joined, and a v2 controller must be enabled for its
// limits to exist. A hybrid host's v2 tree is left alone unless a limit needs it.
func (c *compiler) needsReady(hierarchy int, writes []resourceWrite) bool {
	h := &c.Facts.Cgroup.Hierarchies[hierarchy]
	if !h.V2 {
		return slices.Contains(h.Controllers, "cpuset")
	}
	return c.Facts.Cgroup.Unified || slices.ContainsFunc(writes, func(w resourceWrite) bool { return w.hierarchy == hierarchy })
}

func hierarchyLabel(h *facts.Hierarchy) string {
	if h.V2 {
		return "unified"
	}
	return strings.TrimPrefix(h.Name, "name=")
}

func (c *compiler) emitCgroupWrites(writes []resourceWrite) {
	for _, w := range writes {
		if c.rootless() && strings.HasPrefix(w.file, "devices.") {
			continue // the kernel lets only the initial user namespace write device rules
		}
		var flags uint32
		if w.ignore {
			flags = plan.FlagIgnore
		}
		op := plan.CgroupWrite(w.field, c.cgroups[w.hierarchy].Mount+c.cgroups[w.hierarchy].Path, w.file, w.value, flags)
		if w.file == "pids.max" && w.value == "1" && c.accompanied() {
			late := op
			c.lateLimit = &late
			if !c.SystemdCgroup {
				continue
			}
			// systemd has set the limit with the unit.
			op = plan.CgroupWrite(op.Field, op.Str[0], w.file, "max", flags)
		}
		c.addHeld(op)
	}
}

// accompanied says that a second process or thread is in the container's cgroups
// for a moment before its program runs. A limit of one waits until it is gone.
func (c *compiler) accompanied() bool {
	l := c.linux()
	return c.ns.shape().fork || l.Seccomp != nil && l.Seccomp.ListenerPath != "" || c.Spec.Hooks != nil && len(c.Spec.Hooks.CreateContainer) > 0
}

// emitLateLimit comes when the init is alone, and before it may go on.
func (c *compiler) emitLateLimit() {
	if c.lateLimit != nil {
		c.add(*c.lateLimit)
		c.lateLimit = nil
	}
}

// emitCgroupMount shows the container its own cgroups. On a v1 host that is a
// small tmpfs with one directory for each hierarchy: with a cgroup namespace the
// hierarchy itself, whose root is the container's directory, and otherwise a
// bind of that directory.
func (c *compiler) emitCgroupMount(n *mount) {
	ownNS := c.ns.own(plan.NewCgroup)
	attr := n.opt.attr
	// One change of attributes for the whole tree once it stands, unless the
	// kernel cannot, or something of the config's own is mounted in it.
	whole := c.Facts.Kernel(5, 12) && !slices.ContainsFunc(c.Spec.Mounts, func(m specs.Mount) bool {
		return strings.HasPrefix(path.Clean("/"+m.Destination), n.at+"/")
	})
	if c.Facts.Cgroup.Unified || n.spec.Type == "cgroup2" {
		c.emitCgroup2(n, ownNS)
		return
	}
	c.add(plan.MountFs(plan.Mount{Field: n.field, Type: "tmpfs", Source: "tmpfs", At: n.at, Options: []string{"mode=755"},
		Attr: uint64(plan.AttrNosuid | plan.AttrNodev | plan.AttrNoexec), Flags: plan.FlagMakeDir}))
	shown := c.Facts.Cgroup.Hierarchies
	if ownNS {
		shown = c.hierarchies // its root is the caller's cgroup where the container has none
	}
	for i := range shown {
		h := &shown[i]
		at := n.at + "/" + path.Base(h.Mount)
		m := plan.Mount{Field: n.field, At: at, Flags: plan.FlagMakeDir, Propagation: n.opt.prop}
		if !whole {
			m.Attr = uint64(attr.set)
		}
		switch {
		case ownNS && !h.V2:
			m.Type, m.Source = "cgroup", "cgroup"
			m.Options = cgroupOptions(h)
			c.add(plan.MountFs(m))
		case ownNS:
			m.Type, m.Source = "cgroup2", "cgroup2"
			c.add(plan.MountFs(m))
		case i < len(c.cgroups):
			m.Source = h.Mount + c.cgroups[i].Path
			if !whole {
				m.Attr = attr.packed()
			}
			c.add(plan.MountBind(m))
		}
		for _, name := range h.Controllers {
			if !h.V2 && name != path.Base(h.Mount) {
				c.add(plan.SymlinkMake(n.field, n.at+"/"+name, path.Base(h.Mount)))
			}
		}
	}
	switch {
	case !whole:
		n.late = attr.set&plan.AttrReadonly != 0
	case attr != (attrs{}):
		c.add(plan.MountRemount(plan.Mount{Field: n.field + ".options", At: n.at, Rattr: attr.packed()}))
	}
}

// emitCgroup2 mounts the unified hierarchy. Without a cgroup namespace, a new
// mount would show the whole host's tree; the container's part is bound instead.
func (c *compiler) emitCgroup2(n *mount, ownNS bool) {
	m := plan.Mount{Field: n.field, At: n.at, Flags: plan.FlagMakeDir, Propagation: n.opt.prop}
	if ownNS {
		m.Type, m.Source, m.Attr, m.Options = "cgroup2", "cgroup2", uint64(n.opt.attr.set), n.opt.data
		c.add(plan.MountFs(m))
		return
	}
	for i := range c.cgroups {
		if c.cgroups[i].V2 {
			m.Source, m.Attr = c.cgroups[i].Mount+c.cgroups[i].Path, n.opt.attr.packed()
			c.add(plan.MountBind(m))
			return
		}
	}
	for i := range c.hierarchies {
		if h := &c.hierarchies[i]; h.V2 {
			// The caller's own, which the container must not change (CVE-2023-25809).
			m.Source, m.Attr = strings.TrimSuffix(h.Mount+h.Own, "/"), n.opt.attr.packed()
			m.Rattr, m.Flags = plan.Attr(plan.AttrReadonly, 0), m.Flags|plan.FlagRecursive
			c.add(plan.MountBind(m))
			return
		}
	}
	c.errs.AddHost(n.field+".type", n.spec.Type, "no cgroup v2 hierarchy is mounted on this host")
}

// cgroupOptions names a v1 hierarchy to mount(2).
func cgroupOptions(h *facts.Hierarchy) []string {
	if strings.HasPrefix(h.Name, "name=") {
		return []string{"none", h.Name}
	}
	return strings.Split(h.Name, ",")
}
