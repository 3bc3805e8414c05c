package plan

// Code names an operation on the wire. Codes are never stored, so they may be
// renumbered freely: the plan's ABI hash covers the whole table.
type Code uint16

// The operations. Each has a row in the table below.
const (
	OpInvalid Code = iota

	// host side
	OpCgroupMake
	OpCgroupWrite
	OpUnitStart
	OpDeviceFilter
	OpCgroupOwner
	OpNetMake
	OpNsOpen
	OpTreeOpen
	OpTreeIdmap
	OpGateOpen
	OpRdtGroup
	OpRdtSchema
	OpHookLog
	OpDeviceNode
	OpSpawn
	OpIDMap
	OpStateSave
	OpRdtJoin
	OpNetdevMove
	OpHook
	OpTargetOpen
	OpCgroupOpen
	OpRootOpen
	OpConsoleOpen
	OpSpawnAffinity
	OpPidfdSend
	OpCgroupKeep

	// both sides
	OpSyncArrive
	OpSyncAwait
	OpSeccompNotify
	OpFdPass

	// init side
	OpFdSeal
	OpCgroupJoin
	OpOomScore
	OpNsJoin
	OpUnshare
	OpExpose
	OpTimeOpen
	OpTimeOffset
	OpFsOpen
	OpFork
	OpBecomeRoot
	OpSession
	OpKeyring
	OpLoopbackUp
	OpHostname
	OpDomainname
	OpProcOpen
	OpNullOpen
	OpMountPropagation
	OpRootBind
	OpMountFs
	OpMountBind
	OpMountRemount
	OpMountReadonly
	OpDirMake
	OpSymlinkMake
	OpDeviceMake
	OpDeviceBind
	OpHookRun
	OpRootPivot
	OpRootMove
	OpRootChroot
	OpRootAttr
	OpSysctl
	OpMaskPrepare
	OpPathReadonly
	OpPathMask
	OpHookState
	OpRlimit
	OpPersonality
	OpScheduler
	OpIOPriority
	OpAffinity
	OpMemoryPolicy
	OpStdioOwner
	OpLsmExec
	OpNoNewPrivs
	OpSeccomp
	OpCapsBound
	OpCwdMake
	OpIdentity
	OpCapsSet
	OpCapsTrim
	OpCwd
	OpHomeFind
	OpExecFind
	OpEnv
	OpOutlive
	OpGate
	OpFdClose
	OpExec
	OpNsEnter
	OpCPUEnter
	OpRootEnter
	OpConsole

	opCount
)

// argKind says how an argument is stored, checked and printed.
type argKind uint8

const (
	argStr     argKind = iota + 1 // Str[at]: a path, name or value; may not be empty
	argStrOpt                     // Str[at], may be empty
	argList                       // Blob[at]: NUL-terminated strings
	argBytes                      // Blob[at]: raw bytes
	argDec                        // Num[at], decimal
	argInt                        // Num[at], signed decimal
	argOct                        // Num[at], octal (a mode)
	argHex                        // Num[at], hexadecimal
	argBits                       // Num[at], names from bits
	argAttr                       // Num[at], mount attributes: set in the low half, cleared in the high half
	argSlotIn                     // Num[at], a slot that must be filled
	argSlotOpt                    // Num[at], NoSlot or a slot that must be filled
	argSlotOut                    // Num[at], a slot that this op fills
	argDev                        // Num[at], major:minor
)

type arg struct {
	name string
	kind argKind
	at   uint8
	bits []bitName
}

type bitName struct {
	bit  uint64
	name string
}

// opRow is one operation: the single source for the C header, the text form,
// the checks and docs/plan.md.
type opRow struct {
	name  string
	side  Side
	phase Phase
	last  Phase // the last phase it may stand in; equal to phase for most
	early bool  // it may stand in the phase beside, too, where nothing of the host's is needed
	doc   string
	args  []arg
	flags []bitName
	uses  []Slot
	fills []Slot
}

