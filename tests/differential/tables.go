package main

// base is an ordinary config that every runtime takes.
const base = `{
	"ociVersion": "1.0.2",
	"hostname": "box",
	"root": {"path": "rootfs"},
	"process": {
		"args": ["/prober", "stat:/proc/kcore", "read:/etc/plain", "create:/tmp/new", "create:/new", "stat:/proc/sys/kernel/hostname", "exit:7"],
		"env": ["PATH=/bin:/", "TERM=xterm"],
		"cwd": "/",
		"user": {"uid": 0, "gid": 0},
		"capabilities": {"bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_CHROOT"], "effective": ["CAP_CHOWN", "CAP_KILL"], "permitted": ["CAP_CHOWN", "CAP_KILL"]},
		"rlimits": [{"type": "RLIMIT_NOFILE", "soft": 512, "hard": 1024}]
	},
	"mounts": [
		{"destination": "/proc", "type": "proc", "source": "proc"},
		{"destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"]},
		{"destination": "/dev/pts", "type": "devpts", "source": "devpts", "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]},
		{"destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]},
		{"destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": ["nosuid", "noexec", "nodev"]},
		{"destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"]}
	],
	"linux": {
		"namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}],
		"resources": {"devices": [{"allow": false, "access": "rwm"}]},
		"maskedPaths": ["/proc/kcore"],
		"readonlyPaths": ["/proc/sys"]
	}
}`

