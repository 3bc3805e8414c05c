package specconv

import (
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// capSets are the five sets as bit masks.
type capSets struct {
	bounding, effective, inheritable, permitted, ambient uint64
}

const allCaps = 1<<(plan.LastCap+1) - 1

func (c *compiler) readCaps() capSets {
	var s capSets
	l := c.Spec.Process.Capabilities
	if l == nil {
		return s
	}
	grantable := c.Facts.Caps
	if c.userns() {
		grantable = allCaps // a user namespace begins with all of them
	}
	const f = "process.capabilities"
	s.bounding = c.capSet(f+".bounding", l.Bounding, grantable)
	s.effective = c.capSet(f+".effective", l.Effective, grantable)
	s.inheritable = c.capSet(f+".inheritable", l.Inheritable, grantable)
	s.permitted = c.capSet(f+".permitted", l.Permitted, grantable)
	s.ambient = c.capSet(f+".ambient", l.Ambient, grantable)
	c.capsWithin(f+".effective", s.effective, s.permitted, "is not in permitted, so it cannot be effective (capabilities(7))")
	c.capsWithin(f+".inheritable", s.inheritable, s.bounding, "is not in bounding, so it cannot be inheritable (capabilities(7))")
	// The default configs of older runtimes list ambient capabilities that the
	// kernel can only refuse: they cannot be granted, so they are left out.
	if lost := s.ambient &^ (s.permitted & s.inheritable); lost != 0 {
		for bit := uint(0); bit <= plan.LastCap; bit++ {
			if lost>>bit&1 != 0 {
				c.warn(f+".ambient", plan.CapName(bit), "is not in permitted and inheritable and cannot be ambient: left out")
			}
		}
		s.ambient &^= lost
	}
	return s
}

// capSet reads one set. A capability that does not exist or cannot be granted
// is left out with a warning, as config.md (Process, capabilities) rules.
func (c *compiler) capSet(path string, names []string, grantable uint64) uint64 {
	var set uint64
	for i, n := range names {
		bit, ok := plan.CapBit(n)
		switch {
		case !ok:
			c.warn(field.Index(path, i), n, "is not a capability that tare knows: left out")
		case grantable>>bit&1 == 0:
			c.warnHost(field.Index(path, i), n, "is not held by the runtime and cannot be granted: left out")
		default:
			set |= 1 << bit
		}
	}
	return set
}

func (c *compiler) capsWithin(path string, set, of uint64, why string) {
	for bit := uint(0); bit <= plan.LastCap; bit++ {
		if set&^of>>bit&1 != 0 {
			c.errs.Add(path, plan.CapName(bit), why)
		}
	}
}

func (c *compiler) emitIdentity() {
	u := &c.Spec.Process.User
	var flags uint32
	groups := make([]byte, 0, 4*len(u.AdditionalGids))
	for i, g := range u.AdditionalGids {
		// Docker lists the primary group again when it is also asked for by name; the
		// kernel would keep both. A list as long as the few that people write is
		// searched, a longer one is given as it is.
		if i < 64 && slices.Contains(u.AdditionalGids[:i], g) {
			continue
		}
		groups = append(groups, byte(g), byte(g>>8), byte(g>>16), byte(g>>24))
	}
	umask := uint32(0o022)
	if u.Umask != nil {
		umask = *u.Umask
		if umask > 0o777 {
			c.errs.Add("process.user.umask", strconv.FormatUint(uint64(umask), 10), "must be at most 511 (octal 0777)")
		}
	}
	c.checkID("process.user.uid", u.UID)
	c.checkID("process.user.gid", u.GID)
	for i, g := range u.AdditionalGids {
		c.checkID(field.Index("process.user.additionalGids", i), g)
	}
	if c.ns.isNew(plan.NewUser) {
		l := c.linux()
		c.checkMapped("process.user.uid", u.UID, l.UIDMappings, "linux.uidMappings")
		c.checkMapped("process.user.gid", u.GID, l.GIDMappings, "linux.gidMappings")
		for i, g := range u.AdditionalGids {
			c.checkMapped(field.Index("process.user.additionalGids", i), g, l.GIDMappings, "linux.gidMappings")
		}
		if c.deniesGroups() {
			flags |= plan.FlagKeepGroups
			if len(u.AdditionalGids) > 0 {
				c.errs.Add("process.user.additionalGids", "", "cannot be set where an unprivileged caller maps only his own group: the kernel"+
					" wants setgroups(2) denied then (user_namespaces(7)); map more groups, which newgidmap does")
			}
		}
	}
	if c.keepGroups() {
		flags, groups = flags|plan.FlagKeepGroups, nil
	}
	c.add(plan.Identity("process.user", u.UID, u.GID, umask, groups, flags))
}

// noID is what setresuid(2) and setresgid(2) take for "do not change": as an id
// it would leave the process with those of root.
const noID = 1<<32 - 1

func (c *compiler) checkID(path string, id uint32) {
	if id == noID {
		c.errs.Add(path, strconv.FormatUint(uint64(id), 10), "is not an id: the kernel takes it for \"unchanged\" (setresuid(2))")
	}
}

// rlimitNames are the types of process.rlimits with their RLIMIT_* numbers, the
// same on every supported machine.
var rlimitNames = [...]string{
	"RLIMIT_CPU", "RLIMIT_FSIZE", "RLIMIT_DATA", "RLIMIT_STACK", "RLIMIT_CORE", "RLIMIT_RSS", "RLIMIT_NPROC", "RLIMIT_NOFILE",
	"RLIMIT_MEMLOCK", "RLIMIT_AS", "RLIMIT_LOCKS", "RLIMIT_SIGPENDING", "RLIMIT_MSGQUEUE", "RLIMIT_NICE", "RLIMIT_RTPRIO", "RLIMIT_RTTIME",
}

func (c *compiler) emitRlimits() {
	var seen [len(rlimitNames)]bool
	if len(c.hooks().StartContainer) > 0 && c.limitsFiles() {
		head, tail := c.stateText(specs.StateCreated)
		c.add(plan.HookState("hooks.startContainer", head, tail))
	}
	for i, r := range c.Spec.Process.Rlimits {
		f := field.Index("process.rlimits", i)
		n := -1
		for j, name := range rlimitNames {
			if name == r.Type {
				n = j
			}
		}
		switch {
		case n < 0:
			c.errs.Add(f+".type", r.Type, "is not a resource limit (getrlimit(2))")
			continue
		case seen[n]:
			c.errs.Add(f+".type", r.Type, "is listed twice (config.md, Process, rlimits)")
			continue
		case r.Soft > r.Hard:
			c.errs.Add(f+".soft", strconv.FormatUint(r.Soft, 10), "is above hard, "+strconv.FormatUint(r.Hard, 10))
		}
		seen[n] = true
		c.add(plan.Rlimit(f, r.Type, uint64(n), r.Soft, r.Hard))
	}
}
