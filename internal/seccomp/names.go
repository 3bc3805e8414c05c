package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// action is a return value of the filter: a SECCOMP_RET_* number with its data
// in the low 16 bits.
type action uint32

// The SECCOMP_RET_* numbers of linux/seccomp.h.
const (
	retKillProcess action = 0x80000000
	retKillThread  action = 0x00000000
	retTrap        action = 0x00030000
	retErrno       action = 0x00050000
	retNotify      action = 0x7fc00000
	retTrace       action = 0x7ff00000
	retLog         action = 0x7ffc0000
	retAllow       action = 0x7fff0000
)

// The errno numbers that the compiler itself uses, the same on all its ABIs.
const (
	eperm  = 1
	enosys = 38
)

// The SECCOMP_FILTER_FLAG_* bits of linux/seccomp.h.
const (
	flagLog              = 1 << 1
	flagSpecAllow        = 1 << 2
	flagNewListener      = 1 << 3
	flagWaitKillableRecv = 1 << 5
)

// actionName is an action as a config spells it.
type actionName struct {
	name specs.LinuxSeccompAction
	ret  action
	data uint // the largest errnoRet; 0 if the action takes none
}

// actions is ordered by name. The kernel returns no errno above 4095; a tracer
// gets all 16 bits.
var actions = [...]actionName{
	{specs.ActAllow, retAllow, 0},
	{specs.ActErrno, retErrno, 4095},
	{specs.ActKill, retKillThread, 0},
	{specs.ActKillProcess, retKillProcess, 0},
	{specs.ActKillThread, retKillThread, 0},
	{specs.ActLog, retLog, 0},
	{specs.ActNotify, retNotify, 0},
	{specs.ActTrace, retTrace, 65535},
	{specs.ActTrap, retTrap, 0},
}

// operator is a comparison, in the order of libseccomp's enum scmp_compare.
type operator uint8

const (
	cmpNE operator = 1 + iota
	cmpLT
	cmpLE
	cmpEQ
	cmpGE
	cmpGT
	cmpMaskedEQ
)

// operators is ordered by name.
var operators = [...]struct {
	name specs.LinuxSeccompOperator
	op   operator
}{
	{specs.OpEqualTo, cmpEQ},
	{specs.OpGreaterEqual, cmpGE},
	{specs.OpGreaterThan, cmpGT},
	{specs.OpLessEqual, cmpLE},
	{specs.OpLessThan, cmpLT},
	{specs.OpMaskedEqual, cmpMaskedEQ},
	{specs.OpNotEqual, cmpNE},
}

// archs is ordered by name. An ABI of abiCount is one that never has code.
var archs = [...]struct {
	name specs.Arch
	abi  abi
}{
	{specs.ArchAARCH64, abiAARCH64},
	{specs.ArchARM, abiARM},
	{specs.ArchLOONGARCH64, abiCount},
	{specs.ArchM68K, abiCount},
	{specs.ArchMIPS, abiCount},
	{specs.ArchMIPS64, abiCount},
	{specs.ArchMIPS64N32, abiCount},
	{specs.ArchMIPSEL, abiCount},
	{specs.ArchMIPSEL64, abiCount},
	{specs.ArchMIPSEL64N32, abiCount},
	{specs.ArchPARISC, abiCount},
	{specs.ArchPARISC64, abiCount},
	{specs.ArchPPC, abiCount},
	{specs.ArchPPC64, abiCount},
	{specs.ArchPPC64LE, abiCount},
	{specs.ArchRISCV64, abiCount},
	{specs.ArchS390, abiCount},
	{specs.ArchS390X, abiCount},
	{specs.ArchSH, abiCount},
	{specs.ArchSHEB, abiCount},
	{specs.ArchX32, abiX32},
	{specs.ArchX86, abiI386},
	{specs.ArchX86_64, abiX86_64},
}

// flags is ordered by name. TSYNC sets no bit: the filter is installed by a
// process of one thread, so there is nothing to synchronise, and the kernel
// refuses it beside a listener.
var flags = [...]struct {
	name specs.LinuxSeccompFlag
	bit  uint32
}{
	{specs.LinuxSeccompFlagLog, flagLog},
	{specs.LinuxSeccompFlagSpecAllow, flagSpecAllow},
	{"SECCOMP_FILTER_FLAG_TSYNC", 0},
	{specs.LinuxSeccompFlagWaitKillableRecv, flagWaitKillableRecv},
}

// Actions are the names of all actions, sorted.
func Actions() []string {
	out := make([]string, len(actions))
	for i := range actions {
		out[i] = string(actions[i].name)
	}
	return out
}

// Operators are the names of all comparisons, sorted.
func Operators() []string {
	out := make([]string, len(operators))
	for i := range operators {
		out[i] = string(operators[i].name)
	}
	return out
}

// Archs are the names of all architectures that a config may list, sorted.
func Archs() []string {
	out := make([]string, len(archs))
	for i := range archs {
		out[i] = string(archs[i].name)
	}
	return out
}

// Flags are the names of all filter flags, sorted.
func Flags() []string {
	out := make([]string, len(flags))
	for i := range flags {
		out[i] = string(flags[i].name)
	}
	return out
}

func findAction(name specs.LinuxSeccompAction) (actionName, bool) {
	i := slices.IndexFunc(actions[:], func(a actionName) bool { return a.name == name })
	if i < 0 {
		return actionName{}, false
	}
	return actions[i], true
}

func findOperator(name specs.LinuxSeccompOperator) (operator, bool) {
	for i := range operators {
		if operators[i].name == name {
			return operators[i].op, true
		}
	}
	return 0, false
}

func findArch(name specs.Arch) (abi, bool) {
	for i := range archs {
		if archs[i].name == name {
			return archs[i].abi, true
		}
	}
	return 0, false
}

func findFlag(name specs.LinuxSeccompFlag) (bit uint32, ok bool) {
	for i := range flags {
		if flags[i].name == name {
			return flags[i].bit, true
		}
	}
	return 0, false
}
