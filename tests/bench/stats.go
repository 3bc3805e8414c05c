package main

import (
	"math"
	"slices"
	"strconv"
)

// sample is one duration in milliseconds; NaN stands for a command that
// failed in that round.
type sample float64

// missing is the sample of a round in which the command failed.
func missing() sample { return sample(math.NaN()) }

// valid reports whether the round gave a figure.
func (s sample) valid() bool { return !math.IsNaN(float64(s)) }

// MarshalJSON writes null for a missing sample: JSON has no NaN.
func (s sample) MarshalJSON() ([]byte, error) {
	if !s.valid() {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, float64(s), 'g', 6, 64), nil
}

// present returns the valid samples in ascending order.
func present(xs []sample) []float64 {
	out := make([]float64, 0, len(xs))
	for _, x := range xs {
		if x.valid() {
			out = append(out, float64(x))
		}
	}
	slices.Sort(out)
	return out
}

// percentile returns the p-th percentile (0 to 100) of xs by linear
// interpolation between the two nearest order statistics, NaN when no sample
// is valid.
func percentile(xs []sample, p float64) float64 {
	sorted := present(xs)
	if len(sorted) == 0 {
		return math.NaN()
	}
	at := p / 100 * float64(len(sorted)-1)
	low := int(math.Floor(at))
	high := int(math.Ceil(at))
	return sorted[low] + (at-float64(low))*(sorted[high]-sorted[low])
}

// median returns the middle of xs.
func median(xs []sample) float64 { return percentile(xs, 50) }

// ratios divides xs by ref round by round. A round in which either is missing
// stays missing, and so does one with a reference of zero: the drift of the
// machine cancels only between neighbours in time.
func ratios(xs, ref []sample) []sample {
	out := make([]sample, min(len(xs), len(ref)))
	for i := range out {
		out[i] = missing()
		if xs[i].valid() && ref[i].valid() && ref[i] > 0 {
			out[i] = xs[i] / ref[i]
		}
	}
	return out
}

// total adds series round by round; a round in which one is missing is
// missing.
func total(series ...[]sample) []sample {
	if len(series) == 0 {
		return nil
	}
	out := slices.Clone(series[0])
	for _, xs := range series[1:] {
		for i := range out {
			if i < len(xs) {
				out[i] += xs[i]
			} else {
				out[i] = missing()
			}
		}
	}
	return out
}

// medianInterval returns the bounds of the distribution-free confidence
// interval of the median: the pair of order statistics that encloses it with a
// probability of at least 95 %. With fewer than six samples no pair does, and
// the bounds are the smallest and the largest sample.
func medianInterval(xs []sample) (low, high float64) {
	sorted := present(xs)
	n := len(sorted)
	if n == 0 {
		return math.NaN(), math.NaN()
	}
	k := intervalRank(n)
	return sorted[k], sorted[n-1-k]
}

// intervalRank returns the greatest k, counted from 0, for which at most 2.5 %
// of all samples of size n have fewer than k+1 values below the median: the
// lower tail of the binomial distribution with p = 1/2.
func intervalRank(n int) int {
	const tail = 0.025
	term := math.Exp2(-float64(n)) // probability of exactly i values below
	sum := 0.0
	for i := 0; i <= n/2; i++ {
		sum += term
		if sum > tail {
			return max(i-1, 0)
		}
		term *= float64(n-i) / float64(i+1)
	}
	return n / 2
}
