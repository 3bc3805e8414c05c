package gvariant

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// keywords are the words for types.
var keywords = map[string]string{"boolean": "b", "byte": "y", "int16": "n", "uint16": "q", "int32": "i", "uint32": "u", "int64": "x", "uint64": "t",
	"double": "d", "string": "s", "objectpath": "o", "signature": "g"}

// node is a value whose type is not settled yet.
type node struct {
	pattern string
	kind    byte   // 'n' number, 's' string, 'b' boolean, 'y' byte string, or the bracket of a container
	text    string // of a number, boolean or string
	items   []node // of a container; of a dictionary entries, kind ':'
}

type parser struct{ rest string }

func (p *parser) space() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *parser) take(prefix string) bool {
	p.space()
	if strings.HasPrefix(p.rest, prefix) {
		p.rest = p.rest[len(prefix):]
		return true
	}
	return false
}

// word takes letters, digits and what numbers consist of.
func (p *parser) word() string {
	n := 0
	for n < len(p.rest) && (isAlnum(p.rest[n]) || strings.IndexByte("+-._", p.rest[n]) >= 0) {
		n++
	}
	w := p.rest[:n]
	p.rest = p.rest[n:]
	return w
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}

func (p *parser) value(depth int) (node, error) {
	if depth > maxDepth {
		return node{}, errDeep
	}
	p.space()
	if p.rest == "" {
		return node{}, errEnd
	}
	switch c := p.rest[0]; c {
	case '@':
		n := strings.IndexAny(p.rest, " \t\r\n")
		if n < 0 {
			return node{}, errEnd
		}
		sig := p.rest[1:n]
		p.rest = p.rest[n:]
		if err := checkType(sig); err != nil {
			return node{}, err
		}
		return p.typed(sig, depth)
	case '\'', '"':
		s, err := p.quoted(false)
		return node{pattern: "S", kind: 's', text: s}, err
	case '[':
		return p.array(depth)
	case '(':
		return p.tuple(depth)
	case '{':
		return p.dict(depth)
	case '<':
		p.rest = p.rest[1:]
		v, err := p.value(depth + 1)
		if err == nil && !p.take(">") {
			err = errors.New("has a variant that is not closed by >")
		}
		return node{pattern: "v", kind: '<', items: []node{v}}, err
	case 'b':
		if len(p.rest) > 1 && (p.rest[1] == '\'' || p.rest[1] == '"') {
			p.rest = p.rest[1:]
			s, err := p.quoted(true)
			return node{pattern: "ay", kind: 'y', text: s}, err
		}
	}
	w := p.word()
	switch {
	case w == "":
		return node{}, errors.New("has " + strconv.Quote(p.rest[:1]) + " where a value should be")
	case w == "true" || w == "false":
		return node{pattern: "b", kind: 'b', text: w}, nil
	case keywords[w] != "":
		return p.typed(keywords[w], depth)
	}
	if c := w[0]; c >= '0' && c <= '9' || c == '-' || c == '+' || c == '.' {
		pattern := "I"
		if !strings.HasPrefix(strings.TrimLeft(w, "+-"), "0x") && strings.ContainsAny(w, ".eE") {
			pattern = "D"
		}
		return node{pattern: pattern, kind: 'n', text: w}, nil
	}
	return node{}, errors.New("has the word " + w + "; a string stands in quotes")
}

// typed is a value whose type was said before it.
func (p *parser) typed(sig string, depth int) (node, error) {
	n, err := p.value(depth + 1)
	if err != nil {
		return n, err
	}
	if n.pattern, err = unify(n.pattern, sig); err != nil || n.pattern != sig {
		return n, errors.New("has a value that is not of its type " + sig)
	}
	return n, nil
}

// list takes values up to a closing bracket.
func (p *parser) list(end string, depth int, each func() (node, error)) ([]node, error) {
	p.rest = p.rest[1:]
	var items []node
	for !p.take(end) {
		if len(items) > 0 && !p.take(",") {
			if p.space(); p.rest == "" {
				return nil, errEnd
			}
			return nil, errors.New("has " + strconv.Quote(p.rest[:1]) + " where , or " + end + " should be")
		}
		if p.take(end) && len(items) > 0 {
			break // a comma may end the list
		}
		n, err := each()
		if err != nil {
			return nil, err
		}
		items = append(items, n)
	}
	return items, nil
}

func (p *parser) array(depth int) (node, error) {
	items, err := p.list("]", depth, func() (node, error) { return p.value(depth + 1) })
	if err != nil {
		return node{}, err
	}
	element := "*"
	for i := range items {
		if element, err = unify(element, items[i].pattern); err != nil {
			return node{}, err
		}
	}
	return node{pattern: "a" + element, kind: '[', items: items}, nil
}

func (p *parser) tuple(depth int) (node, error) {
	items, err := p.list(")", depth, func() (node, error) { return p.value(depth + 1) })
	if err != nil {
		return node{}, err
	}
	if len(items) == 0 {
		return node{}, errors.New("has an empty structure, which D-Bus has not")
	}
	pattern := "("
	for i := range items {
		pattern += items[i].pattern
	}
	return node{pattern: pattern + ")", kind: '(', items: items}, nil
}

