package devfilter

import (
	"fmt"
	"strconv"
	"strings"
)

// Rule is one line of an access list. For each of the accesses that somebody asks
// for, the last rule that matches decides.
type Rule struct {
	Allow  bool
	Type   byte   // 'b', 'c', or 'a' for both
	Major  int64  // 0 to 2^32-1, -1 for every one
	Minor  int64  // the same
	Access Access // at least one
}

// Access is a set of what can be done with a device node, with the kernel's
// numbers (BPF_DEVCG_ACC_*).
type Access uint8

// Accesses.
const (
	Mknod Access = 1 << iota
	Read
	Write
	all = Mknod | Read | Write
)

// any device: every major or minor number.
const anyNumber = -1

// Parse reads rules of the form "allow c 1:3 rwm", "deny b *:* w" and "deny a",
// which is about everything.
func Parse(lines []string) ([]Rule, error) {
	rules := make([]Rule, 0, len(lines))
	for _, line := range lines {
		r, ok := parse(line)
		if !ok {
			return nil, fmt.Errorf("device rule %q: want allow or deny, a, b or c, MAJOR:MINOR and some of rwm", line)
		}
		rules = append(rules, r)
	}
	return rules, nil
}

func parse(line string) (r Rule, ok bool) {
	verb, rest, ok := strings.Cut(line, " ")
	if !ok || verb != "allow" && verb != "deny" {
		return r, false
	}
	r = Rule{Allow: verb == "allow", Type: 'a', Major: anyNumber, Minor: anyNumber, Access: all}
	if rest == "a" {
		return r, true
	}
	kind, rest, ok1 := strings.Cut(rest, " ")
	numbers, access, ok2 := strings.Cut(rest, " ")
	major, minor, ok3 := strings.Cut(numbers, ":")
	if !ok1 || !ok2 || !ok3 || len(kind) != 1 || strings.IndexByte("abc", kind[0]) < 0 || access == "" {
		return r, false
	}
	r.Type, r.Access = kind[0], 0
	for i := range len(access) {
		switch access[i] {
		case 'r':
			r.Access |= Read
		case 'w':
			r.Access |= Write
		case 'm':
			r.Access |= Mknod
		default:
			return r, false
		}
	}
	var okMajor, okMinor bool
	r.Major, okMajor = number(major)
	r.Minor, okMinor = number(minor)
	return r, okMajor && okMinor
}

func number(s string) (int64, bool) {
	if s == "*" {
		return anyNumber, true
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return int64(n), err == nil
}
