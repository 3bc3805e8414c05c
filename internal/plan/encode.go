package plan

import "encoding/binary"

// The wire form, little endian on every supported machine:
//
//	header  64 bytes: magic, abi, sizes
//	ops     64 bytes each: code u16, phase u8, side u8, flags u32, num [4]u64, str [3]u32, blob [2]u32, zero u32
//	data    strings, NUL-terminated; blobs, a u32 length first, 4-byte aligned
//
// A str is the offset of its first byte in the data area, a blob the offset of
// its length; 0 means empty. The data area therefore begins with 4 zero bytes.
const (
	headerSize = 64
	opSize     = 64
	magic      = 0x314e414c50455241 // "AREPLAN1"
)

// MaxSize bounds an encoded plan, in bytes.
const MaxSize = 16 << 20

// header offsets
const (
	hMagic   = 0
	hABI     = 8
	hTotal   = 16 // u32, bytes
	hOps     = 20 // u32, count
	hData    = 24 // u32, offset of the data area
	hSlots   = 28 // u32, size of the descriptor table
	hScratch = 32 // u32, pointers that the largest argument and environment lists need
)

// Encode returns the plan in its wire form. The same plan gives the same bytes.
func (p *Plan) Encode() []byte {
	data := 4
	for i := range p.Ops {
		op := &p.Ops[i]
		for _, s := range op.Str {
			if s != "" {
				data += len(s) + 1
			}
		}
		for _, b := range op.Blob {
			if len(b) > 0 {
				data += len(b) + 8
			}
		}
	}
	dataOff := headerSize + opSize*len(p.Ops)
	out := make([]byte, dataOff, dataOff+data)
	out = append(out, 0, 0, 0, 0)
	le := binary.LittleEndian
	for i := range p.Ops {
		op := &p.Ops[i]
		rec := out[headerSize+i*opSize:][:opSize]
		le.PutUint16(rec[0:], uint16(op.Code))
		rec[2] = byte(op.at)
		rec[3] = byte(op.Code.Side())
		le.PutUint32(rec[4:], op.Flags)
		for j, n := range op.Num {
			le.PutUint64(rec[8+8*j:], n)
		}
		for j, s := range op.Str {
			if s != "" {
				le.PutUint32(out[headerSize+i*opSize+40+4*j:], uint32(len(out)-dataOff))
				out = append(out, s...)
				out = append(out, 0)
			}
		}
		for j, b := range op.Blob {
			if len(b) > 0 {
				for len(out)%4 != 0 {
					out = append(out, 0)
				}
				le.PutUint32(out[headerSize+i*opSize+52+4*j:], uint32(len(out)-dataOff))
				out = le.AppendUint32(out, uint32(len(b)))
				out = append(out, b...)
			}
		}
	}
	le.PutUint64(out[hMagic:], magic)
	le.PutUint64(out[hABI:], ABI())
	le.PutUint32(out[hTotal:], uint32(len(out)))
	le.PutUint32(out[hOps:], uint32(len(p.Ops)))
	le.PutUint32(out[hData:], uint32(dataOff))
	le.PutUint32(out[hSlots:], uint32(p.SlotCount()))
	le.PutUint32(out[hScratch:], p.scratch())
	return out
}

// scratch counts the pointers that the init needs for its longest argument and
// environment lists, one spare for HOME and one for each closing NULL.
func (p *Plan) scratch() uint32 {
	var args, env uint32
	for i := range p.Ops {
		op := &p.Ops[i]
		switch op.Code {
		case OpExec, OpHookRun:
			args = max(args, countList(op.Blob[0]))
		}
		switch op.Code {
		case OpEnv:
			env = max(env, countList(op.Blob[0]))
		case OpHookRun:
			env = max(env, countList(op.Blob[1]))
		}
	}
	return args + env + 4
}

func countList(b []byte) uint32 {
	var n uint32
	for _, c := range b {
		if c == 0 {
			n++
		}
	}
	return n
}

// List packs strings as a list argument. A string with a NUL inside would be
// read as two; specconv refuses those before they come here.
func List(ss []string) []byte {
	n := 0
	for _, s := range ss {
		n += len(s) + 1
	}
	if n == 0 {
		return nil
	}
	out := make([]byte, 0, n)
	for _, s := range ss {
		out = append(out, s...)
		out = append(out, 0)
	}
	return out
}

// Unlist is the reverse of List.
func Unlist(b []byte) []string {
	var out []string
	start := 0
	for i, c := range b {
		if c == 0 {
			out = append(out, string(b[start:i]))
			start = i + 1
		}
	}
	return out
}

// ABI is a hash of the op table: the init refuses a plan made with another.
func ABI() uint64 { return abiHash }
