package main

import "regexp"

// rule explains one kind of difference.
type rule struct {
	why   string // in what runtimes differ, and the reason
	right string // "tare", "peer", or "either" where the specification leaves it open
	where string // section of the specification, or whose document it is
	peer  string // "runc", "crun"; empty for both

	field  string         // the case changes this field or a part of it; empty for any case
	value  *regexp.Regexp // the change; nil for any
	aspect *regexp.Regexp
	tare   *regexp.Regexp // what tare does; nil for anything
	other  *regexp.Regexp // what the peer does; nil for anything
}

// explain finds the first rule for a difference.
func explain(d *difference) *rule {
	for _, r := range rules {
		if r.peer != "" && r.peer != d.peer || !r.aspect.MatchString(d.aspect) {
			continue
		}
		if r.tare != nil && !r.tare.MatchString(d.tare) || r.other != nil && !r.other.MatchString(d.other) {
			continue
		}
		if r.field == "" || r.about(d.c) {
			return r
		}
	}
	return nil
}

// about says that the case makes a change that the rule is about.
func (r *rule) about(c *testCase) bool {
	for _, ch := range c.changes {
		one := testCase{[]change{ch}}
		if one.has(r.field) && (r.value == nil || r.value.MatchString(ch.name())) {
			return true
		}
	}
	return false
}

func re(s string) *regexp.Regexp { return regexp.MustCompile(s) }
