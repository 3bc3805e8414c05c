package specconv

import (
	"path"
	"slices"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/plan"
)

// emitCgroupOwner gives the container's v2 cgroup to the user that runs in it,
// where the config shows that the container is to manage cgroups of its own: it
// has a cgroup namespace of its own and a writable cgroup mount (config-linux,
// "Cgroup ownership"). Root of the host owns it already.
func (c *compiler) emitCgroupOwner() {
	if !c.Facts.Cgroup.Unified || !c.ns.isNew(plan.NewCgroup) || c.Spec.Process == nil || c.ns.pathOf(plan.NewUser) != "" ||
		!slices.ContainsFunc(c.Spec.Mounts, writableCgroupMount) {
		return
	}
	uid := c.Spec.Process.User.UID
	if c.ns.isNew(plan.NewUser) {
		uid = hostID(uid, c.linux().UIDMappings)
	}
	if uid == 0 {
		return
	}
	for i := range c.cgroups {
		if c.cgroups[i].V2 {
			c.add(plan.CgroupOwner("process.user.uid", c.cgroups[i].Mount+c.cgroups[i].Path, uid))
		}
	}
}

// writableCgroupMount is what the spec says.
func writableCgroupMount(m specs.Mount) bool {
	return m.Source == "cgroup" && path.Clean("/"+m.Destination) == "/sys/fs/cgroup" && !slices.Contains(m.Options, "ro")
}
