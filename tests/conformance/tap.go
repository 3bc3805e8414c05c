package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// report is what the standard output of one program says in the Test Anything
// Protocol.
type report struct {
	passed   int      // "ok" lines at any indentation, skips included
	failed   int      // "not ok" lines at any indentation
	problems []string // normalised descriptions of everything that is wrong
}

var (
	testLine = regexp.MustCompile(`^\s*(not )?ok\b\s*(\d*)\s*(.*)$`)
	planLine = regexp.MustCompile(`^\s*1\.\.(\d+)\s*$`)
)

// stream follows one series of tests: from "TAP version 13" to its plan.
type stream struct {
	tests   int  // test lines since the header
	planned bool // the plan has been seen
}

// parseTAP reads the output of a program. Several series may follow each
// other, each with its own header and plan. A series that lacks its plan, or
// whose plan disagrees with it, is a problem of its own: that is how a prober
// that died half-way looks from outside, and it exits with status 0.
//
// Output of a prober that a program repeats inside a diagnostic is read for
// problems, but not counted: its lines are not lines of the program.
func parseTAP(out string) report {
	var r report
	var s *stream
	lines := strings.Split(out, "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		switch {
		case strings.TrimSpace(line) == "TAP version 13":
			r.end(s)
			s = &stream{}
		case strings.TrimSpace(line) == "---":
			end := i + 1
			for end < len(lines) && strings.TrimSpace(lines[end]) != "..." {
				end++
			}
			r.diagnostic(strings.Join(lines[i+1:min(end, len(lines))], "\n"), s)
			i = end
		case planLine.MatchString(line):
			n, _ := strconv.Atoi(planLine.FindStringSubmatch(line)[1])
			if s == nil || s.tests != n {
				r.problem(fmt.Sprintf("plan 1..%d does not match the tests run", n))
			}
			if s != nil {
				s.planned = true
			}
		case testLine.MatchString(line):
			if s == nil {
				s = &stream{}
			}
			s.tests++
			r.test(testLine.FindStringSubmatch(line))
		}
	}
	r.end(s)
	return r
}

// test records one test line, given as the groups of testLine.
func (r *report) test(m []string) {
	description := strings.TrimPrefix(m[3], "- ")
	switch {
	case m[1] == "":
		r.passed++
	case strings.HasPrefix(description, "# TODO"):
		// A failure that the protocol itself declares to be expected.
	default:
		r.failed++
		r.problem(description)
	}
}

// noPlan is the problem of a series of tests that was not finished.
const noPlan = "the series of tests ends without a plan"

// end closes a series of tests. A program that runs none prints "1..0".
func (r *report) end(s *stream) {
	if s != nil && !s.planned {
		r.problem(noPlan)
	}
}

// diagnostic reads the JSON object that stands in a YAML block. Where no test
// line belongs to it, an "error" is the only verdict the program gives, and
// counts as a problem. A "stdout" is the output of a prober.
func (r *report) diagnostic(block string, s *stream) {
	var d struct{ Error, Stdout string }
	if json.Unmarshal([]byte(block), &d) != nil {
		return
	}
	if d.Error != "" && (s == nil || s.tests == 0) {
		message, _, _ := strings.Cut(d.Error, "\n")
		r.problem("error without a test: " + message)
	}
	if strings.HasPrefix(d.Stdout, "TAP version") {
		for _, p := range parseTAP(d.Stdout).problems {
			r.problem("in the container: " + p)
		}
	}
}

func (r *report) problem(text string) {
	r.problems = append(r.problems, normalise(text))
}

var variable = []struct {
	pattern *regexp.Regexp
	name    string
}{
	{regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`), "<id>"},
	{regexp.MustCompile(`(\S*/)?\bocitest[0-9]+`), "<bundle>"},
	{regexp.MustCompile(`[0-9]{6,}`), "<number>"},
}

// normalise replaces what differs between two runs of the same program:
// container ids, bundle folders, random file names and inode numbers.
func normalise(text string) string {
	for _, v := range variable {
		text = v.pattern.ReplaceAllString(text, v.name)
	}
	return strings.Join(strings.Fields(text), " ")
}
