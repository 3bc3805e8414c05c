package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/tare-oci/tare/tests/bench/chart"
)

// drawing is one file beside the report.
type drawing struct {
	name string // of the file, without its folder
	alt  string // what it shows
	svg  string
}

// drawings returns the charts of a report; those without figures are left out.
func (r *report) drawings() []drawing {
	if r.UnderTest == "" {
		return nil
	}
	out := []drawing{{"bench-ratios.svg", "times of " + r.UnderTest + " as ratios to " + r.Reference, r.ratioChart().SVG()}}
	if len(r.Contention) > 1 {
		out = append(out, drawing{"bench-contention.svg", "containers per second, by how many are started at once", r.contentionChart().SVG()})
	}
	out = append(out, drawing{"bench-memory.svg", "memory of " + r.UnderTest + " and its peers", r.memoryChart().SVG()})
	if r.Profiles[cmdRun] != nil {
		out = append(out, drawing{"bench-run.svg", "where the processor time of run goes", r.profileChart().SVG()})
	}
	return out
}

// writeCharts writes the drawings into the folder of the report, and removes
// those of an earlier report that this one does not have.
func (r *report) writeCharts(path string) error {
	dir, base := filepath.Split(path)
	stem := strings.TrimSuffix(base, filepath.Ext(base))
	old, err := filepath.Glob(filepath.Join(dir, stem+"-*.svg"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	for _, d := range r.drawings() {
		name := stem + strings.TrimPrefix(d.name, "bench")
		if err := os.WriteFile(filepath.Join(dir, name), []byte(d.svg), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// budgetOf returns the limit of the budget of this name, 0 for none.
func budgetOf(what string) float64 {
	for _, b := range budgets {
		if b.what == what {
			return b.limit
		}
	}
	return 0
}

// ratioChart has a group for each command, hot and isolated.
func (r *report) ratioChart() chart.Bars {
	c := chart.Bars{
		Title:  fmt.Sprintf("Time of %s's commands as a share of %s's", r.UnderTest, r.Reference),
		Note:   "Medians of the ratios of neighbours; shorter is faster. A red mark is a budget.",
		Series: []string{string(hot), string(isolated)}, Line: 1, LineText: r.Reference,
	}
	add := func(label, budget string, v variant, cmd command) {
		g := chart.Group{Label: label}
		for i, mode := range []regime{hot, isolated} {
			x := ratioOf(v, cmd, mode)(r, r.UnderTest)
			g.Bars = append(g.Bars, chart.Bar{Series: i, Value: x, Text: figure(x, "x"), Limit: budgetOf(budget + ", " + string(mode))})
		}
		c.Groups = append(c.Groups, g)
	}
	for _, cmd := range append(append([]command{}, lifecycleCommands...), cmdSum, cmdExec, cmdRun) {
		add(string(cmd), string(cmd), defaultBundle, cmd)
	}
	add("run, minimal", "run, minimal bundle", minimalBundle, cmdRun)
	add("run, like Docker", "run, Docker's bundle", dockerBundle, cmdRun)
	add("run, seccomp profile", "run with a seccomp profile", seccompBundle, cmdRun)
	add("run, 200 bind mounts", "run, 200 bind mounts", bindsBundle, cmdRun)
	return c
}

// contentionChart has a line for each runtime.
func (r *report) contentionChart() chart.Lines {
	c := chart.Lines{Title: "Containers per second", Note: "run of the default bundle; median of the rounds.", X: "started at once", Y: "per second"}
	for _, level := range r.Contention {
		c.Steps = append(c.Steps, fmt.Sprint(level.Level))
	}
	for _, rt := range r.Runtimes {
		l := chart.Line{Name: rt.Name}
		for _, level := range r.Contention {
			l.Values = append(l.Values, median(level.StartsPerSecond[rt.Name]))
		}
		c.Series = append(c.Series, l)
	}
	return c
}

// memoryChart has a group with a scale of its own for each figure.
func (r *report) memoryChart() chart.Bars {
	c := chart.Bars{Title: "Memory in KiB", Note: "Default bundle; each group has a scale of its own. A red mark is a budget."}
	for _, rt := range r.Runtimes {
		c.Series = append(c.Series, rt.Name)
	}
	for _, f := range []struct {
		label, budget string
		pick          func(*memoryFacts) int
	}{
		{"peak of run", "peak memory of the greediest command", func(m *memoryFacts) int { return m.Peaks[cmdRun] }},
		{"peak of state", "", func(m *memoryFacts) int { return m.Peaks[cmdState] }},
		{"created container (PSS)", "PSS of the created init", func(m *memoryFacts) int { return m.InitPSS }},
		{"beside run (PSS)", "", func(m *memoryFacts) int { return m.RunPSS }},
		{"smallest memory limit", "smallest memory limit", func(m *memoryFacts) int { return m.SmallestLimit }},
	} {
		g := chart.Group{Label: f.label, Own: true}
		for i, rt := range r.Runtimes {
			x := memoryOf(f.pick)(r, rt.Name)
			bar := chart.Bar{Series: i, Value: x, Text: figure(x, "")}
			if rt.Name == r.UnderTest {
				bar.Limit = budgetOf(f.budget)
			}
			g.Bars = append(g.Bars, bar)
		}
		c.Groups = append(c.Groups, g)
	}
	return c
}

// profileChart has a bar for each part of the processor time of run.
func (r *report) profileChart() chart.Bars {
	p := r.Profiles[cmdRun]
	c := chart.Bars{
		Title: fmt.Sprintf("Where the processor time of %s's run goes", r.UnderTest),
		Note:  fmt.Sprintf("Default bundle, %d runs back to back, %.2f ms each; the kernel has %.0f %%.", p.Runs, p.CPUMillis, 100*p.kernelShare()),
	}
	for _, part := range profileParts {
		x := p.share(part)
		if math.IsNaN(x) || x == 0 {
			continue
		}
		series := 0
		if strings.HasPrefix(part, "kernel") {
			series = 2
		}
		c.Groups = append(c.Groups, chart.Group{Label: strings.TrimPrefix(part, "kernel: "), Bars: []chart.Bar{{Series: series, Value: x, Text: fmt.Sprintf("%.1f %%", 100*x)}}})
	}
	c.Series = []string{"in the program", "", "in the kernel"}
	return c
}
