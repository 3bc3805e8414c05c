package specconv

import (
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// mount is one entry of the mounts array, checked.
type mount struct {
	field string
	at    string // absolute, clean
	spec  specs.Mount
	opt   parsedOptions
	bind  bool
	tree  plan.Slot // filled when the host opens the source
	late  bool      // made read-only only after its nodes exist

	standIn bool // the host's mount of a file system that cannot be mounted
}

func (c *compiler) readMounts() []mount {
	out := make([]mount, 0, len(c.Spec.Mounts))
	for i, m := range c.Spec.Mounts {
		f := field.Index("mounts", i)
		n := mount{field: f, spec: m, opt: parseOptions(m.Options)}
		if m.Destination == "" {
			c.errs.Add(f+".destination", "", "is required")
			continue
		}
		ok := c.noNUL(f+".destination", m.Destination)
		ok = c.noNUL(f+".source", m.Source) && ok
		ok = c.noNUL(f+".type", m.Type) && ok
		for j, o := range m.Options {
			ok = c.noNUL(field.Index(f+".options", j), o) && ok
		}
		// The spec wants absolute paths; runc has always taken relative ones as
		// if they began at the root, and configs in the field have them.
		if !strings.HasPrefix(m.Destination, "/") {
			c.warn(f+".destination", m.Destination, "is not absolute: taken from the root")
		}
		n.at = path.Clean("/" + m.Destination)
		n.bind = n.opt.bind || n.opt.rbind || m.Type == "bind" || m.Type == "rbind"
		if m.Type == "rbind" {
			n.opt.rbind = true
		}
		if !n.opt.bind && !n.opt.rbind && m.Type == "bind" {
			n.opt.bind = true
		}
		c.checkMount(&n)
		if ok {
			out = append(out, n)
		}
	}
	return out
}

func (c *compiler) checkMount(n *mount) {
	m := &n.spec
	f := n.field
	if n.at == "/" && !n.opt.remount {
		c.errs.Add(f+".destination", m.Destination, "is the root itself; set root.path instead")
	}
	switch {
	case n.opt.remount:
	case n.bind && m.Source == "":
		c.errs.Add(f+".source", "", "is required for a bind mount")
	case !n.bind && m.Type == "":
		c.errs.Add(f+".type", "", "is required unless options has bind or rbind")
	}
	if n.opt.copyUp && m.Type != "tmpfs" {
		c.errs.Add(f+".options", "tmpcopyup", "is for type tmpfs, not "+m.Type)
	}
	mapped := len(m.UIDMappings) > 0 || len(m.GIDMappings) > 0
	if (mapped || n.opt.idmap) && !n.bind {
		c.errs.Add(f+".uidMappings", "", "only bind mounts can be id-mapped here")
	}
	if (len(m.UIDMappings) > 0) != (len(m.GIDMappings) > 0) {
		c.errs.Add(f+".uidMappings", "", "must be given together with gidMappings")
	}
	if c.standIn(n) {
		_, host := ownedBy(m.Type)
		c.warn(f+".type", m.Type, "shows a namespace that belongs to the host, and cannot be mounted in a user namespace: the host's "+host+" is bound")
	}
	c.checkOwnerOptions(n)
	if n.opt.idmap && !mapped && !c.ns.own(plan.NewUser) {
		c.errs.Add(f+".options", "idmap", "needs uidMappings and gidMappings, or a user namespace in linux.namespaces whose own are meant")
	}
	if (mapped || n.opt.idmap) && (!c.privileged() || c.Facts.ForeignMounts) {
		c.errs.AddHost(f+".uidMappings", "", "needs privilege over the file system for an id-mapped mount, which the caller has not (mount_setattr(2))")
	}
	if (mapped || n.opt.idmap) && !c.Facts.Kernel(5, 12) {
		c.errs.AddHost(f+".uidMappings", "", "needs Linux 5.12 for id-mapped mounts")
	}
	for k, ms := range [][]specs.LinuxIDMapping{m.UIDMappings, m.GIDMappings} {
		name := [...]string{".uidMappings", ".gidMappings"}[k]
		for i, r := range ms {
			if r.Size == 0 {
				c.errs.Add(field.Index(f+name, i)+".size", "0", "must be at least 1")
			}
		}
	}
}

// source is the host path of a bind mount; relative ones begin at the bundle.
func (c *compiler) source(n *mount) string { return FromBundle(c.Bundle, n.spec.Source) }

// FromBundle is the host path that the config of a bundle means by p: relative
// paths begin at the bundle.
func FromBundle(bundle, p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	return path.Join(bundle, p)
}

// BindSource is the host path that a bind mount takes its tree from; ok is false
// for a mount that takes none from the host.
func BindSource(bundle string, m *specs.Mount) (source string, ok bool) {
	opt := parseOptions(m.Options)
	bind := opt.bind || opt.rbind || m.Type == "bind" || m.Type == "rbind"
	if !bind || opt.remount || m.Source == "" {
		return "", false
	}
	return FromBundle(bundle, m.Source), true
}

// emitTrees opens the sources that the container's root could not open: all of
// them in a user namespace, and every id-mapped one, which needs the privilege
// of the mount's owner (mount_setattr(2)).
func (c *compiler) emitTrees(mounts []mount) {
	for i := range mounts {
		n := &mounts[i]
		idmap := n.opt.idmap || len(n.spec.UIDMappings) > 0
		if c.needsPrivilege(n) {
			n.tree = c.plan.NewSlot(n.spec.Type + "-" + strconv.Itoa(i))
			c.fsOpens = append(c.fsOpens, plan.FsOpen(n.field+".type", n.spec.Type, n.opt.data, n.tree, plan.FlagIgnore))
			continue
		}
		if !n.bind || n.opt.remount || !idmap && !c.hostOpens() {
			continue
		}
		var flags uint32
		if n.opt.rbind {
			flags = plan.FlagRecursive
		}
		n.tree = c.plan.NewSlot("tree-" + strconv.Itoa(i))
		c.add(plan.TreeOpen(n.field+".source", c.source(n), n.tree, flags))
		if !idmap {
			continue
		}
		uids, gids := n.spec.UIDMappings, n.spec.GIDMappings
		if !n.opt.ridmap {
			flags = 0
		}
		if len(uids) == 0 {
			// The container's own; those of one that is joined are its namespace's.
			if slot, ok := c.ns.joinedSlot(plan.NewUser); ok {
				c.add(plan.TreeIdmapLike(n.field+".options", n.tree, slot, flags))
				continue
			}
			uids, gids = c.linux().UIDMappings, c.linux().GIDMappings
		}
		c.add(plan.TreeIdmap(n.field+".uidMappings", n.tree, idLines(uids), idLines(gids), flags))
	}
}

func (c *compiler) emitMounts(mounts []mount) {
	for i := range mounts {
		n := &mounts[i]
		switch {
		case n.opt.remount:
			c.emitRemount(n)
		case n.bind:
			c.emitBind(n)
		case n.spec.Type == "cgroup" || n.spec.Type == "cgroup2":
			c.emitCgroupMount(n)
		default:
			c.emitFs(n)
		}
	}
}

func (c *compiler) emitRemount(n *mount) {
	var flags uint32
	// remount alone changes the file system, as mount(8) does; with bind only
	// this mount of it.
	// The superblock of a pseudo file system may be shared with the host: it gets
	// only the options that the config names for it, never ro or rw.
	pseudo := c.pseudoAt(n)
	if !n.bind && (!pseudo || len(n.opt.data) > 0) {
		flags = plan.FlagFlagsSet
	}
	if !n.bind && !pseudo {
		if n.opt.attr.set&plan.AttrReadonly != 0 {
			n.opt.data = append(n.opt.data, "ro")
		} else if n.opt.attr.clear&plan.AttrReadonly != 0 {
			n.opt.data = append(n.opt.data, "rw")
		}
	}
	c.add(plan.MountRemount(plan.Mount{Field: n.field, At: n.at, Options: n.opt.data, Attr: n.opt.attr.packed(), Rattr: n.opt.rattr.packed(),
		Propagation: n.opt.prop, Flags: flags}))
}

func (c *compiler) emitBind(n *mount) {
	for _, d := range n.opt.data {
		// mount(2) ignores data on a bind mount, and configs in the field have
		// some; silently dropping an option is not for us.
		c.warn(n.field+".options", d, "has no effect on a bind mount")
	}
	var flags uint32
	if n.opt.rbind {
		flags |= plan.FlagRecursive
	}
	src := ""
	if n.tree == plan.NoSlot {
		src = c.source(n)
	}
	// What the source is, only the one who opens it knows: the op makes a
	// directory or a file as its tree is one.
	flags |= plan.FlagMakeDir | plan.FlagMakeFile
	if n.standIn && n.spec.Type != "mqueue" {
		flags |= plan.FlagRealDir // as for the file system itself
	}
	m := plan.Mount{Field: n.field, Source: src, Tree: n.tree, At: n.at, Attr: n.opt.attr.packed(),
		Rattr: n.opt.rattr.packed(), Propagation: n.opt.prop, Flags: flags}
	if n.tree == plan.NoSlot {
		c.add(plan.MountBind(m))
		return
	}
	// What the host has opened is still a peer of the host's mount, where what is
	// opened in here is its slave: nothing mounted in the container is to be seen on
	// the host. What the config says of propagation holds from there on.
	if p := n.opt.prop; p&plan.PropRec == 0 || p&plan.PropShared != 0 {
		m.Propagation = plan.PropSlave | plan.PropRec
	}
	c.add(plan.MountBind(m))
	if p := n.opt.prop; p != 0 && p != m.Propagation {
		c.add(plan.MountRemount(plan.Mount{Field: n.field, At: n.at, Propagation: p}))
	}
}

// pseudoAt says that a remount is of a pseudo file system, by its own type or by
// that of the mount before it at the same place.
func (c *compiler) pseudoAt(n *mount) bool {
	fstype := n.spec.Type
	for _, m := range c.Spec.Mounts {
		if path.Clean("/"+m.Destination) == n.at && !slices.Contains(m.Options, "remount") {
			fstype = m.Type
		}
	}
	return fstype != "tmpfs" && pseudo(fstype)
}

// maxParam is the longest value that fsconfig(2) takes.
const maxParam = 255

func (c *compiler) emitFs(n *mount) {
	m := plan.Mount{Field: n.field, Type: n.spec.Type, Source: n.spec.Source, Tree: n.tree, At: n.at, Options: n.opt.data,
		Propagation: n.opt.prop, Flags: plan.FlagMakeDir}
	switch m.Type {
	case "proc", "sysfs":
		m.Flags |= plan.FlagRealDir
	case "mqueue":
		if m.Source == "" {
			m.Source = "mqueue"
		}
	case "tmpfs":
		if n.opt.copyUp {
			m.Flags |= plan.FlagCopyUp
		}
		// Images rely on it: a tmpfs over /run or /tmp looks like what it covers.
		if !slices.ContainsFunc(m.Options, func(o string) bool { return strings.HasPrefix(o, "mode=") }) {
			m.Flags |= plan.FlagKeepMode
		}
	}
	if m.Source == "" {
		m.Source = m.Type
	}
	for _, o := range append([]string{m.Source}, m.Options...) {
		_, v, _ := strings.Cut(o, "=")
		if len(v) > maxParam || len(o) > 2*maxParam {
			m.Flags |= plan.FlagLegacy
		}
	}
	if len(m.Source) > maxParam || n.opt.msOnly {
		m.Flags |= plan.FlagLegacy
	}
	if m.Flags&plan.FlagLegacy != 0 {
		m.MS = n.opt.ms
		m.Options = withoutFlags(m.Options)
	}
	if label := c.linux().MountLabel; label != "" && labelled(m.Type) {
		if c.Facts.SELinux {
			m.Options = append(m.Options[:len(m.Options):len(m.Options)], `context="`+label+`"`)
		} else {
			// A label confines nothing where nothing is labelled; process.selinuxLabel,
			// which would confine, is an error.
			c.warnHost("linux.mountLabel", label, "SELinux is not running: mounts are not labelled")
		}
	}
	if m.Flags&plan.FlagLegacy == 0 {
		m.Options = unquoteContexts(m.Options)
	}
	set := n.opt.attr.set
	if m.Type == "tmpfs" && set&plan.AttrReadonly != 0 {
		// Devices and mount points below it are still to be made.
		n.late = true
		set &^= plan.AttrReadonly
	}
	if set&plan.AttrReadonly != 0 && !pseudo(m.Type) {
		// The file system too, or its device would be opened for writing.
		m.Options = append(m.Options[:len(m.Options):len(m.Options)], "ro")
	}
	m.Attr = uint64(set)
	c.add(plan.MountFs(m))
	if n.opt.rattr != (attrs{}) {
		c.add(plan.MountRemount(plan.Mount{Field: n.field, At: n.at, Attr: n.opt.rattr.packed()}))
	}
}

// pseudo says that a file system has no device, and its superblock may be shared
// with mounts of others, so that only the mount is made read-only.
func pseudo(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "mqueue", "devpts", "tmpfs", "cgroup", "cgroup2", "overlay", "securityfs", "debugfs", "tracefs", "bpf":
		return true
	}
	return false
}

