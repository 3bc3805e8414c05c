package ojson

import "strconv"

// The Read methods read one value of one type. A null counts as a field that
// is not there: they return the zero value. So do they, after recording it,
// for a value of another type or a number that the type cannot hold.

// ReadString reads a string.
func (d *Decoder) ReadString() string {
	if d.peek() != '"' {
		d.other("a string")
		return ""
	}
	s, _ := d.scanString()
	return s
}

// ReadBool reads true or false.
func (d *Decoder) ReadBool() bool {
	switch d.peek() {
	case 't':
		return d.literal("true")
	case 'f':
		d.literal("false")
	default:
		d.other("true or false")
	}
	return false
}

// ReadInt reads a whole number.
func (d *Decoder) ReadInt() int { return int(d.signed(strconv.IntSize)) }

// ReadInt32 reads a whole number.
func (d *Decoder) ReadInt32() int32 { return int32(d.signed(32)) }

// ReadInt64 reads a whole number.
func (d *Decoder) ReadInt64() int64 { return d.signed(64) }

// ReadUint reads a whole number that is not negative.
func (d *Decoder) ReadUint() uint { return uint(d.unsigned(strconv.IntSize)) }

// ReadUint16 reads a whole number that is not negative.
func (d *Decoder) ReadUint16() uint16 { return uint16(d.unsigned(16)) }

// ReadUint32 reads a whole number that is not negative.
func (d *Decoder) ReadUint32() uint32 { return uint32(d.unsigned(32)) }

// ReadUint64 reads a whole number that is not negative.
func (d *Decoder) ReadUint64() uint64 { return d.unsigned(64) }

func (d *Decoder) signed(bits int) int64 {
	text := d.number()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		low := int64(-1) << (bits - 1)
		d.misfit(text, strconv.FormatInt(low, 10), strconv.FormatInt(-(low+1), 10))
		return 0
	}
	return n
}

func (d *Decoder) unsigned(bits int) uint64 {
	text := d.number()
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, bits)
	if err != nil {
		d.misfit(text, "0", strconv.FormatUint(1<<bits-1, 10))
		return 0
	}
	return n
}

// number returns the text of a number, or "" when there is none.
func (d *Decoder) number() string {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		d.other("a whole number")
		return ""
	}
	return d.scanNumber()
}

// other deals with a value that is not of the wanted type.
func (d *Decoder) other(want string) {
	if !d.Null() {
		d.mismatch(want)
	}
}

// chunk is how many strings ReadStrings makes room for at a time.
const chunk = 64

// ReadStrings reads an array of strings. It returns nil for null and a slice
// that is empty but not nil for []. Results are cut from shared chunks; their
// capacity is their length, so that appending to one leaves the others alone.
func (d *Decoder) ReadStrings() []string {
	if !d.Array() {
		return nil
	}
	start := len(d.texts)
	for d.Next() {
		s := d.ReadString()
		if len(d.texts) == cap(d.texts) {
			begun := d.texts[start:]
			d.texts = append(make([]string, 0, max(chunk, 2*len(begun))), begun...)
			start = 0
		}
		d.texts = append(d.texts, s)
	}
	if len(d.texts) == start {
		return []string{}
	}
	return d.texts[start:len(d.texts):len(d.texts)]
}
