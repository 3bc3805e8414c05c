package main

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestClosing(t *testing.T) {
	got, ok := closing("4205 passed, 17 failed, 3 skipped")
	if !ok || got.passed != 4205 || got.failed != 17 || got.skipped != 3 {
		t.Errorf("closing: %+v, %v", got, ok)
	}
	for _, line := range []string{"", "1 passed, 2 failed", "1 failed, 2 passed, 3 skipped", "x passed, 2 failed, 3 skipped", "ok 1, 2, 3"} {
		if _, ok := closing(line); ok {
			t.Errorf("%q is taken for a closing line", line)
		}
	}
}

func TestReadTests(t *testing.T) {
	in := `{"Action":"run","Package":"m/p","Test":"TestA"}
{"Action":"pass","Package":"m/p","Test":"TestA"}
{"Action":"run","Package":"m/p","Test":"TestB"}
{"Action":"run","Package":"m/p","Test":"TestB/one"}
{"Action":"output","Package":"m/p","Test":"TestB/one","Output":"    b_test.go:7: no bridge here\n"}
{"Action":"output","Package":"m/p","Test":"TestB/one","Output":"--- SKIP: TestB/one (0.00s)\n"}
{"Action":"skip","Package":"m/p","Test":"TestB/one"}
{"Action":"run","Package":"m/p","Test":"TestB/two/deep"}
{"Action":"output","Package":"m/p","Test":"TestB/two/deep","Output":"    b_test.go:9: wrong\n"}
{"Action":"fail","Package":"m/p","Test":"TestB/two/deep"}
{"Action":"fail","Package":"m/p","Test":"TestB"}
{"Action":"fail","Package":"m/p"}
{"ImportPath":"m/q","Action":"build-output","Output":"q.go:1: no\n"}
{"ImportPath":"m/q","Action":"build-fail"}
{"Action":"fail","Package":"m/q"}
`
	got := readTests(strings.NewReader(in))
	if got.passed != 1 || got.failed != 2 || got.skipped != 1 {
		t.Errorf("%d passed, %d failed, %d skipped; want 1, 2, 1\n%q", got.passed, got.failed, got.skipped, got.failures)
	}
	if len(got.skips) != 1 || got.skips[0] != "m/p TestB/one: no bridge here" {
		t.Errorf("skips %q", got.skips)
	}
	if len(got.failures) != 2 || !strings.Contains(got.failures[0], "wrong") || !strings.Contains(got.failures[1], "q.go:1: no") {
		t.Errorf("failures %q", got.failures)
	}
}

// A test binary that dies has run a test and neither passed nor failed it: the
// package's own failure is what is left.
func TestReadTestsOfADeadBinary(t *testing.T) {
	in := `{"Action":"run","Package":"m/p","Test":"TestA"}
{"Action":"output","Package":"m/p","Output":"exit status 66\n"}
{"Action":"fail","Package":"m/p"}
`
	if got := readTests(strings.NewReader(in)); got.failed != 1 {
		t.Errorf("%d failed, want 1", got.failed)
	}
}

func TestEveryRingHasABound(t *testing.T) {
	bounds, err := readBounds("bounds.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rings {
		if _, ok := bounds[r.name]; !ok {
			t.Errorf("ring %s has no bound", r.name)
		}
		delete(bounds, r.name)
	}
	for name := range bounds {
		t.Errorf("bounds.txt has a line for %q, which is no ring", name)
	}
}

// docs/testing.md has a row for each ring.
func TestEveryRingIsDocumented(t *testing.T) {
	data, err := os.ReadFile("../../docs/testing.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(data), "| ring | what is proven | how |\n|---|---|---|\n")
	table, _, _ = strings.Cut(table, "\n\n")
	var listed, want []string
	for row := range strings.Lines(table) {
		name, _, _ := strings.Cut(strings.TrimPrefix(row, "| "), " |")
		listed = append(listed, name)
	}
	for _, r := range rings {
		want = append(want, r.name)
	}
	slices.Sort(listed)
	slices.Sort(want)
	if !slices.Equal(listed, want) {
		t.Errorf("docs/testing.md has the rings %v, there are %v", listed, want)
	}
}
