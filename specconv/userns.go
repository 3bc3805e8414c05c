package specconv

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// User namespaces: who may make what, and the id maps.

// can says that the caller holds a capability.
func (c *compiler) can(name string) bool {
	bit, ok := plan.CapBit(name)
	return ok && c.Facts.Caps>>bit&1 != 0
}

// privileged says that the caller may do on the host what a container needs:
// join namespaces that others own, take mount trees. The root of a user namespace
// is privileged over what belongs to that.
func (c *compiler) privileged() bool { return c.can("CAP_SYS_ADMIN") }

// userns says that the process that mounts has no privilege on the host.
func (c *compiler) userns() bool { return c.ns.own(plan.NewUser) }

// hostOpens says that the host has to open what the process, as the root of a user
// namespace, could not reach, or would reach with too little privilege. A caller
// without privilege over the mounts that he sees has nothing that the process has not.
func (c *compiler) hostOpens() bool { return c.userns() && c.privileged() && !c.Facts.ForeignMounts }

// maxMapLines is how many lines an id map may have (user_namespaces(7)).
const maxMapLines = 340

// maxMapText is the smallest page there is: the kernel wants the text to be shorter.
const maxMapText = 4096

func (c *compiler) checkMappings(n *namespaces) {
	l := c.linux()
	for _, m := range []struct {
		name string
		maps []specs.LinuxIDMapping
	}{{"linux.uidMappings", l.UIDMappings}, {"linux.gidMappings", l.GIDMappings}} {
		if !n.isNew(plan.NewUser) {
			if len(m.maps) > 0 && !n.isJoined(plan.NewUser) {
				c.errs.Add(m.name, "", "needs a user namespace in linux.namespaces")
			}
			continue
		}
		if len(m.maps) == 0 {
			c.errs.Add(m.name, "", "is required with a new user namespace")
			continue
		}
		c.checkMap(m.name, m.maps)
		if !slices.ContainsFunc(m.maps, func(r specs.LinuxIDMapping) bool { return r.ContainerID == 0 && r.Size > 0 }) {
			c.errs.Add(m.name, "", "must map the container's id 0, which sets the container up")
		}
	}
	if n.isNew(plan.NewUser) && !n.privileged {
		for i := range n.joins {
			c.errs.AddHost(n.joins[i].field+".path", n.joins[i].path, "cannot be joined together with a new user namespace by a caller without privilege:"+
				" give the path of the user namespace that owns it, too (setns(2))")
		}
	}
}

// checkMap checks what the kernel would refuse with a bare EINVAL.
func (c *compiler) checkMap(name string, maps []specs.LinuxIDMapping) {
	if len(maps) > maxMapLines {
		c.errs.Add(name, strconv.Itoa(len(maps))+" entries", "is more than the "+strconv.Itoa(maxMapLines)+" that the kernel takes (user_namespaces(7))")
		return
	}
	if n := len(strings.Join(idLines(maps), "\n")) + 1; n >= maxMapText {
		c.errs.Add(name, strconv.Itoa(len(maps))+" entries", "takes "+strconv.Itoa(n)+" bytes as text, and the kernel takes less than a page of 4096 (user_namespaces(7))")
	}
	for i, r := range maps {
		path := field.Index(name, i)
		if r.Size == 0 {
			c.errs.Add(path+".size", "0", "must be at least 1")
		}
		if uint64(r.ContainerID)+uint64(r.Size) > noID || uint64(r.HostID)+uint64(r.Size) > noID {
			c.errs.Add(path, idLine(r), "goes past the last id, 4294967294")
		}
		for j, o := range maps[:i] {
			if rangesMeet(r.ContainerID, o.ContainerID, r.Size, o.Size) {
				c.errs.Add(path, idLine(r), "maps ids of the container that "+field.Index(name, j)+" maps already")
			} else if rangesMeet(r.HostID, o.HostID, r.Size, o.Size) {
				c.errs.Add(path, idLine(r), "maps to ids of the host that "+field.Index(name, j)+" maps to already")
			}
		}
	}
}

func rangesMeet(a, b, sizeA, sizeB uint32) bool {
	return uint64(a) < uint64(b)+uint64(sizeB) && uint64(b) < uint64(a)+uint64(sizeA)
}

func (c *compiler) checkMapped(path string, id uint32, maps []specs.LinuxIDMapping, name string) {
	if len(maps) > 0 && !mapped(id, maps) {
		c.errs.Add(path, strconv.FormatUint(uint64(id), 10), "is not mapped in "+name)
	}
}

func mapped(id uint32, maps []specs.LinuxIDMapping) bool {
	return slices.ContainsFunc(maps, func(m specs.LinuxIDMapping) bool {
		return id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size)
	})
}

// idLine is one line of uid_map: container id, host id, size.
func idLine(m specs.LinuxIDMapping) string {
	return strconv.FormatUint(uint64(m.ContainerID), 10) + " " + strconv.FormatUint(uint64(m.HostID), 10) + " " +
		strconv.FormatUint(uint64(m.Size), 10)
}