// Flags of ops. Bit 0 is the same everywhere.
const (
	FlagIgnore     uint32 = 1 << 0 // a failure is expected and harmless; the op is then skipped
	FlagRecursive  uint32 = 1 << 1
	FlagMakeDir    uint32 = 1 << 2 // make the target as a directory when it is missing
	FlagMakeFile   uint32 = 1 << 3 // make the target as an empty file when it is missing
	FlagRealDir    uint32 = 1 << 4 // the target must be a real directory, reached through no symlink
	FlagCopyUp     uint32 = 1 << 5 // fill the new tmpfs with what it covers
	FlagLegacy     uint32 = 1 << 6 // mount(2): a value is too long for fsconfig(2)
	FlagV2         uint32 = 1 << 7
	FlagKeepGroups uint32 = 1 << 8
	FlagFlagsSet   uint32 = 1 << 9
	FlagInheritEnv uint32 = 1 << 10
	FlagDenySetgrp uint32 = 1 << 11
	FlagParentPriv uint32 = 1 << 12
	FlagPrivate    uint32 = 1 << 13
	FlagReady      uint32 = 1 << 14
	FlagKeepMode   uint32 = 1 << 15
	FlagExisting   uint32 = 1 << 16 // it must be there already
	FlagNew        uint32 = 1 << 17 // it must not be there yet
	FlagMatch      uint32 = 1 << 18 // what was there before must have this value already
	FlagClose      uint32 = 1 << 19 // close what the op used
	FlagBind       uint32 = 1 << 20 // make it visible at a path, too
	FlagUIDHelper  uint32 = 1 << 21 // newuidmap(1) writes the map, because the caller may not
	FlagGIDHelper  uint32 = 1 << 22 // newgidmap(1) does
	FlagForeign    uint32 = 1 << 23 // it must not be the runtime's own
	FlagPrepared   uint32 = 1 << 24 // by an op before
	FlagProcess    uint32 = 1 << 25 // with the spawned process in it
	FlagTerminal   uint32 = 1 << 26 // it is a terminal of the container's own
	FlagDetached   uint32 = 1 << 27 // read-only, and nothing above it can be reached
)

// Written out, not composed: then the whole table is data of the binary, and
// nothing of it is made when a command starts.
var (
	fsFlags = []bitName{{uint64(FlagCopyUp), "copy-up"}, {uint64(FlagKeepMode), "keep-mode"}, {uint64(FlagLegacy), "legacy"}, {uint64(FlagIgnore), "ignore-failure"},
		{uint64(FlagMakeDir), "mkdir"}, {uint64(FlagMakeFile), "mkfile"}, {uint64(FlagRealDir), "real-dir"}}
	bindFlags = []bitName{{uint64(FlagRecursive), "recursive"}, {uint64(FlagIgnore), "ignore-failure"},
		{uint64(FlagMakeDir), "mkdir"}, {uint64(FlagMakeFile), "mkfile"}, {uint64(FlagRealDir), "real-dir"}}
	ignoreFlag = []bitName{{uint64(FlagIgnore), "ignore-failure"}}
)

func str(name string, at uint8) arg    { return arg{name: name, kind: argStr, at: at} }
func strOpt(name string, at uint8) arg { return arg{name: name, kind: argStrOpt, at: at} }
func num(name string, at uint8) arg    { return arg{name: name, kind: argDec, at: at} }
func list(name string, at uint8) arg   { return arg{name: name, kind: argList, at: at} }
func in(name string, at uint8) arg     { return arg{name: name, kind: argSlotIn, at: at} }
func inOpt(name string, at uint8) arg  { return arg{name: name, kind: argSlotOpt, at: at} }
func out(name string, at uint8) arg    { return arg{name: name, kind: argSlotOut, at: at} }
func bits(name string, at uint8, b []bitName) arg {
	return arg{name: name, kind: argBits, at: at, bits: b}
}

// row looks an op up; ok is false for a code that no op has.
func row(c Code) (*opRow, bool) {
	if c == OpInvalid || c >= opCount {
		return nil, false
	}
	return &table[c], true
}

// Name returns the op's name, as the text form and the errors spell it.
func (c Code) Name() string {
	if r, ok := row(c); ok {
		return r.name
	}
	return "invalid"
}

// Side says who runs the op.
func (c Code) Side() Side {
	if r, ok := row(c); ok {
		return r.side
	}
	return Both
}

// Phase is the phase the op belongs to (the first one, for the few that may
// stand in several).
func (c Code) Phase() Phase {
	if r, ok := row(c); ok {
		return r.phase
	}
	return phaseCount
}

// Codes returns every operation, in table order.
func Codes() []Code {
	out := make([]Code, 0, opCount-1)
	for c := OpInvalid + 1; c < opCount; c++ {
		out = append(out, c)
	}
	return out
}
