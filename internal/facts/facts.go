// Package facts is what specconv may know about the host: plain data, printable
// as JSON, so that a plan can be computed, and tested, without that host.
// internal/probe fills it.
package facts

// Facts describes one host as one process sees it.
type Facts struct {
	KernelMajor int    `json:"kernelMajor"`
	KernelMinor int    `json:"kernelMinor"`
	Arch        string `json:"arch"` // GOARCH: "amd64", "arm64"
	EUID        uint32 `json:"euid"`
	EGID        uint32 `json:"egid"`
	// UserNS says that the process is not in the initial user namespace, where
	// for example mknod(2) is refused whatever the capabilities.
	UserNS bool `json:"userNS"`
	// ForeignMounts says that the process, in a user namespace, has the mount
	// namespace of another one, and so no privilege over mounts.
	ForeignMounts bool `json:"foreignMounts,omitempty"`
	// Caps is the permitted capability set; the config's sets are cut to it.
	Caps     uint64 `json:"caps"`
	AppArmor bool   `json:"appArmor"`
	// AppArmorProfiles are the profiles that are loaded; nil when they are not
	// known, or when the config names none.
	AppArmorProfiles []string `json:"appArmorProfiles,omitempty"`
	SELinux          bool     `json:"seLinux"`
	Cgroup           Cgroup   `json:"cgroup"`
	// Resctrl is where the resctrl file system is mounted, "" when it is not, or
	// when the config does not ask for it.
	Resctrl string `json:"resctrl,omitempty"`
	// Systemd is the manager that makes the cgroups, nil when it was not asked for.
	Systemd *Systemd `json:"systemd,omitempty"`
}

// Systemd is a service manager: the system's, or the caller's own.
type Systemd struct {
	// User says that it is the caller's, which has only what was delegated to it.
	User bool `json:"user,omitempty"`
	// Version is the manager's, 252 for example; 0 when nothing is known of it, as
	// when a plan is only looked at where systemd does not run. What depends on it
	// is then planned for a recent one.
	Version int `json:"version"`
	// Root is the manager's own cgroup, "" at the top: units lie below it.
	Root string `json:"root,omitempty"`
	// Missing says why the manager cannot be reached.
	Missing string `json:"missing,omitempty"`
}

// Since reports whether the manager is at least of this version.
func (s *Systemd) Since(version int) bool { return s.Version == 0 || s.Version >= version }

// Kernel reports whether the kernel is at least major.minor.
func (f *Facts) Kernel(major, minor int) bool {
	return f.KernelMajor > major || f.KernelMajor == major && f.KernelMinor >= minor
}

// Cgroup is the layout of the control groups.
type Cgroup struct {
	// Unified says that there is only cgroup v2. On a hybrid host it is false and
	// one of the hierarchies has V2 set.
	Unified     bool        `json:"unified"`
	Hierarchies []Hierarchy `json:"hierarchies"`
}

// Hierarchy is one mounted cgroup tree.
type Hierarchy struct {
	// Name is what stands in /proc/self/cgroup: "memory", "cpu,cpuacct",
	// "name=systemd", and "" for v2.
	Name string `json:"name"`
	// Controllers are the v1 controllers of the tree, or what cgroup.controllers
	// of the v2 root lists.
	Controllers []string `json:"controllers,omitempty"`
	// Mount is the mount point, "/sys/fs/cgroup/memory".
	Mount string `json:"mount"`
	// Own is the caller's cgroup below the mount point, "/" at the top.
	Own string `json:"own"`
	V2  bool   `json:"v2,omitempty"`
	// Writable says that the caller may make cgroups in Own. It is looked at only
	// where that is not certain: for a caller without the privilege of the host's root.
	Writable bool `json:"writable,omitempty"`
}

// With returns the index of the v1 hierarchy (or on a unified host the v2 one)
// that has the controller, and -1 when no mounted tree has it.
func (c *Cgroup) With(controller string) int {
	for i := range c.Hierarchies {
		for _, n := range c.Hierarchies[i].Controllers {
			if n == controller {
				return i
			}
		}
	}
	return -1
}
