// Package field names places in a config and says what is wrong there.
//
// Every error that tare prints about a config carries the path of the field in
// the spelling a user would write in jq ("linux.maskedPaths[3]"), the value
// found there and the reason. The package is a leaf: it knows nothing about
// the fields themselves.
package field

import (
	"sort"
	"strconv"
	"strings"
)

// Class says who can mend an error.
type Class uint8

const (
	// Config errors are mended by editing config.json or the command line.
	Config Class = iota
	// Host errors are mended on the machine: a missing kernel feature, a
	// permission, a missing program.
	Host
	// Bug errors cannot happen; when one is printed, tare is wrong.
	Bug
)

// String returns "config", "host" or "bug".
func (c Class) String() string {
	switch c {
	case Config:
		return "config"
	case Host:
		return "host"
	default:
		return "bug"
	}
}

// Error is one thing wrong with one field.
type Error struct {
	Path  string // "mounts[2].options[0]"; empty when no field is to blame
	Value string // the value as the user wrote it; empty when absent
	Why   string // the reason, lower case, no full stop
	Class Class
	Err   error // the cause, for errors.Is; may be nil
}

// Error prints `path "value": why`.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Path)
	if e.Value != "" {
		if e.Path != "" {
			b.WriteByte(' ')
		}
		b.WriteString(quote(e.Value))
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(e.Why)
	return b.String()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// maxValue bounds how much of a hostile value is repeated in a message.
const maxValue = 256

func quote(s string) string {
	if len(s) > maxValue {
		return strconv.Quote(s[:maxValue]) + "..."
	}
	return strconv.Quote(s)
}

// List collects every error of a config. The zero value is ready to use.
type List struct {
	errs []*Error
}

// Add records a config error.
func (l *List) Add(path, value, why string) {
	l.errs = append(l.errs, &Error{Path: path, Value: value, Why: why})
}

// AddHost records something that this host cannot do.
func (l *List) AddHost(path, value, why string) {
	l.errs = append(l.errs, &Error{Path: path, Value: value, Why: why, Class: Host})
}

// Append moves all of other's errors into l.
func (l *List) Append(other *List) {
	if other != nil {
		l.errs = append(l.errs, other.errs...)
	}
}

// Len is the number of errors recorded so far.
func (l *List) Len() int { return len(l.errs) }

// All returns the errors ordered by field path; errors of one field stay in
// the order in which they were found.
func (l *List) All() []*Error {
	out := append([]*Error(nil), l.errs...)
	sort.SliceStable(out, func(i, j int) bool { return Less(out[i].Path, out[j].Path) })
	return out
}

// Err returns nil when the list is empty, and otherwise an error whose text
// has one line per field.
func (l *List) Err() error {
	if len(l.errs) == 0 {
		return nil
	}
	return &Invalid{Errors: l.All()}
}

// Invalid is the error of a config that was refused as a whole.
type Invalid struct {
	Errors []*Error
}

// Error prints one line per field.
func (e *Invalid) Error() string {
	lines := make([]string, len(e.Errors))
	for i, fe := range e.Errors {
		lines[i] = fe.Error()
	}
	return strings.Join(lines, "\n")
}

// Index returns path[i].
func Index(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// Key returns path["key"] for map members whose key is free text, and
// path.key where the key reads as a plain word.
func Key(path, key string) string {
	if plain(key) {
		return path + "." + key
	}
	return path + "[" + strconv.Quote(key) + "]"
}

func plain(s string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_') {
			return false
		}
	}
	return true
}

// Less orders paths as a reader expects: a[2] before a[10].
func Less(a, b string) bool {
	for a != "" && b != "" {
		if digit(a[0]) && digit(b[0]) {
			na, ra := number(a)
			nb, rb := number(b)
			if na != nb {
				return na < nb
			}
			a, b = ra, rb
			continue
		}
		if a[0] != b[0] {
			return a[0] < b[0]
		}
		a, b = a[1:], b[1:]
	}
	return len(a) < len(b)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }

func number(s string) (int, string) {
	n, i := 0, 0
	for i < len(s) && digit(s[i]) {
		n = n*10 + int(s[i]-'0')
		i++
	}
	return n, s[i:]
}
