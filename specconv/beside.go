package specconv

import (
	"path"
	"slices"

	"github.com/tare-oci/tare/internal/plan"
)

// On cgroup v1 a container is in ten hierarchies or more, and making its directories
// takes the host as long as the init takes to be executed and to make the first mounts.
// So both are done at once, in a phase of its own: the process is spawned before those
// cgroups are there, does what needs neither them nor the network namespace, and is then
// passed what the host has opened meanwhile.
//
// What it does there is charged to the caller of the runtime. It is little and bounded,
// and nothing of it is the container's choice: none of its programs runs, nothing is
// copied, and no path of the host but the root is bound.

// begun is what is done early where the plan has this phase, and later where it has not.
type begun struct {
	seal, session, root, devices bool
	bounding                     bool // of the capabilities, which are read
	mounts                       int  // so many of them
}

// overlaps says that the plan has this phase.
func (c *compiler) overlaps(s shape) bool {
	switch {
	case c.NoCgroup || c.SystemdCgroup || c.Facts.Cgroup.Unified: // there is little to wait for, or it is systemd
		return false
	case !c.privileged() || c.Facts.UserNS || !c.ns.isNew(plan.NewNS):
		return false
	case s.unshareU || s.joinU != nil || s.fork || s.time || len(s.after) > 0: // it is not yet who it will be
		return false
	}
	for i := range c.Facts.Cgroup.Hierarchies {
		if !c.Facts.Cgroup.Hierarchies[i].V2 {
			return true
		}
	}
	return false
}

// addHeld adds an op of the host that the process can be spawned before.
func (c *compiler) addHeld(op plan.Op) {
	if c.overlap {
		c.held = append(c.held, op)
		return
	}
	c.add(op)
}

// emitBeside emits the phase: what the host does in it, what the process does, and
// where they meet.
func (c *compiler) emitBeside(mounts []mount, devices []device) {
	if !c.overlap {
		return
	}
	c.beside = true
	for _, op := range c.held {
		c.add(op)
	}
	if c.Gate {
		c.add(plan.GateOpen("process"))
	}
	c.emitFdSeal()
	c.emitSession()
	if !c.ns.isJoined(plan.NewUTS) {
		c.emitNames()
	}
	c.emitRoot()
	for c.done.mounts < len(mounts) && c.alone(&mounts[c.done.mounts]) {
		c.done.mounts++
	}
	c.emitMounts(mounts[:c.done.mounts])
	if c.stay(devices, mounts[:c.done.mounts], mounts[c.done.mounts:]) {
		c.done.devices = true
		c.emitDevices(devices, mounts)
	}
	if len(c.hooks().CreateContainer) == 0 { // which still have all capabilities
		c.done.bounding = true
		c.caps = c.readCaps()
		c.add(plan.CapsBound("process.capabilities.bounding", c.caps.bounding))
	}
	c.add(plan.FdPass())
	c.beside = false
	c.add(plan.StateSave("process"))
}

// stay says that the devices lie in a /dev that is mounted, so that what is made is gone
// with it if create fails, and that no mount which is still to come covers one.
func (c *compiler) stay(devices []device, done, later []mount) bool {
	if !slices.ContainsFunc(done, func(m mount) bool { return m.at == "/dev" && m.spec.Type == "tmpfs" }) {
		return false
	}
	for i := range devices {
		if path.Dir(devices[i].at) != "/dev" {
			return false
		}
	}
	return !slices.ContainsFunc(later, func(m mount) bool {
		return m.at == "/dev" || slices.ContainsFunc(devices, func(d device) bool { return d.at == m.at })
	})
}

// alone says that a mount needs nothing but the namespaces that the process is
// cloned into.
func (c *compiler) alone(n *mount) bool {
	if n.bind || n.opt.remount || n.opt.copyUp || n.tree != plan.NoSlot || n.opt.rattr != (attrs{}) {
		return false
	}
	switch n.spec.Type {
	case "proc", "tmpfs", "devpts":
		return true
	case "mqueue":
		return !c.ns.isJoined(plan.NewIPC)
	}
	return false
}

// emitFdSeal is the first thing that the process does.
func (c *compiler) emitFdSeal() {
	if !c.done.seal {
		c.done.seal = true
		c.add(plan.FdSeal(3 + c.PreserveFDs))
	}
}

// emitSession gives the process a session and a keyring of its own.
func (c *compiler) emitSession() {
	if c.done.session {
		return
	}
	c.done.session = true
	c.add(plan.Session())
	if !c.NoNewKeyring {
		c.emitKeyLabel()
		c.add(plan.Keyring("_ses." + c.ID))
	}
}

// emitRoot makes the root a mount, and opens what later ops use.
func (c *compiler) emitRoot() {
	if c.done.root {
		return
	}
	c.done.root = true
	c.emitRootBind()
	c.emitHandles()
}
