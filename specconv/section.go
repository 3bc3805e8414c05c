package specconv

import "strings"

// sections says where the specification speaks of a field: the longest prefix
// decides. The anchors are those of the headings of its documents.
var sections = []struct{ prefix, section string }{
	{"", "config.md#configuration"},
	{"annotations", "config.md#annotations"},
	{"domainname", "config.md#domainname"},
	{"freebsd", "config-freebsd.md#freebsd-container-configuration"},
	{"hooks", "config.md#posix-platform-hooks"},
	{"hooks.createContainer", "config.md#createcontainer-hooks"},
	{"hooks.createRuntime", "config.md#createruntime-hooks"},
	{"hooks.poststart", "config.md#poststart"},
	{"hooks.poststop", "config.md#poststop"},
	{"hooks.prestart", "config.md#prestart"},
	{"hooks.startContainer", "config.md#startcontainer-hooks"},
	{"hostname", "config.md#hostname"},
	{"linux", "config-linux.md#linux-container-configuration"},
	{"linux.cgroupsPath", "config-linux.md#cgroups-path"},
	{"linux.devices", "config-linux.md#devices"},
	{"linux.gidMappings", "config-linux.md#user-namespace-mappings"},
	{"linux.intelRdt", "config-linux.md#intelrdt"},
	{"linux.maskedPaths", "config-linux.md#masked-paths"},
	{"linux.memoryPolicy", "config-linux.md#memory-policy"},
	{"linux.mountLabel", "config-linux.md#mount-label"},
	{"linux.namespaces", "config-linux.md#namespaces"},
	{"linux.netDevices", "config-linux.md#network-devices"},
	{"linux.personality", "config-linux.md#personality"},
	{"linux.readonlyPaths", "config-linux.md#readonly-paths"},
	{"linux.resources", "config-linux.md#control-groups"},
	{"linux.resources.blockIO", "config-linux.md#block-io"},
	{"linux.resources.cpu", "config-linux.md#cpu"},
	{"linux.resources.devices", "config-linux.md#allowed-device-list"},
	{"linux.resources.hugepageLimits", "config-linux.md#huge-page-limits"},
	{"linux.resources.memory", "config-linux.md#memory"},
	{"linux.resources.network", "config-linux.md#network"},
	{"linux.resources.pids", "config-linux.md#pids"},
	{"linux.resources.rdma", "config-linux.md#rdma"},
	{"linux.resources.unified", "config-linux.md#unified"},
	{"linux.rootfsPropagation", "config-linux.md#rootfs-mount-propagation"},
	{"linux.seccomp", "config-linux.md#seccomp"},
	{"linux.sysctl", "config-linux.md#sysctl"},
	{"linux.timeOffsets", "config-linux.md#offset-for-time-namespace"},
	{"linux.uidMappings", "config-linux.md#user-namespace-mappings"},
	{"mounts", "config.md#mounts"},
	{"mounts[].gidMappings", "config.md#posix-platform-mounts"},
	{"mounts[].options", "config.md#linux-mount-options"},
	{"mounts[].type", "config.md#posix-platform-mounts"},
	{"mounts[].uidMappings", "config.md#posix-platform-mounts"},
	{"ociVersion", "config.md#specification-version"},
	{"process", "config.md#process"},
	{"process.apparmorProfile", "config.md#linux-process"},
	{"process.capabilities", "config.md#linux-process"},
	{"process.execCPUAffinity", "config.md#linux-process"},
	{"process.ioPriority", "config.md#linux-process"},
	{"process.noNewPrivileges", "config.md#linux-process"},
	{"process.oomScoreAdj", "config.md#linux-process"},
	{"process.rlimits", "config.md#posix-process"},
	{"process.scheduler", "config.md#linux-process"},
	{"process.selinuxLabel", "config.md#linux-process"},
	{"process.user", "config.md#posix-platform-user"},
	{"root", "config.md#root"},
	{"solaris", "config-solaris.md#solaris-application-container-configuration"},
	{"vm", "config-vm.md#virtual-machine-specific-container-configuration"},
	{"windows", "config-windows.md#windows-specific-container-configuration"},
	{"zos", "config-zos.md#zos-container-configuration"},
}

// extensibility is the section about fields that the specification does not
// define.
const extensibility = "config.md#extensibility"

// Section returns the place in the specification that defines a field, as a
// document and the anchor of a heading: "config-linux.md#namespaces". Of a path
// that no section is about it names the whole configuration.
func Section(path string) string {
	path = withoutIndices(path)
	at, best := 0, -1
	for i, s := range sections {
		if len(s.prefix) > best && within(path, s.prefix) {
			at, best = i, len(s.prefix)
		}
	}
	return sections[at].section
}

// UnknownSection is Section for a field that the specification does not define.
func UnknownSection() string { return extensibility }

// within says that path is prefix or a part of it.
func within(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (prefix == "" || rest == "" || rest[0] == '.' || rest[0] == '[')
}

// withoutIndices makes mounts[] of mounts[3]. Keys in quotes stay.
func withoutIndices(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		b.WriteByte(path[i])
		if path[i] != '[' {
			continue
		}
		for i+1 < len(path) && path[i+1] >= '0' && path[i+1] <= '9' {
			i++
		}
	}
	return b.String()
}
