// Package gvariant reads values in GVariant's text format
// (https://docs.gtk.org/glib/gvariant-text-format.html), the form in which a
// plan shows the properties of a systemd unit, and in which annotations give
// them. Only types that D-Bus has are known: no maybe types, no handles.
package gvariant

import (
	"errors"
	"strconv"
	"strings"
)

// Value is a value with its type. Which of the fields holds it follows from the
// type's first letter.
type Value struct {
	Type  string  // a D-Bus signature of one complete type: "t", "a(ss)"
	Bits  uint64  // of b y n q i u x t; signed numbers are sign-extended
	Float float64 // of d
	Str   string  // of s o g
	// Items are the elements of an array, the members of a structure, the key and
	// the value of a dictionary entry, or the one value in a variant.
	Items []Value
}

// Errors of Parse. They carry no position: values are short.
var (
	errEnd      = errors.New("ends too early")
	errDeep     = errors.New("is nested too deeply")
	errMixed    = errors.New("has elements of different types")
	errUntyped  = errors.New("has an empty array without a type; write @TYPE before it, for example @as []")
	errTrailing = errors.New("goes on after its end")
)

const maxDepth = 32

// Parse reads one value. A number without a type is an int32 or a double, a
// string a string.
func Parse(text string) (Value, error) {
	p := parser{rest: text}
	n, err := p.value(0)
	if err != nil {
		return Value{}, err
	}
	if p.space(); p.rest != "" {
		return Value{}, errTrailing
	}
	t, err := settle(n.pattern)
	if err != nil {
		return Value{}, err
	}
	return n.as(t)
}

// ParseProperty reads "Name=value".
func ParseProperty(text string) (name string, v Value, err error) {
	name, value, _ := strings.Cut(text, "=")
	v, err = Parse(value)
	return name, v, err
}

// Quote is a string in the text format.
func Quote(s string) string {
	var b strings.Builder
	b.WriteByte('\'')
	for _, r := range s {
		switch {
		case r == '\'' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f:
			const digits = "0123456789abcdef"
			b.WriteString(`\u00`)
			b.WriteByte(digits[r>>4])
			b.WriteByte(digits[r&15])
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('\'')
	return b.String()
}

// widths are the numbers' sizes in bits; a negative one is signed.
var widths = map[byte]int{'y': 8, 'n': -16, 'q': 16, 'i': -32, 'u': 32, 'x': -64, 't': 64}

// number reads a number of a type: decimal, 0x hexadecimal, or 0 octal.
func number(text string, t byte) (Value, error) {
	v := Value{Type: string(t)}
	if digits := strings.TrimLeft(text, "+-"); len(text)-len(digits) > 1 || strings.Contains(text, "_") || len(digits) > 1 && digits[0] == '0' && strings.IndexByte("bBoO", digits[1]) >= 0 {
		return v, errors.New("has " + text + ", which is no number") // but in Go
	}
	var err error
	switch w := widths[t]; {
	case t == 'd':
		v.Float, err = strconv.ParseFloat(text, 64)
	case w < 0:
		var n int64
		n, err = strconv.ParseInt(text, 0, -w)
		v.Bits = uint64(n)
	case w > 0:
		v.Bits, err = strconv.ParseUint(strings.TrimPrefix(text, "+"), 0, w)
	default:
		return v, errors.New("has the number " + text + " where its type " + string(t) + " has none")
	}
	if err != nil {
		return v, errors.New("has the number " + text + ", which type " + string(t) + " does not hold")
	}
	return v, nil
}
