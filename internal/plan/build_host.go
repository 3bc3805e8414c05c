package plan

import "strconv"

// Constructors of host-side and sync ops. Every one takes the config field that
// asked for it, so that no op is without a source.

// CgroupMake makes a directory of a hierarchy; open is the file that the init
// joins by ("tasks"), or "" for the directory itself (v2). flags: FlagV2, and
// FlagReady where the directories on the way need to be made ready for limits.
func CgroupMake(field, hierarchy, path, open string, into Slot, flags uint32) Op {
	return Op{Code: OpCgroupMake, Field: field, Flags: flags, Str: [3]string{hierarchy, path, open}, Num: [4]uint64{uint64(into)}}
}

// CgroupWrite writes one value into a cgroup file; flags may be FlagIgnore.
func CgroupWrite(field, dir, file, value string, flags uint32) Op {
	return Op{Code: OpCgroupWrite, Field: field, Flags: flags, Str: [3]string{dir, file, value}}
}

// UnitStart starts a transient unit of the manager "system" or "user". Its
// cgroups are directories; a property is "Name=value", the value in GVariant's
// text format. flags: FlagProcess for a scope that takes the spawned process, and
// FlagReady where controllers that systemd does not know have to be enabled.
func UnitStart(field, manager, unit string, cgroups, properties []string, flags uint32) Op {
	return Op{Code: OpUnitStart, Field: field, Flags: flags, Str: [3]string{manager, unit}, Blob: [2][]byte{List(properties), List(cgroups)}}
}

// CgroupKeep keeps the process in v1 cgroups that it has joined, given by their
// directories. flags: FlagReady to wait before until systemd has done what it was at.
func CgroupKeep(field string, dirs []string, flags uint32) Op {
	return Op{Code: OpCgroupKeep, Field: field, Flags: flags, Blob: [2][]byte{List(dirs)}}
}

// DeviceFilter restricts the devices of a v2 cgroup. Each rule is "allow" or
// "deny", the type, "major:minor" and some of "rwm".
func DeviceFilter(field, dir string, rules []string) Op {
	return Op{Code: OpDeviceFilter, Field: field, Str: [3]string{dir}, Blob: [2][]byte{List(rules)}}
}

// CgroupOwner delegates a v2 cgroup to a user of the host.
func CgroupOwner(field, dir string, uid uint32) Op {
	return Op{Code: OpCgroupOwner, Field: field, Str: [3]string{dir}, Num: [4]uint64{uint64(uid)}}
}

// NetMake begins to make the network namespace.
func NetMake(field string, into Slot) Op {
	return Op{Code: OpNetMake, Field: field, Num: [4]uint64{uint64(into)}}
}

// NsOpen opens a namespace file of the given CLONE_NEW* type; flags may be set to
// FlagForeign.
func NsOpen(field, path string, nstype uint64, into Slot) Op {
	return Op{Code: OpNsOpen, Field: field, Str: [3]string{path}, Num: [4]uint64{nstype, uint64(into)}}
}

// TreeOpen clones the mounts at a host path; flags may be FlagRecursive.
func TreeOpen(field, path string, into Slot, flags uint32) Op {
	return Op{Code: OpTreeOpen, Field: field, Flags: flags, Str: [3]string{path}, Num: [4]uint64{uint64(into)}}
}

// TreeIdmap maps the owners of a detached tree. Each line of uids and gids is
// "container host size", as in uid_map; flags may be FlagRecursive.
func TreeIdmap(field string, tree Slot, uids, gids []string, flags uint32) Op {
	return Op{Code: OpTreeIdmap, Field: field, Flags: flags, Num: [4]uint64{uint64(tree)}, Blob: [2][]byte{List(uids), List(gids)}}
}

// TreeIdmapLike maps the owners of a detached tree as the user namespace in the
// slot maps its own; flags may be FlagRecursive.
func TreeIdmapLike(field string, tree, ns Slot, flags uint32) Op {
	return Op{Code: OpTreeIdmap, Field: field, Flags: flags, Num: [4]uint64{uint64(tree), uint64(ns)}}
}

// RdtGroup finds or makes a resctrl group; flags may be FlagExisting or FlagNew.
func RdtGroup(field, path string, flags uint32) Op {
	return Op{Code: OpRdtGroup, Field: field, Flags: flags, Str: [3]string{path}}
}

// RdtSchema writes lines to the schemata file of a group; flags may be FlagMatch.
func RdtSchema(field, group, schema string, flags uint32) Op {
	return Op{Code: OpRdtSchema, Field: field, Flags: flags, Str: [3]string{group, schema}}
}

