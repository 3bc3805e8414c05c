// Command rings runs the test rings of docs/testing.md, innermost first, and
// adds them up: one line for each ring, every skip with its reason, every
// failure with its output, and at the end "N passed, N failed, N skipped".
//
//	go run ./tests/rings [--only RING,...] [--list]
//
// A ring that skips more than bounds.txt allows fails: a host on which half of
// the tests find nothing to do must not look like a host on which they pass.
// It is run from the top of the source tree, after `make`.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	only := flag.String("only", "", "run only the rings `NAME,...`")
	list := flag.Bool("list", false, "list the rings and end")
	flag.Parse()
	if *list {
		for _, r := range rings {
			fmt.Printf("  %-12s %s\n", r.name, r.doc)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	ok, err := run(ctx, *only)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "rings:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// run runs the chosen rings and prints the summary; ok is false when anything
// failed.
func run(ctx context.Context, only string) (ok bool, err error) {
	chosen := rings
	if only != "" {
		chosen = nil
		for _, name := range strings.Split(only, ",") {
			i := slices.IndexFunc(rings, func(r ring) bool { return r.name == name })
			if i < 0 {
				return false, fmt.Errorf("--only %q: no such ring", name)
			}
			chosen = append(chosen, rings[i])
		}
	}
	bounds, err := readBounds("tests/rings/bounds.txt")
	if err != nil {
		return false, err
	}
	var total tally
	var rows []string
	for _, r := range chosen {
		fmt.Printf("== %s: %s\n", r.name, r.doc)
		start := time.Now()
		t := r.run(ctx, r.limit)
		word := "FAIL"
		if t.failed == 0 {
			word = "note" // what a program said that did not fail
		}
		for _, f := range t.failures {
			fmt.Printf("%s %s\n", word, indent(f))
		}
		for _, s := range t.skips {
			fmt.Printf("skip %s\n", s)
		}
		if bound, set := bounds[r.name]; !set {
			t.fail("bounds.txt has no line for this ring")
			fmt.Println("FAIL " + t.failures[len(t.failures)-1])
		} else if t.skipped > bound {
			t.fail(fmt.Sprintf("%d skipped, bounds.txt allows %d", t.skipped, bound))
			fmt.Println("FAIL " + t.failures[len(t.failures)-1])
		}
		rows = append(rows, fmt.Sprintf("  %-12s %5d passed %4d failed %4d skipped  %5.0f s",
			r.name, t.passed, t.failed, t.skipped, time.Since(start).Seconds()))
		total.add(t)
		if ctx.Err() != nil {
			return false, fmt.Errorf("interrupted in ring %s", r.name)
		}
	}
	fmt.Println("== summary")
	fmt.Println(strings.Join(rows, "\n"))
	fmt.Printf("%d passed, %d failed, %d skipped\n", total.passed, total.failed, total.skipped)
	return total.failed == 0 && total.passed > 0, nil
}

func indent(s string) string {
	return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n     ")
}
