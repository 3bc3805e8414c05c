package plan

import (
	"strconv"
	"strings"
)

// Format prints the plan, one op a line, in the form that `tare plan` shows and
// the golden tests keep:
//
//	12 init mounts   mount-fs type="proc" source="proc" at="/proc" attr=nosuid,nodev mkdir  # mounts[0]
func (p *Plan) Format() string {
	var b strings.Builder
	for i := range p.Ops {
		p.formatOp(&b, i)
		b.WriteByte('\n')
	}
	return b.String()
}

func (p *Plan) formatOp(b *strings.Builder, i int) {
	op := &p.Ops[i]
	pad(b, strconv.Itoa(i), -3)
	b.WriteByte(' ')
	pad(b, op.Code.Side().String(), 4)
	b.WriteByte(' ')
	pad(b, op.at.String(), 7)
	b.WriteByte(' ')
	b.WriteString(op.Code.Name())
	if text := p.Args(op); text != "" {
		b.WriteByte(' ')
		b.WriteString(text)
	}
	if op.Field != "" {
		b.WriteString("  # ")
		b.WriteString(op.Field)
	}
}

// pad writes s in a column: n wide, to the right when n is negative.
func pad(b *strings.Builder, s string, n int) {
	if n < 0 {
		for i := len(s); i < -n; i++ {
			b.WriteByte(' ')
		}
	}
	b.WriteString(s)
	for i := len(s); i < n; i++ {
		b.WriteByte(' ')
	}
}

// Args prints an op's arguments and flags as name=value words.
func (p *Plan) Args(op *Op) string {
	r, ok := row(op.Code)
	if !ok {
		return ""
	}
	var words []string
	for i := range r.args {
		if v := p.argText(&r.args[i], op); v != "" {
			words = append(words, r.args[i].name+"="+v)
		}
	}
	for _, f := range r.flags {
		if op.Flags&uint32(f.bit) != 0 {
			words = append(words, f.name)
		}
	}
	return strings.Join(words, " ")
}

// argText prints one value; "" leaves the word out.
func (p *Plan) argText(a *arg, op *Op) string {
	n := op.Num[a.at&3]
	switch a.kind {
	case argStr, argStrOpt:
		if s := op.Str[a.at]; s != "" {
			return strconv.Quote(s)
		}
		return ""
	case argList:
		ss := Unlist(op.Blob[a.at])
		if len(ss) == 0 {
			return ""
		}
		for i, s := range ss {
			ss[i] = strconv.Quote(s)
		}
		return "[" + strings.Join(ss, " ") + "]"
	case argBytes:
		if len(op.Blob[a.at]) == 0 {
			return ""
		}
		return bytesText(op.Blob[a.at])
	case argOct:
		return "0" + strconv.FormatUint(n, 8)
	case argHex:
		return "0x" + strconv.FormatUint(n, 16)
	case argInt:
		return strconv.FormatInt(int64(n), 10)
	case argDev:
		return strconv.FormatUint(n>>32, 10) + ":" + strconv.FormatUint(n&0xffffffff, 10)
	case argSlotIn, argSlotOpt:
		if n == 0 {
			return ""
		}
		return "<" + p.SlotName(Slot(n)) + ">"
	case argSlotOut:
		return ">" + p.SlotName(Slot(n))
	case argAttr:
		return attrText(n)
	case argBits:
		if a.bits == nil {
			return capsText(n)
		}
		return bitsText(n, a.bits)
	default:
		return strconv.FormatUint(n, 10)
	}
}

// bytesText prints short blobs in hex and counts long ones.
func bytesText(b []byte) string {
	if len(b) > 64 {
		return strconv.Itoa(len(b)) + "-bytes"
	}
	const digits = "0123456789abcdef"
	var s strings.Builder
	s.WriteString("x'")
	for _, c := range b {
		s.WriteByte(digits[c>>4])
		s.WriteByte(digits[c&15])
	}
	s.WriteByte('\'')
	return s.String()
}

func bitsText(n uint64, names []bitName) string {
	var words []string
	for _, b := range names {
		if n&b.bit != 0 {
			words = append(words, b.name)
			n &^= b.bit
		}
	}
	if n != 0 {
		words = append(words, "0x"+strconv.FormatUint(n, 16))
	}
	return strings.Join(words, ",")
}

func capsText(n uint64) string {
	if n == 0 {
		return "none"
	}
	if n == 1<<(LastCap+1)-1 {
		return "all"
	}
	var words []string
	for i := uint(0); i < 64; i++ {
		if n>>i&1 != 0 {
			words = append(words, strings.ToLower(strings.TrimPrefix(CapName(i), "CAP_")))
		}
	}
	return strings.Join(words, ",")
}

func attrText(a uint64) string {
	set, clear := SplitAttr(a)
	var words []string
	for _, n := range attrNames {
		if set&n.bit != 0 {
			words = append(words, n.set)
		} else if clear&n.bit != 0 {
			words = append(words, n.clear)
		}
	}
	if clear&AttrAtimeMask != 0 || set&AttrAtimeMask != 0 {
		switch set & AttrAtimeMask {
		case AttrNoatime:
			words = append(words, "noatime")
		case AttrStrictatime:
			words = append(words, "strictatime")
		default:
			words = append(words, "relatime")
		}
	}
	return strings.Join(words, ",")
}