func (p *parser) dict(depth int) (node, error) {
	items, err := p.list("}", depth, func() (node, error) {
		k, err := p.value(depth + 1)
		if err != nil {
			return k, err
		}
		if !p.take(":") {
			return k, errors.New("has a dictionary entry without a colon")
		}
		v, err := p.value(depth + 1)
		if strings.IndexByte("ybnqiuxtdsogIDS", k.pattern[0]) < 0 {
			err = errors.New("has a dictionary whose keys are neither numbers nor strings")
		}
		return node{pattern: "{" + k.pattern + v.pattern + "}", kind: ':', items: []node{k, v}}, err
	})
	if err != nil {
		return node{}, err
	}
	entry := "{**}"
	for i := range items {
		if entry, err = unify(entry, items[i].pattern); err != nil {
			return node{}, err
		}
	}
	return node{pattern: "a" + entry, kind: '{', items: items}, nil
}

// quoted reads a string or a byte string with its escapes.
func (p *parser) quoted(raw bool) (string, error) {
	quote := p.rest[0]
	var b strings.Builder
	for i := 1; i < len(p.rest); i++ {
		switch c := p.rest[i]; {
		case c == quote:
			p.rest = p.rest[i+1:]
			if s := b.String(); raw || utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 {
				return s, nil
			}
			return "", errors.New("has a string that is not UTF-8, or has a NUL byte")
		case c == '\\':
			n, err := escape(&b, p.rest[i+1:], raw)
			if err != nil {
				return "", err
			}
			i += n
		default:
			b.WriteByte(c)
		}
	}
	return "", errors.New("has a string that is not closed")
}

// escape writes what stands after a backslash, and returns its length.
func escape(b *strings.Builder, s string, raw bool) (int, error) {
	if s == "" {
		return 0, errEnd
	}
	if i := strings.IndexByte("abfnrtv", s[0]); i >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v"[i])
		return 1, nil
	}
	digits := map[byte]int{'u': 4, 'U': 8}[s[0]]
	switch {
	case raw && s[0] >= '0' && s[0] <= '7':
		n, v := 0, 0
		for n < 3 && n < len(s) && s[n] >= '0' && s[n] <= '7' {
			v, n = v<<3|int(s[n]-'0'), n+1
		}
		b.WriteByte(byte(v))
		return n, nil
	case !raw && digits > 0:
		if len(s) <= digits {
			return 0, errEnd
		}
		v, err := strconv.ParseUint(s[1:1+digits], 16, 32)
		if err != nil || !utf8.ValidRune(rune(v)) {
			return 0, errors.New("has the escape \\" + s[:1+digits] + ", which is no character")
		}
		b.WriteRune(rune(v))
		return 1 + digits, nil
	}
	b.WriteByte(s[0])
	return 1, nil
}

// as gives a node its type.
func (n *node) as(t string) (Value, error) {
	v := Value{Type: t}
	switch n.kind {
	case 'n':
		return number(n.text, t[0])
	case 'b':
		if n.text == "true" {
			v.Bits = 1
		}
	case 's':
		v.Str = n.text
		if t == "g" && n.text != "" && !isSignature(n.text) {
			return v, errors.New("has the signature " + n.text + ", which is not one of D-Bus")
		}
		if t == "o" && !isPath(n.text) {
			return v, errors.New("has the object path " + n.text + ", which is not one of D-Bus")
		}
	case 'y': // GVariant ends a byte string with a NUL byte
		for _, c := range []byte(n.text + "\x00") {
			v.Items = append(v.Items, Value{Type: "y", Bits: uint64(c)})
		}
	case '<':
		inner, err := settle(n.items[0].pattern)
		if err != nil {
			return v, err
		}
		return v, v.add(&n.items[0], inner)
	case '[', '{':
		for i := range n.items {
			if err := v.add(&n.items[i], t[1:]); err != nil {
				return v, err
			}
		}
	case '(', ':':
		at := 1
		for i := range n.items {
			size := complete(t[at:])
			if err := v.add(&n.items[i], t[at:at+size]); err != nil {
				return v, err
			}
			at += size
		}
	}
	return v, nil
}

func (v *Value) add(n *node, t string) error {
	item, err := n.as(t)
	v.Items = append(v.Items, item)
	return err
}

func isSignature(s string) bool {
	for s != "" {
		n := complete(s)
		if n == 0 || checkType(s[:n]) != nil {
			return false
		}
		s = s[n:]
	}
	return true
}

func isPath(s string) bool {
	if s == "/" {
		return true
	}
	if !strings.HasPrefix(s, "/") {
		return false
	}
	for _, part := range strings.Split(s[1:], "/") {
		if part == "" {
			return false
		}
		for i := 0; i < len(part); i++ {
			if !isAlnum(part[i]) && part[i] != '_' {
				return false
			}
		}
	}
	return true
}
