package ojson

import (
	"unicode/utf16"
	"unicode/utf8"
)

// peek steps over white space and returns the byte that follows, or 0 at the
// end of the document.
func (d *Decoder) peek() byte {
	for d.pos < len(d.src) {
		switch c := d.src[d.pos]; c {
		case ' ', '\n', '\t', '\r':
			d.pos++
		default:
			return c
		}
	}
	return 0
}

// literal reads null, true or false, whose first byte has been seen.
func (d *Decoder) literal(word string) bool {
	for i := 0; i < len(word); i++ {
		if d.pos == len(d.src) || d.src[d.pos] != word[i] {
			return d.expected(word)
		}
		d.pos++
	}
	return true
}

// scalar reads a value that is neither object nor array and returns its text
// as it stands in the document.
func (d *Decoder) scalar() string {
	c := d.peek()
	start := d.pos
	switch c {
	case '"':
		d.scanString()
	case 'n':
		d.literal("null")
	case 't':
		d.literal("true")
	case 'f':
		d.literal("false")
	default:
		if c != '-' && (c < '0' || c > '9') {
			d.expected("a value")
			return ""
		}
		return d.scanNumber()
	}
	return d.src[start:d.pos]
}

// scanNumber reads a number of RFC 8259 section 6 and returns its text. It
// returns "" after a syntax error.
func (d *Decoder) scanNumber() string {
	start := d.pos
	if d.src[d.pos] == '-' {
		d.pos++
	}
	if d.pos < len(d.src) && d.src[d.pos] == '0' {
		d.pos++
	} else if !d.digits() {
		return ""
	}
	if d.pos < len(d.src) && d.src[d.pos] == '.' {
		d.pos++
		if !d.digits() {
			return ""
		}
	}
	if d.pos < len(d.src) && (d.src[d.pos] == 'e' || d.src[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.src) && (d.src[d.pos] == '+' || d.src[d.pos] == '-') {
			d.pos++
		}
		if !d.digits() {
			return ""
		}
	}
	return d.src[start:d.pos]
}

// digits steps over one digit or more.
func (d *Decoder) digits() bool {
	start := d.pos
	for d.pos < len(d.src) && d.src[d.pos]-'0' <= 9 {
		d.pos++
	}
	if d.pos == start {
		return d.expected("a digit")
	}
	return true
}

// scanString reads a string whose opening quote is the next byte. Strings
// without escapes are cut from the document, without copying.
func (d *Decoder) scanString() (string, bool) {
	d.pos++
	start := d.pos
	ascii := true
	for ; d.pos < len(d.src); d.pos++ {
		switch c := d.src[d.pos]; {
		case c == '"':
			s := d.src[start:d.pos]
			if !ascii && !utf8.ValidString(s) {
				return d.unescape(start)
			}
			d.pos++
			return s, true
		case c == '\\':
			return d.unescape(start)
		case c < ' ':
			return "", d.control(c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	return "", d.syntax("string without a closing quote")
}

// unescape reads the string that begins at start, again but with escapes, and
// with U+FFFD for each byte that is not UTF-8.
func (d *Decoder) unescape(start int) (string, bool) {
	d.pos = start
	out := d.scratch[:0]
	for d.pos < len(d.src) {
		switch c := d.src[d.pos]; {
		case c == '"':
			d.pos++
			d.scratch = out
			return string(out), true
		case c == '\\':
			var ok bool
			if out, ok = d.escape(out); !ok {
				return "", false
			}
		case c < ' ':
			return "", d.control(c)
		case c < utf8.RuneSelf:
			out = append(out, c)
			d.pos++
		default:
			r, size := utf8.DecodeRuneInString(d.src[d.pos:])
			out = utf8.AppendRune(out, r)
			d.pos += size
		}
	}
	return "", d.syntax("string without a closing quote")
}

// escape appends the character that the escape at the next byte stands for.
func (d *Decoder) escape(out []byte) ([]byte, bool) {
	if d.pos+1 == len(d.src) {
		d.pos++
		return out, d.syntax("string without a closing quote")
	}
	c := d.src[d.pos+1]
	switch c {
	case '"', '\\', '/':
	case 'b':
		c = '\b'
	case 'f':
		c = '\f'
	case 'n':
		c = '\n'
	case 'r':
		c = '\r'
	case 't':
		c = '\t'
	case 'u':
		r := d.hex4(d.pos)
		if r < 0 {
			return out, d.syntax(`\u must be followed by four hexadecimal digits`)
		}
		d.pos += 6
		if utf16.IsSurrogate(r) {
			// A pair makes one character; a lone half makes U+FFFD, and
			// what follows it is read by itself.
			r = utf16.DecodeRune(r, d.hex4(d.pos))
			if r != utf8.RuneError {
				d.pos += 6
			}
		}
		return utf8.AppendRune(out, r), true
	default:
		return out, d.syntax("unknown escape in a string")
	}
	d.pos += 2
	return append(out, c), true
}

// hex4 returns the value of the \uXXXX at offset at, or -1 if there is none.
func (d *Decoder) hex4(at int) rune {
	if len(d.src)-at < 6 || d.src[at] != '\\' || d.src[at+1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range []byte(d.src[at+2 : at+6]) {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return -1
		}
		r = r<<4 | rune(c)
	}
	return r
}
