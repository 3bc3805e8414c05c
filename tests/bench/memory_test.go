package main

import (
	"os"
	"testing"
)

func TestSmallestFindsTheThreshold(t *testing.T) {
	const step, ceiling = 4, 1000 * 4
	for _, threshold := range []int64{1, 4, 5, 8, 136, 220, 2048, 3999, 4000} {
		trials := 0
		got, ok := smallest(step, ceiling, func(limit int64) bool {
			trials++
			if limit%step != 0 || limit <= 0 || limit > ceiling {
				t.Fatalf("threshold %d: tried a limit of %d", threshold, limit)
			}
			return limit >= threshold
		})
		want := (threshold + step - 1) / step * step
		if !ok || got != want {
			t.Errorf("threshold %d: smallest = %d, %v, want %d", threshold, got, ok, want)
		}
		if trials > 22 {
			t.Errorf("threshold %d: %d trials, want a bisection", threshold, trials)
		}
	}
}

func TestSmallestSaysWhenNothingIsEnough(t *testing.T) {
	if got, ok := smallest(4, 4000, func(int64) bool { return false }); ok {
		t.Errorf("smallest = %d, want none", got)
	}
}

func TestResidentOfReadsThisProcess(t *testing.T) {
	pss, rss, threads, err := residentOf(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	// A Go test has megabytes of its own and several threads.
	if pss < 500 || rss < pss || threads < 2 {
		t.Errorf("residentOf = PSS %d KiB, RSS %d KiB, %d threads", pss, rss, threads)
	}
}

func TestProcFieldNeedsTheExactKey(t *testing.T) {
	text := []byte("Pss_Anon:  7 kB\nPss:   24 kB\nThreads:\t1\n")
	if got, err := procField(text, "Pss:"); err != nil || got != 24 {
		t.Errorf("Pss = %d, %v, want 24", got, err)
	}
	if got, err := procField(text, "Rss:"); err == nil {
		t.Errorf("Rss = %d, want an error: there is no such line", got)
	}
}