// settings are fields with the values that they get, one after the other.
var settings = []struct {
	field  string
	values []string
}{
	{"ociVersion", []string{`"1.0.0"`, `"1.0"`, `"2.0.0"`, `""`, `"x"`, `null`, `1`}},
	{"hostname", []string{`""`, `"a"`, `"with space"`, `"` + long64 + `"`, `"` + long64 + `x"`, `5`, `null`}},
	{"domainname", []string{`"example.org"`, `"` + long64 + `x"`}},
	{"annotations", []string{`{"a": "b"}`, `{"": "b"}`, `{"a": 1}`, `[]`}},
	{"root.path", []string{`""`, `"missing"`, `"rootfs/etc/plain"`, `"BUNDLE/rootfs"`, `"./rootfs/../rootfs"`, `7`}},
	{"root.readonly", []string{`true`, `false`, `"true"`}},
	{"process.args", []string{`[]`, `null`, `[""]`, `["/missing"]`, `["prober", "exit:9"]`, `["/prober"]`, `["/etc/plain"]`, `["/etc"]`, `["./prober"]`, `"x"`, `["/prober", "", "a b", "exit:0"]`, `["/prober", "kill:9"]`, `["/prober", "exit:255"]`}},
	{"process.env", []string{`[]`, `["A=1", "B=2", "A=3"]`, `["A"]`, `["=b"]`, `["HOME=/x"]`, `["HOME="]`, `["PATH="]`, `"x"`, `[1]`}},
	{"process.cwd", []string{`"/tmp"`, `"/missing/deep"`, `"relative"`, `""`, `"/etc/plain"`, `"/tmp/../etc"`, `"/proc/self"`, `5`}},
	{"process.user", []string{`{"uid": 1000, "gid": 1001}`, `{"uid": 1000, "gid": 1000, "additionalGids": [5, 6, 7]}`, `{"uid": 0, "gid": 0, "additionalGids": [0]}`, `{"uid": 0, "gid": 0, "umask": 63}`,
		`{"uid": -1, "gid": 0}`, `{"uid": 4294967295, "gid": 0}`, `{"uid": 4294967296, "gid": 0}`, `{"uid": 2000000000, "gid": 2000000000}`, `{"uid": "root"}`, `{}`, `null`}},
	{"process.capabilities", []string{`null`, `{}`, `{"bounding": []}`, `{"bounding": ["CAP_CHOWN"], "permitted": ["CAP_CHOWN"], "effective": ["CAP_CHOWN"], "inheritable": ["CAP_CHOWN"], "ambient": ["CAP_CHOWN"]}`,
		`{"bounding": ["CAP_CHOWN"], "permitted": [], "effective": ["CAP_CHOWN"]}`, `{"bounding": ["CAP_KILL", "CAP_KILL"], "permitted": ["CAP_KILL"]}`, `{"bounding": ["CAP_OF_TOMORROW"]}`, `{"bounding": ["cap_kill"]}`,
		`{"permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]}`, `{"bounding": ["CAP_KILL"], "permitted": ["CAP_KILL"], "ambient": ["CAP_KILL"]}`, `{"bounding": ["CAP_SYS_RESOURCE"]}`, `{"bounding": "CAP_KILL"}`}},
	{"process.rlimits", []string{`[]`, `[{"type": "RLIMIT_CORE", "soft": 0, "hard": 0}]`, `[{"type": "RLIMIT_CPU", "soft": 100, "hard": 200}, {"type": "RLIMIT_FSIZE", "soft": 1048576, "hard": 1048576}]`,
		`[{"type": "RLIMIT_NOFILE", "soft": 200, "hard": 100}]`, `[{"type": "RLIMIT_X", "soft": 1, "hard": 1}]`, `[{"type": "RLIMIT_CORE", "soft": 1, "hard": 1}, {"type": "RLIMIT_CORE", "soft": 2, "hard": 2}]`,
		`[{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 100}]`, `[{"type": "nofile", "soft": 100, "hard": 100}]`, `[{"type": "RLIMIT_CORE", "soft": -1, "hard": 1}]`, `[{}]`}},
	{"process.noNewPrivileges", []string{`true`, `"yes"`}},
	{"process.oomScoreAdj", []string{`0`, `500`, `1000`, `1001`, `-1001`, `1.5`}},
	{"process.apparmorProfile", []string{`"unconfined"`, `"missing-profile"`}},
	{"process.selinuxLabel", []string{`"system_u:system_r:container_t:s0"`}},
	{"process.scheduler", []string{`{"policy": "SCHED_BATCH", "nice": 5}`, `{"policy": "SCHED_NONE"}`}},
	{"process.ioPriority", []string{`{"class": "IOPRIO_CLASS_BE", "priority": 6}`, `{"class": "x", "priority": 6}`}},
	{"process.consoleSize", []string{`{"height": 25, "width": 80}`}},
	{"linux.maskedPaths", []string{`[]`, `["/etc/plain"]`, `["/data"]`, `["/missing"]`, `["relative"]`, `["/proc/kcore", "/proc/keys", "/sys/firmware"]`, `["/proc/../etc/plain"]`, `"x"`}},
	{"linux.readonlyPaths", []string{`[]`, `["/tmp"]`, `["/missing"]`, `["relative"]`, `["/etc/plain"]`, `["/proc/bus", "/proc/sys", "/proc/irq"]`}},
	{"linux.sysctl", []string{`{"kernel.msgmax": "8000"}`, `{"net.ipv4.ip_forward": "1"}`, `{"net/ipv4/ip_forward": "1"}`, `{"fs.mqueue.msg_max": "20"}`, `{"kernel.hostname": "x"}`, `{"kernel.missing": "x"}`,
		`{"kernel.domainname": "x"}`, `{"net.ipv4.missing": "1"}`, `{"": "1"}`, `{"net.ipv4.ip_forward": 1}`}},
	{"linux.rootfsPropagation", []string{`"private"`, `"rprivate"`, `"slave"`, `"rslave"`, `"shared"`, `"rshared"`, `"unbindable"`, `"loud"`, `""`}},
	{"linux.personality", []string{`{"domain": "LINUX"}`, `{"domain": "LINUX32"}`, `{"domain": "BSD"}`, `{"domain": "LINUX", "flags": ["X"]}`}},
	{"linux.seccomp", []string{`{"defaultAction": "SCMP_ACT_ALLOW"}`, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["sethostname"], "action": "SCMP_ACT_ERRNO"}]}`,
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 99}]}`, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["no_such_call"], "action": "SCMP_ACT_ERRNO"}]}`,
		`{"defaultAction": "X"}`, `{}`, `{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_ERRNO"}]}`, `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X"]}`,
		`{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["kill"], "action": "X"}]}`, `{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], "syscalls": [{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 8, "op": "SCMP_CMP_EQ"}]}]}`}},
	{"linux.resources.memory", []string{`{"limit": 67108864}`, `{"limit": -1}`, `{"limit": 67108864, "reservation": 33554432}`, `{"limit": -2}`, `{"swappiness": 101}`, `{"swappiness": 10}`, `{"limit": 67108864, "swap": 33554432}`, `{"limit": "1G"}`}},
	{"linux.resources.pids", []string{`{"limit": 100}`, `{"limit": 0}`, `{"limit": -1}`, `{}`}},
	{"linux.resources.cpu", []string{`{"shares": 512}`, `{"shares": 1}`, `{"quota": 50000, "period": 100000}`, `{"quota": 50}`, `{"cpus": "0"}`, `{"cpus": "4000"}`, `{"cpus": "x"}`, `{"mems": "0"}`, `{"shares": -5}`}},
	{"linux.resources.devices", []string{`[]`, `null`, `[{"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}]`, `[{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "access": "m"}]`, `[{"allow": true, "type": "x", "access": "rwm"}]`, `[{"allow": true, "type": "c", "access": "rwx"}]`, `[{"allow": true, "access": "rwm"}]`}},
	{"hooks", []string{`{}`, `{"prestart": [{"path": "relative"}]}`, `{"prestart": [{"path": "/missing"}]}`, `{"createRuntime": [{"path": "/missing"}]}`, `{"prestart": [` + readsInput + `}]}`, `{"prestart": [{"path": "/usr/bin/false"}]}`,
		`{"prestart": [` + readsInput + `, "timeout": 0}]}`, `{"prestart": [{"path": "/usr/bin/sleep", "args": ["sleep", "10"], "timeout": 1}]}`, `{"startContainer": [{"path": "/missing"}]}`, `{"poststart": [` + readsInput + `}]}`, `{"createContainer": [` + readsInput + `}]}`, `{"prestart": {}}`}},
	{"linux", []string{userNamespace + `}`, userNamespace + `, "maskedPaths": ["/proc/kcore", "/data"], "readonlyPaths": ["/proc/sys"], "devices": [{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]}`,
		`{"namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}]}`, `{"namespaces": [{"type": "mount"}], "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}`,
		`{"namespaces": [{"type": "user"}, {"type": "mount"}, {"type": "pid"}], "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 0}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]}`}},
	{"unknownField", []string{`{"a": 1}`, `null`}},
	{"linux.unknownField", []string{`[1, 2]`}},
	{"mounts", []string{`null`, `{}`}},
	{"linux.namespaces", []string{`[{"type": "pid"}, {"type": "pid"}, {"type": "mount"}]`, `[{"type": "mount"}, {"type": "net"}]`, `[{"type": "mount"}, {"type": ""}]`, `[{"type": "mount"}, {"type": "uts", "path": "relative"}]`, `[{"type": "mount"}, {"type": "uts", "path": "/missing"}]`,
		`[{"type": "mount"}, {"type": "pid"}, {"type": "uts", "path": "/proc/self/ns/uts"}]`, `[{"type": "mount"}, {"type": "ipc", "path": "/proc/self/ns/net"}]`, `[{}]`}},
}

// readsInput begins a hook that succeeds. It reads the state: crun 1.8 fails, now
// and then, with a hook that does not.
const readsInput = `{"path": "/bin/sh", "args": ["sh", "-c", "cat >/dev/null"]`

// userNamespace begins a linux section with every namespace but cgroup and time.
const userNamespace = `{"namespaces": [{"type": "pid"}, {"type": "network"}, {"type": "ipc"}, {"type": "uts"}, {"type": "mount"}, {"type": "user"}],
	"uidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}], "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 65536}]`

const long64 = "hhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhhh"

// additions are lists with the elements that they get, one after the other.
var additions = []struct {
	field  string
	values []string
}{
	{"linux.namespaces", []string{`{"type": "cgroup"}`}},
	{"linux.devices", []string{`{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}`, `{"path": "/dev/pipe", "type": "p", "fileMode": 384}`, `{"path": "/dev/owned", "type": "c", "major": 1, "minor": 3, "fileMode": 256, "uid": 5, "gid": 6}`,
		`{"path": "/dev/deep/er", "type": "c", "major": 1, "minor": 5}`, `{"path": "relative", "type": "c", "major": 1, "minor": 5}`, `{"path": "/dev/x", "type": "x", "major": 1, "minor": 5}`, `{"path": "/dev/null", "type": "c", "major": 1, "minor": 5}`, `{"path": "/dev/u", "type": "u", "major": 1, "minor": 5}`, `{}`}},
	{"mounts", []string{
		`{"destination": "/missing/target", "type": "tmpfs", "source": "tmpfs"}`, `{"destination": "/a", "type": "bind", "source": "/missing", "options": ["bind"]}`, `{"destination": "/a", "type": "bind", "source": "BUNDLE/volume", "options": ["bind"]}`,
		`{"destination": "/a", "type": "none", "source": "BUNDLE/volume", "options": ["rbind", "ro"]}`, `{"destination": "/a", "source": "volume", "options": ["rbind"]}`, `{"destination": "/etc/plain", "type": "bind", "source": "BUNDLE/volume/file", "options": ["bind", "ro"]}`,
		`{"destination": "/a/new", "type": "bind", "source": "BUNDLE/volume/file", "options": ["bind"]}`, `{"destination": "relative", "type": "tmpfs", "source": "tmpfs"}`, `{"type": "tmpfs", "source": "tmpfs"}`, `{"destination": "", "type": "tmpfs"}`,
		`{"destination": "/tmp", "type": "nosuchfs", "source": "x"}`, `{"destination": "/tmp", "source": "x"}`, `{"destination": "/tmp/../data", "type": "tmpfs", "source": "tmpfs"}`, `{"destination": "/", "type": "tmpfs", "source": "tmpfs"}`,
		`{"destination": "/a", "type": "bind", "source": "BUNDLE/volume", "options": ["bind", "ro", "nosuid", "nodev", "noexec"]}`, `{"destination": "/etc/plain", "type": "tmpfs", "source": "tmpfs"}`,
		`{"destination": "/proc/sys/x", "type": "tmpfs", "source": "tmpfs"}`, `{"destination": "/data", "type": "bind", "source": "BUNDLE/volume/file", "options": ["bind"]}`, `{"destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"]}`}},
}

// tmpfsOptions and bindOptions each get a mount of their own.
var (
	tmpfsOptions = []string{"ro", "rw", "nosuid", "suid", "nodev", "noexec", "noatime", "relatime", "strictatime", "nodiratime", "sync", "dirsync", "mode=700", "size=1m", "size=x", "nr_inodes=100", "uid=5", "gid=6",
		"private", "shared", "rshared", "slave", "rslave", "unbindable", "defaults", "nosuchoption", "mode=999", "tmpcopyup", "lazytime", "noiversion", "mand", "nosymfollow", "size=1m,ro", ""}
	bindOptions = []string{"ro", "nosuid", "noexec", "noatime", "private", "rprivate", "shared", "rslave", "unbindable", "nosuchoption", "size=1m", "rro", "remount", "sync", "nosymfollow", "nodiratime", "strictatime"}
)

// dropped are fields that are left out, and elements of lists.
var dropped = []change{
	{"ociVersion", drop, ""}, {"root", drop, ""}, {"process", drop, ""}, {"mounts", drop, ""}, {"hostname", drop, ""},
	{"process.args", drop, ""}, {"process.env", drop, ""}, {"process.cwd", drop, ""}, {"process.user", drop, ""}, {"process.capabilities", drop, ""}, {"process.rlimits", drop, ""},
	{"linux.resources", drop, ""}, {"linux.maskedPaths", drop, ""},
	{"linux.namespaces", drop, "pid"}, {"linux.namespaces", drop, "network"}, {"linux.namespaces", drop, "ipc"}, {"linux.namespaces", drop, "uts"},
	{"mounts", drop, "/proc"}, {"mounts", drop, "/dev"}, {"mounts", drop, "/dev/pts"}, {"mounts", drop, "/sys"},
}

// changes are all mutations of the tables, in their order.
func changes() []change {
	var all []change
	for _, s := range settings {
		for _, v := range s.values {
			all = append(all, change{s.field, set, v})
		}
	}
	for _, a := range additions {
		for _, v := range a.values {
			all = append(all, change{a.field, add, v})
		}
	}
	for _, o := range tmpfsOptions {
		all = append(all, change{"mounts", add, `{"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": ["` + o + `"]}`})
	}
	for _, o := range bindOptions {
		all = append(all, change{"mounts", add, `{"destination": "/data", "type": "bind", "source": "BUNDLE/volume", "options": ["bind", "` + o + `"]}`})
	}
	return append(all, dropped...)
}
