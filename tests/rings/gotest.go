package main

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
)

// event is one line of `go test -json`.
type event struct {
	Action     string
	Package    string
	ImportPath string
	Test       string
	Output     string
}

// readTests adds up the output of `go test -json`.
func readTests(in io.Reader) tally {
	var t tally
	output := map[string]*strings.Builder{} // of a test or, without one, a package
	parents := map[string]bool{}            // have subtests, which are counted
	failedIn := map[string]int{}            // by package
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) != nil {
				// Not from the test: the go command's own words, which explain a failure.
				t.failures = appendText(t.failures, string(line))
				continue
			}
			if e.Package == "" {
				e.Package = e.ImportPath
			}
			key := e.Package + " " + e.Test
			switch e.Action {
			case "run":
				// All prefixes: the name of one subtest may have slashes of its own.
				for i, c := range e.Test {
					if c == '/' {
						parents[e.Package+" "+e.Test[:i]] = true
					}
				}
			case "output", "build-output":
				if output[key] == nil {
					output[key] = &strings.Builder{}
				}
				output[key].WriteString(e.Output)
			case "pass":
				if e.Test != "" && !parents[key] {
					t.passed++
				}
			case "skip":
				if e.Test != "" && !parents[key] {
					t.skipped++
					t.skips = append(t.skips, short(e.Package)+" "+e.Test+": "+reason(output[key]))
				}
			case "fail", "build-fail":
				// A package fails with its tests; a parent fails with its subtests.
				if e.Test == "" && failedIn[e.Package] > 0 {
					continue
				}
				own := reason(output[key]) != noReason
				if parents[key] && !own && failedBelow(t.failures, short(e.Package)+" "+e.Test+"/") {
					continue
				}
				failedIn[e.Package]++
				t.fail(strings.TrimSpace(short(e.Package)+" "+e.Test) + "\n" + text(output[key]))
			}
		}
		if err != nil {
			return t
		}
	}
}

// appendText keeps words that belong to no test without counting them: the exit
// status tells whether they mattered.
func appendText(failures []string, line string) []string {
	if line = strings.TrimSpace(line); line != "" {
		failures = append(failures, line)
	}
	return failures
}

func failedBelow(failures []string, prefix string) bool {
	for _, f := range failures {
		if strings.HasPrefix(f, prefix) {
			return true
		}
	}
	return false
}

func short(pkg string) string { return strings.TrimPrefix(pkg, "github.com/tare-oci/tare/") }

func text(b *strings.Builder) string {
	if b == nil {
		return ""
	}
	return b.String()
}

const noReason = "no reason given"

// reason is what t.Skip was told: what the test printed, without the lines that
// the testing package adds.
func reason(b *strings.Builder) string {
	var words []string
	for line := range strings.Lines(text(b)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
			continue
		}
		if _, rest, ok := strings.Cut(line, ".go:"); ok {
			if _, after, ok := strings.Cut(rest, ": "); ok {
				line = after
			}
		}
		words = append(words, line)
	}
	if len(words) == 0 {
		return noReason
	}
	return strings.Join(words, " | ")
}
