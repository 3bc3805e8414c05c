package seccomp

import (
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

// load reads a program that the kernel would take.
func load(filter []byte) (bpf, error) {
	p, err := decode(filter)
	return p, err
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
