// Package ojson reads and writes JSON without reflection.
//
// The reader is a pull parser: the caller says which value it wants next and
// gets it in the Go type it asked for. It accepts exactly the documents that
// encoding/json accepts (RFC 8259, with bytes that are not UTF-8 replaced by
// U+FFFD) and fills in the same values, in a fraction of the time of a cold
// reflective decoder.
//
// A value of the wrong type does not end the reading: it is recorded with the
// path of its field, skipped, and the caller gets the zero value. A syntax
// error does end it: every later call returns the zero value or false.
package ojson

import (
	"strings"

	"github.com/tare-oci/tare/internal/field"
)

// maxDepth bounds the nesting of arrays and objects. It is encoding/json's
// bound, so that no file is read by one and refused by the other.
const maxDepth = 10000

// frame is one object or array that has been entered and not yet left.
type frame struct {
	key    string // name of the member being read
	begun  int    // members or elements begun so far
	object bool
	inside bool // a member or element is being read and belongs to the path
}

// Decoder reads one JSON document from memory.
type Decoder struct {
	src     string
	pos     int // offset in src of the next unread byte
	stack   []frame
	failed  bool // reading has ended early; pos is at the end of src
	errs    field.List
	unknown func(path string)
	texts   []string // chunk that ReadStrings cuts its results from
	scratch []byte   // room for strings with escapes
}

// NewDecoder returns a Decoder for the document in data. The data is copied
// once: the strings that are read share that copy, and the caller may reuse
// data.
func NewDecoder(data []byte) *Decoder {
	return &Decoder{src: string(data), stack: make([]frame, 0, 12)}
}

// OnUnknown makes Unknown call fn with the path of each field it skips.
func (d *Decoder) OnUnknown(fn func(path string)) { d.unknown = fn }

// Object enters an object. It returns false when there is none to enter: the
// value is null, or it is something else and has been recorded and skipped.
// After true the members are read with Next until Next returns false.
func (d *Decoder) Object() bool { return d.enter('{', "an object") }

// Array enters an array; it is the counterpart of Object.
func (d *Decoder) Array() bool { return d.enter('[', "an array") }

func (d *Decoder) enter(open byte, want string) bool {
	if d.Null() {
		return false
	}
	if d.peek() != open {
		d.mismatch(want)
		return false
	}
	return d.push(open == '{')
}

// push steps over the opening bracket.
func (d *Decoder) push(object bool) bool {
	if len(d.stack) == maxDepth {
		d.syntax("nested too deeply")
		return false
	}
	d.pos++
	d.stack = append(d.stack, frame{object: object})
	return true
}

// Next moves to the next member of the innermost object, or to the next
// element of the innermost array, whose value must then be read or skipped.
// It returns false, having left the object or array, when there are no more.
func (d *Decoder) Next() bool {
	if d.failed {
		return false
	}
	f := &d.stack[len(d.stack)-1]
	f.inside = false
	c := d.peek()
	if f.object && c == '}' || !f.object && c == ']' {
		d.pos++
		d.stack = d.stack[:len(d.stack)-1]
		return false
	}
	if f.begun > 0 {
		if c != ',' {
			return d.expected(f.separator())
		}
		d.pos++
		c = d.peek()
	}
	if f.object {
		if c != '"' {
			return d.expected(`a member name in double quotes`)
		}
		key, ok := d.scanString()
		if !ok {
			return false
		}
		if d.peek() != ':' {
			return d.expected("':' after the member name")
		}
		d.pos++
		f.key = key
	}
	f.begun++
	f.inside = true
	return true
}

func (f *frame) separator() string {
	if f.object {
		return "',' or '}' after a member"
	}
	return "',' or ']' after an element"
}

// Key is the name of the member that Next moved to.
func (d *Decoder) Key() string {
	if d.failed {
		return ""
	}
	return d.stack[len(d.stack)-1].key
}

// Null reads a null if there is one and reports whether there was.
func (d *Decoder) Null() bool {
	return d.peek() == 'n' && d.literal("null")
}

// Skip reads a value of any type and forgets it.
func (d *Decoder) Skip() {
	base := len(d.stack)
	for !d.failed {
		switch c := d.peek(); {
		case c == '{' || c == '[':
			d.push(c == '{')
		default:
			d.scalar()
		}
		for len(d.stack) > base && !d.Next() {
			if d.failed {
				return
			}
		}
		if len(d.stack) == base {
			return
		}
	}
}

// SkipObject reads an object and forgets it; anything but an object or null
// is recorded.
func (d *Decoder) SkipObject() {
	if d.Null() {
		return
	}
	if d.peek() != '{' {
		d.mismatch("an object")
		return
	}
	d.Skip()
}

// Unknown skips the value of a member that the caller does not know and
// reports its path to the function given to OnUnknown.
func (d *Decoder) Unknown() {
	if d.unknown != nil && !d.failed {
		d.unknown(d.Path())
	}
	d.Skip()
}

// Path names the value being read: "mounts[2].options[0]". It is empty for
// the document as a whole, and ends in "..." where a hostile document has made
// it very long.
func (d *Decoder) Path() string {
	var p string
	for i := range d.stack {
		f := &d.stack[i]
		if !f.inside {
			break
		}
		if len(p) > maxPath {
			return p + "..."
		}
		if f.object {
			p = strings.TrimPrefix(field.Key(p, cut(f.key, maxPath)), ".")
		} else {
			p = field.Index(p, f.begun-1)
		}
	}
	return p
}

// Finish checks that nothing but white space follows the document and
// returns everything that was wrong with it; the list is never nil.
func (d *Decoder) Finish() *field.List {
	if !d.failed {
		d.peek()
		if d.pos < len(d.src) {
			d.expected("the end of the file")
		}
	}
	return &d.errs
}
