package main

import (
	"fmt"
	"slices"

	"github.com/tare-oci/tare/tests/syscalltrace"
)

// tables returns the report's tables, ratios first.
func (r *report) tables() []table {
	out := []table{r.ratioTable()}
	if r.UnderTest != "" {
		out = append(out, r.budgetTable())
	}
	out = append(out, r.floorTable(), r.contentionTable(), r.loopTable(), r.populatedTable(), r.profileTable(), r.timeTable(), r.peakTable(), r.memoryTable(), r.traceTable())
	return slices.DeleteFunc(out, func(t table) bool { return len(t.rows) == 0 })
}

// ratioTable has one row per command and bundle, and two columns for each
// runtime but the reference: hot and isolated.
func (r *report) ratioTable() table {
	t := table{
		title: "Ratios to " + r.Reference,
		note: fmt.Sprintf("Median of the ratios of neighbouring commands in %d rounds, with the 95 %% interval of that median; below 1 is faster. "+
			"Hot: directly after an untimed run of the same; a life of a container, create to delete, %v after one, with other containers between. "+
			"`%s`: directly after one. `%s`: create, start, state, exec, kill and delete. Isolated: %v of rest before each command.", r.Rounds, livesApart, cmdAgain, cmdSum, isolatedGap),
		head: []string{"bundle", "command"},
	}
	for _, rt := range r.Runtimes {
		if rt.Name != r.Reference {
			t.head = append(t.head, rt.Name+" hot", rt.Name+" isolated")
		}
	}
	r.eachCommand(func(v variant, c command) {
		row := []string{string(v), string(c)}
		for _, rt := range r.Runtimes {
			if rt.Name == r.Reference {
				continue
			}
			for _, mode := range []regime{hot, isolated} {
				s := r.find(v, c, mode)
				quotients := ratios(s.Millis[rt.Name], s.Millis[r.Reference])
				row = append(row, interval(quotients))
			}
		}
		t.rows = append(t.rows, row)
	})
	return t
}

// timeTable has the absolute times, for the order of magnitude.
func (r *report) timeTable() table {
	t := table{title: "Times in ms", note: "Median / 90th percentile. They drift with the machine: compare the ratios.", head: []string{"bundle", "command"}}
	for _, rt := range r.Runtimes {
		t.head = append(t.head, rt.Name+" hot", rt.Name+" isolated")
	}
	r.eachCommand(func(v variant, c command) {
		row := []string{string(v), string(c)}
		for _, rt := range r.Runtimes {
			for _, mode := range []regime{hot, isolated} {
				xs := r.find(v, c, mode).Millis[rt.Name]
				row = append(row, figure(median(xs), "ms")+" / "+figure(percentile(xs, 90), "ms"))
			}
		}
		t.rows = append(t.rows, row)
	})
	return t
}

// memoryTable has the memory figures of each runtime.
func (r *report) memoryTable() table {
	t := table{
		title: "Memory in KiB",
		note: fmt.Sprintf("Default bundle. Beside: processes that a runtime leaves beside a detached container, and the memory of those that wait while `run` holds one. Smallest limit: the least memory limit under which the payload ran %d times in a row.",
			limitTries),
		head: []string{"runtime", "created init PSS", "created init RSS", "its threads", "processes beside", "their PSS", "PSS beside run", "smallest limit", "runs under 512 KiB"},
	}
	for _, rt := range r.Runtimes {
		m := r.Memory[rt.Name]
		if m == nil {
			continue
		}
		promised := "-"
		if m.LimitMeasured {
			promised = map[bool]string{true: "yes", false: "no"}[m.RunsPromised]
		}
		t.rows = append(t.rows, []string{rt.Name, count(m.InitPSS), count(m.InitRSS), count(m.InitThreads),
			fmt.Sprint(m.Resident), fmt.Sprint(m.ResidentPSS), count(m.RunPSS), count(m.SmallestLimit), promised})
	}
	return t
}

// peakTable has the peak memory of each command.
func (r *report) peakTable() table {
	t := table{title: "Peak memory in KiB", note: "Default bundle: ru_maxrss of a command and its descendants.", head: []string{"runtime"}}
	for _, c := range peakCommands {
		t.head = append(t.head, string(c))
	}
	for _, rt := range r.Runtimes {
		m := r.Memory[rt.Name]
		if m == nil {
			continue
		}
		row := []string{rt.Name}
		for _, c := range peakCommands {
			row = append(row, count(m.Peaks[c]))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// traceTable has the system call counts of each runtime.
func (r *report) traceTable() table {
	t := table{
		title: "System calls",
		note:  "Default bundle under strace, payload included, without " + syscalltrace.Varying + ". A write to cgroup.procs waits for an RCU grace period on an idle host.",
		head:  []string{"runtime", "command", "system calls", "processes", "further threads", "execs", "cgroup.procs writes", "tasks writes"},
	}
	for _, rt := range r.Runtimes {
		for _, c := range tracedCommands {
			f := r.Traces[rt.Name][c.name]
			if f == nil {
				continue
			}
			t.rows = append(t.rows, []string{rt.Name, string(c.name), count(f.Calls), count(f.Processes), fmt.Sprint(f.Threads),
				count(f.Execs), fmt.Sprint(f.ProcsWrites), fmt.Sprint(f.TasksWrites)})
		}
	}
	return t
}

// budgetTable holds the budgets against the runtime under test.
func (r *report) budgetTable() table {
	t := table{title: "Budgets of " + r.UnderTest, note: "Ratios are to " + r.Reference + ".", head: []string{"figure", "measured", "budget", "verdict"}}
	for _, v := range judge(r) {
		t.rows = append(t.rows, []string{v.what, figure(v.got, v.unit), v.bound(), v.String()})
	}
	return t
}

// floorTable divides `run` of the default bundle by the C program that makes the
// same container.
func (r *report) floorTable() table {
	t := table{
		title: "Run above its floor",
		note: "`run` of the default bundle divided by a C program that is told everything and makes the same namespaces, mounts, devices and cgroups (tests/bench/floor); " +
			"median of the ratios of neighbours, with its 95 % interval. The second form makes the network namespace in a process beside.",
		head: []string{"runtime", "hot", "isolated", "beside, hot", "beside, isolated"},
	}
	for _, rt := range r.Runtimes {
		row := []string{rt.Name}
		for _, name := range []string{floorName, besideName} {
			for _, mode := range []regime{hot, isolated} {
				s := r.find(defaultBundle, cmdRun, mode)
				row = append(row, interval(ratios(s.Millis[rt.Name], s.Millis[name])))
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// interval prints the median of ratios with its 95 % interval.
func interval(quotients []sample) string {
	cell := figure(median(quotients), "x")
	if cell == "-" {
		return cell
	}
	low, high := medianInterval(quotients)
	return fmt.Sprintf("%s [%s, %s]", cell, figure(low, "x"), figure(high, "x"))
}
