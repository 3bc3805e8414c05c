package main

import (
	"fmt"
	"math"
	"strings"
)

// budget is one figure that the runtime under test must not exceed.
type budget struct {
	what  string
	limit float64
	unit  string // printed behind the figures
	// value returns the figure of the runtime named name, NaN when it was not
	// measured.
	value func(r *report, name string) float64
}

// budgets is the table that --check enforces. Ratios are to the first peer,
// which is meant to be crun as distributions ship it.
var budgets = []budget{
	{"create, hot", 0.28, "x", ratioOf(defaultBundle, cmdCreate, hot)},
	{"create, isolated", 0.28, "x", ratioOf(defaultBundle, cmdCreate, isolated)},
	{"start, hot", 0.60, "x", ratioOf(defaultBundle, cmdStart, hot)},
	{"state, hot", 0.60, "x", ratioOf(defaultBundle, cmdState, hot)},
	{"kill, hot", 0.60, "x", ratioOf(defaultBundle, cmdKill, hot)},
	{"delete, hot", 0.62, "x", ratioOf(defaultBundle, cmdDelete, hot)},
	{"exec, hot", 0.60, "x", ratioOf(defaultBundle, cmdExec, hot)},
	{"exec, isolated", 0.22, "x", ratioOf(defaultBundle, cmdExec, isolated)},
	{"run, hot", 0.62, "x", ratioOf(defaultBundle, cmdRun, hot)},
	{"run, isolated", 0.33, "x", ratioOf(defaultBundle, cmdRun, isolated)},
	{"run with a seccomp profile, hot", 0.60, "x", ratioOf(seccompBundle, cmdRun, hot)},
	{"run with a seccomp profile, isolated", 0.32, "x", ratioOf(seccompBundle, cmdRun, isolated)},
	{"lifecycle sum, hot", 0.45, "x", ratioOf(defaultBundle, cmdSum, hot)},
	{"lifecycle sum, isolated", 0.36, "x", ratioOf(defaultBundle, cmdSum, isolated)},
	{"run above its floor, hot", 2.2, "x of a C program", ratioTo(floorName, defaultBundle, cmdRun, hot)},
	{"run above its floor, isolated", 2.2, "x of a C program", ratioTo(floorName, defaultBundle, cmdRun, isolated)},
	{"run, isolated, 90th percentile over median", 1.5, "x of its median", spreadOf(defaultBundle, cmdRun, isolated)},
	{"exec, isolated, 90th percentile over median", 1.5, "x of its median", spreadOf(defaultBundle, cmdExec, isolated)},
	{"events --stats, hot", 0.50, "x of runc", ratioTo("runc", defaultBundle, cmdEvents, hot)}, // crun has no events
	{"peak memory of run", 4096, "KiB", memoryOf(func(m *memoryFacts) int { return m.PeakRun })},
	{"PSS of the created init", 64, "KiB", memoryOf(func(m *memoryFacts) int { return m.InitPSS })},
	{"threads of the created init", 1, "", memoryOf(func(m *memoryFacts) int { return m.InitThreads })},
	{"smallest memory limit", 256, "KiB", limitOf},
	{"cgroup.procs writes in run", 0, "", procsWritesOf(cmdRun)},
	{"cgroup.procs writes in exec", 0, "", procsWritesOf(cmdExec)},
}

// ratioOf returns the median of the ratios to the reference.
func ratioOf(v variant, c command, mode regime) func(*report, string) float64 {
	return ratioTo("", v, c, mode)
}

// ratioTo returns the median of the ratios to a peer, "" for the reference.
func ratioTo(peer string, v variant, c command, mode regime) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		to := peer
		if to == "" {
			to = r.Reference
		}
		for _, s := range r.Series {
			if s.Bundle == v && s.Command == c && s.Regime == mode && len(s.Millis[to]) > 0 {
				return median(ratios(s.Millis[name], s.Millis[to]))
			}
		}
		return math.NaN()
	}
}

// spreadOf returns the 90th percentile of the runtime's own times over their
// median: how much later than usual a late one is.
func spreadOf(v variant, c command, mode regime) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		xs := r.find(v, c, mode).Millis[name]
		return percentile(xs, 90) / median(xs)
	}
}

// memoryOf returns one of the memory figures; 0 is not measured.
func memoryOf(pick func(*memoryFacts) int) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		if m := r.Memory[name]; m != nil && pick(m) != 0 {
			return float64(pick(m))
		}
		return math.NaN()
	}
}

// limitOf returns the smallest memory limit in KiB. It is infinite when it was
// looked for and no container ran.
func limitOf(r *report, name string) float64 {
	m := r.Memory[name]
	switch {
	case m == nil || !m.LimitMeasured:
		return math.NaN()
	case m.SmallestLimit == 0:
		return math.Inf(1)
	}
	return float64(m.SmallestLimit)
}

// procsWritesOf returns the number of writes to a cgroup.procs in a command.
func procsWritesOf(c command) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		if t := r.Traces[name][c]; t != nil {
			return float64(t.ProcsWrites)
		}
		return math.NaN()
	}
}

// verdict is a budget held against a report.
type verdict struct {
	budget
	got float64
}

// met reports whether the figure is known and within the budget.
func (v verdict) met() bool { return v.got <= v.limit } // false for NaN

// measured reports whether there is a figure.
func (v verdict) measured() bool { return !math.IsNaN(v.got) }

// String returns "met", "missed" or "not measured".
func (v verdict) String() string {
	switch {
	case !v.measured():
		return "not measured"
	case v.met():
		return "met"
	}
	return "missed"
}

// judge holds the budgets against the runtime under test.
func judge(r *report) []verdict {
	var out []verdict
	for _, b := range budgets {
		out = append(out, verdict{budget: b, got: b.value(r, r.UnderTest)})
	}
	return out
}

// checkBudgets returns an error that names every budget that was missed, and
// every timed one that was not measured: a check that saw nothing must not
// pass.
func checkBudgets(r *report) error {
	var missed []string
	for _, v := range judge(r) {
		if v.measured() && !v.met() {
			missed = append(missed, fmt.Sprintf("%s: %s, budget %s", v.what, figure(v.got, v.unit), figure(v.limit, v.unit)))
		}
		if !v.measured() && v.unit == "x" {
			missed = append(missed, v.what+": not measured")
		}
	}
	if len(missed) == 0 {
		return nil
	}
	return fmt.Errorf("%s misses its budget: %s", r.UnderTest, strings.Join(missed, "; "))
}
