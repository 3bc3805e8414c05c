package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// report is all that was measured. Its JSON form has every sample.
type report struct {
	Kernel    string        `json:"kernel"`
	Cores     int           `json:"cores"`
	Arch      string        `json:"arch"`
	Cgroups   string        `json:"cgroups"`
	Payload   string        `json:"payload"`
	Runtimes  []*ociRuntime `json:"runtimes"`
	UnderTest string        `json:"underTest"` // empty when only peers were measured
	Reference string        `json:"reference"` // the peer that ratios are taken to
	Rounds    int           `json:"rounds"`

	Series  []series                           `json:"series"`
	Memory  map[string]*memoryFacts            `json:"memory"`
	Traces  map[string]map[command]*traceFacts `json:"traces"`
	Refused []refusal                          `json:"refused"`
	Notes   []string                           `json:"notes"`
}

// newReport describes the host. It names no machine.
func newReport(b *bench, rounds int) (*report, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return &report{
		Kernel: unix.ByteSliceToString(uts.Release[:]), Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Cgroups: layout(),
		Payload: b.fs.payload.kind, Runtimes: b.runtimes, Reference: b.reference.Name, Rounds: rounds,
		Memory: map[string]*memoryFacts{}, Traces: map[string]map[command]*traceFacts{},
	}, nil
}

// tables returns the report's tables, ratios first.
func (r *report) tables() []table {
	out := []table{r.ratioTable()}
	if r.UnderTest != "" {
		out = append(out, r.budgetTable())
	}
	return append(out, r.timeTable(), r.memoryTable(), r.traceTable())
}

// ratioTable has one row per command and bundle, and two columns for each
// runtime but the reference: hot and isolated.
func (r *report) ratioTable() table {
	t := table{
		title: "Ratios to " + r.Reference,
		note: fmt.Sprintf("Median of the ratios of neighbouring commands in %d rounds, with the 95 %% interval of that median; below 1 is faster. "+
			"Hot: directly after an untimed run of the same. Isolated: %v of rest before each command.", r.Rounds, isolatedGap),
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
				low, high := medianInterval(quotients)
				cell := figure(median(quotients), "x")
				if cell != "-" {
					cell += fmt.Sprintf(" [%s, %s]", figure(low, "x"), figure(high, "x"))
				}
				row = append(row, cell)
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
		note: fmt.Sprintf("Default bundle. Peak: ru_maxrss of the command and its descendants. Smallest limit: the least memory limit under which the payload ran %d times in a row.",
			limitTries),
		head: []string{"runtime", "peak run", "peak create", "peak state", "created init PSS", "created init RSS", "its threads", "smallest limit", "runs under 512 KiB"},
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
		t.rows = append(t.rows, []string{rt.Name, count(m.PeakRun), count(m.PeakCreate), count(m.PeakState),
			count(m.InitPSS), count(m.InitRSS), count(m.InitThreads), count(m.SmallestLimit), promised})
	}
	return t
}

// traceTable has the system call counts of each runtime.
func (r *report) traceTable() table {
	t := table{
		title: "System calls",
		note:  "Default bundle under strace, payload included. A write to cgroup.procs waits for an RCU grace period on an idle host.",
		head:  []string{"runtime", "command", "system calls", "processes", "further threads", "execs", "cgroup.procs writes", "tasks writes"},
	}
	for _, rt := range r.Runtimes {
		for _, c := range tracedCommands {
			f := r.Traces[rt.Name][c.name]
			if f == nil {
				continue
			}
			t.rows = append(t.rows, []string{rt.Name, string(c.name), count(f.Syscalls), count(f.Processes), fmt.Sprint(f.Threads),
				count(f.Execs), fmt.Sprint(f.ProcsWrites), fmt.Sprint(f.TasksWrites)})
		}
	}
	return t
}

// budgetTable holds the budgets against the runtime under test.
func (r *report) budgetTable() table {
	t := table{title: "Budgets of " + r.UnderTest, note: "Ratios are to " + r.Reference + ".", head: []string{"figure", "measured", "budget", "verdict"}}
	for _, v := range judge(r) {
		t.rows = append(t.rows, []string{v.what, figure(v.got, v.unit), figure(v.limit, v.unit), v.String()})
	}
	return t
}

// eachCommand calls f for each bundle and command, in the order of measuring.
func (r *report) eachCommand(f func(variant, command)) {
	for _, s := range r.Series {
		if s.Regime == hot {
			f(s.Bundle, s.Command)
		}
	}
}

// find returns a series; one without samples when it was not measured.
func (r *report) find(v variant, c command, mode regime) series {
	for _, s := range r.Series {
		if s.Bundle == v && s.Command == c && s.Regime == mode {
			return s
		}
	}
	return series{}
}

// facts returns the lines above the tables.
func (r *report) facts() []string {
	lines := []string{fmt.Sprintf("Linux %s, %s, %d cores, %s; payload: %s", r.Kernel, r.Arch, r.Cores, r.Cgroups, r.Payload)}
	for _, rt := range r.Runtimes {
		lines = append(lines, rt.Name+": "+rt.Version)
	}
	return append(lines, r.Notes...)
}

// remarks returns the lines below the tables: what could not be measured.
func (r *report) remarks() []string {
	var lines []string
	for _, f := range r.Refused {
		how := "refused"
		if f.Rounds > 0 {
			how = fmt.Sprintf("failed in %d rounds", f.Rounds)
		}
		lines = append(lines, fmt.Sprintf("%s, %s: %s: %s", f.Runtime, f.What, how, f.Message))
	}
	return lines
}

// text prints the report for a terminal.
func (r *report) text(w io.Writer) error {
	if _, err := fmt.Fprintln(w, strings.Join(r.facts(), "\n")); err != nil {
		return err
	}
	for _, t := range r.tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	if lines := r.remarks(); len(lines) > 0 {
		_, err := fmt.Fprintf(w, "\nNot measured\n  %s\n", strings.Join(lines, "\n  "))
		return err
	}
	return nil
}

// writeMarkdown writes the report to path. Messages of refused measurements
// stay out: they hold paths of this machine.
func (r *report) writeMarkdown(path string) error {
	var b strings.Builder
	b.WriteString("# Benchmark\n\nWritten by `make bench`; do not edit.\n\n- " + strings.Join(r.facts(), "\n- ") + "\n")
	for _, t := range r.tables() {
		if err := t.markdown(&b); err != nil {
			return err
		}
	}
	if len(r.Refused) > 0 {
		b.WriteString("\n## Not measured\n\n")
		for _, f := range r.Refused {
			fmt.Fprintf(&b, "- %s: %s\n", f.Runtime, f.What)
		}
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}

// writeJSON writes the report with every sample to path.
func (r *report) writeJSON(path string) (err error) {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	enc := json.NewEncoder(file)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
