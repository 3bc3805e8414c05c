package seccomp

import "encoding/binary"

// maxInstructions is BPF_MAXINSNS of linux/bpf_common.h.
const maxInstructions = 4096

// maxJump is the longest conditional jump, in instructions jumped over.
const maxJump = 255

// The codes of struct sock_filter, and the offsets in struct seccomp_data that
// a load takes.
const (
	codeLoad = 0x20 // BPF_LD|BPF_W|BPF_ABS: A = data[k]
	codeAnd  = 0x54 // BPF_ALU|BPF_AND|BPF_K: A &= k
	codeJA   = 0x05 // BPF_JMP|BPF_JA: skip k
	codeJEQ  = 0x15 // BPF_JMP|BPF_JEQ|BPF_K
	codeJGT  = 0x25 // BPF_JMP|BPF_JGT|BPF_K, unsigned
	codeJGE  = 0x35 // BPF_JMP|BPF_JGE|BPF_K, unsigned
	codeRet  = 0x06 // BPF_RET|BPF_K

	offsetNr   = 0
	offsetArch = 4
	offsetArgs = 16 // six 64-bit arguments, low word first
)

// instruction is a struct sock_filter.
type instruction struct {
	code   uint16
	jt, jf uint8
	k      uint32
}

// label is a place to jump to: an instruction, or a return of an action, of
// which there may be several.
type label struct {
	ret    bool
	action action
	index  int // in assembler.code, unless ret
}

func returns(act action) label { return label{ret: true, action: act} }

// assembler writes a program from its end to its beginning, so that every jump
// knows how far it goes.
type assembler struct {
	code []instruction // reversed: code[0] is the last instruction
	rets []label       // the newest return of each action
}

// full reports that the program has become too long; what is written after that
// is thrown away.
func (a *assembler) full() bool { return len(a.code) > maxInstructions }

func (a *assembler) put(in instruction) label {
	if !a.full() {
		a.code = append(a.code, in)
	}
	return label{index: len(a.code) - 1}
}

// near makes sure that the next instruction but room can jump to l, if need be
// through a copy of the return or a long jump, and returns where it is.
func (a *assembler) near(l label, room int) int {
	if l.ret {
		i := 0
		for i < len(a.rets) && a.rets[i].action != l.action {
			i++
		}
		if i < len(a.rets) && a.distance(a.rets[i].index)+room <= maxJump {
			return a.rets[i].index
		}
		put := a.put(instruction{code: codeRet, k: uint32(l.action)})
		put.action = l.action
		if i < len(a.rets) {
			a.rets[i] = put
		} else {
			a.rets = append(a.rets, put)
		}
		return put.index
	}
	if a.distance(l.index)+room <= maxJump {
		return l.index
	}
	return a.put(instruction{code: codeJA, k: uint32(a.distance(l.index))}).index
}

// distance is how many instructions the next one would jump over.
func (a *assembler) distance(index int) int { return len(a.code) - index - 1 }

// branch writes a conditional jump.
func (a *assembler) branch(code uint16, k uint32, yes, no label) label {
	y := a.near(yes, 1) // the other jump may need one instruction in between
	n := a.near(no, 0)
	return a.put(instruction{code, uint8(a.distance(y)), uint8(a.distance(n)), k})
}

// bytes returns the program in order.
func (a *assembler) bytes() []byte {
	out := make([]byte, 0, 8*len(a.code))
	for i := len(a.code) - 1; i >= 0; i-- {
		in := a.code[i]
		out = binary.LittleEndian.AppendUint16(out, in.code)
		out = append(out, in.jt, in.jf)
		out = binary.LittleEndian.AppendUint32(out, in.k)
	}
	return out
}
