package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/tests/cgroupview"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/tests/syscalltrace"
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
	// Load is the load average of a minute before the first measurement.
	Load float64 `json:"load"`

	Series     []series                                    `json:"series"`
	Memory     map[string]*memoryFacts                     `json:"memory"`
	Traces     map[string]map[command]*syscalltrace.Counts `json:"traces"`
	Contention []contention                                `json:"contention"`
	Populated  []populated                                 `json:"populated"` // of the runtime under test
	Loop       *loop                                       `json:"execLoop"`
	Profiles   map[command]*profile                        `json:"profiles"` // of the runtime under test
	Refused    []refusal                                   `json:"refused"`
	Notes      []string                                    `json:"notes"`
}

// busyLoad is the load for each core above which a machine is not quiet.
const busyLoad = 0.5

// loadAverage returns the load average of the last minute, 0 when it is unknown.
func loadAverage() float64 {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	word, _, _ := strings.Cut(string(text), " ")
	load, err := strconv.ParseFloat(word, 64)
	if err != nil {
		return 0
	}
	return load
}

// newReport describes the host. It names no machine.
func newReport(b *bench, rounds int) (*report, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return &report{
		Kernel: unix.ByteSliceToString(uts.Release[:]), Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Cgroups: cgroupview.Layout(),
		Payload: b.fs.payload.kind, Runtimes: b.runtimes, Reference: b.reference.Name, Rounds: rounds, Load: loadAverage(),
		Memory: map[string]*memoryFacts{}, Traces: map[string]map[command]*syscalltrace.Counts{},
	}, nil
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
	if r.Load > 0 {
		line := fmt.Sprintf("load average before the first measurement: %.1f", r.Load)
		if r.Load > busyLoad*float64(r.Cores) {
			line += "; **others were at work on the machine**: the figures are rough"
		}
		lines = append(lines, line)
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
	b.WriteString("# Benchmark\n\nWritten by `make bench-report`; do not edit. [performance.md](performance.md) says what was done about the time.\n\n- " +
		strings.Join(r.facts(), "\n- ") + "\n")
	for _, d := range r.drawings() {
		fmt.Fprintf(&b, "\n![%s](%s)\n", d.alt, d.name)
	}
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
	if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
		return err
	}
	return r.writeCharts(path)
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
