package specconv

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
)

// Default is the config that `tare spec` writes: a shell in a read-only root
// file system, with the namespaces, mounts, masks and few capabilities that
// container engines give to an ordinary container.
func Default() *specs.Spec {
	caps := []string{"CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"}
	return &specs.Spec{
		Version: specs.Version,
		Process: &specs.Process{
			// Without a terminal: the shell then uses the caller's streams.
			Args: []string{"sh"},
			Env:  []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"},
			Cwd:  "/",
			// Neither inheritable nor ambient: execve(2) of a program without file
			// capabilities by another user than root then leaves none.
			Capabilities:    &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps},
			Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Hard: 1024, Soft: 1024}},
			NoNewPrivileges: true,
		},
		Root:     &specs.Root{Path: "rootfs", Readonly: true},
		Hostname: "tare",
		Mounts: []specs.Mount{
			{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "strictatime", "mode=755", "size=65536k"}},
			{Destination: "/dev/pts", Type: "devpts", Source: "devpts",
				Options: []string{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
			{Destination: "/dev/shm", Type: "tmpfs", Source: "shm", Options: []string{"nosuid", "noexec", "nodev", "mode=1777", "size=65536k"}},
			{Destination: "/dev/mqueue", Type: "mqueue", Source: "mqueue", Options: []string{"nosuid", "noexec", "nodev"}},
			{Destination: "/sys", Type: "sysfs", Source: "sysfs", Options: []string{"nosuid", "noexec", "nodev", "ro"}},
			{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup", Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}},
		},
		Linux: &specs.Linux{
			Resources: &specs.LinuxResources{Devices: []specs.LinuxDeviceCgroup{{Allow: false, Access: "rwm"}}},
			Namespaces: []specs.LinuxNamespace{
				{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.IPCNamespace},
				{Type: specs.UTSNamespace}, {Type: specs.MountNamespace}, {Type: specs.CgroupNamespace},
			},
			MaskedPaths: []string{
				"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
				"/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
			},
			ReadonlyPaths: []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"},
		},
	}
}

// NetworkAnnotations begin the keys that the network hook reads.
const NetworkAnnotations = "io.github.tare-oci.net."

// Network lets the hook of a path attach the container to a network when it is
// created, and detach it when it is deleted. The time it may take bounds what a
// container waits for others that are attached at the same time.
func Network(s *specs.Spec, hook, network string) {
	timeout := 60 // seconds
	if s.Annotations == nil {
		s.Annotations = map[string]string{}
	}
	s.Annotations[NetworkAnnotations+"networks"] = network
	if s.Hooks == nil {
		s.Hooks = &specs.Hooks{}
	}
	h := specs.Hook{Path: hook, Args: []string{"tare-net"}, Timeout: &timeout}
	s.Hooks.CreateRuntime = append(s.Hooks.CreateRuntime, h)
	s.Hooks.Poststop = append(s.Hooks.Poststop, h)
}

// Rootless changes a config so that the user of these facts can run it without
// privilege: a user namespace that maps only this user, to root; the host's network
// and /sys, which he could not configure or mount; and no limits, which need a
// delegated cgroup.
func Rootless(s *specs.Spec, f *facts.Facts) {
	readonly := "ro"
	if f.Kernel(5, 12) {
		readonly = "rro"
	}
	var mounts []specs.Mount
	for _, m := range s.Mounts {
		if m.Destination == "/sys" || strings.HasPrefix(m.Destination, "/sys/") {
			continue
		}
		var options []string
		for _, o := range m.Options {
			// Other ids are not mapped.
			if !strings.HasPrefix(o, "gid=") && !strings.HasPrefix(o, "uid=") {
				options = append(options, o)
			}
		}
		m.Options = options
		mounts = append(mounts, m)
	}
	// Read-only with all that lies below, where the kernel can: the host's cgroups, of
	// which some may be the user's (CVE-2023-25809). The container's own part lies over
	// them in any case.
	s.Mounts = append(mounts, specs.Mount{Destination: "/sys", Type: "none", Source: "/sys",
		Options: []string{"rbind", "nosuid", "noexec", "nodev", readonly}},
		specs.Mount{Destination: "/sys/fs/cgroup", Type: "cgroup", Source: "cgroup",
			Options: []string{"nosuid", "noexec", "nodev", "relatime", "ro"}})

	namespaces := []specs.LinuxNamespace{{Type: specs.UserNamespace}}
	for _, n := range s.Linux.Namespaces {
		if n.Type != specs.NetworkNamespace && n.Type != specs.UserNamespace {
			namespaces = append(namespaces, n)
		}
	}
	s.Linux.Namespaces = namespaces
	s.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: f.EUID, Size: 1}}
	s.Linux.GIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: f.EGID, Size: 1}}
	s.Linux.Resources = nil
}
