package main

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
)

// testCase is the base config with one mutation or two.
type testCase struct{ changes []change }

// change sets, adds to, or takes away one field of the base config.
type change struct {
	field string // "process.rlimits"
	op    op
	value string // JSON; BUNDLE stands for the bundle's path
}

type op uint8

const (
	set  op = iota // the field gets the value, in objects that are made where there are none
	add            // the value is appended to the list
	drop           // the field is taken away; of a list the element whose type or destination is the value
)

func (c change) name() string {
	switch c.op {
	case add:
		return c.field + " += " + c.value
	case drop:
		if c.value == "" {
			return "no " + c.field
		}
		return c.field + " -= " + c.value
	}
	return c.field + " = " + c.value
}

func (c *testCase) name() string {
	var names []string
	for _, ch := range c.changes {
		names = append(names, ch.name())
	}
	return strings.Join(names, "; ")
}

// has says that the case changes a field or a part of it.
func (c *testCase) has(field string) bool {
	for _, ch := range c.changes {
		if rest, ok := strings.CutPrefix(ch.field, field); ok && (rest == "" || rest[0] == '.') {
			return true
		}
	}
	return false
}

const (
	pairs = 120 // cases with two mutations
	seed  = 20  // of the choice of the pairs
)

// generate returns the same cases every time: the base, every value of the
// tables alone, and pairs of them.
func generate() []*testCase {
	all := changes()
	cases := []*testCase{{}}
	for _, c := range all {
		cases = append(cases, &testCase{[]change{c}})
	}
	r := rand.New(rand.NewPCG(seed, seed))
	for len(cases) < 1+len(all)+pairs {
		a, b := all[r.IntN(len(all))], all[r.IntN(len(all))]
		if top(a.field) != top(b.field) { // the second would undo the first
			cases = append(cases, &testCase{[]change{a, b}})
		}
	}
	return cases
}

// top is the first two names of a field.
func top(field string) string {
	parts := strings.SplitN(field, ".", 3)
	return strings.Join(parts[:min(2, len(parts))], ".")
}

// config is the mutated config.
func (c *testCase) config() map[string]any {
	doc := decode(base).(map[string]any)
	for _, ch := range c.changes {
		ch.apply(doc)
	}
	return doc
}

func decode(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		panic(err.Error() + " in " + text) // a table of this program
	}
	return v
}

func (ch change) apply(doc map[string]any) {
	parts := strings.Split(ch.field, ".")
	at := doc
	for _, p := range parts[:len(parts)-1] {
		next, ok := at[p].(map[string]any)
		if !ok {
			next = map[string]any{}
			at[p] = next
		}
		at = next
	}
	last := parts[len(parts)-1]
	list, _ := at[last].([]any)
	switch {
	case ch.op == set:
		at[last] = decode(ch.value)
	case ch.op == add:
		at[last] = append(list, decode(ch.value))
	case ch.value == "":
		delete(at, last)
	default:
		var keep []any
		for _, e := range list {
			m := e.(map[string]any)
			if m["type"] != ch.value && m["destination"] != ch.value {
				keep = append(keep, e)
			}
		}
		at[last] = keep
	}
}
