// Package ocischema holds a config.json against the JSON schemas of the OCI
// runtime specification: which members an object must have, and which words,
// patterns and bounds the values of the right type must keep to.
//
// The types themselves are the business of ociconfig, and what a config means
// is that of specconv.
package ocischema

import (
	"maps"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/field"
)

//go:generate go run ../gen/ocischema -o rules_gen.go

// rule is what the schema says of one place: "linux.devices[].type".
type rule struct {
	path     string
	members  []string // all that an object can have; none where its user names them
	required []string
	enum     []string
	pattern  string
	min, max string // decimal; empty for none
	minItems int
}

func ruleOf(path string) *rule {
	i := sort.Search(len(rules), func(i int) bool { return rules[i].path >= path })
	if i < len(rules) && rules[i].path == path {
		return &rules[i]
	}
	return nil
}

// Number is a number of the document, as its decimal text: json.Number.
type Number interface{ String() string }

// Check returns every breach of the schema in a decoded document, ordered by
// path. The document consists of map[string]any, []any, string, bool, Number
// and nil; a value of a wrong type is passed over, as is null, which counts as
// a member that is not there.
func Check(doc any) []*field.Error {
	var l field.List
	check(&l, doc, "", "")
	return l.All()
}

// check looks at one value; place is its path in the table.
func check(l *field.List, v any, path, place string) {
	r := ruleOf(place)
	if r == nil {
		r = &rule{}
	}
	switch v := v.(type) {
	case map[string]any:
		for _, key := range r.required {
			if v[key] == nil {
				l.Add(member(path, key), "", "is required")
			}
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			below := strings.TrimPrefix(place+"."+key, ".")
			if !slices.Contains(r.members, key) {
				below = place + ".*"
			}
			check(l, v[key], member(path, key), below)
		}
	case []any:
		if len(v) < r.minItems {
			l.Add(path, "", "must have at least "+strconv.Itoa(r.minItems)+" of them")
		}
		for i, e := range v {
			check(l, e, field.Index(path, i), place+"[]")
		}
	case string:
		if len(r.enum) > 0 && !slices.Contains(r.enum, v) {
			l.Add(path, v, "is not one of "+strings.Join(r.enum, ", "))
		}
		if r.pattern != "" && !regexp.MustCompile(r.pattern).MatchString(v) {
			l.Add(path, v, "does not match "+r.pattern)
		}
	case Number:
		n, err := strconv.ParseInt(v.String(), 10, 64)
		if err != nil {
			return
		}
		if low, err := strconv.ParseInt(r.min, 10, 64); err == nil && n < low {
			l.Add(path, v.String(), "must be at least "+r.min)
		}
		if high, err := strconv.ParseInt(r.max, 10, 64); err == nil && n > high {
			l.Add(path, v.String(), "must be at most "+r.max)
		}
	}
}

func member(path, key string) string { return strings.TrimPrefix(field.Key(path, key), ".") }