func idLines(ms []specs.LinuxIDMapping) []string {
	out := make([]string, len(ms))
	for i, m := range ms {
		out[i] = idLine(m)
	}
	return out
}

// only says that a map has nothing but one id of the host, which everybody may map
// if it is his own.
func only(maps []specs.LinuxIDMapping, id uint32) bool {
	return len(maps) == 1 && maps[0].Size == 1 && maps[0].HostID == id
}

// deniesGroups says that setgroups(2) is denied in the new user namespace: that is
// what the kernel wants from who maps his own group without privilege, or he could
// leave a group that takes permissions away.
func (c *compiler) deniesGroups() bool {
	return c.ns.isNew(plan.NewUser) && !c.can("CAP_SETGID") && only(c.linux().GIDMappings, c.Facts.EGID)
}

// idMap writes the maps: with the caller's privilege, or of his own ids, or by the
// set-user-ID programs that look into /etc/subuid and /etc/subgid.
func (c *compiler) idMap() plan.Op {
	l := c.linux()
	op := plan.IDMap("linux.uidMappings", idLines(l.UIDMappings), idLines(l.GIDMappings), c.deniesGroups())
	if !c.can("CAP_SETUID") && !only(l.UIDMappings, c.Facts.EUID) {
		op.Flags |= plan.FlagUIDHelper
	}
	if !c.can("CAP_SETGID") && !only(l.GIDMappings, c.Facts.EGID) {
		op.Flags |= plan.FlagGIDHelper
	}
	return op
}

// emitOwnFiles comes before any namespace: what the process writes to its own
// files in /proc belongs to the host's root, or to the user who runs the runtime,
// for whom the process has to be dumpable. It is not any more once it is in a
// namespace where somebody else could see it.
func (c *compiler) emitOwnFiles(s shape) {
	offsets := s.time && len(c.linux().TimeOffsets) > 0
	if c.Facts.EUID != 0 && (s.unshareU || offsets || c.Spec.Process.OOMScoreAdj != nil) {
		c.add(plan.Expose("linux.namespaces"))
	}
	c.emitOomScore()
	if offsets {
		c.add(plan.TimeOpen("linux.timeOffsets"))
	}
}

// ownedBy is which namespace a pseudo file system shows: only who has privilege
// over that one may mount it.
func ownedBy(fstype string) (flag uint64, host string) {
	switch fstype {
	case "sysfs":
		return plan.NewNet, "/sys"
	case "mqueue":
		return plan.NewIPC, "/dev/mqueue"
	case "proc":
		return plan.NewPID, "/proc"
	}
	return 0, ""
}

// standIn says that a pseudo file system cannot be mounted in the user namespace,
// because the namespace that it shows is the host's; the host's own mount of it is
// bound instead. That of /sys is read-only with all that lies below: the host's
// cgroups lie there, and some may be the user's (CVE-2023-25809).
func (c *compiler) standIn(n *mount) bool {
	flag, host := ownedBy(n.spec.Type)
	if flag == 0 || n.bind || n.opt.remount || !c.userns() || c.ns.own(flag) {
		return false
	}
	n.bind, n.opt.rbind, n.spec.Source, n.standIn = true, true, host, true
	if flag == plan.NewNet {
		n.opt.attr.apply(plan.AttrReadonly, 0)
	}
	if c.Facts.Kernel(5, 12) {
		n.opt.rattr.apply(n.opt.attr.set, n.opt.attr.clear)
	}
	return true
}

// needsPrivilege says that only the kernel knows whether the file system can be
// mounted: the namespace that it shows is joined, and belongs to the user namespace, or
// to the host. So it is made after joining that one, while there is privilege over it,
// and is what is used if the kernel refuses another.
func (c *compiler) needsPrivilege(n *mount) bool {
	flag, _ := ownedBy(n.spec.Type)
	return flag != 0 && !n.bind && !n.opt.remount && c.hostOpens() && c.ns.isJoined(flag)
}

// checkOwnerOptions refuses a gid= or uid= that the user namespace does not have;
// the kernel's own word for it is a bare EINVAL.
func (c *compiler) checkOwnerOptions(n *mount) {
	if !c.ns.isNew(plan.NewUser) || n.bind {
		return
	}
	for _, o := range n.opt.data {
		name, value, _ := strings.Cut(o, "=")
		id, err := strconv.ParseUint(value, 10, 32)
		l := c.linux()
		switch {
		case err != nil:
		case name == "uid" && !mapped(uint32(id), l.UIDMappings) && len(l.UIDMappings) > 0:
			c.errs.Add(n.field+".options", o, "is not mapped in linux.uidMappings")
		case name == "gid" && !mapped(uint32(id), l.GIDMappings) && len(l.GIDMappings) > 0:
			c.errs.Add(n.field+".options", o, "is not mapped in linux.gidMappings")
		}
	}
}
