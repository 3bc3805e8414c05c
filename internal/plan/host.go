package plan

import (
	"strconv"
	"strings"
)

// What the host interpreter reads from its ops. The numbers of the arguments
// stay in this package, beside the constructors.

// Outs are the slots that an op fills with descriptors, in the order in which
// the init numbers those it inherits.
func (op *Op) Outs() []Slot {
	r, ok := row(op.Code)
	if !ok {
		return nil
	}
	var out []Slot
	for n := uint8(0); n < 4; n++ {
		for i := range r.args {
			if r.args[i].kind == argSlotOut && r.args[i].at == n {
				out = append(out, Slot(op.Num[n]))
			}
		}
	}
	return append(out, r.fills...)
}

// Has reports whether a flag is set.
func (op *Op) Has(flag uint32) bool { return op.Flags&flag != 0 }

// CgroupMakeArgs returns the directory and the file in it to open.
func (op *Op) CgroupMakeArgs() (path, open string) { return op.Str[1], op.Str[2] }

// CgroupWriteArgs returns the directory, the file in it and the value.
func (op *Op) CgroupWriteArgs() (dir, file, value string) { return op.Str[0], op.Str[1], op.Str[2] }

// UnitStartArgs returns the unit, its cgroups and its properties.
func (op *Op) UnitStartArgs() (unit string, cgroups, properties []string) {
	return op.Str[1], Unlist(op.Blob[1]), Unlist(op.Blob[0])
}

// CgroupKeepArgs returns the directories.
func (op *Op) CgroupKeepArgs() (dirs []string) { return Unlist(op.Blob[0]) }

// DeviceFilterArgs returns the directory and the rules.
func (op *Op) DeviceFilterArgs() (dir string, rules []string) {
	return op.Str[0], Unlist(op.Blob[0])
}

// CgroupOwnerArgs returns the directory and its owner to be.
func (op *Op) CgroupOwnerArgs() (dir string, uid int) { return op.Str[0], int(op.Num[0]) }

// NsOpenArgs returns the path and the CLONE_NEW* type it must have.
func (op *Op) NsOpenArgs() (path string, nstype uint64) { return op.Str[0], op.Num[0] }

// TreeOpenArgs returns the path.
func (op *Op) TreeOpenArgs() (path string) { return op.Str[0] }

// TreeIdmapArgs returns the tree and the user namespace to take the maps from,
// or NoSlot and their lines.
func (op *Op) TreeIdmapArgs() (tree, ns Slot, uids, gids []string) {
	return Slot(op.Num[0]), Slot(op.Num[1]), Unlist(op.Blob[0]), Unlist(op.Blob[1])
}

// RdtGroupArgs returns the group's directory.
func (op *Op) RdtGroupArgs() (path string) { return op.Str[0] }

// RdtSchemaArgs returns the group's directory and the lines.
func (op *Op) RdtSchemaArgs() (group, schema string) { return op.Str[0], op.Str[1] }

// RdtJoinArgs returns the group's directory.
func (op *Op) RdtJoinArgs() (group string) { return op.Str[0] }

// NetdevMoveArgs returns the names on the host and in the container.
func (op *Op) NetdevMoveArgs() (device, to string) { return op.Str[0], op.Str[1] }

// HookLogArgs returns the file's path.
func (op *Op) HookLogArgs() (path string) { return op.Str[0] }

// DeviceNodeArgs returns the mode with its S_IF* bits, the number as mknod(2)
// takes it apart, and the host's ids of the owner.
func (op *Op) DeviceNodeArgs() (mode uint32, major, minor uint32, uid, gid int) {
	u, g, _ := strings.Cut(op.Str[0], ":")
	uid, _ = strconv.Atoi(u)
	gid, _ = strconv.Atoi(g)
	return uint32(op.Num[0]), uint32(op.Num[1] >> 32), uint32(op.Num[1]), uid, gid
}

// TargetOpenArgs returns the process and its start time.
func (op *Op) TargetOpenArgs() (pid int, start uint64) { return int(op.Num[0]), op.Num[1] }

// CgroupOpenArgs returns the directory and the file in it to open.
func (op *Op) CgroupOpenArgs() (path, open string) { return op.Str[1], op.Str[2] }

// RootOpenArgs returns the process.
func (op *Op) RootOpenArgs() (pid int) { return int(op.Num[0]) }

// ConsoleOpenArgs returns the socket's path.
func (op *Op) ConsoleOpenArgs() (path string) { return op.Str[0] }

// SpawnAffinityArgs returns the CPU mask, lowest CPU first.
func (op *Op) SpawnAffinityArgs() (mask []byte) { return op.Blob[0] }

// PidfdSendArgs returns the socket's path and the word.
func (op *Op) PidfdSendArgs() (path, kind string) { return op.Str[0], op.Str[1] }

// SpawnArgs returns the CLONE_NEW* flags and the v2 cgroup, or NoSlot.
func (op *Op) SpawnArgs() (flags uint64, cgroup Slot) { return op.Num[0], Slot(op.Num[1]) }

// IDMapArgs returns the lines of the maps.
func (op *Op) IDMapArgs() (uids, gids []string) { return Unlist(op.Blob[0]), Unlist(op.Blob[1]) }

// HookArgs returns a hook; env is nil where the runtime's is inherited.
func (op *Op) HookArgs() (kind string, index int, path string, args, env []string, timeout int) {
	env = Unlist(op.Blob[1])
	if env == nil && !op.Has(FlagInheritEnv) {
		env = []string{}
	}
	return op.Str[0], int(op.Num[0]), op.Str[1], Unlist(op.Blob[0]), env, int(op.Num[1])
}

// SeccompNotifyArgs returns the agent's socket and what it is told.
func (op *Op) SeccompNotifyArgs() (path, metadata string) { return op.Str[0], op.Str[1] }

// Value is the one argument that a message shows for an op: the target of a
// mount, the key of a sysctl.
func (op *Op) Value() string {
	r, ok := row(op.Code)
	if !ok {
		return ""
	}
	first := ""
	for i := range r.args {
		a := &r.args[i]
		if a.kind != argStr && a.kind != argStrOpt {
			continue
		}
		switch a.name {
		case "at", "path", "unit":
			return op.Str[a.at]
		case "label": // AppArmor's begins with what shall be done with it
			return strings.TrimPrefix(op.Str[a.at], "exec ")
		}
		if first == "" {
			first = op.Str[a.at]
		}
	}
	return first
}

// Makes says that an unshare, fork or spawn op makes a namespace of this type.
func (op *Op) Makes(nstype uint64) bool {
	return (op.Code == OpUnshare || op.Code == OpFork || op.Code == OpSpawn) && op.Num[0]&nstype != 0
}

// MountFsType is the file system type of a mount-fs op.
func (op *Op) MountFsType() string { return op.Str[0] }

// Program is what an exec-find or exec op is about.
func (op *Op) Program() string {
	if op.Code == OpExecFind {
		return op.Str[0]
	}
	if a := Unlist(op.Blob[0]); len(a) > 0 {
		return a[0]
	}
	return ""
}
