package specconv

// plainHead begins a config without mistakes; what is added ends it.
const plainHead = `{"ociVersion": "1.3.0", "root": {"path": "rootfs"}, `

const plainProcess = `"process": {"args": ["x"], "cwd": "/"}`

// conformanceConfigs have the fields that no golden config has. Behind the name of
// the facts are cgroup v1 controllers that the host shall have too.
var conformanceConfigs = map[string]struct{ facts, config string }{
	"ignored": {"hybrid-6.18", plainHead + `"process": {"args": ["x"], "cwd": "/", "commandLine": "x", "user": {"username": "x"}},
		"linux": {"resources": {"memory": {"kernel": 1048576, "checkBeforeUpdate": true}}}}`},
	"terminal": {"hybrid-6.18", plainHead + `"process": {"args": ["x"], "cwd": "/", "terminal": true, "consoleSize": {"height": 25, "width": 80}}}`},
	"resources of cgroup v1": {"hybrid-6.18 net_cls net_prio rdma", plainHead + plainProcess + `, "linux": {"resources": {
		"memory": {"limit": 8388608, "reservation": 4194304, "kernelTCP": 1048576, "swappiness": 10, "disableOOMKiller": true, "useHierarchy": true},
		"cpu": {"burst": 1000, "quota": 2000, "realtimeRuntime": 1000, "realtimePeriod": 2000, "cpus": "0", "mems": "0", "idle": 1},
		"blockIO": {"weight": 100, "leafWeight": 200, "weightDevice": [{"major": 8, "minor": 1, "weight": 300}, {"major": 8, "minor": 1, "leafWeight": 400}],
			"throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 1}], "throttleWriteBpsDevice": [{"major": 8, "minor": 1, "rate": 2}],
			"throttleReadIOPSDevice": [{"major": 8, "minor": 1, "rate": 3}], "throttleWriteIOPSDevice": [{"major": 8, "minor": 1, "rate": 4}]},
		"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}],
		"network": {"classID": 7, "priorities": [{"name": "lo", "priority": 5}]},
		"rdma": {"mlx5_0": {"hcaHandles": 1, "hcaObjects": 2}}}}}`},
	"resources of cgroup v2": {"v2-5.10", plainHead + plainProcess + `, "linux": {"resources": {"unified": {"memory.high": "4194304"}}}}`},
	"real time":              {"hybrid-6.18", plainHead + `"process": {"args": ["x"], "cwd": "/", "scheduler": {"policy": "SCHED_RR", "priority": 7}}}`},
	"nice":                   {"hybrid-6.18", plainHead + `"process": {"args": ["x"], "cwd": "/", "scheduler": {"policy": "SCHED_OTHER", "nice": 7}}}`},
	"seccomp": {"hybrid-6.18", plainHead + plainProcess + `, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["SECCOMP_FILTER_FLAG_LOG"],
		"syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38},
			{"names": ["personality"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 6, "valueTwo": 2, "op": "SCMP_CMP_MASKED_EQ"}]}]}}}`},
	"seccomp's default": {"hybrid-6.18", plainHead + plainProcess + `, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 38,
		"syscalls": [{"names": ["execve"], "action": "SCMP_ACT_ALLOW"}]}}}`},
	"seccomp's agent": {"hybrid-6.18", plainHead + plainProcess + `, "linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent",
		"listenerMetadata": "x", "syscalls": [{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]}}}`},
	"second ids": {"hybrid-6.18", plainHead + plainProcess + `, "mounts": [{"destination": "/a", "source": "/a", "type": "bind",
			"uidMappings": [{"containerID": 7, "hostID": 1, "size": 2}], "gidMappings": [{"containerID": 7, "hostID": 1, "size": 2}]}],
		"linux": {"namespaces": [{"type": "user"}, {"type": "mount"}],
			"uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 7, "hostID": 2000, "size": 1}],
			"gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}, {"containerID": 7, "hostID": 2000, "size": 1}]}}`},
}

// refusedConfigs have one error each: the field of their name is set.
var refusedConfigs = map[string]string{
	"linux.personality.flags": plainHead + plainProcess + `, "linux": {"personality": {"domain": "LINUX", "flags": ["READ_IMPLIES_EXEC"]}}}`,
	"freebsd":                 plainHead + plainProcess + `, "freebsd": {}}`,
	"solaris":                 plainHead + plainProcess + `, "solaris": {}}`,
	"vm":                      plainHead + plainProcess + `, "vm": {}}`,
	"windows":                 plainHead + plainProcess + `, "windows": {}}`,
	"zos":                     plainHead + plainProcess + `, "zos": {}}`,
}
