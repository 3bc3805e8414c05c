package initc

import (
	"github.com/tare-oci/tare/internal/plan"
)

const allNamespaces = plan.NewNS | plan.NewPID | plan.NewNet | plan.NewIPC | plan.NewUTS | plan.NewCgroup

// fullPlan has ops of every phase and every kind of argument.
func fullPlan() *plan.Plan {
	p := &plan.Plan{}
	cg := p.NewSlot("cgroup pids")
	fs := p.NewSlot("sysfs")
	ns := p.NewSlot("network namespace")
	tree := p.NewSlot("mount 3")
	v2 := p.NewSlot("cgroup v2")
	made := p.NewSlot("new network namespace")
	log := p.NewSlot("hook-stdout")
	node := p.NewSlot("node-fuse")
	target, open, root, console := p.NewSlot("container"), p.NewSlot("cgroup-memory"), p.NewSlot("container-root"), p.NewSlot("console-socket")
	for _, op := range []plan.Op{
		plan.NetMake("linux.namespaces", made),
		plan.CgroupMake("linux.cgroupsPath", "pids", "/sys/fs/cgroup/pids/a", "tasks", cg, 0),
		plan.CgroupMake("linux.cgroupsPath", "unified", "/sys/fs/cgroup/unified/a", "", v2, plan.FlagV2),
		plan.CgroupWrite("linux.resources.pids.limit", "/sys/fs/cgroup/pids/a", "pids.max", "10", plan.FlagIgnore),
		plan.CgroupWrite("linux.resources.cpu.cpus", "/sys/fs/cgroup/cpuset/a", "cpuset.cpus", "", 0),
		plan.DeviceFilter("linux.resources.devices", "/sys/fs/cgroup/unified/a", []string{"deny a", "allow c 1:3 rwm"}),
		plan.CgroupOwner("process.user.uid", "/sys/fs/cgroup/unified/a", 100000),
		plan.NsOpen("linux.namespaces[0]", "/proc/1/ns/net", plan.NewNet, ns),
		plan.TreeOpen("mounts[3]", "/srv", tree, plan.FlagRecursive),
		plan.TreeIdmap("mounts[3]", tree, []string{"0 1000 1"}, []string{"0 1000 1", "1 2000 10"}, plan.FlagRecursive),
		plan.TreeIdmapLike("mounts[3]", tree, ns, 0),
		plan.RdtGroup("linux.intelRdt", "/sys/fs/resctrl/a", plan.FlagExisting),
		plan.RdtSchema("linux.intelRdt.l3CacheSchema", "/sys/fs/resctrl/a", "L3:0=f", plan.FlagMatch),
		plan.HookLog(`annotations["run.oci.hooks.stdout"]`, "/var/log/out", log),
		plan.DeviceNode("linux.devices[2]", 0o20666, plan.Dev(10, 229), 1, 2, node),
		plan.TargetOpen("linux.namespaces", 42, 1<<40, target),
		plan.CgroupOpen("linux.cgroupsPath", "memory", "/sys/fs/cgroup/memory/a", "tasks", open),
		plan.RootOpen("root.path", 42, root),
		plan.ConsoleOpen("process.terminal", "", console),
		plan.SpawnAffinity("process.execCPUAffinity.initial", "1", []byte{2, 0, 0, 0, 0, 0, 0, 0}),
		plan.UnitStart("linux.cgroupsPath", "system", "a.scope", []string{"/sys/fs/cgroup/pids/a"}, []string{"TasksMax=10"}, plan.FlagReady),
		plan.GateOpen("process"),
		plan.Spawn("linux.namespaces", allNamespaces|plan.NewUser, v2),
		plan.FdPass(),
		plan.StateSave("process"),
		plan.FdSeal(3),
		plan.CgroupJoin("linux.cgroupsPath", cg),
		plan.Expose("linux.namespaces"),
		plan.OomScore("process.oomScoreAdj", "100"),
		plan.TimeOpen("linux.timeOffsets"),
		plan.SyncArrive("user namespace"),
		plan.IDMap("linux.uidMappings", []string{"0 1000 1"}, []string{"0 1000 1"}, true),
		plan.SyncAwait("id maps"),
		plan.BecomeRoot("linux.uidMappings"),
		plan.NsJoin("linux.namespaces[0]", plan.NewNet, ns),
		plan.FsOpen("mounts[0].type", "sysfs", []string{"a=b"}, fs, plan.FlagIgnore),
		plan.TimeOffset("linux.timeOffsets", "monotonic 1 0\n"),
		plan.Fork("linux.namespaces", plan.NewPID, plan.NoSlot),
		plan.SyncArrive("namespaces-entered"),
		plan.RdtJoin("linux.intelRdt", "/sys/fs/resctrl/a"),
		plan.NetdevMove(`linux.netDevices["eth1"]`, "eth1", "eth%d"),
		plan.SyncAwait("host-part-done"),
		plan.NsEnter("linux.namespaces", allNamespaces, target, 42, plan.FlagKeepGroups|plan.FlagClose),
		plan.CPUEnter("process.execCPUAffinity.final", "0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, 0),
		plan.Session(),
		plan.Keyring("_ses.a"),
		plan.LoopbackUp("linux.namespaces[0]"),
		plan.Hostname("hostname", "web"),
		plan.Domainname("domainname", "example"),
		plan.ProcOpen("mounts"),
		plan.NullOpen("linux.maskedPaths"),
		plan.MountPropagation("linux.rootfsPropagation", plan.PropSlave|plan.PropRec),
		plan.RootBind("root.path", "/bundle/rootfs", plan.NoSlot, plan.FlagRecursive|plan.FlagParentPriv),
		plan.MountFs(plan.Mount{Field: "mounts[0]", Type: "proc", Source: "proc", Tree: tree, At: "/proc", Attr: plan.Attr(plan.AttrNosuid|plan.AttrNodev, 0), Flags: plan.FlagMakeDir | plan.FlagRealDir}),
		plan.MountFs(plan.Mount{Field: "mounts[1]", Type: "tmpfs", At: "/dev", Options: []string{"mode=755", "size=65536k"}, Propagation: plan.PropPrivate, MS: 1 << 25, Flags: plan.FlagLegacy | plan.FlagCopyUp}),
		plan.MountBind(plan.Mount{Field: "mounts[2]", Source: "/etc/hosts", At: "/etc/hosts", Attr: plan.Attr(plan.AttrReadonly, 0), Rattr: plan.Attr(0, plan.AttrNosuid), Flags: plan.FlagMakeFile}),
		plan.MountBind(plan.Mount{Field: "mounts[3]", Tree: tree, At: "/srv", Flags: plan.FlagRecursive | plan.FlagMakeDir}),
		plan.MountRemount(plan.Mount{Field: "mounts[4]", At: "/dev", Options: []string{"size=1m"}, Flags: plan.FlagFlagsSet}),
		plan.DirMake("mounts", "/dev/pts", 0o755),
		plan.SymlinkMake("linux.devices", "/dev/fd", "/proc/self/fd"),
		plan.DeviceMake("linux.devices[0]", "/dev/null", 0o20666, plan.Dev(1, 3), 0, 0),
		plan.DeviceBind("linux.devices[1]", "/dev/zero", "/dev/zero", 0o20666, plan.Dev(1, 5)),
		plan.Hook("hooks.prestart[0]", "prestart", 0, "/bin/hook", []string{"hook", ""}, []string{"A=b"}, 5, false),
		plan.HookRun("hooks.createContainer[0]", 0, "/bin/hook", []string{"hook"}, []string{"A=b", "C="}, 0, `{"pid":`, `}`).WithOutput(log, plan.NoSlot),
		plan.RootPivot("root.path"),
		plan.MountReadonly("mounts[1]", "/dev"),
		plan.RootAttr("root.readonly", plan.Attr(plan.AttrReadonly, 0), plan.PropSlave),
		plan.Sysctl("linux.sysctl", "net/ipv4/ip_forward", "1"),
		plan.Console("process.terminal", console, 24, 80, plan.FlagBind),
		plan.MaskPrepare("linux.maskedPaths"),
		plan.PathReadonly("linux.readonlyPaths[0]", "/proc/sys"),
		plan.PathMask("linux.maskedPaths[0]", "/proc/kcore"),
		plan.HookState("hooks.startContainer", "{", "}"),
		plan.Rlimit("process.rlimits[0]", "RLIMIT_NOFILE", 7, 1024, ^uint64(0)),
		plan.Personality("linux.personality", 8),
		plan.Scheduler("process.scheduler", "SCHED_BATCH", make([]byte, 56)),
		plan.IOPriority("process.ioPriority", 2<<13|4),
		plan.Affinity("process.execCPUAffinity", "0-1", []byte{3, 0, 0, 0, 0, 0, 0, 0}, 0),
		plan.MemoryPolicy("linux.memoryPolicy", "MPOL_BIND", 2, []byte{1, 0, 0, 0, 0, 0, 0, 0}),
		plan.StdioOwner("process.user", 1000, plan.FlagTerminal),
		plan.LsmExec("process.apparmorProfile", "apparmor/exec", "exec docker-default"),
		plan.NoNewPrivs("process.noNewPrivileges"),
		plan.Seccomp("linux.seccomp", []byte{6, 0, 0, 0, 0, 0, 255, 127}, 0),
		plan.CapsBound("process.capabilities.bounding", 0x20),
		plan.CwdMake("process.cwd", "/srv/app"),
		plan.Identity("process.user", 1000, 1000, 0o22, []byte{5, 0, 0, 0}, 0),
		plan.CapsSet("process.capabilities", 0x20, 0x20, 0, 0),
		plan.Cwd("process.cwd", "/srv/app"),
		plan.HomeFind("process.env", 1000),
		plan.Env("process.env", []string{"PATH=/bin", "TERM=xterm"}),
		plan.ExecFind("process.args", "sh", "/bin"),
		plan.PidfdSend("/run/pidfd", "standard"),
		plan.CgroupKeep("linux.cgroupsPath", []string{"/sys/fs/cgroup/cpu/c1"}, plan.FlagReady),
		plan.Outlive(), plan.Gate(),
		plan.CapsTrim("process.capabilities", 0x20, 0x20, 0),
		plan.SeccompNotify("linux.seccomp", "/run/agent", "x", []byte{6, 0, 0, 0, 0, 0, 255, 127}, 8),
		plan.FdClose(3),
		plan.Exec("process.args", []string{"sh", "-c", "true"}),
	} {
		p.Add(op)
	}
	return p
}

// smallPlan is the least that Validate accepts, and root-enter, which cannot
// stand in one plan with root-bind.
func smallPlan() *plan.Plan {
	p := &plan.Plan{}
	for _, op := range []plan.Op{plan.Spawn("linux.namespaces", 0, plan.NoSlot), plan.FdSeal(3), plan.RootEnter("root.path", plan.NoSlot), plan.CapsBound("process", 0),
		plan.Identity("process.user", 0, 0, 0, nil, plan.FlagKeepGroups), plan.CapsSet("process", 0, 0, 0, 0), plan.FdClose(3),
		plan.Exec("process.args", []string{"/bin/true"})} {
		p.Add(op)
	}
	return p
}
