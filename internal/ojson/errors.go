package ojson

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxErrors bounds how many errors of one document are recorded; reading ends
// there, since a file with more is not the file that was meant.
const maxErrors = 100

// maxShown bounds, in bytes, how much of a wrong value a message repeats.
const maxShown = 64

// maxPath bounds, in bytes, the name of one member in a path, and the length
// at which a path is cut off.
const maxPath = 256

// byteOrderMark is U+FEFF, which some editors write at the start of a file.
const byteOrderMark = "\ufeff"

// add records an error about the value being read.
func (d *Decoder) add(why string) {
	if d.errs.Len() == maxErrors {
		d.errs.Add("", "", "more than "+strconv.Itoa(maxErrors)+" errors, reading stopped here")
		d.stop()
		return
	}
	d.errs.Add(d.Path(), "", why)
}

// stop ends the reading.
func (d *Decoder) stop() {
	d.failed = true
	d.pos = len(d.src)
}

// mismatch records and skips the next value, which is not null.
func (d *Decoder) mismatch(want string) {
	what := ""
	switch c := d.peek(); c {
	case '{':
		d.add("expected " + want + ", found an object")
		d.Skip()
		return
	case '[':
		d.add("expected " + want + ", found an array")
		d.Skip()
		return
	case '"':
		s, _ := d.scanString()
		what = "a string " + quote(s)
	case 't', 'f':
		what = "a boolean " + d.scalar()
	default:
		what = "a number " + cut(d.scalar(), maxShown)
	}
	if !d.failed {
		d.add("expected " + want + ", found " + what)
	}
}

// misfit records a number that its field cannot hold.
func (d *Decoder) misfit(text, low, high string) {
	want := "a whole number between " + low + " and " + high
	if strings.ContainsAny(text, ".eE") {
		want = "a whole number without fraction or exponent"
	}
	d.add("expected " + want + ", found a number " + cut(text, maxShown))
}

// expected ends the reading with a syntax error at the next byte. It returns
// false, as syntax does.
func (d *Decoder) expected(what string) bool {
	if d.failed {
		return false
	}
	return d.syntax("expected " + what + ", found " + d.found())
}

// syntax ends the reading with a syntax error at the next byte.
func (d *Decoder) syntax(why string) bool {
	if d.failed {
		return false
	}
	before := d.src[:d.pos]
	line := 1 + strings.Count(before, "\n")
	column := 1 + utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:])
	d.add("invalid JSON at " + strconv.Itoa(line) + ":" + strconv.Itoa(column) + ": " + why)
	d.stop()
	return false
}

// control ends the reading at a control character inside a string.
func (d *Decoder) control(c byte) bool {
	if c == '\n' {
		return d.syntax("expected a closing quote before the end of the line")
	}
	return d.syntax("control character " + quoteByte(c) + " in a string must be written as an escape")
}

// found describes the next byte or character.
func (d *Decoder) found() string {
	rest := d.src[d.pos:]
	if rest == "" {
		return "the end of the file"
	}
	if strings.HasPrefix(rest, byteOrderMark) {
		return "a byte order mark"
	}
	r, size := utf8.DecodeRuneInString(rest)
	if r == utf8.RuneError && size == 1 {
		return quoteByte(rest[0])
	}
	return strconv.QuoteRune(r)
}

// quoteByte writes a byte that is no character: '\x00'.
func quoteByte(c byte) string {
	const hex = "0123456789abcdef"
	return `'\x` + string(hex[c>>4]) + string(hex[c&15]) + `'`
}

// cut shortens a text to about limit bytes.
func cut(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit] + "..."
}

// quote shortens a long string, and quotes it so that nothing in it can act
// on a terminal.
func quote(s string) string { return strconv.Quote(cut(s, maxShown)) }
