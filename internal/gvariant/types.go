package gvariant

import (
	"errors"
	"strings"
)

// A pattern is a signature in which some types are still open: I a number
// without a fraction, D one with, S a string, and * anything.

// complete returns the length of the first complete type of a pattern, 0 where
// there is none.
func complete(p string) int {
	if p == "" {
		return 0
	}
	switch p[0] {
	case 'a':
		if n := complete(p[1:]); n > 0 {
			return 1 + n
		}
		return 0
	case '(', '{':
		end := byte(')')
		if p[0] == '{' {
			end = '}'
		}
		for i := 1; i < len(p); {
			if p[i] == end {
				return i + 1
			}
			n := complete(p[i:])
			if n == 0 {
				return 0
			}
			i += n
		}
		return 0
	}
	if strings.IndexByte("ybnqiuxtdsogvIDS*", p[0]) >= 0 {
		return 1
	}
	return 0
}

// unify finds the pattern that two have in common.
func unify(a, b string) (string, error) {
	if a == b || b == "*" {
		return a, nil
	}
	if a == "*" {
		return b, nil
	}
	if len(a) == 1 && len(b) == 1 {
		if one := narrower(a[0], b[0]); one != 0 {
			return string(one), nil
		}
		if one := narrower(b[0], a[0]); one != 0 {
			return string(one), nil
		}
		return "", errMixed
	}
	if a == "" || b == "" || a[0] != b[0] {
		return "", errMixed
	}
	switch a[0] {
	case 'a':
		t, err := unify(a[1:], b[1:])
		return "a" + t, err
	case '(', '{':
		return unifyMembers(a, b)
	}
	return "", errMixed
}

// narrower is the type of which open is a less certain form, 0 if it is none.
func narrower(open, t byte) byte {
	fits := map[byte]string{'I': "ynqiuxtdD", 'D': "d", 'S': "og"}[open]
	if open == 'S' && t == 's' || strings.IndexByte(fits, t) >= 0 {
		return t
	}
	return 0
}

func unifyMembers(a, b string) (string, error) {
	out := a[:1]
	i, j := 1, 1
	for i < len(a)-1 && j < len(b)-1 {
		n, m := complete(a[i:]), complete(b[j:])
		t, err := unify(a[i:i+n], b[j:j+m])
		if err != nil {
			return "", err
		}
		out, i, j = out+t, i+n, j+m
	}
	if i != len(a)-1 || j != len(b)-1 {
		return "", errMixed
	}
	return out + a[len(a)-1:], nil
}

// settle takes the usual types for what is still open.
func settle(pattern string) (string, error) {
	if strings.IndexByte(pattern, '*') >= 0 {
		return "", errUntyped
	}
	return strings.NewReplacer("I", "i", "D", "d", "S", "s").Replace(pattern), nil
}

// checkType accepts the signature of one complete type.
func checkType(sig string) error {
	if n := complete(sig); n == 0 || n != len(sig) || len(sig) > 255 || strings.ContainsAny(sig, "IDS*") {
		return errors.New("has the type @" + sig + ", which is not one of D-Bus")
	}
	for i := 0; i < len(sig); i++ {
		switch sig[i] {
		case '(':
			if sig[i+1] == ')' {
				return errors.New("has the type @" + sig + ": D-Bus has no empty structure")
			}
		case '{':
			// Only as the element of an array, a basic key, and one value.
			n := complete(sig[i+2:])
			if i == 0 || sig[i-1] != 'a' || strings.IndexByte("ybnqiuxtdsog", sig[i+1]) < 0 || n == 0 || sig[i+2+n] != '}' {
				return errors.New("has the type @" + sig + ": its dictionary is not one of D-Bus")
			}
		}
	}
	return nil
}
