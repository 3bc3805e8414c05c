package specconv

import (
	"path"
	"strings"

	"github.com/tare-oci/tare/internal/plan"
)

// propagations are the values of linux.rootfsPropagation.
var propagations = []struct {
	name string
	bits uint64
}{
	{"private", plan.PropPrivate}, {"rprivate", plan.PropPrivate | plan.PropRec},
	{"shared", plan.PropShared}, {"rshared", plan.PropShared | plan.PropRec},
	{"slave", plan.PropSlave}, {"rslave", plan.PropSlave | plan.PropRec},
	{"unbindable", plan.PropUnbindable}, {"runbindable", plan.PropUnbindable | plan.PropRec},
}

// rootPropagation reads linux.rootfsPropagation. It is 0 where the config names
// none, or one that is not known; then the propagation stays as it is.
func (c *compiler) rootPropagation() uint64 {
	v := c.linux().RootfsPropagation
	if v == "" {
		return 0
	}
	for _, p := range propagations {
		if p.name == v {
			return p.bits
		}
	}
	return 0
}

func (c *compiler) checkPropagation() {
	if v := c.linux().RootfsPropagation; v != "" && c.rootPropagation() == 0 {
		c.errs.Add("linux.rootfsPropagation", v, "is not one of shared, slave, private, unbindable or their recursive forms")
	}
}

func (c *compiler) rootPath() string {
	p := c.Spec.Root.Path
	switch {
	case p == "":
		c.errs.Add("root.path", "", "is required")
	case !c.noNUL("root.path", p):
	case strings.HasPrefix(p, "/"):
		return path.Clean(p)
	}
	return path.Join(c.Bundle, p)
}

// emitRootTree has the host open the root where a user namespace's root may not be
// able to: below a directory that only the host's root may enter, for one.
func (c *compiler) emitRootTree() {
	c.root = c.rootPath()
	if c.hostOpens() && c.ns.isNew(plan.NewNS) {
		c.rootTree = c.plan.NewSlot("root-tree")
		c.add(plan.TreeOpen("root.path", c.root, c.rootTree, plan.FlagRecursive))
	}
}

// emitRootBind makes the root a mount of its own. The inherited tree becomes a
// slave first, so that nothing made here is seen on the host; only where the
// config asks for a shared root does the tree stay shared, and then the mount
// that holds the root is made private.
func (c *compiler) emitRootBind() {
	c.checkPropagation()
	c.propagation = c.rootPropagation()
	prop := c.propagation
	if !c.ns.isNew(plan.NewNS) {
		// Joined or inherited: the tree belongs to others, and keeps its ways. Only
		// what is made below the root is the container's, and stays private.
		c.add(plan.RootBind("root.path", c.root, plan.NoSlot, plan.FlagRecursive|plan.FlagPrivate))
		return
	}
	flags := plan.FlagRecursive
	inherit := prop
	switch prop &^ plan.PropRec {
	case plan.PropShared:
		flags |= plan.FlagParentPriv
	case plan.PropPrivate:
	default: // slave, and what cannot be said of the whole tree
		inherit = plan.PropSlave
	}
	c.add(plan.MountPropagation("linux.rootfsPropagation", inherit|plan.PropRec))
	if c.rootTree != plan.NoSlot {
		flags &^= plan.FlagRecursive
	}
	c.add(plan.RootBind("root.path", c.root, c.rootTree, flags))
}

// emitHandles opens, while the host's files can still be reached and verified,
// what later ops use.
func (c *compiler) emitHandles() {
	l := c.linux()
	p := c.Spec.Process
	if len(l.MaskedPaths) > 0 {
		c.add(plan.NullOpen("linux.maskedPaths"))
	}
	switch {
	case c.procOpen: // for the keyring's label
	case len(l.Sysctl) > 0:
		c.add(plan.ProcOpen("linux.sysctl"))
	case p != nil && p.ApparmorProfile != "":
		c.add(plan.ProcOpen("process.apparmorProfile"))
	case p != nil && p.SelinuxLabel != "":
		c.add(plan.ProcOpen("process.selinuxLabel"))
	}
}

func (c *compiler) emitRootSwitch() {
	switch {
	case !c.ns.isNew(plan.NewNS):
		c.add(plan.RootChroot("root.path"))
	case c.NoPivot:
		c.add(plan.RootMove("root.path"))
	default:
		c.add(plan.RootPivot("root.path"))
	}
}
