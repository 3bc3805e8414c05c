package ojson

import "strconv"

// Writer writes one JSON document into memory, value by value:
//
//	var w ojson.Writer
//	w.Object()
//	w.Key("pid").Int(1)
//	w.End()
//	os.Stdout.Write(w.Bytes())
//
// The zero value writes everything on one line. Commas, and line breaks if
// Indent is set, are put in where they belong; the bytes are those that
// encoding/json writes with HTML escaping off. The caller sees to it that
// every Object and Array has its End and that members have keys.
type Writer struct {
	// Indent is written once for each level in front of every member and
	// element; "" means no line breaks at all.
	Indent string

	buf   []byte
	open  []byte // closing brackets of what has been begun
	more  bool   // the innermost object or array has a member already
	keyed bool   // a key has been written and its value has not
}

// Bytes returns the document; it is good until the next call.
func (w *Writer) Bytes() []byte { return w.buf }

// Object begins an object.
func (w *Writer) Object() { w.begin('{', '}') }

// Array begins an array.
func (w *Writer) Array() { w.begin('[', ']') }

func (w *Writer) begin(open, end byte) {
	w.value()
	w.buf = append(w.buf, open)
	w.open = append(w.open, end)
	w.more = false
}

// End ends the innermost object or array.
func (w *Writer) End() {
	last := len(w.open) - 1
	end := w.open[last]
	w.open = w.open[:last]
	if w.more {
		w.line()
	}
	w.buf = append(w.buf, end)
	w.more = true
}

// Key writes the name of a member, whose value must follow.
func (w *Writer) Key(name string) *Writer {
	w.value()
	w.buf = AppendString(w.buf, name)
	w.buf = append(w.buf, ':')
	if w.Indent != "" {
		w.buf = append(w.buf, ' ')
	}
	w.keyed = true
	return w
}

// String writes a string.
func (w *Writer) String(s string) {
	w.value()
	w.buf = AppendString(w.buf, s)
}

// Int writes a whole number.
func (w *Writer) Int(n int64) {
	w.value()
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

// Uint writes a whole number.
func (w *Writer) Uint(n uint64) {
	w.value()
	w.buf = strconv.AppendUint(w.buf, n, 10)
}

// Float writes a number, which must be finite and neither very small nor very
// large: encoding/json would write an exponent then.
func (w *Writer) Float(f float64) {
	w.value()
	w.buf = strconv.AppendFloat(w.buf, f, 'f', -1, 64)
}

// Bool writes true or false.
func (w *Writer) Bool(b bool) {
	w.value()
	w.buf = strconv.AppendBool(w.buf, b)
}

// Null writes null.
func (w *Writer) Null() {
	w.value()
	w.buf = append(w.buf, "null"...)
}

// value writes what goes in front of a value or a key.
func (w *Writer) value() {
	if w.keyed {
		w.keyed = false
		return
	}
	if len(w.open) == 0 {
		return
	}
	if w.more {
		w.buf = append(w.buf, ',')
	}
	w.more = true
	w.line()
}

// line begins a new line, if there are lines.
func (w *Writer) line() {
	if w.Indent == "" {
		return
	}
	w.buf = append(w.buf, '\n')
	for range w.open {
		w.buf = append(w.buf, w.Indent...)
	}
}
