package main

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// budget is one figure that the runtime under test must not exceed, or must
// reach.
type budget struct {
	what  string
	limit float64
	unit  string // printed behind the figures
	least bool   // the figure must be at least limit, not at most
	// value returns the figure of the runtime named name, NaN when it was not
	// measured.
	value func(r *report, name string) float64
}

// most is a budget that the figure must not exceed.
func most(what string, limit float64, unit string, value func(*report, string) float64) budget {
	return budget{what: what, limit: limit, unit: unit, value: value}
}

// least is a budget that the figure must reach.
func least(what string, limit float64, unit string, value func(*report, string) float64) budget {
	return budget{what: what, limit: limit, unit: unit, least: true, value: value}
}

// budgets is the table that --check enforces. Ratios are to the first peer,
// which is meant to be crun as distributions ship it.
var budgets = []budget{
	most("create, hot", 0.28, "x", ratioOf(defaultBundle, cmdCreate, hot)),
	most("create, isolated", 0.28, "x", ratioOf(defaultBundle, cmdCreate, isolated)),
	most("start, hot", 0.60, "x", ratioOf(defaultBundle, cmdStart, hot)),
	most("start, isolated", 0.60, "x", ratioOf(defaultBundle, cmdStart, isolated)),
	most("state, hot", 0.60, "x", ratioOf(defaultBundle, cmdState, hot)),
	most("state, isolated", 0.60, "x", ratioOf(defaultBundle, cmdState, isolated)),
	most("kill, hot", 0.60, "x", ratioOf(defaultBundle, cmdKill, hot)),
	most("kill, isolated", 0.60, "x", ratioOf(defaultBundle, cmdKill, isolated)),
	most("delete, hot", 0.62, "x", ratioOf(defaultBundle, cmdDelete, hot)),
	most("delete, isolated", 0.62, "x", ratioOf(defaultBundle, cmdDelete, isolated)),
	most("exec, hot", 0.60, "x", ratioOf(defaultBundle, cmdExec, hot)),
	most("exec, isolated", 0.22, "x", ratioOf(defaultBundle, cmdExec, isolated)),
	most("run, hot", 0.62, "x", ratioOf(defaultBundle, cmdRun, hot)),
	most("run, isolated", 0.33, "x", ratioOf(defaultBundle, cmdRun, isolated)),
	most("run with a seccomp profile, hot", 0.60, "x", ratioOf(seccompBundle, cmdRun, hot)),
	most("run with a seccomp profile, isolated", 0.32, "x", ratioOf(seccompBundle, cmdRun, isolated)),
	most("lifecycle sum, hot", 0.45, "x", ratioOf(defaultBundle, cmdSum, hot)),
	most("lifecycle sum, isolated", 0.36, "x", ratioOf(defaultBundle, cmdSum, isolated)),
	most("run above its floor, hot", 2.2, "x of a C program", ratioTo(floorName, defaultBundle, cmdRun, hot)),
	most("run above its floor, isolated", 2.2, "x of a C program", ratioTo(floorName, defaultBundle, cmdRun, isolated)),
	most("run, isolated, 90th percentile over median", 1.5, "x of its median", spreadOf(defaultBundle, cmdRun, isolated)),
	most("any command, isolated, 90th percentile over median", 1.5, "x of its median", worstSpread),
	most("events --stats, hot", 0.50, "x of runc", ratioTo("runc", defaultBundle, cmdEvents, hot)), // crun has no events
	least("containers per second, 2 at once", 1.3, "x of the peer's", rateOf(2)),
	least("containers per second, 8 at once", 1.3, "x of the peer's", rateOf(8)),
	least("containers per second, 32 at once", 1.3, "x of the peer's", rateOf(32)),
	least("containers per second, 128 at once", 1.3, "x of the peer's", rateOf(128)),
	most("containers that failed of those at once", 0, "", failuresOf),
	most("execs in a row", 0.60, "x", loopOf),
	most("a command among 1,000 containers over one among 10", 1.15, "x of the time among 10", growthOf(1)),
	most("a command among 5,000 containers over one among 10", 1.15, "x of the time among 10", growthOf(2)),
	most("peak memory of the greediest command", 4096, "KiB", memoryOf(func(m *memoryFacts) int { return slices.Max(append(slices.Collect(maps.Values(m.Peaks)), 0)) })),
	most("PSS of the created init", 64, "KiB", memoryOf(func(m *memoryFacts) int { return m.InitPSS })),
	most("threads of the created init", 1, "", memoryOf(func(m *memoryFacts) int { return m.InitThreads })),
	most("processes beside a detached container", 0, "", residentOfRuntime),
	most("smallest memory limit", 256, "KiB", limitOf),
	most("cgroup.procs writes in run", 0, "", procsWritesOf(cmdRun)),
	most("cgroup.procs writes in exec", 0, "", procsWritesOf(cmdExec)),
}

// verdict is a budget held against a report.
type verdict struct {
	budget
	got float64
}

// met reports whether the figure is known and within the budget.
func (v verdict) met() bool { // false for NaN
	if v.least {
		return v.got >= v.limit
	}
	return v.got <= v.limit
}

// bound prints the limit.
func (v verdict) bound() string {
	if v.least {
		return "at least " + figure(v.limit, v.unit)
	}
	return figure(v.limit, v.unit)
}

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
			missed = append(missed, fmt.Sprintf("%s: %s, budget %s", v.what, figure(v.got, v.unit), v.bound()))
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
