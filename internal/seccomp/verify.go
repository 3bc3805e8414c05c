package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// codeJSET is BPF_JMP|BPF_JSET|BPF_K, which only foreign programs have.
const codeJSET = 0x45

// Verify refuses a program that the kernel would refuse (bpf_check_classic of
// net/core/filter.c, seccomp_check_filter of kernel/seccomp.c), or that has an
// instruction which no compiler of seccomp profiles writes: what is left reads
// struct seccomp_data, compares, jumps forward and returns. A program of another
// compiler passes it before it goes into a plan.
func Verify(filter []byte) error {
	_, err := decode(filter)
	return err
}

func decode(filter []byte) ([]instruction, error) {
	if len(filter)%8 != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of instructions", len(filter))
	}
	n := len(filter) / 8
	if n == 0 || n > maxInstructions {
		return nil, fmt.Errorf("%d instructions, need 1 to %d", n, maxInstructions)
	}
	p := make([]instruction, n)
	for i := range p {
		b := filter[8*i:]
		p[i] = instruction{binary.LittleEndian.Uint16(b), b[2], b[3], binary.LittleEndian.Uint32(b[4:])}
	}
	for i, in := range p {
		left := uint64(n - i - 1) // instructions after this one
		switch in.code {
		case codeLoad:
			if in.k%4 != 0 || in.k >= offsetArgs+8*maxArgs {
				return nil, fmt.Errorf("instruction %d loads from %d, which is outside struct seccomp_data", i, in.k)
			}
		case codeAnd, codeRet:
		case codeJA:
			if uint64(in.k) >= left {
				return nil, fmt.Errorf("instruction %d jumps out of the program", i)
			}
		case codeJEQ, codeJGT, codeJGE, codeJSET:
			if uint64(in.jt) >= left || uint64(in.jf) >= left {
				return nil, fmt.Errorf("instruction %d jumps out of the program", i)
			}
		default:
			return nil, fmt.Errorf("instruction %d has the code %#x, which no filter needs", i, in.code)
		}
	}
	if p[n-1].code != codeRet {
		return nil, errors.New("the last instruction is not a return")
	}
	return p, nil
}
