package plan

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrWire is wrapped by every error of Decode.
var ErrWire = errors.New("not a plan")

// Decode reads a plan from its wire form. It accepts exactly what the init's
// reader accepts (a fuzz test holds the two together), so every offset, length
// and unused byte is checked. Field paths do not travel and come back empty.
func Decode(b []byte) (*Plan, error) {
	le := binary.LittleEndian
	bad := func(format string, a ...any) (*Plan, error) {
		return nil, fmt.Errorf("%w: %s", ErrWire, fmt.Sprintf(format, a...))
	}
	if len(b) < headerSize+4 || len(b) > MaxSize {
		return bad("%d bytes", len(b))
	}
	if le.Uint64(b[hMagic:]) != magic {
		return bad("magic")
	}
	if le.Uint64(b[hABI:]) != ABI() {
		return bad("abi")
	}
	if int(le.Uint32(b[hTotal:])) != len(b) {
		return bad("size")
	}
	n := int(le.Uint32(b[hOps:]))
	if n > MaxOps {
		return bad("%d ops", n)
	}
	dataOff := headerSize + n*opSize
	if int(le.Uint32(b[hData:])) != dataOff || dataOff+4 > len(b) {
		return bad("data offset")
	}
	slots := int(le.Uint32(b[hSlots:]))
	if slots < int(FirstDynamic) || slots > MaxSlots {
		return bad("%d slots", slots)
	}
	for i := hScratch + 4; i < headerSize; i++ {
		if b[i] != 0 {
			return bad("header byte %d", i)
		}
	}
	data := b[dataOff:]
	if le.Uint32(data) != 0 {
		return bad("data area")
	}
	p := &Plan{Ops: make([]Op, n), Slots: make([]string, slots-int(FirstDynamic))}
	var last Phase
	for i := range p.Ops {
		rec := b[headerSize+i*opSize:][:opSize]
		op := &p.Ops[i]
		op.Code = Code(le.Uint16(rec[0:]))
		op.at = Phase(rec[2])
		r, ok := row(op.Code)
		if !ok {
			return bad("op %d: code %d", i, op.Code)
		}
		if !r.stands(op.at) || op.at < last {
			return bad("op %d: phase", i)
		}
		last = op.at
		if Side(rec[3]) != r.side {
			return bad("op %d: side", i)
		}
		op.Flags = le.Uint32(rec[4:])
		if op.Flags&^r.flagMask() != 0 {
			return bad("op %d: flags", i)
		}
		for j := range op.Num {
			op.Num[j] = le.Uint64(rec[8+8*j:])
		}
		for j := range op.Str {
			s, ok := strAt(data, le.Uint32(rec[40+4*j:]))
			if !ok {
				return bad("op %d: string %d", i, j)
			}
			op.Str[j] = s
		}
		for j := range op.Blob {
			v, ok := blobAt(data, le.Uint32(rec[52+4*j:]))
			if !ok {
				return bad("op %d: blob %d", i, j)
			}
			op.Blob[j] = v
		}
		if le.Uint32(rec[60:]) != 0 {
			return bad("op %d: padding", i)
		}
		if why := r.checkArgs(op, slots); why != "" {
			return bad("op %d: %s", i, why)
		}
	}
	if le.Uint32(b[hScratch:]) != p.scratch() {
		return bad("scratch")
	}
	return p, nil
}

func strAt(data []byte, off uint32) (string, bool) {
	if off == 0 {
		return "", true
	}
	if int64(off) >= int64(len(data)) || off < 4 {
		return "", false
	}
	for i := int(off); i < len(data); i++ {
		if data[i] == 0 {
			return string(data[off:i]), i > int(off)
		}
	}
	return "", false
}

func blobAt(data []byte, off uint32) ([]byte, bool) {
	if off == 0 {
		return nil, true
	}
	if off%4 != 0 || off < 4 || int64(off)+4 > int64(len(data)) {
		return nil, false
	}
	n := binary.LittleEndian.Uint32(data[off:])
	if n == 0 || int64(n) > int64(len(data))-int64(off)-4 {
		return nil, false
	}
	return data[off+4:][:n:n], true
}
