package main

import (
	"fmt"
	"math"
	"strings"
)

// contentionTable has one row for each number of containers at once.
func (r *report) contentionTable() table {
	t := table{
		title: "Containers at once",
		note: "`run` of the default bundle, so many at a time: containers per second, as a ratio to " + r.Reference + " (median of the rounds, above 1 is more) and as a figure; " +
			"milliseconds of processor time for each; how many failed.",
		head: []string{"at once"},
	}
	for _, rt := range r.Runtimes {
		if rt.Name != r.Reference {
			t.head = append(t.head, rt.Name+" ratio")
		}
	}
	for _, rt := range r.Runtimes {
		t.head = append(t.head, rt.Name+" per s", rt.Name+" CPU", rt.Name+" failed")
	}
	for _, c := range r.Contention {
		row := []string{fmt.Sprint(c.Level)}
		for _, rt := range r.Runtimes {
			if rt.Name != r.Reference {
				row = append(row, figure(median(ratios(c.StartsPerSecond[rt.Name], c.StartsPerSecond[r.Reference])), "x"))
			}
		}
		for _, rt := range r.Runtimes {
			row = append(row, figure(median(c.StartsPerSecond[rt.Name]), ""), figure(median(c.CPUMillis[rt.Name]), "ms"), fmt.Sprint(c.Failed[rt.Name]))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// loopTable has the execs in a row.
func (r *report) loopTable() table {
	t := table{title: "Health probes", head: []string{"runtime", "ms for each exec", "ratio to " + r.Reference}}
	if r.Loop == nil {
		return t
	}
	t.note = fmt.Sprintf("%d execs of a program that ends at once, in a row in one container; median of the rounds.", r.Loop.Calls)
	for _, rt := range r.Runtimes {
		xs := r.Loop.Millis[rt.Name]
		t.rows = append(t.rows, []string{rt.Name, figure(median(xs), "ms"), figure(median(ratios(xs, r.Loop.Millis[r.Reference])), "x")})
	}
	return t
}

// populatedTable says what the number of containers costs each command.
func (r *report) populatedTable() table {
	t := table{title: "Among many containers", head: []string{"command"}}
	if len(r.Populated) == 0 {
		return t
	}
	var sizes []string
	for i, p := range r.Populated {
		sizes = append(sizes, fmt.Sprint(p.Records))
		if i > 0 {
			t.head = append(t.head, fmt.Sprintf("%d containers", p.Records))
		}
	}
	t.note = fmt.Sprintf("Commands of %s in a state directory that holds %s stopped containers: times as ratios to those among %d.",
		r.UnderTest, strings.Join(sizes, ", "), r.Populated[0].Records)
	for _, c := range append(append([]command{}, lifecycleCommands...), cmdList) {
		row := []string{string(c)}
		for i := range r.Populated {
			if i > 0 {
				row = append(row, interval(r.growth(i, c)))
			}
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// profileTable divides the processor time of some commands.
func (r *report) profileTable() table {
	t := table{title: "Where the time goes", head: []string{"part"}}
	if r.Profiles == nil {
		return t
	}
	t.note = "Processor time of commands of " + r.UnderTest + " back to back, default bundle, by samples of a clock (perf), with their containers, without kernel threads."
	total, kernel := []string{"ms of processor time"}, []string{"in the kernel"}
	for _, c := range profiledCommands {
		p := r.Profiles[c]
		t.head = append(t.head, string(c))
		if p == nil {
			total, kernel = append(total, "-"), append(kernel, "-")
			continue
		}
		total, kernel = append(total, figure(p.CPUMillis, "ms")), append(kernel, percentage(p.kernelShare()))
	}
	t.rows = append(t.rows, total, kernel)
	for _, part := range profileParts {
		row := []string{part}
		for _, c := range profiledCommands {
			row = append(row, percentage(r.Profiles[c].share(part)))
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// percentage prints a share.
func percentage(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}
