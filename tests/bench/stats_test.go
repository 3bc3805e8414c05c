package main

import (
	"encoding/json"
	"math"
	"testing"
)

func near(a, b float64) bool {
	return math.IsNaN(a) && math.IsNaN(b) || math.Abs(a-b) < 1e-9
}

func TestPercentileInterpolatesBetweenNeighbours(t *testing.T) {
	cases := []struct {
		name string
		xs   []sample
		p    float64
		want float64
	}{
		{"nothing", nil, 50, math.NaN()},
		{"only failures", []sample{missing(), missing()}, 50, math.NaN()},
		{"one sample is every percentile", []sample{7}, 90, 7},
		{"odd", []sample{3, 1, 2}, 50, 2},
		{"even", []sample{4, 1, 3, 2}, 50, 2.5},
		{"p90 of eleven is the tenth", []sample{11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1}, 90, 10},
		{"p90 between two", []sample{1, 2}, 90, 1.9},
		{"p0 and p100 are the ends", []sample{5, 9, 1}, 100, 9},
		{"failures are left out", []sample{1, missing(), 3}, 50, 2},
	}
	for _, c := range cases {
		if got := percentile(c.xs, c.p); !near(got, c.want) {
			t.Errorf("%s: percentile(%v, %v) = %v, want %v", c.name, c.xs, c.p, got, c.want)
		}
	}
}

func TestPercentileKeepsTheOrderOfItsInput(t *testing.T) {
	xs := []sample{3, 1, 2}
	median(xs)
	if xs[0] != 3 || xs[1] != 1 || xs[2] != 2 {
		t.Errorf("median reordered the rounds: %v", xs)
	}
}

// The machine slows down tenfold half way: the medians say nothing about the
// ratio, the pairs do.
func TestRatiosCancelTheDriftOfTheMachine(t *testing.T) {
	ref := []sample{10, 10, 10, 100, 100}
	xs := []sample{5, 5, 5, 50, 50}
	if got := median(ratios(xs, ref)); !near(got, 0.5) {
		t.Errorf("median of ratios = %v, want 0.5", got)
	}
	// Pairs are by round, not by rank.
	shuffled := []sample{50, 5, 5, 50, 5}
	want := []sample{5, 0.5, 0.5, 0.5, 0.05}
	for i, got := range ratios(shuffled, ref) {
		if !near(float64(got), float64(want[i])) {
			t.Errorf("ratio of round %d = %v, want %v", i, got, want[i])
		}
	}
}

func TestRatiosLeaveOutRoundsWithoutBothSides(t *testing.T) {
	got := ratios([]sample{1, missing(), 3, 4}, []sample{2, 2, missing(), 0})
	if !near(float64(got[0]), 0.5) {
		t.Errorf("round 0 = %v, want 0.5", got[0])
	}
	for i := 1; i < 4; i++ {
		if got[i].valid() {
			t.Errorf("round %d = %v, want it missing", i, got[i])
		}
	}
}

func TestTotalAddsRoundByRound(t *testing.T) {
	got := total([]sample{1, 2, 3}, []sample{10, missing(), 30}, []sample{100, 200})
	if got[0] != 111 {
		t.Errorf("round 0 = %v, want 111", got[0])
	}
	if got[1].valid() || got[2].valid() {
		t.Errorf("rounds 1 and 2 = %v, %v, want both missing", got[1], got[2])
	}
}

// The ranks are those of the published tables of the sign test: for n = 6 the
// extremes, for n = 20 the 6th and 15th, for n = 40 the 14th and 27th, for
// n = 100 the 40th and 61st.
func TestIntervalRankMatchesTheSignTest(t *testing.T) {
	for n, want := range map[int]int{1: 0, 5: 0, 6: 0, 9: 1, 20: 5, 40: 13, 100: 39} {
		if got := intervalRank(n); got != want {
			t.Errorf("intervalRank(%d) = %d, want %d", n, got, want)
		}
	}
}

func TestMedianIntervalEnclosesTheMedian(t *testing.T) {
	var xs []sample
	for i := 20; i >= 1; i-- {
		xs = append(xs, sample(i))
	}
	low, high := medianInterval(xs)
	if low != 6 || high != 15 {
		t.Errorf("interval of 1..20 = [%v, %v], want [6, 15]", low, high)
	}
	if low, high = medianInterval(nil); !math.IsNaN(low) || !math.IsNaN(high) {
		t.Errorf("interval of nothing = [%v, %v], want NaN", low, high)
	}
}

func TestMissingSamplesAreNullInJSON(t *testing.T) {
	got, err := json.Marshal([]sample{1.25, missing(), 0.5})
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != "[1.25,null,0.5]" {
		t.Errorf("JSON = %s, want [1.25,null,0.5]", got)
	}
}
