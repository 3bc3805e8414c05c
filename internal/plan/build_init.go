package plan

// Constructors of init-side ops: the process and its namespaces. Those of the
// file system are in build_mount.go.

// FdSeal marks every descriptor from the given one on close-on-exec.
func FdSeal(from int) Op { return Op{Code: OpFdSeal, Num: [4]uint64{uint64(from)}} }

// CgroupJoin joins the v1 hierarchy whose tasks file is in the slot.
func CgroupJoin(field string, tasks Slot) Op {
	return Op{Code: OpCgroupJoin, Field: field, Num: [4]uint64{uint64(tasks)}}
}

// OomScore sets oom_score_adj to a decimal number.
func OomScore(field, value string) Op {
	return Op{Code: OpOomScore, Field: field, Str: [3]string{value}}
}

// NsJoin joins the namespace in the slot.
func NsJoin(field string, nstype uint64, ns Slot) Op {
	return Op{Code: OpNsJoin, Field: field, Num: [4]uint64{nstype, uint64(ns)}}
}

// FsOpen makes a file system that shows a namespace which has been joined; flags may
// be FlagIgnore, for where the kernel need not be asked.
func FsOpen(field, fstype string, options []string, into Slot, flags uint32) Op {
	return Op{Code: OpFsOpen, Field: field, Flags: flags, Str: [3]string{fstype}, Num: [4]uint64{uint64(into)}, Blob: [2][]byte{List(options)}}
}

// NsEnter joins namespaces of the process pid, which the slot has a pidfd of; pid
// may be 0 where /proc is not the host's any more. flags may be FlagKeepGroups, for
// a user namespace, and FlagClose.
func NsEnter(field string, types uint64, target Slot, pid int, flags uint32) Op {
	return Op{Code: OpNsEnter, Field: field, Flags: flags, Num: [4]uint64{types, uint64(target), uint64(pid)}}
}

// CPUEnter is Affinity in the phase enter.
func CPUEnter(field, cpus string, mask []byte, flags uint32) Op {
	return Op{Code: OpCPUEnter, Field: field, Flags: flags, Str: [3]string{cpus}, Blob: [2][]byte{mask}}
}

// RootEnter makes the directory of the slot the root, or with NoSlot finds the
// one that the mount namespace has.
func RootEnter(field string, root Slot) Op {
	return Op{Code: OpRootEnter, Field: field, Num: [4]uint64{uint64(root)}}
}

// Console makes the terminal; rows and columns 0 leave the kernel's size. flags
// may be FlagBind, for /dev/console.
func Console(field string, socket Slot, rows, columns uint, flags uint32) Op {
	return Op{Code: OpConsole, Field: field, Flags: flags, Num: [4]uint64{uint64(socket), uint64(rows), uint64(columns)}}
}

// Unshare makes new namespaces for the init itself.
func Unshare(field string, flags uint64) Op {
	return Op{Code: OpUnshare, Field: field, Num: [4]uint64{flags}}
}

// Expose makes the process dumpable for as long as no namespace of others is joined.
func Expose(field string) Op { return Op{Code: OpExpose, Field: field} }

// TimeOpen opens timens_offsets.
func TimeOpen(field string) Op { return Op{Code: OpTimeOpen, Field: field} }

// TimeOffset writes lines of "clock secs nanosecs" to timens_offsets.
func TimeOffset(field, offsets string) Op {
	return Op{Code: OpTimeOffset, Field: field, Str: [3]string{offsets}}
}

// Fork goes on in a sibling with the CLONE_NEW* flags, in the v2 cgroup of the slot.
func Fork(field string, flags uint64, cgroup Slot) Op {
	return Op{Code: OpFork, Field: field, Num: [4]uint64{flags, uint64(cgroup)}}
}

// BecomeRoot takes the ids 0 of the user namespace just entered.
func BecomeRoot(field string) Op { return Op{Code: OpBecomeRoot, Field: field} }

// Session calls setsid(2).
func Session() Op { return Op{Code: OpSession} }

// Keyring joins a new session keyring of the given name.
func Keyring(name string) Op {
	return Op{Code: OpKeyring, Str: [3]string{name}}
}

// LoopbackUp brings lo up.
func LoopbackUp(field string) Op { return Op{Code: OpLoopbackUp, Field: field} }

// Hostname calls sethostname(2).
func Hostname(field, name string) Op {
	return Op{Code: OpHostname, Field: field, Str: [3]string{name}}
}

// Domainname calls setdomainname(2).
func Domainname(field, name string) Op {
	return Op{Code: OpDomainname, Field: field, Str: [3]string{name}}
}

// Sysctl writes value to the sysctl whose key has slashes: "net/ipv4/ip_forward".
func Sysctl(field, key, value string) Op {
	return Op{Code: OpSysctl, Field: field, Str: [3]string{key, value}}
}

// Rlimit sets a limit by its RLIMIT_* number; ^0 is infinity.
func Rlimit(field, name string, resource, soft, hard uint64) Op {
	return Op{Code: OpRlimit, Field: field, Str: [3]string{name}, Num: [4]uint64{resource, soft, hard}}
}

// Personality calls personality(2).
func Personality(field string, persona uint64) Op {
	return Op{Code: OpPersonality, Field: field, Num: [4]uint64{persona}}
}

// Scheduler calls sched_setattr(2) with an encoded struct sched_attr.
func Scheduler(field, policy string, attr []byte) Op {
	return Op{Code: OpScheduler, Field: field, Str: [3]string{policy}, Blob: [2][]byte{attr}}
}

