package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
)

// tally is what a ring has found. A test counts once: one with subtests is
// counted by them.
type tally struct {
	passed, failed, skipped int

	failures []string // name and output of each
	skips    []string // "name: reason"
}

func (t *tally) add(o tally) {
	t.passed += o.passed
	t.failed += o.failed
	t.skipped += o.skipped
}

func (t *tally) fail(why string) {
	t.failed++
	t.failures = append(t.failures, why)
}

// closing reads the line that ends a program's output, "N passed, N failed, N
// skipped". ok is false for any other line.
func closing(line string) (t tally, ok bool) {
	words := strings.Split(line, ", ")
	if len(words) != 3 {
		return t, false
	}
	for i, to := range []struct {
		n    *int
		what string
	}{{&t.passed, "passed"}, {&t.failed, "failed"}, {&t.skipped, "skipped"}} {
		n, what, found := strings.Cut(words[i], " ")
		v, err := strconv.Atoi(n)
		if !found || err != nil || what != to.what {
			return tally{}, false
		}
		*to.n = v
	}
	return t, true
}

// readBounds reads how many skips each ring may have: "ring number  # why".
func readBounds(path string) (map[string]int, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	bounds := map[string]int{}
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line, _, _ := strings.Cut(in.Text(), "#")
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if len(words) != 2 {
			return nil, fmt.Errorf("%s, line %d: want a ring and a number", path, n)
		}
		v, err := strconv.Atoi(words[1])
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s, line %d: %q is no number of skips", path, n, words[1])
		}
		bounds[words[0]] = v
	}
	return bounds, in.Err()
}
