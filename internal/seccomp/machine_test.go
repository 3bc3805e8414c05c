package seccomp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// call is what the kernel shows to a filter: struct seccomp_data without the
// instruction pointer.
type call struct {
	nr, arch uint32
	args     [6]uint64
}

// bpf is a program as the test machine runs it.
type bpf []instruction

// load reads a program and refuses what the kernel would refuse: it follows
// bpf_check_classic of net/core/filter.c and seccomp_check_filter of
// kernel/seccomp.c.
func load(filter []byte) (bpf, error) {
	if len(filter)%8 != 0 {
		return nil, fmt.Errorf("%d bytes are not a whole number of instructions", len(filter))
	}
	p := make(bpf, len(filter)/8)
	for i := range p {
		b := filter[8*i:]
		p[i] = instruction{binary.LittleEndian.Uint16(b), b[2], b[3], binary.LittleEndian.Uint32(b[4:])}
	}
	if len(p) == 0 || len(p) > 4096 {
		return nil, fmt.Errorf("%d instructions", len(p))
	}
	for i, in := range p {
		left := uint64(len(p) - i - 1) // instructions after this one
		switch in.code {
		case codeLoad:
			if in.k%4 != 0 || in.k >= 64 {
				return nil, fmt.Errorf("instruction %d loads from %d", i, in.k)
			}
		case codeAnd, codeRet:
		case codeJA:
			if uint64(in.k) >= left {
				return nil, fmt.Errorf("instruction %d jumps out of the program", i)
			}
		case codeJEQ, codeJGT, codeJGE, 0x45: // JSET is only in foreign programs
			if uint64(in.jt) >= left || uint64(in.jf) >= left {
				return nil, fmt.Errorf("instruction %d jumps out of the program", i)
			}
		default:
			return nil, fmt.Errorf("instruction %d has the code %#x", i, in.code)
		}
	}
	if last := p[len(p)-1].code; last != codeRet {
		return nil, errors.New("the last instruction is not a return")
	}
	return p, nil
}

// stale finds the comparisons of a program that look at one word or at another,
// depending on the way on which they were reached. No rule says so; a compiler
// that writes one has lost track of the accumulator.
func (p bpf) stale() []bool {
	type word struct{ offset, mask uint32 }
	before := make([][]word, len(p)) // the words that the accumulator may hold
	before[0] = []word{{^uint32(0), 0}}
	out := make([]bool, len(p))
	flow := func(to int, w ...word) {
		for _, w := range w {
			if !slices.Contains(before[to], w) {
				before[to] = append(before[to], w)
			}
		}
	}
	for i, in := range p {
		switch in.code {
		case codeLoad:
			flow(i+1, word{in.k, ^uint32(0)})
		case codeAnd:
			for _, w := range before[i] {
				flow(i+1, word{w.offset, w.mask & in.k})
			}
		case codeJA:
			flow(i+1+int(in.k), before[i]...)
		case codeRet:
		default:
			out[i] = len(before[i]) > 1
			flow(i+1+int(in.jt), before[i]...)
			flow(i+1+int(in.jf), before[i]...)
		}
	}
	return out
}

// run returns what the program says of a call, the number of instructions that
// it took, and whether one of the marked ones was among them.
func (p bpf) run(c *call, marked []bool) (verdict action, steps int, hit bool) {
	var a uint32
	for pc := 0; ; pc++ {
		steps++
		in := p[pc]
		jump := in.jf
		hit = hit || marked != nil && marked[pc]
		switch in.code {
		case codeLoad:
			switch {
			case in.k == offsetNr:
				a = c.nr
			case in.k == offsetArch:
				a = c.arch
			case in.k >= offsetArgs && in.k%8 == 0:
				a = uint32(c.args[(in.k-offsetArgs)/8])
			case in.k >= offsetArgs:
				a = uint32(c.args[(in.k-offsetArgs)/8] >> 32)
			default:
				a = 0 // the instruction pointer
			}
			continue
		case codeAnd:
			a &= in.k
			continue
		case codeJA:
			pc += int(in.k)
			continue
		case codeRet:
			return action(in.k), steps, hit
		case codeJEQ:
			if a == in.k {
				jump = in.jt
			}
		case codeJGT:
			if a > in.k {
				jump = in.jt
			}
		case codeJGE:
			if a >= in.k {
				jump = in.jt
			}
		default: // JSET
			if a&in.k != 0 {
				jump = in.jt
			}
		}
		pc += int(jump)
	}
}
