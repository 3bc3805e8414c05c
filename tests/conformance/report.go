package main

import (
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// judgeAll prints what is wrong, ends with one line of totals and returns the
// exit code. Passed are "ok" lines; skipped are problems on the list, and
// programs that the host cannot run; everything else is failed.
func judgeAll(w io.Writer, results []result, list []expectation) int {
	passed, failed, skipped := 0, 0, 0
	for _, r := range results {
		if r.Skipped != "" {
			fmt.Fprintf(w, "SKIP %s: %s\n", r.Program, r.Skipped)
			skipped++
			continue
		}
		problems := slices.Clone(r.Problems)
		for _, text := range r.Residue {
			problems = append(problems, "left behind: "+text)
		}
		v := judge(r.Program, problems, list)
		passed += r.Passed
		skipped += v.expected
		for _, text := range append(v.unexpected, v.stale...) {
			fmt.Fprintf(w, "FAIL %s: %s\n", r.Program, text)
		}
		failed += len(v.unexpected) + len(v.stale)
	}
	fmt.Fprintf(w, "%d passed, %d failed, %d skipped\n", passed, failed, skipped)
	if failed > 0 {
		return exitFailed
	}
	return 0
}

// summary is the row of one runtime in the table that --baseline prints.
type summary struct {
	Runtime  string   `json:"runtime"`
	Version  string   `json:"version"`
	Passed   int      `json:"passed"`   // "ok" lines
	Failed   int      `json:"failed"`   // "not ok" lines
	Troubled int      `json:"troubled"` // programs with any problem
	Programs int      `json:"programs"` // programs run
	Results  []result `json:"results"`
}

func summarise(runtime string, results []result) summary {
	s := summary{Runtime: runtime, Version: version(runtime), Results: results}
	for _, r := range results {
		s.Passed += r.Passed
		s.Failed += r.Failed
		if r.Skipped == "" {
			s.Programs++
		}
		if len(r.Problems) > 0 {
			s.Troubled++
		}
	}
	return s
}

// version returns the first line of the runtime's --version.
func version(runtime string) string {
	out, err := exec.Command(runtime, "--version").Output()
	if err != nil {
		return "unknown: " + err.Error()
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}
