package specconv

import (
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/plan"
)

// shape says how the process gets into its namespaces. It is one pure function
// of the namespaces, tested over every combination.
//
// The rules behind it:
//   - a new user namespace comes before every other new one, because the others
//     belong to the user namespace in which they are made;
//   - a pid namespace (new by unshare, or joined) and a new time namespace hold
//     for children only, so the process must fork after asking for them;
//   - a cgroup namespace's root is the cgroup of the process that makes it, so
//     the cgroups are joined first and it is never made by the first clone;
//   - a privileged caller joins other namespaces before it enters a user
//     namespace, and an unprivileged one after, because that is where each has
//     the privilege to do so.
type shape struct {
	spawn     uint64   // flags of the clone that makes the process
	before    []joined // joined before a user namespace is entered
	unshareU  bool     // unshare the user namespace; the host writes the maps
	joinU     *joined  // the user namespace to join
	after     []joined // joined after
	becomeTop bool     // take id 0 of the user namespace
	time      bool     // unshare the time namespace and set its offsets
	fork      bool     // go on in a sibling ...
	forkFlags uint64   // ... made with these flags
	unshare   uint64   // unshared by the process itself, at the end
}

func (n *namespaces) shape() shape {
	var s shape
	rest := n.fresh &^ (plan.NewUser | plan.NewTime | plan.NewCgroup)
	if n.netMade {
		rest &^= plan.NewNet
		s.before = append(s.before, n.made)
	}
	userNew, userJoined := n.isNew(plan.NewUser), n.isJoined(plan.NewUser)
	for i := range n.joins {
		j := n.joins[i]
		switch {
		case j.flag == plan.NewUser:
			s.joinU = &n.joins[i]
		case userJoined && !n.privileged:
			s.after = append(s.after, j)
		default:
			s.before = append(s.before, j)
		}
	}
	s.unshareU = userNew
	s.becomeTop = userNew || userJoined
	s.time = n.isNew(plan.NewTime)
	s.fork = n.isJoined(plan.NewPID) || s.time
	switch {
	case userNew || userJoined:
		// Everything new is made inside the user namespace.
		s.fork = s.fork || n.isNew(plan.NewPID)
		if s.fork {
			s.forkFlags = rest
		} else {
			s.unshare = rest
		}
	case s.fork:
		// The pid namespace is for the sibling; the clone's own child would be
		// process 1 of it and the sibling process 2.
		s.forkFlags = rest & plan.NewPID
		s.spawn = rest &^ plan.NewPID
	default:
		s.spawn = rest
	}
	if n.isNew(plan.NewCgroup) {
		s.unshare |= plan.NewCgroup
	}
	return s
}

func (c *compiler) emitSpawn(s shape) {
	v2 := plan.NoSlot
	for i := range c.cgroups {
		if c.cgroups[i].V2 {
			v2 = c.cgroupSlot(i)
		}
	}
	c.add(plan.Spawn("linux.namespaces", s.spawn, v2))
	if !s.fork && c.scope == nil && !c.overlap {
		c.add(plan.StateSave("process"))
	}
}

func (c *compiler) emitEnter(s shape) {
	for _, j := range s.before {
		c.add(plan.NsJoin(j.field, j.flag, j.slot))
		if j.flag == plan.NewUTS && c.userns() {
			c.emitNames() // while there is privilege over a namespace that need not belong to the user namespace
		}
	}
	for _, op := range c.fsOpens {
		c.add(op)
	}
	if s.joinU != nil {
		join := plan.NsJoin(s.joinU.field, s.joinU.flag, s.joinU.slot)
		if c.keepGroups() {
			join.Flags |= plan.FlagKeepGroups
		}
		c.add(join)
	}
	if s.unshareU {
		c.add(plan.Unshare("linux.namespaces", plan.NewUser))
		c.add(plan.SyncArrive("user-namespace-made"))
		c.add(c.idMap())
		c.add(plan.SyncAwait("ids-mapped"))
	}
	if s.becomeTop {
		top := plan.BecomeRoot("linux.uidMappings")
		if c.keepGroups() {
			top.Flags |= plan.FlagKeepGroups
		}
		c.add(top)
	}
	for _, j := range s.after {
		c.add(plan.NsJoin(j.field, j.flag, j.slot))
	}
	if s.time {
		c.add(plan.Unshare("linux.namespaces", plan.NewTime))
		if text := c.timeOffsets(); text != "" {
			c.add(plan.TimeOffset("linux.timeOffsets", text))
		}
	}
	if s.fork {
		c.add(plan.Fork("linux.namespaces", s.forkFlags, plan.NoSlot))
		c.add(plan.StateSave("process"))
	}
	c.lateNet = s.unshare&plan.NewNet != 0 || !c.ns.netMade && c.ns.isJoined(plan.NewNet)
	if s.unshare != 0 {
		c.add(plan.Unshare("linux.namespaces", s.unshare))
	}
	if c.ns.isNew(plan.NewNet) && !c.ns.netMade {
		// Before any hook: network hooks find lo up (runtime-linux.md).
		c.add(plan.LoopbackUp("linux.namespaces"))
	}
}

func (c *compiler) timeOffsets() string {
	var b strings.Builder
	for _, clock := range []string{"monotonic", "boottime"} { // a map has no order of its own
		if o, ok := c.linux().TimeOffsets[clock]; ok {
			b.WriteString(clock + " " + strconv.FormatInt(o.Secs, 10) + " " + strconv.FormatUint(uint64(o.Nanosecs), 10) + "\n")
		}
	}
	return b.String()
}

// emitNames sets the names of the UTS namespace.
func (c *compiler) emitNames() {
	if c.named {
		return
	}
	c.named = true
	for _, n := range []struct {
		field, value string
		op           func(string, string) plan.Op
	}{{"hostname", c.Spec.Hostname, plan.Hostname}, {"domainname", c.Spec.Domainname, plan.Domainname}} {
		switch {
		case n.value == "":
		case !c.ns.own(plan.NewUTS):
			c.errs.Add(n.field, n.value, "needs a uts namespace in linux.namespaces, or it would rename the host")
		case len(n.value) > 64:
			c.errs.Add(n.field, n.value, "is longer than the kernel's 64 bytes")
		case c.noNUL(n.field, n.value):
			c.add(n.op(n.field, n.value))
		}
	}
}
