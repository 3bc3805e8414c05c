package specconv

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// nsTypes is every namespace type of the spec with its CLONE_NEW* flag, in the
// order in which joined ones are entered: the mount namespace last of the plain
// ones, because paths mean something else after it.
var nsTypes = []struct {
	name specs.LinuxNamespaceType
	flag uint64
}{
	{specs.NetworkNamespace, plan.NewNet},
	{specs.IPCNamespace, plan.NewIPC},
	{specs.UTSNamespace, plan.NewUTS},
	{specs.CgroupNamespace, plan.NewCgroup},
	{specs.TimeNamespace, plan.NewTime},
	{specs.PIDNamespace, plan.NewPID},
	{specs.MountNamespace, plan.NewNS},
	{specs.UserNamespace, plan.NewUser},
}

func nsFlag(t specs.LinuxNamespaceType) uint64 {
	for i := range nsTypes {
		if nsTypes[i].name == t {
			return nsTypes[i].flag
		}
	}
	return 0
}

// joined is a namespace to be entered by path.
type joined struct {
	field string
	path  string
	flag  uint64
	slot  plan.Slot
}

// namespaces is linux.namespaces, checked.
type namespaces struct {
	fresh      uint64 // CLONE_NEW* of the new ones
	joins      []joined
	privileged bool // the caller has privilege over namespaces that others own
	// netMade says that the host makes the new network namespace, lo included,
	// and the process joins it like one of others.
	netMade bool
	made    joined
}

func (n *namespaces) isNew(flag uint64) bool { return n.fresh&flag != 0 }

func (n *namespaces) isJoined(flag uint64) bool {
	for i := range n.joins {
		if n.joins[i].flag == flag {
			return true
		}
	}
	return false
}

// pathOf is the path of a joined namespace, "" for one that is not joined.
func (n *namespaces) pathOf(flag uint64) string {
	for i := range n.joins {
		if n.joins[i].flag == flag {
			return n.joins[i].path
		}
	}
	return ""
}

// joinedSlot is where the host has opened a namespace that is joined.
func (n *namespaces) joinedSlot(flag uint64) (plan.Slot, bool) {
	for i := range n.joins {
		if n.joins[i].flag == flag {
			return n.joins[i].slot, true
		}
	}
	return plan.NoSlot, false
}

// own says that the container does not share this namespace with the runtime.
func (n *namespaces) own(flag uint64) bool { return n.isNew(flag) || n.isJoined(flag) }

func (c *compiler) readNamespaces() namespaces {
	n := namespaces{privileged: c.privileged()}
	var seen uint64
	for i, ns := range c.linux().Namespaces {
		path := field.Index("linux.namespaces", i)
		flag := nsFlag(ns.Type)
		if flag == 0 {
			c.errs.Add(path+".type", string(ns.Type), "is not a namespace type; use pid, network, ipc, mount, uts, user, cgroup or time")
			continue
		}
		if seen&flag != 0 {
			c.errs.Add(path+".type", string(ns.Type), "is listed twice (config-linux.md, Namespaces)")
			continue
		}
		seen |= flag
		if ns.Path == "" {
			n.fresh |= flag
			continue
		}
		if !strings.HasPrefix(ns.Path, "/") {
			c.errs.Add(path+".path", ns.Path, "must be absolute (config-linux.md, Namespaces)")
			continue
		}
		if c.noNUL(path+".path", ns.Path) {
			n.joins = append(n.joins, joined{field: path, path: ns.Path, flag: flag})
		}
	}
	// In table order, not in the config's.
	sorted := make([]joined, 0, len(n.joins))
	for _, t := range nsTypes {
		for _, j := range n.joins {
			if j.flag == t.flag {
				sorted = append(sorted, j)
			}
		}
	}
	n.joins = sorted
	c.checkMappings(&n)
	c.checkTimeOffsets(&n)
	return n
}

func (c *compiler) checkTimeOffsets(n *namespaces) {
	off := c.linux().TimeOffsets
	if len(off) > 0 && !n.isNew(plan.NewTime) {
		c.errs.Add("linux.timeOffsets", "", "needs a new time namespace in linux.namespaces")
	}
	for clock, o := range off {
		path := field.Key("linux.timeOffsets", clock)
		if clock != "monotonic" && clock != "boottime" {
			c.errs.Add(path, "", "is not a clock with an offset; use monotonic or boottime (time_namespaces(7))")
		}
		if o.Nanosecs > 999999999 {
			c.errs.Add(path+".nanosecs", strconv.FormatUint(uint64(o.Nanosecs), 10), "must be below 1000000000")
		}
	}
}

func (c *compiler) emitNsOpen() {
	// The kernel needs as long for a network namespace as for all cgroups: so the
	// two are made at the same time. In a new user namespace it must be made
	// inside, or it would belong to the host.
	if c.ns.isNew(plan.NewNet) && !c.ns.own(plan.NewUser) && c.ns.privileged {
		c.ns.netMade = true
		slot := c.plan.NewSlot("ns-network")
		c.ns.made = joined{field: "linux.namespaces", flag: plan.NewNet, slot: slot}
		c.addHeld(plan.NetMake("linux.namespaces", slot))
	}
	for i := range c.ns.joins {
		j := &c.ns.joins[i]
		j.slot = c.plan.NewSlot("ns-" + nsName(j.flag))
		op := plan.NsOpen(j.field+".path", j.path, j.flag, j.slot)
		if c.changes(j.flag) {
			op.Flags |= plan.FlagForeign
		}
		c.add(op)
	}
}

// changes says that the config sets something that belongs to a namespace. A path
// may lead back to the runtime's own, which only the host can find out: it must
// not be set there.
func (c *compiler) changes(flag uint64) bool {
	l := c.linux()
	switch flag {
	case plan.NewUTS:
		if c.Spec.Hostname != "" || c.Spec.Domainname != "" {
			return true
		}
	case plan.NewNet:
		if len(l.NetDevices) > 0 {
			return true
		}
	}
	for k := range l.Sysctl {
		if sysctlNamespace(sysctlPath(k)) == flag {
			return true
		}
	}
	return false
}

func nsName(flag uint64) string {
	for _, t := range nsTypes {
		if t.flag == flag {
			return string(t.name)
		}
	}
	return "unknown"
}
