package main

import "math"

// ratioOf returns the median of the ratios to the reference.
func ratioOf(v variant, c command, mode regime) func(*report, string) float64 {
	return ratioTo("", v, c, mode)
}

// ratioTo returns the median of the ratios to a peer, "" for the reference.
func ratioTo(peer string, v variant, c command, mode regime) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		to := peer
		if to == "" {
			to = r.Reference
		}
		for _, s := range r.Series {
			if s.Bundle == v && s.Command == c && s.Regime == mode && len(s.Millis[to]) > 0 {
				return median(ratios(s.Millis[name], s.Millis[to]))
			}
		}
		return math.NaN()
	}
}

// spreadOf returns the 90th percentile of the runtime's own times over their
// median: how much later than usual a late one is.
func spreadOf(v variant, c command, mode regime) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		xs := r.find(v, c, mode).Millis[name]
		return percentile(xs, 90) / median(xs)
	}
}

// worstSpread returns the greatest of these among the commands on the default
// bundle.
func worstSpread(r *report, name string) float64 {
	worst := math.NaN()
	for _, c := range append([]command{cmdRun, cmdExec}, lifecycleCommands...) {
		if x := spreadOf(defaultBundle, c, isolated)(r, name); !math.IsNaN(x) && !(x <= worst) { // NaN is worse than nothing
			worst = x
		}
	}
	return worst
}

// memoryOf returns one of the memory figures; 0 is not measured.
func memoryOf(pick func(*memoryFacts) int) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		if m := r.Memory[name]; m != nil && pick(m) != 0 {
			return float64(pick(m))
		}
		return math.NaN()
	}
}

// limitOf returns the smallest memory limit in KiB. It is infinite when it was
// looked for and no container ran.
func limitOf(r *report, name string) float64 {
	m := r.Memory[name]
	switch {
	case m == nil || !m.LimitMeasured:
		return math.NaN()
	case m.SmallestLimit == 0:
		return math.Inf(1)
	}
	return float64(m.SmallestLimit)
}

// procsWritesOf returns the number of writes to a cgroup.procs in a command.
func procsWritesOf(c command) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		if t := r.Traces[name][c]; t != nil {
			return float64(t.ProcsWrites)
		}
		return math.NaN()
	}
}

// residentOfRuntime returns the number of processes beside a running container.
func residentOfRuntime(r *report, name string) float64 {
	if m := r.Memory[name]; m != nil {
		return float64(m.Resident)
	}
	return math.NaN()
}

// rateOf returns the median of the ratios of containers per second to the
// reference's, with so many at once.
func rateOf(level int) func(*report, string) float64 {
	return func(r *report, name string) float64 {
		for _, c := range r.Contention {
			if c.Level == level {
				return median(ratios(c.StartsPerSecond[name], c.StartsPerSecond[r.Reference]))
			}
		}
		return math.NaN()
	}
}

// failuresOf returns the number of containers that failed beside others.
func failuresOf(r *report, name string) float64 {
	if len(r.Contention) == 0 {
		return math.NaN()
	}
	failed := 0
	for _, c := range r.Contention {
		failed += c.Failed[name]
	}
	return float64(failed)
}

// loopOf returns the median of the ratios of execs in a row to the reference's.
func loopOf(r *report, name string) float64 {
	if r.Loop == nil {
		return math.NaN()
	}
	return median(ratios(r.Loop.Millis[name], r.Loop.Millis[r.Reference]))
}

// growthOf returns the greatest ratio of a lifecycle command's time in the i-th
// state directory to the time in the smallest.
func growthOf(i int) func(*report, string) float64 {
	return func(r *report, _ string) float64 {
		if i >= len(r.Populated) {
			return math.NaN()
		}
		worst := 0.0
		for _, c := range lifecycleCommands {
			worst = max(worst, median(r.growth(i, c)))
		}
		return worst
	}
}