// RdtJoin puts the process into a resctrl group.
func RdtJoin(field, group string) Op {
	return Op{Code: OpRdtJoin, Field: field, Str: [3]string{group}}
}

// NetdevMove moves a network device; to may end in %d.
func NetdevMove(field, device, to string) Op {
	return Op{Code: OpNetdevMove, Field: field, Str: [3]string{device, to}}
}

// HookLog opens the file for the output of hooks that the init runs.
func HookLog(field, path string, into Slot) Op {
	return Op{Code: OpHookLog, Field: field, Str: [3]string{path}, Num: [4]uint64{uint64(into)}}
}

// DeviceNode makes a node with S_IF* bits in mode. The owner's ids are the host's.
func DeviceNode(field string, mode uint32, dev uint64, uid, gid uint32, into Slot) Op {
	owner := strconv.FormatUint(uint64(uid), 10) + ":" + strconv.FormatUint(uint64(gid), 10)
	return Op{Code: OpDeviceNode, Field: field, Str: [3]string{owner}, Num: [4]uint64{uint64(mode), dev, uint64(into)}}
}

// GateOpen makes the start gate.
func GateOpen(field string) Op { return Op{Code: OpGateOpen, Field: field} }

// TargetOpen opens a pidfd of the container's process; start is its start time
// (state.StartTime).
func TargetOpen(field string, pid int, start uint64, into Slot) Op {
	return Op{Code: OpTargetOpen, Field: field, Num: [4]uint64{uint64(pid), start, uint64(into)}}
}

// CgroupOpen opens an existing directory of a hierarchy, or the file in it.
func CgroupOpen(field, hierarchy, path, open string, into Slot) Op {
	return Op{Code: OpCgroupOpen, Field: field, Str: [3]string{hierarchy, path, open}, Num: [4]uint64{uint64(into)}}
}

// RootOpen opens the root directory of a process.
func RootOpen(field string, pid int, into Slot) Op {
	return Op{Code: OpRootOpen, Field: field, Num: [4]uint64{uint64(pid), uint64(into)}}
}

// ConsoleOpen connects to the console socket at path, "" for the runtime's own.
func ConsoleOpen(field, path string, into Slot) Op {
	return Op{Code: OpConsoleOpen, Field: field, Str: [3]string{path}, Num: [4]uint64{uint64(into)}}
}

// SpawnAffinity sets the CPUs on which the process begins.
func SpawnAffinity(field, cpus string, mask []byte) Op {
	return Op{Code: OpSpawnAffinity, Field: field, Str: [3]string{cpus}, Blob: [2][]byte{mask}}
}

// PidfdSend sends a pidfd of the process with the word kind.
func PidfdSend(path, kind string) Op {
	return Op{Code: OpPidfdSend, Field: "--pidfd-socket", Str: [3]string{path, kind}}
}

// Spawn starts the init with the CLONE_NEW* flags, in the v2 cgroup of the slot.
func Spawn(field string, flags uint64, cgroup Slot) Op {
	return Op{Code: OpSpawn, Field: field, Num: [4]uint64{flags, uint64(cgroup)}}
}

// IDMap writes the maps of the user namespace that the init has made; FlagUIDHelper
// and FlagGIDHelper may be set too.
func IDMap(field string, uids, gids []string, denySetgroups bool) Op {
	op := Op{Code: OpIDMap, Field: field, Blob: [2][]byte{List(uids), List(gids)}}
	if denySetgroups {
		op.Flags |= FlagDenySetgrp
	}
	return op
}

// StateSave records the process in state.json.
func StateSave(field string) Op { return Op{Code: OpStateSave, Field: field} }

// Hook runs a runtime-namespace hook. timeout is in seconds, 0 for none; with
// inherit it gets the runtime's environment instead of env.
func Hook(field, kind string, index int, path string, args, env []string, timeout int, inherit bool) Op {
	op := Op{Code: OpHook, Field: field, Num: [4]uint64{uint64(index), uint64(timeout)}, Str: [3]string{kind, path},
		Blob: [2][]byte{List(args), List(env)}}
	if inherit {
		op.Flags |= FlagInheritEnv
	}
	return op
}

// FdPass ends the phase in which both sides work at once.
func FdPass() Op { return Op{Code: OpFdPass} }

// SyncArrive is the init's word that it has come this far.
func SyncArrive(at string) Op { return Op{Code: OpSyncArrive, Str: [3]string{at}} }

// SyncAwait holds the init until the host has come this far.
func SyncAwait(at string) Op { return Op{Code: OpSyncAwait, Str: [3]string{at}} }
