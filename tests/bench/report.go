package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
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

	Series     []series                                    `json:"series"`
	Memory     map[string]*memoryFacts                     `json:"memory"`
	Traces     map[string]map[command]*syscalltrace.Counts `json:"traces"`
	Contention []contention                                `json:"contention"`
	Populated  []populated                                 `json:"populated"` // of the runtime under test
	Loop       *loop                                       `json:"execLoop"`
	Refused    []refusal                                   `json:"refused"`
	Notes      []string                                    `json:"notes"`
}

// newReport describes the host. It names no machine.
func newReport(b *bench, rounds int) (*report, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return nil, fmt.Errorf("uname: %w", err)
	}
	return &report{
		Kernel: unix.ByteSliceToString(uts.Release[:]), Cores: runtime.NumCPU(), Arch: runtime.GOARCH, Cgroups: cgroupview.Layout(),
		Payload: b.fs.payload.kind, Runtimes: b.runtimes, Reference: b.reference.Name, Rounds: rounds,
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
