//go:build cgo && libseccomp

package main

import (
	"fmt"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// archs are the architectures that a machine of GOARCH can enter.
var archs = map[string]map[specs.Arch]libseccomp.ScmpArch{
	"amd64": {specs.ArchX86_64: libseccomp.ArchAMD64, specs.ArchX86: libseccomp.ArchX86, specs.ArchX32: libseccomp.ArchX32},
	"arm64": {specs.ArchAARCH64: libseccomp.ArchARM64, specs.ArchARM: libseccomp.ArchARM},
}

func native() map[specs.Arch]libseccomp.ScmpArch { return archs[runtime.GOARCH] }

var actions = map[specs.LinuxSeccompAction]libseccomp.ScmpAction{
	specs.ActKill: libseccomp.ActKillThread, specs.ActKillThread: libseccomp.ActKillThread, specs.ActKillProcess: libseccomp.ActKillProcess,
	specs.ActTrap: libseccomp.ActTrap, specs.ActErrno: libseccomp.ActErrno, specs.ActTrace: libseccomp.ActTrace,
	specs.ActAllow: libseccomp.ActAllow, specs.ActLog: libseccomp.ActLog, specs.ActNotify: libseccomp.ActNotify,
}

var operators = map[specs.LinuxSeccompOperator]libseccomp.ScmpCompareOp{
	specs.OpNotEqual: libseccomp.CompareNotEqual, specs.OpLessThan: libseccomp.CompareLess, specs.OpLessEqual: libseccomp.CompareLessOrEqual,
	specs.OpEqualTo: libseccomp.CompareEqual, specs.OpGreaterEqual: libseccomp.CompareGreaterEqual,
	specs.OpGreaterThan: libseccomp.CompareGreater, specs.OpMaskedEqual: libseccomp.CompareMaskedEqual,
}

// action joins an action and its errno, which is EPERM where none is given.
func action(name specs.LinuxSeccompAction, errno *uint) (libseccomp.ScmpAction, error) {
	a, ok := actions[name]
	if !ok {
		return 0, fmt.Errorf("%q is not a seccomp action", name)
	}
	if name != specs.ActErrno && name != specs.ActTrace {
		return a, nil
	}
	code := int16(1)
	if errno != nil {
		code = int16(uint16(*errno))
	}
	return a.SetReturnCode(code), nil
}

// conditions are the rules of an entry: one with all comparisons, or one for each
// if an argument is compared twice, which libseccomp takes in no single rule.
func conditions(args []specs.LinuxSeccompArg) ([][]libseccomp.ScmpCondition, error) {
	var all []libseccomp.ScmpCondition
	seen := map[uint]bool{}
	repeated := false
	for _, a := range args {
		op, ok := operators[a.Op]
		if !ok {
			return nil, fmt.Errorf("%q is not a seccomp operator", a.Op)
		}
		c, err := libseccomp.MakeCondition(a.Index, op, a.Value, a.ValueTwo)
		if err != nil {
			return nil, err
		}
		repeated, seen[a.Index] = repeated || seen[a.Index], true
		all = append(all, c)
	}
	if !repeated {
		return [][]libseccomp.ScmpCondition{all}, nil
	}
	var each [][]libseccomp.ScmpCondition
	for i := range all {
		each = append(each, all[i:i+1])
	}
	return each, nil
}
