package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// difference is one thing in which tare and a peer do not agree.
type difference struct {
	c      *testCase
	peer   string
	aspect string // "verdict" or one of outcome.aspects
	tare   string
	other  string
}

func (d *difference) String() string {
	return fmt.Sprintf("%s: tare %q, %s %q", d.aspect, d.tare, d.peer, d.other)
}

// verdict is the aspect that says whether a runtime takes a config.
const verdict = "verdict"

const (
	taken   = "takes it"
	refused = "refuses it"
)

// differences compares two outcomes.
func differences(c *testCase, peer string, tare, other *outcome) []difference {
	said := func(o *outcome) string {
		if o.taken {
			return taken
		}
		return refused + ": " + o.stderr
	}
	if tare.taken != other.taken {
		return []difference{{c, peer, verdict, said(tare), said(other)}}
	}
	if !tare.taken {
		return nil
	}
	a, b := tare.aspects(), other.aspects()
	var out []difference
	names := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for n := range m {
			names[n] = true
		}
	}
	for _, n := range slices.Sorted(maps.Keys(names)) {
		if a[n] != b[n] {
			out = append(out, difference{c, peer, n, a[n], b[n]})
		}
	}
	return out
}

// verdicts are the result of a run.
type verdicts struct {
	passed, failed int
	peers          map[string]*tally
	failures       []string
	used           map[*rule]int
	took           time.Duration
	times          map[string]time.Duration
}

// tally counts the configs by what tare and one peer make of them.
type tally struct{ bothTake, bothRefuse, tareAlone, peerAlone, same, explained, unexplained int }

// compare gives every config to every runtime, one after the other: side by side
// they would share what a runtime does to the device nodes.
func (s *stage) compare(o *options, cases []*testCase) *verdicts {
	v := &verdicts{peers: map[string]*tally{}, used: map[*rule]int{}, times: map[string]time.Duration{}}
	start := time.Now()
	all := append(runtimes{o.tare[0]}, o.peers...)
	for _, p := range o.peers {
		v.peers[p.name] = &tally{}
	}
	for _, c := range cases {
		if o.only != "" && !strings.Contains(c.name(), o.only) {
			continue
		}
		outcomes := make([]*outcome, len(all))
		var err error
		for i, p := range all {
			if err == nil {
				outcomes[i], err = s.try(p, c)
			}
		}
		if err != nil {
			v.fail(c, err.Error())
			continue
		}
		bad := false
		for i, p := range o.peers {
			bad = v.judge(c, p.name, outcomes[0], outcomes[i+1], o.verbose) || bad
		}
		for i, p := range all {
			v.times[p.name] += outcomes[i].took
		}
		if bad {
			v.failed++
		} else {
			v.passed++
		}
	}
	if o.only == "" {
		for _, r := range rules {
			if _, installed := v.peers[r.peer]; v.used[r] == 0 && (installed || r.peer == "") {
				v.failures = append(v.failures, "rules.go: this rule explains nothing: "+r.why)
				v.failed++
			}
		}
	}
	v.took = time.Since(start)
	return v
}

func (v *verdicts) fail(c *testCase, why string) {
	v.failed++
	v.failures = append(v.failures, c.name()+"\n    "+why)
}

// judge returns whether a difference has no rule.
func (v *verdicts) judge(c *testCase, peer string, tare, other *outcome, verbose bool) bool {
	t := v.peers[peer]
	switch {
	case tare.taken && other.taken:
		t.bothTake++
	case tare.taken:
		t.tareAlone++
	case other.taken:
		t.peerAlone++
	default:
		t.bothRefuse++
	}
	found := differences(c, peer, tare, other)
	var bad []string
	for i := range found {
		r := explain(&found[i])
		if r == nil {
			bad = append(bad, "    "+found[i].String())
			continue
		}
		v.used[r]++
		if verbose {
			fmt.Fprintf(os.Stderr, "%s\n    %s\n    %s\n", c.name(), found[i].String(), r.why)
		}
	}
	switch {
	case len(bad) > 0:
		t.unexplained++
		v.failures = append(v.failures, c.name()+"\n"+strings.Join(bad, "\n"))
	case len(found) > 0:
		t.explained++
	default:
		t.same++
	}
	return len(bad) > 0
}

// print writes failures, the rules that were needed, and the summary.
func (v *verdicts) print(out io.Writer, o *options) int {
	for _, f := range v.failures {
		fmt.Fprintf(out, "FAIL %s\n", f)
	}
	w := tabwriter.NewWriter(out, 2, 1, 2, ' ', 0)
	fmt.Fprintln(w, "\nrule\tpeer\tright\tdifferences\twhere")
	for _, r := range rules {
		if v.used[r] > 0 {
			fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", r.why, or(r.peer, "both"), r.right, v.used[r], r.where)
		}
	}
	fmt.Fprintln(w, "\npeer\tboth take\tboth refuse\ttare alone takes\tpeer alone takes\tno difference\texplained\tnot explained\ttime of all calls")
	for _, p := range o.peers {
		t := v.peers[p.name]
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%.1f s\n", p.name, t.bothTake, t.bothRefuse, t.tareAlone, t.peerAlone, t.same, t.explained, t.unexplained, v.times[p.name].Seconds())
	}
	fmt.Fprintf(w, "tare\t\t\t\t\t\t\t\t%.1f s\n", v.times[o.tare[0].name].Seconds())
	_ = w.Flush() // a terminal that is gone
	fmt.Fprintf(out, "%d configs in %.0f s\n", v.passed+v.failed, v.took.Seconds())
	fmt.Fprintf(out, "%d passed, %d failed, 0 skipped\n", v.passed, v.failed)
	if v.failed > 0 || v.passed == 0 {
		return 1
	}
	return 0
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
