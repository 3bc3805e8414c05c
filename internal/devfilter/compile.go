package devfilter

import "encoding/binary"

// Instruction is one of eBPF's, encoded (Documentation/bpf/instruction-set.rst).
type Instruction = [8]byte

// What this compiler uses of the instruction set.
const (
	opLoadW   = 0x61 // dst = *(u32 *)(src + offset)
	opMov     = 0xbf // dst = src
	opMovImm  = 0xb7 // dst = imm
	opAndImm  = 0x57 // dst &= imm
	opShrImm  = 0x77 // dst >>= imm
	opNotEq   = 0x56 // if (u32)dst != (u32)imm, skip offset instructions
	opEq      = 0x16 // if (u32)dst == (u32)imm, skip offset instructions
	opExit    = 0x95
	context   = 1 // struct bpf_cgroup_dev_ctx *, on entry
	verdict   = 0
	kind      = 2
	undecided = 3 // the accesses that no rule has decided about yet
	major     = 4
	minor     = 5
	scratch   = 6
)

// The device types of the kernel (BPF_DEVCG_DEV_*).
const (
	block = 1
	char  = 2
)

// insn encodes one instruction; the kernel's byte order is the host's, and both
// machines that tare is built for are little-endian.
func insn(op, dst, src byte, offset int16, imm uint32) (i Instruction) {
	i[0], i[1] = op, src<<4|dst
	binary.LittleEndian.PutUint16(i[2:], uint16(offset))
	binary.LittleEndian.PutUint32(i[4:], imm)
	return i
}

// Compile makes the program of an access list. What no rule is about is denied.
//
// The list is walked from its end, so that the first match is the last rule. A
// rule that allows takes its accesses off those that are still undecided, and
// when none is left the answer is yes; a rule that denies one of them makes it
// no. Reading and writing may thus be decided by different rules.
func Compile(rules []Rule) []Instruction {
	p := make([]Instruction, 0, 16+7*len(rules))
	p = append(p,
		insn(opLoadW, kind, context, 0, 0), // access_type: the access above, the type below
		insn(opMov, undecided, kind, 0, 0),
		insn(opAndImm, kind, 0, 0, 0xffff),
		insn(opShrImm, undecided, 0, 0, 16),
		insn(opLoadW, major, context, 4, 0),
		insn(opLoadW, minor, context, 8, 0))
	for i := len(rules) - 1; i >= 0; i-- {
		if rules[i].whole() {
			// The verifier refuses instructions that nothing leads to.
			return append(p, answer(rules[i].Allow)...)
		}
		p = appendRule(p, &rules[i])
	}
	return append(p, answer(false)...)
}

func answer(allow bool) []Instruction {
	var v uint32
	if allow {
		v = 1
	}
	return []Instruction{insn(opMovImm, verdict, 0, 0, v), insn(opExit, 0, 0, 0, 0)}
}

// appendRule appends the code of one rule; whatever does not match jumps behind it.
func appendRule(p []Instruction, r *Rule) []Instruction {
	var jumps [5]int
	n := 0
	skip := func(op, register byte, imm uint32) {
		jumps[n] = len(p)
		n++
		p = append(p, insn(op, register, 0, 0, imm))
	}
	switch r.Type {
	case 'b':
		skip(opNotEq, kind, block)
	case 'c':
		skip(opNotEq, kind, char)
	}
	if r.Major != anyNumber {
		skip(opNotEq, major, uint32(r.Major))
	}
	if r.Minor != anyNumber {
		skip(opNotEq, minor, uint32(r.Minor))
	}
	switch {
	case r.Access == all:
	case r.Allow:
		p = append(p, insn(opAndImm, undecided, 0, 0, uint32(all&^r.Access)))
		skip(opNotEq, undecided, 0)
	default:
		p = append(p, insn(opMov, scratch, undecided, 0, 0), insn(opAndImm, scratch, 0, 0, uint32(r.Access)))
		skip(opEq, scratch, 0)
	}
	p = append(p, answer(r.Allow)...)
	for _, at := range jumps[:n] {
		binary.LittleEndian.PutUint16(p[at][2:], uint16(len(p)-at-1))
	}
	return p
}
