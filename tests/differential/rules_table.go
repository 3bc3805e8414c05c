package main

// What a rule says of a verdict or an aspect, in the names that the rules need
// often.
var (
	ofVerdict  = re(`^verdict$`)
	byPeer     = re(`^refuses it`)
	propagated = re(`^propagation of `)
)

// rules are tried in their order.
var rules = []*rule{
	// Both take the config, and the program sees different things.
	{
		why:   "crun makes the root private where the config asks for nothing; tare and runc leave a slave, which later mounts of the host reach",
		right: "either", where: "config-linux.md#rootfs-mount-propagation has no default", peer: "crun",
		aspect: propagated, tare: re(`^slave$`), other: re(`^private$`),
	},
	{
		why:   "a mount option that asks for unbindable or shared is a property of this mount; crun makes everything private again at its end",
		right: "tare", where: "config.md#linux-mount-options", peer: "crun", field: "mounts",
		aspect: propagated, tare: re(`^(unbindable|shared)$`), other: re(`^private$`),
	},
	{
		why:   "runc makes a shared root private, and everything in it",
		right: "tare", where: "config-linux.md#rootfs-mount-propagation", peer: "runc", field: "linux.rootfsPropagation",
		aspect: propagated, tare: re(`^(shared|slave)$`), other: re(`^private$`),
	},
	{
		why:   "tare and crun always link /dev/core to /proc/kcore; runc only on a host that has the file",
		right: "either", where: "runtime-linux.md#dev-symbolic-links does not list it", peer: "runc",
		aspect: re(`^devices\.core$`), other: re(`^$`),
	},
	{
		why:   "tare and crun make the mount of sysfs read-only, runc its superblock too, which is that of the network namespace",
		right: "either", where: "mount_setattr(2)", peer: "runc",
		aspect: re(`^file system of /sys$`), tare: re(`^rw$`), other: re(`^ro$`),
	},
	{
		why:   "domainname came with runtime-spec 1.1, which runc 1.1 does not know",
		right: "tare", where: "config.md#domainname", peer: "runc", field: "domainname",
		aspect: re(`^domainname$`), other: re(`^\(none\)$`),
	},
	{
		why:   "scheduler and ioPriority came with runtime-spec 1.1 and 1.2, which these versions do not know",
		right: "tare", where: "config.md#linux-process", field: "process",
		aspect: re(`^(scheduler|nice|ioPriority)$`), other: re(`^0$`),
	},
	{
		why:   "runc 1.1 ignores the personality",
		right: "tare", where: "config-linux.md#personality", peer: "runc", field: "linux.personality",
		aspect: re(`^personality$`), other: re(`^0x0$`),
	},
	{
		why:   "tare masks a file with the host's null device, runc with the container's, crun with the host's, read-only: it reads as empty in all cases",
		right: "either", where: "config-linux.md#masked-paths", field: "linux",
		aspect: re(`^(mounts|file system of) /(etc/plain|proc/keys)$`), tare: re(`^(devtmpfs |tmpfs |mode=755)`),
	},
	{
		why:   "the null device of the host lies below a mount that is a slave here, that of the container in runc below a private one",
		right: "either", where: "config-linux.md#masked-paths", peer: "runc", field: "linux.maskedPaths",
		aspect: propagated, tare: re(`^slave$`), other: re(`^private$`),
	},
	{
		why:   "all mask a directory with an empty read-only tmpfs; that of tare has nosuid, nodev, noexec and room for nothing",
		right: "either", where: "config-linux.md#masked-paths", field: "linux",
		aspect: re(`^(mounts|file system of) /(data|sys/firmware)$`), tare: re(`^tmpfs nodev,noexec,nosuid,relatime,ro$|mode=555`),
	},
	{
		why:   "the options of a cgroup mount are for the tmpfs above the hierarchies too; the others leave it writable, and crun sizes it",
		right: "tare", where: "config.md#linux-mount-options", field: "mounts",
		aspect: re(`^(mounts|file system of) /sys/fs/cgroup$`), tare: re(`,ro$|^mode=755`),
	},
	{
		why:   "crun 1.8 ignores nosymfollow on a bind mount",
		right: "tare", where: "config.md#linux-mount-options", peer: "crun", field: "mounts", value: re(`nosymfollow`),
		aspect: re(`^mounts /data$`), tare: re(`nosymfollow`),
	},
	{
		why:   "crun gives the user the standard streams, and where they are the null device /dev/null of the container, which all its users share",
		right: "tare", where: "config-linux.md#default-devices", peer: "crun", field: "process.user",
		aspect: re(`^devices\.null$`), tare: re(`uid=0 gid=0`),
	},
	{
		why:   "in a user namespace the null device is the host's: crun gives it to the container's root, on the host too",
		right: "tare", where: "config-linux.md#default-devices", peer: "crun", field: "linux", value: re(`"user"`),
		aspect: re(`^devices\.null$`), tare: re(`uid=65534`), other: re(`uid=0`),
	},
	{
		why:   "in a user namespace tare binds the host's device with its mode; crun makes one, which without fileMode nobody may open",
		right: "either", where: "config-linux.md#devices", peer: "crun", field: "linux", value: re(`(?s)"user".*fuse`),
		aspect: re(`^(devices\.fuse|(mounts|file system of) /dev/fuse)$`),
	},
	{
		why:   "in a user namespace runc mounts mqueue before it has a group there",
		right: "tare", where: "user_namespaces(7)", peer: "runc", field: "linux", value: re(`"user"`),
		aspect: re(`^devices\.mqueue$`), tare: re(`gid=0$|gid=0 `), other: re(`gid=65534`),
	},
	{
		why:   "an empty HOME is replaced by the one of the passwd file, as in runc; crun leaves it",
		right: "either", where: "config.md#process, env", peer: "crun", field: "process.env", value: re(`HOME=`),
		aspect: re(`^process\.env$`), tare: re(`HOME=/`), other: re(`HOME=( |$)`),
	},
	{
		why:   "names of capabilities are those of the kernel, in capitals; crun takes any case, and its program gains the capability by execve",
		right: "tare", where: "config.md#linux-process", peer: "crun", field: "process.capabilities", value: re(`cap_kill`),
		aspect: re(`^(capabilities\.|dumpable)`),
	},

	// A peer refuses what tare takes.
	{
		why:   "runc 1.1 looks for its own descriptors in the container's /proc, and runs no container without one",
		right: "tare", where: "config.md#mounts is optional", peer: "runc", field: "mounts",
		aspect: ofVerdict, tare: re(`^takes it`), other: re(`/proc/self/fd: no such file`),
	},
	{
		why:   "crun 1.8 demands mounts",
		right: "tare", where: "config.md#mounts is optional", peer: "crun", field: "mounts",
		aspect: ofVerdict, tare: re(`^takes it`), other: re(`no 'mounts' block specified`),
	},

	// tare refuses what a peer takes.
	{
		why:   "crun's reader of JSON takes values of wrong types, and leaves them out or converts them",
		right: "tare", where: "schema/config-schema.json", peer: "crun",
		aspect: ofVerdict, tare: re(`expected .*, found `),
	},
	{
		why:   "runc 1.1 does not look at ociVersion",
		right: "tare", where: "config.md#specification-version", peer: "runc", field: "ociVersion",
		aspect: ofVerdict, tare: re(`ociVersion`),
	},
	{
		why:   "keys of annotations must not be empty; the others do not look",
		right: "tare", where: "config.md#annotations", field: "annotations",
		aspect: ofVerdict, tare: re(`annotations: a key is empty`),
	},
	{
		why:   "these paths must be absolute; the others take them from the root",
		right: "tare", where: "config-linux.md#masked-paths, #readonly-paths, #devices", field: "linux",
		aspect: ofVerdict, tare: re(`linux\.(maskedPaths|readonlyPaths|devices)\[.*must be (an )?absolute`),
	},
	{
		why:   "cwd must be absolute; crun takes it from the root",
		right: "tare", where: "config.md#process", peer: "crun", field: "process.cwd",
		aspect: ofVerdict, tare: re(`Cwd must be an absolute path`),
	},
	{
		why:   "a domain name longer than 64 bytes cannot be set; runc 1.1 does not know the field",
		right: "tare", where: "config.md#domainname", peer: "runc", field: "domainname",
		aspect: ofVerdict, tare: re(`domainname .* is longer`),
	},
	{
		why:   "timeout must be more than 0; crun takes 0 for no timeout",
		right: "tare", where: "config.md#posix-platform-hooks", peer: "crun", field: "hooks",
		aspect: ofVerdict, tare: re(`timeout .*must be more than 0`),
	},
	{
		why:   "a type of device that does not exist; crun makes a character device of it",
		right: "tare", where: "config-linux.md#devices", peer: "crun", field: "linux.devices",
		aspect: ofVerdict, tare: re(`is not a device type`),
	},
	{
		why:   "a personality or flag that does not exist; the specification defines no flags, and runc 1.1 does not know the field",
		right: "tare", where: "config-linux.md#personality", field: "linux.personality",
		aspect: ofVerdict, tare: re(`linux\.personality`),
	},
	{
		why:   "a limit outside of the bounds; crun writes it, and the kernel takes the nearest shares, and a swappiness of up to 200",
		right: "tare", where: "config-linux.md#memory, #cpu", peer: "crun", field: "linux.resources",
		aspect: ofVerdict, tare: re(`is not between`),
	},
	{
		why:   "a letter that is no access; runc runs the container",
		right: "tare", where: "config-linux.md#allowed-device-list", peer: "runc", field: "linux.resources.devices",
		aspect: ofVerdict, tare: re(`must be made of r`),
	},
	{
		why:   "a propagation that does not exist; crun ignores it",
		right: "tare", where: "config-linux.md#rootfs-mount-propagation", peer: "crun", field: "linux.rootfsPropagation",
		aspect: ofVerdict, tare: re(`linux\.rootfsPropagation`),
	},
	{
		why:   "names of system calls must not be empty; the others ignore the rule",
		right: "tare", where: "config-linux.md#seccomp", field: "linux.seccomp",
		aspect: ofVerdict, tare: re(`must name at least one system call`),
	},
	{
		why:   "a variable has a name and a value; crun hands over what it gets",
		right: "tare", where: "config.md#process, env: the semantics of environ", peer: "crun", field: "process.env",
		aspect: ofVerdict, tare: re(`is not of the form NAME=value`),
	},
	{
		why:   "scheduler and ioPriority came with runtime-spec 1.1 and 1.2: these versions do not know that a value is wrong",
		right: "tare", where: "config.md#linux-process", field: "process",
		aspect: ofVerdict, tare: re(`process\.(scheduler|ioPriority)`),
	},
	{
		why:   "the id -1 is no id: the kernel takes it for no change, and crun's container runs as root",
		right: "tare", where: "setresuid(2)", peer: "crun", field: "process.user",
		aspect: ofVerdict, tare: re(`is not an id`),
	},

	// A peer refuses what tare takes.
	{
		why:   "an unbindable root is a root like others; runc 1.1 makes it unbindable before it binds it",
		right: "tare", where: "config-linux.md#rootfs-mount-propagation", peer: "runc", field: "linux.rootfsPropagation", value: re(`unbindable`),
		aspect: ofVerdict, other: byPeer,
	},
	{
		why:   "tare and crun demand the default action of an empty seccomp object; runc takes it for no filter",
		right: "tare", where: "config-linux.md#seccomp: defaultAction is required", peer: "runc", field: "linux.seccomp", value: re(`= \{\}$`),
		aspect: ofVerdict, other: re(`^takes it`),
	},
	{
		why:   "a limit of -1 means none in cgroup v1 too; crun 1.8 writes -1, which pids.max refuses",
		right: "tare", where: "config-linux.md#pids", peer: "crun", field: "linux.resources.pids",
		aspect: ofVerdict, other: byPeer,
	},
	{
		why:   "defaults is an option that stands for rw, suid, dev, exec, async; runc 1.1 hands it to the file system",
		right: "tare", where: "config.md#linux-mount-options", peer: "runc", field: "mounts", value: re(`"defaults"`),
		aspect: ofVerdict, other: byPeer,
	},
	{
		why:   "options of the specification that crun 1.8 does not know, and hands to the file system",
		right: "tare", where: "config.md#linux-mount-options", peer: "crun", field: "mounts", value: re(`noiversion|nosymfollow`),
		aspect: ofVerdict, other: byPeer,
	},
	{
		why:   "an element with a comma is two options; runc hands both to the file system, and cannot give a read-only tmpfs its mode",
		right: "tare", where: "config.md#linux-mount-options", peer: "runc", field: "mounts", value: re(`size=1m,ro`),
		aspect: ofVerdict, tare: re(`^takes it`), other: re(`read-only file system`),
	},
	{
		why:   "an element with a comma is two options; crun hands both to the file system: that is read-only then, not the mount",
		right: "tare", where: "config.md#linux-mount-options", peer: "crun", field: "mounts", value: re(`size=1m,ro`),
		aspect: re(`^(file system of|mounts) /data$`), tare: re(`ro|^rw`), other: re(`ro|rw`),
	},
	{
		why:   "a path that leads back to the runtime's own uts namespace: runc and crun set the name of the host",
		right: "tare", where: "config.md#hostname: the name is that of the container's namespace", field: "linux.namespaces", value: re(`/proc/self/ns/uts`),
		aspect: ofVerdict, tare: re(`runtime's own namespace`), other: re(`^takes it`),
	},
}
