package specconv

import (
	"io/fs"
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

const (
	sIFCHR = 0o020000
	sIFBLK = 0o060000
	sIFIFO = 0o010000
)

// device is one node, from the config or from the default list.
type device struct {
	field string
	at    string
	mode  uint32 // with the S_IF* bits
	dev   uint64
	uid   uint32
	gid   uint32
	owned bool      // mode or owner are the config's, not the default
	node  plan.Slot // filled when the host makes the node
}

// defaultDevices are those that config-linux.md ("Default Devices") demands.
var defaultDevices = [...]struct {
	at           string
	major, minor uint32
}{
	{"/dev/null", 1, 3}, {"/dev/zero", 1, 5}, {"/dev/full", 1, 7}, {"/dev/random", 1, 8}, {"/dev/urandom", 1, 9}, {"/dev/tty", 5, 0},
}

// defaultLinks are the symbolic links of runtime-linux.md, and core, which
// every runtime makes.
var defaultLinks = [...]struct{ at, to string }{
	{"/dev/fd", "/proc/self/fd"}, {"/dev/stdin", "/proc/self/fd/0"}, {"/dev/stdout", "/proc/self/fd/1"}, {"/dev/stderr", "/proc/self/fd/2"},
	{"/dev/core", "/proc/kcore"}, {"/dev/ptmx", "pts/ptmx"},
}

func (c *compiler) readDevices() []device {
	var out []device
	for i := range c.linux().Devices {
		d := &c.linux().Devices[i]
		if n, ok := c.readDevice(field.Index("linux.devices", i), d); ok {
			for j := range out {
				if out[j].at == n.at {
					if out[j].mode != n.mode || out[j].dev != n.dev {
						c.errs.Add(n.field+".path", n.at, "is listed twice with different content")
					}
					ok = false
				}
			}
			if ok {
				out = append(out, n)
			}
		}
	}
	return out
}

func (c *compiler) readDevice(f string, d *specs.LinuxDevice) (device, bool) {
	before := c.errs.Len()
	n := device{field: f, at: path.Clean(d.Path), mode: 0o666}
	if !strings.HasPrefix(d.Path, "/") || n.at == "/" {
		c.errs.Add(f+".path", d.Path, "must be an absolute path of a file")
	}
	c.noNUL(f+".path", d.Path)
	switch d.Type {
	case "c", "u":
		n.mode |= sIFCHR
	case "b":
		n.mode |= sIFBLK
	case "p":
		n.mode |= sIFIFO
	default:
		c.errs.Add(f+".type", d.Type, "is not a device type; use c, u, b or p (mknod(1))")
	}
	if d.Type != "p" {
		if d.Major < 0 || d.Major >= 1<<12 {
			c.errs.Add(f+".major", strconv.FormatInt(d.Major, 10), "must be between 0 and 4095")
		}
		if d.Minor < 0 || d.Minor >= 1<<20 {
			c.errs.Add(f+".minor", strconv.FormatInt(d.Minor, 10), "must be between 0 and 1048575")
		}
		n.dev = plan.Dev(uint32(d.Major), uint32(d.Minor))
	}
	if d.FileMode != nil {
		m := *d.FileMode
		// Files made from stat(2) carry the type bits too; only the mode counts.
		n.mode = n.mode&^0o7777 | uint32(m&fs.ModePerm)
		n.mode |= uint32(m) & 0o7000
	}
	if d.UID != nil {
		n.uid = *d.UID
	}
	if d.GID != nil {
		n.gid = *d.GID
	}
	n.owned = d.FileMode != nil || d.UID != nil || d.GID != nil
	return n, c.errs.Len() == before
}

// emitNodes makes the devices whose mode or owner the config sets and which the
// process could not make, because it is in a user namespace. Only a host that is
// root itself can; the nodes are bound into the container like other mounts.
func (c *compiler) emitNodes(devices []device, mounts []mount) {
	if !c.userns() && !c.Facts.UserNS || boundDev(mounts) {
		return
	}
	bit, _ := plan.CapBit("CAP_MKNOD")
	can := c.ns.isNew(plan.NewUser) && !c.Facts.UserNS && c.Facts.EUID == 0 && c.Facts.Caps>>bit&1 != 0
	for i := range devices {
		d := &devices[i]
		if !d.owned || d.mode&0o170000 == sIFIFO {
			continue
		}
		if !can {
			c.warn(d.field, "", "fileMode, uid and gid are those of the host's "+d.at+", which is bound: nodes cannot be made here")
			continue
		}
		l := c.linux()
		c.checkMapped(d.field+".uid", d.uid, l.UIDMappings, "linux.uidMappings")
		c.checkMapped(d.field+".gid", d.gid, l.GIDMappings, "linux.gidMappings")
		d.node = c.plan.NewSlot("node-" + d.at[strings.LastIndexByte(d.at, '/')+1:])
		c.add(plan.DeviceNode(d.field, d.mode, d.dev, hostID(d.uid, l.UIDMappings), hostID(d.gid, l.GIDMappings), d.node))
	}
}

// hostID is what an id of the container is on the host.
func hostID(id uint32, maps []specs.LinuxIDMapping) uint32 {
	for _, m := range maps {
		if id >= m.ContainerID && uint64(id) < uint64(m.ContainerID)+uint64(m.Size) {
			return m.HostID + (id - m.ContainerID)
		}
	}
	return id
}

// boundDev says that /dev is bound from the host.
func boundDev(mounts []mount) bool {
	for i := range mounts {
		if mounts[i].bind && mounts[i].at == "/dev" {
			return true
		}
	}
	return false
}

// emitDevices fills /dev. A /dev bound from the host is the caller's business,
// and is left as it is.
func (c *compiler) emitDevices(devices []device, mounts []mount) {
	if boundDev(mounts) {
		return
	}
	taken := func(at string) bool {
		for i := range devices {
			if devices[i].at == at {
				return true
			}
		}
		for i := range mounts {
			if mounts[i].at == at {
				return true
			}
		}
		return false
	}
	for _, d := range defaultDevices {
		if !taken(d.at) {
			c.emitDevice(device{field: "linux.devices", at: d.at, mode: sIFCHR | 0o666, dev: plan.Dev(d.major, d.minor)})
		}
	}
	for _, l := range defaultLinks {
		if !taken(l.at) {
			c.add(plan.SymlinkMake("linux.devices", l.at, l.to))
		}
	}
	for _, d := range devices {
		c.emitDevice(d)
	}
}

// emitDevice makes the node where the kernel allows it. Elsewhere it binds the one
// that the host has made (emitNodes), or the host's own of the same name, whose
// type and number the op verifies.
func (c *compiler) emitDevice(d device) {
	if d.node != plan.NoSlot {
		c.add(plan.MountBind(plan.Mount{Field: d.field, Tree: d.node, At: d.at, Flags: plan.FlagMakeFile}))
		return
	}
	if c.userns() || c.Facts.UserNS {
		if d.mode&0o170000 == sIFIFO {
			c.add(plan.DeviceMake(d.field, d.at, d.mode, d.dev, d.uid, d.gid))
			return
		}
		c.add(plan.DeviceBind(d.field, d.at, d.at, d.mode, d.dev))
		return
	}
	c.add(plan.DeviceMake(d.field, d.at, d.mode, d.dev, d.uid, d.gid))
}
