package main

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
)

// anyHost meets every condition of the list.
var anyHost = hostFacts{kernel: [2]int{99, 0}}

func TestJudge(t *testing.T) {
	list, err := loadExpectations([]byte(`[
		{"program": "a", "line": "x (1)", "times": 2, "reason": "r", "proof": "p"},
		{"program": "a", "match": "y .*", "racy": true, "reason": "r", "proof": "p"},
		{"program": "a", "line": "old", "when": "kernel >= 100.1", "reason": "r", "proof": "p"}
	]`), anyHost)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name       string
		program    string
		problems   []string
		unexpected []string
		expected   int
		stale      int
	}{
		{"all true", "a", []string{"x (1)", "y 2", "x (1)"}, nil, 3, 0},
		{"racy one passes", "a", []string{"x (1)", "x (1)"}, nil, 2, 0},
		{"once too often", "a", []string{"x (1)", "x (1)", "x (1)"}, []string{"x (1)"}, 2, 0},
		{"once too seldom", "a", []string{"x (1)"}, nil, 1, 1},
		{"now passes", "a", nil, nil, 0, 1},
		{"unknown problem", "a", []string{"x (1)", "x (1)", "z"}, []string{"z"}, 2, 0},
		{"match is for the whole", "a", []string{"x (1)", "x (1)", "not y 2"}, []string{"not y 2"}, 2, 0},
		{"other host", "a", []string{"x (1)", "x (1)", "old"}, []string{"old"}, 2, 0},
		{"other program", "b", []string{"x (1)"}, []string{"x (1)"}, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judge(tt.program, tt.problems, list)
			if !slices.Equal(v.unexpected, tt.unexpected) || v.expected != tt.expected || len(v.stale) != tt.stale {
				t.Errorf("got %+v", v)
			}
		})
	}
}

func TestLoadExpectationsRefuses(t *testing.T) {
	for _, bad := range []string{
		`[{"program": "a", "line": "x", "reason": "r"}]`,
		`[{"program": "a", "line": "x", "match": "x", "reason": "r", "proof": "p"}]`,
		`[{"program": "a", "reason": "r", "proof": "p"}]`,
		`[{"program": "a", "match": "(", "reason": "r", "proof": "p"}]`,
		`[{"program": "a", "line": "x", "when": "Tuesday", "reason": "r", "proof": "p"}]`,
		`[{"program": "a", "line": "x", "why": "r", "proof": "p"}]`,
	} {
		if _, err := loadExpectations([]byte(bad), anyHost); err == nil {
			t.Errorf("accepted %s", bad)
		}
	}
}

func TestConditions(t *testing.T) {
	h := hostFacts{kernel: [2]int{5, 16}, sysResource: true}
	for when, want := range map[string]bool{
		"": true, "kernel >= 5.16": true, "kernel >= 4.20": true, "kernel >= 5.17": false, "kernel >= 6.0": false,
		"no CAP_SYS_RESOURCE": false,
	} {
		if got, err := h.satisfies(when); err != nil || got != want {
			t.Errorf("satisfies(%q) = %v, %v, want %v", when, got, err, want)
		}
	}
}

// TestListed holds the list against its page of documentation and against the
// programs that exist.
func TestListed(t *testing.T) {
	list, err := loadExpectations(expectedJSON, anyHost)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	tools, err := goTool("list", "tool")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if !strings.Contains(tools, "/validation/"+e.Program+"\n") {
			t.Errorf("%s: no such program", e.Program)
		}
		if !bytes.Contains(page, []byte("`"+e.Program+"`")) {
			t.Errorf("%s: the page says nothing about it", e.Program)
		}
	}
}

// TestEveryProgramIsATool fails when a newer version of the module has
// programs that go.mod does not list.
func TestEveryProgramIsATool(t *testing.T) {
	tools, err := goTool("list", "tool")
	if err != nil {
		t.Fatal(err)
	}
	all, err := goTool("list", "-f", `{{if eq .Name "main"}}{{.ImportPath}}{{end}}`, module+"/validation/...")
	if err != nil {
		t.Fatal(err)
	}
	listed := strings.Fields(tools)
	for _, pkg := range strings.Fields(all) {
		if !slices.Contains(listed, pkg) {
			t.Errorf("%s is not in the tool block of go.mod", pkg)
		}
	}
}
