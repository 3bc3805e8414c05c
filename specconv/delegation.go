package specconv

import (
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
)

// noPermission has the words that engines know from other runtimes.
const noPermission = "rootless needs no limits + no cgrouppath when no permission is granted for cgroups"

// rootless says that the cgroups of the host are not the caller's: only those that
// were delegated to him may be made use of. The root of an ordinary container has
// that name alone.
func (c *compiler) rootless() bool { return c.Facts.EUID != 0 || c.Facts.UserNS || !c.privileged() }

// delegation leaves those hierarchies in which the caller may make a cgroup. With
// none, a container without limits simply has no cgroup of its own.
func (c *compiler) delegation() {
	c.hierarchies = c.Facts.Cgroup.Hierarchies
	if !c.rootless() || c.NoCgroup || c.SystemdCgroup {
		return
	}
	// Device rules need privilege over the host, whatever is delegated, and without
	// it no device can be made that they would have to keep from being opened.
	if r := c.linux().Resources; r != nil && len(r.Devices) > 0 {
		checkDeviceRules(r, &c.errs)
		c.Spec = withResources(c.Spec, *r)
		c.Spec.Linux.Resources.Devices = nil
	}
	may := func(h *facts.Hierarchy) bool { return h.Writable || c.elsewhere(h) }
	// The whole section is checked as if all were delegated, once.
	var found field.List
	for _, w := range resourceWrites(c.linux().Resources, &c.Facts.Cgroup, &found) {
		if h := &c.hierarchies[w.hierarchy]; !may(h) && !strings.HasPrefix(w.file, "devices.") && !w.ignore {
			found.AddHost(w.field, "", noPermission+": "+c.notWritable(h))
		}
	}
	f := *c.Facts
	f.Cgroup.Hierarchies = nil
	for i := range c.hierarchies {
		if may(&c.hierarchies[i]) {
			f.Cgroup.Hierarchies = append(f.Cgroup.Hierarchies, c.hierarchies[i])
		}
	}
	if p := c.linux().CgroupsPath; p != "" && len(f.Cgroup.Hierarchies) == 0 && len(c.hierarchies) > 0 {
		found.AddHost("linux.cgroupsPath", p, noPermission+": "+c.notWritable(&c.hierarchies[len(c.hierarchies)-1]))
	}
	c.Facts = &f
	c.cgroupsRefused = found.Len() > 0
	c.errs.Append(&found)
}

// elsewhere says that the config names a cgroup that does not lie in the caller's
// own: whether he may make it, only the kernel knows.
func (c *compiler) elsewhere(h *facts.Hierarchy) bool {
	p := c.linux().CgroupsPath
	return strings.HasPrefix(p, "/") && !below(p, h.Own) && (h.Writable || !slices.ContainsFunc(c.hierarchies, func(o facts.Hierarchy) bool { return o.Writable }))
}

func below(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}

func (c *compiler) notWritable(h *facts.Hierarchy) string {
	dir := strings.TrimSuffix(h.Mount+h.Own, "/")
	who := strconv.FormatUint(uint64(c.Facts.EUID), 10)
	text := "user " + who + " may not make cgroups in " + dir
	if h.Own == "/" { // nobody's to give away
		dir += "/user-" + who
		text += "; as root, give him one and start tare in it: mkdir " + dir + " &&"
	} else {
		text += "; as root:"
	}
	text += " chown " + who + " " + dir + " " + dir + "/cgroup.procs "
	if h.V2 {
		return text + dir + "/cgroup.subtree_control, or have systemd delegate one (Delegate=yes)"
	}
	return text + dir + "/tasks"
}

// ownCgroup is where the path of a container without privilege begins: in the
// caller's cgroup.
func (c *compiler) ownCgroup(h *facts.Hierarchy, p string) string {
	if !c.rootless() || strings.HasPrefix(c.linux().CgroupsPath, "/") {
		return p
	}
	return strings.TrimSuffix(h.Own, "/") + p
}

// withResources is a config with other resources; the caller's is left as it is.
func withResources(s *specs.Spec, r specs.LinuxResources) *specs.Spec {
	cp, l := *s, *s.Linux
	l.Resources = &r
	cp.Linux = &l
	return &cp
}
