package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// Adopt is Compile with a program that somebody else has compiled from the same
// section: libseccomp, in tare-seccomp. The section is checked just as well, the
// program is verified, and the rule for calls that are newer than the profile is
// put in front of it, which libseccomp does not have. Any other rule is that
// program's alone.
func Adopt(cfg *specs.LinuxSeccomp, nativeArch string, filter []byte, errs *field.List) *Program {
	if cfg == nil {
		return nil
	}
	before := errs.Len()
	p, targets := readFor(nativeArch, cfg, errs)
	code, err := decode(filter)
	if err != nil {
		errs.AddHost(path, "", "the program of the other compiler would be refused by the kernel: "+err.Error())
	}
	if errs.Len() > before {
		return nil
	}
	slices.Reverse(code)
	a := assembler{code: code}
	p.guard(&a, targets)
	if a.full() {
		errs.Add(path, "", "makes a program of more than 4096 instructions, the most that the kernel takes")
		return nil
	}
	return p.program(cfg, a.bytes())
}

// guard writes the rule for newer calls in front of a program.
func (p *profile) guard(a *assembler, targets []target) {
	rest := label{index: len(a.code) - 1}
	absent := returns(retErrno | enosys)
	above := func(of abi) label {
		newest := p.newest(of)
		if newest < 0 {
			return rest
		}
		return a.branch(codeJGT, uint32(newest), absent, rest)
	}
	other, written := rest, false
	for i := len(targets) - 1; i >= 0; i-- {
		t := targets[i]
		if i > 0 && !p.listed[t.main] {
			continue
		}
		at := above(t.main)
		if t.x32 {
			wide := rest
			if p.listed[abiX32] {
				wide = above(abiX32)
			}
			if at != wide {
				at = a.branch(codeJSET, x32Bit, wide, at)
			}
		}
		if at == rest {
			continue
		}
		at = a.put(instruction{code: codeLoad, k: offsetNr})
		other, written = a.branch(codeJEQ, t.audit, at, other), true
	}
	if written {
		a.put(instruction{code: codeLoad, k: offsetArch})
	}
}