// withoutFlags leaves out what mount(2) takes as flags.
func withoutFlags(options []string) []string {
	var out []string
	for _, o := range options {
		if opt := findOption(o); opt == nil || opt.kind != optSuper {
			out = append(out, o)
		}
	}
	return out
}

// labelled says that a file system takes a context= option: not those whose
// labels the policy fixes.
func labelled(fstype string) bool {
	switch fstype {
	case "proc", "sysfs", "mqueue", "cgroup", "cgroup2":
		return false
	}
	return true
}

// selinuxOptions are the options of any file system that take a security context
// (mount(8), SELinux), which may have commas.
var selinuxOptions = [...]string{"context", "fscontext", "defcontext", "rootcontext"}

// unquoteContexts takes the double quotes off security contexts: for mount(2) they
// keep commas together, and SELinux takes them off; fsconfig(2) has one value for
// each option, and there they would be a part of it.
func unquoteContexts(options []string) []string {
	var out []string
	for i, o := range options {
		name, value, _ := strings.Cut(o, "=")
		if !slices.Contains(selinuxOptions[:], name) || !strings.Contains(value, `"`) {
			continue
		}
		if out == nil {
			out = slices.Clone(options)
		}
		out[i] = name + "=" + strings.ReplaceAll(value, `"`, "")
	}
	if out == nil {
		return options
	}
	return out
}
