package main

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// openSmallBench has a launcher and nothing that needs root.
func openSmallBench(t *testing.T) *bench {
	t.Helper()
	if err := becomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	return &bench{launch: openLauncher(t), dir: t.TempDir(), progress: io.Discard, live: map[string]*ociRuntime{}, running: map[int]bool{}}
}

// program returns a runtime that is a shell script.
func program(t *testing.T, script string) *ociRuntime {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	return &ociRuntime{Name: "program", path: path}
}

// The script knows its bundle by the fifth word, and how many of it run at once
// by a file for each.
func TestCrowdKeepsEachSlotBusyAndCountsFailures(t *testing.T) {
	b := openSmallBench(t)
	dir := t.TempDir()
	rt := program(t, fmt.Sprintf(`cd %s
[ "$3" = run ] || exit 0
mkdir "busy-$5" || { echo "$5 runs twice" >>twice; exit 0; }
ls -d busy-* | wc -l >>crowd
echo "$5" >>started
sleep 0.05
rmdir "busy-$5"
[ "$5" != bad ] || { echo "it is bad" >&2; exit 3; }
`, dir))
	res, err := b.crowd(t.Context(), rt, []string{"good", "fine", "bad"}, 12)
	if err != nil {
		t.Fatal(err)
	}
	read := func(name string) []string {
		text, _ := os.ReadFile(filepath.Join(dir, name)) // none is as good as an empty one
		return strings.Fields(string(text))
	}
	started := map[string]int{}
	for _, name := range read("started") {
		started[name]++
	}
	if n := started["good"] + started["fine"] + started["bad"]; n != 12 {
		t.Errorf("%d containers were started, want 12: %v", n, started)
	}
	if res.failed != started["bad"] || !strings.HasPrefix(res.message, "it is bad") {
		t.Errorf("%d failed (%q), want the %d of one bundle", res.failed, res.message, started["bad"])
	}
	if twice := read("twice"); len(twice) > 0 {
		t.Errorf("a bundle was used by two at once: %v", twice)
	}
	if most := slices.Max(read("crowd")); most != "3" {
		t.Errorf("at most %s ran at once, want 3", most)
	}
	if !res.rate.valid() || res.rate <= 0 || res.rate > sample(12/0.05) || res.cpu <= 0 {
		t.Errorf("%v per second with %v ms each", res.rate, res.cpu)
	}
	if len(b.live) > 0 {
		t.Errorf("left: %v", slices.Collect(maps.Keys(b.live)))
	}
}

func TestRecordIsCopiedUnderOtherNames(t *testing.T) {
	rec := record{id: "bench-7", files: map[string][]byte{
		"bench-7.json":  []byte(`{"id":"bench-7","bundle":"/bench-7/b"}`),
		"bench-7/extra": []byte("x"),
	}}
	root := filepath.Join(t.TempDir(), "state")
	if err := rec.copies(root, 3); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		text, err := os.ReadFile(filepath.Join(root, fmt.Sprintf("bench-7-%d.json", i)))
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"id":"bench-7-%d","bundle":"/bench-7/b"}`, i); string(text) != want {
			t.Errorf("record %s, want %s", text, want)
		}
		if _, err := os.Stat(filepath.Join(root, fmt.Sprintf("bench-7-%d/extra", i))); err != nil {
			t.Error(err)
		}
	}
}