// IOPriority calls ioprio_set(2) for this process.
func IOPriority(field string, prio uint64) Op {
	return Op{Code: OpIOPriority, Field: field, Num: [4]uint64{prio}}
}

// Affinity calls sched_setaffinity(2) with a CPU mask, lowest CPU first.
func Affinity(field, cpus string, mask []byte, flags uint32) Op {
	return Op{Code: OpAffinity, Field: field, Flags: flags, Str: [3]string{cpus}, Blob: [2][]byte{mask}}
}

// MemoryPolicy calls set_mempolicy(2); value is mode or'ed with its flags.
func MemoryPolicy(field, mode string, value uint64, nodes []byte) Op {
	return Op{Code: OpMemoryPolicy, Field: field, Str: [3]string{mode}, Num: [4]uint64{value}, Blob: [2][]byte{nodes}}
}

// StdioOwner gives the standard streams to a user, as far as the kernel lets.
func StdioOwner(field string, uid uint32, flags uint32) Op {
	return Op{Code: OpStdioOwner, Field: field, Flags: flags, Num: [4]uint64{uint64(uid)}}
}

// LsmExec writes a label to a file of /proc/thread-self/attr.
func LsmExec(field, attr, label string) Op {
	return Op{Code: OpLsmExec, Field: field, Str: [3]string{attr, label}}
}

// NoNewPrivs sets the flag of that name.
func NoNewPrivs(field string) Op { return Op{Code: OpNoNewPrivs, Field: field} }

// Seccomp installs a BPF program (struct sock_filter records).
func Seccomp(field string, filter []byte, flags uint64) Op {
	return Op{Code: OpSeccomp, Field: field, Num: [4]uint64{flags}, Blob: [2][]byte{filter}}
}

// SeccompNotify installs a BPF program whose listener goes to the socket path, with
// the metadata.
func SeccompNotify(field, path, metadata string, filter []byte, flags uint64) Op {
	return Op{Code: OpSeccompNotify, Field: field, Str: [3]string{path, metadata}, Num: [4]uint64{flags}, Blob: [2][]byte{filter}}
}

// CapsBound drops every bounding capability that the mask lacks.
func CapsBound(field string, keep uint64) Op {
	return Op{Code: OpCapsBound, Field: field, Num: [4]uint64{keep}}
}

// CwdMake makes the working directory inside the root if it is missing.
func CwdMake(field, path string) Op { return Op{Code: OpCwdMake, Field: field, Str: [3]string{path}} }

// Identity sets the ids. groups is little-endian u32s; flags may be FlagKeepGroups.
func Identity(field string, uid, gid, umask uint32, groups []byte, flags uint32) Op {
	return Op{Code: OpIdentity, Field: field, Flags: flags, Num: [4]uint64{uint64(uid), uint64(gid), uint64(umask)}, Blob: [2][]byte{groups}}
}

// CapsSet sets four capability sets exactly.
func CapsSet(field string, permitted, effective, inheritable, ambient uint64) Op {
	return Op{Code: OpCapsSet, Field: field, Num: [4]uint64{permitted, effective, inheritable, ambient}}
}

// CapsTrim sets three sets; the ambient one follows by itself.
func CapsTrim(field string, permitted, effective, inheritable uint64) Op {
	return Op{Code: OpCapsTrim, Field: field, Num: [4]uint64{permitted, effective, inheritable}}
}

// Cwd enters the working directory.
func Cwd(field, path string) Op { return Op{Code: OpCwd, Field: field, Str: [3]string{path}} }

// HomeFind sets HOME from /etc/passwd, and to / where the uid is not in it.
func HomeFind(field string, uid uint32) Op {
	return Op{Code: OpHomeFind, Field: field, Num: [4]uint64{uint64(uid)}}
}

// Env sets the environment ("NAME=value").
func Env(field string, env []string) Op {
	return Op{Code: OpEnv, Field: field, Blob: [2][]byte{List(env)}}
}

// ExecFind looks the program up; path is the value of PATH.
func ExecFind(field, program, path string) Op {
	return Op{Code: OpExecFind, Field: field, Str: [3]string{program, path}}
}

// Outlive ends the bond by which the process dies when the runtime does.
func Outlive() Op { return Op{Code: OpOutlive} }

// Gate waits for start.
func Gate() Op { return Op{Code: OpGate} }

// FdClose keeps descriptors below from and closes the rest at the execve.
func FdClose(from int) Op { return Op{Code: OpFdClose, Num: [4]uint64{uint64(from)}} }

// Exec becomes the program found by ExecFind.
func Exec(field string, args []string) Op {
	return Op{Code: OpExec, Field: field, Blob: [2][]byte{List(args)}}
}

// HookRun runs a container-namespace hook. The state on its stdin is head, the
// hook's parent's pid in its own namespace, and tail. timeout is in seconds.
func HookRun(field string, index int, path string, args, env []string, timeout int, head, tail string) Op {
	return Op{Code: OpHookRun, Field: field, Num: [4]uint64{uint64(index), uint64(timeout)}, Str: [3]string{path, head, tail},
		Blob: [2][]byte{List(args), List(env)}}
}

// HookState makes the state for those hooks of HookRun that have FlagPrepared.
func HookState(field, head, tail string) Op {
	return Op{Code: OpHookState, Field: field, Str: [3]string{"", head, tail}}
}

// WithOutput gives a hook of HookRun the slots of files for its output instead of
// the pipe that keeps the end of it for the error, and makes Gate leave them open.
func (op Op) WithOutput(stdout, stderr Slot) Op {
	op.Num[2], op.Num[3] = uint64(stdout), uint64(stderr)
	return op
}
