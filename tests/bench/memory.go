package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	// limitStep is the granularity of a memory limit: a page.
	limitStep = 4 << 10
	// limitCeiling is the greatest limit that smallestLimit tries, in bytes.
	limitCeiling = 64 << 20
	// limitTries is how often in a row a container must run under a limit.
	limitTries = 4
	// promisedLimit is the limit in bytes under which a container must run.
	promisedLimit = 512 << 10
	// peakRounds is the number of runs whose median peak memory is taken.
	peakRounds = 5
)

// memoryFacts are the memory figures of one runtime on the default bundle.
// Sizes are in KiB; 0 stands for not measured.
type memoryFacts struct {
	PeakRun    int `json:"peakRunKiB"`    // ru_maxrss of `run` and its descendants, median
	PeakCreate int `json:"peakCreateKiB"` // the same of `create`
	PeakState  int `json:"peakStateKiB"`  // the same of `state`

	InitPSS     int `json:"initPssKiB"` // of the init between create and start
	InitRSS     int `json:"initRssKiB"`
	InitThreads int `json:"initThreads"`

	SmallestLimit int  `json:"smallestLimitKiB"`   // least memory.limit that ran limitTries times
	RunsPromised  bool `json:"runsUnder512KiB"`    // ran limitTries times under promisedLimit
	LimitMeasured bool `json:"limitsWereMeasured"` // false in a quick run
}

// measureMemory fills the memory figures of every runtime.
func (b *bench) measureMemory(ctx context.Context, r *report, limits bool) error {
	for _, rt := range b.runtimes {
		fmt.Fprintf(b.progress, "memory, %s\n", rt.Name)
		facts := &memoryFacts{}
		for _, step := range []struct {
			what    string
			wanted  bool
			measure func(context.Context, *ociRuntime, *memoryFacts) error
		}{
			{"peak memory", true, b.measurePeaks},
			{"memory of the created init", true, b.measureInit},
			{"smallest memory limit", limits, b.measureLimits},
		} {
			if !step.wanted {
				continue
			}
			if err := step.measure(ctx, rt, facts); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				r.Refused = append(r.Refused, refusal{Runtime: rt.Name, What: step.what, Message: err.Error()})
			}
		}
		r.Memory[rt.Name] = facts
	}
	return nil
}

// measurePeaks takes ru_maxrss of run, create and state through the small
// program in testdata/maxrss.c, which says why it is needed.
func (b *bench) measurePeaks(ctx context.Context, rt *ociRuntime, facts *memoryFacts) error {
	if b.fs.maxrss == "" {
		return fmt.Errorf("no C compiler built testdata/maxrss.c")
	}
	runBundle, err := b.bundle(rt, defaultBundle, "run", b.fs.payload.exit, 0)
	if err != nil {
		return err
	}
	waitBundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
	if err != nil {
		return err
	}
	var run, create, state []sample
	for range peakRounds {
		runID, waitID := b.newID(rt), b.newID(rt)
		for _, step := range []struct {
			into *[]sample
			args []string
		}{
			{&run, []string{"run", "--bundle", runBundle, runID}},
			{&create, []string{"create", "--bundle", waitBundle, waitID}},
			{&state, []string{"state", waitID}},
		} {
			kib, err := b.peak(ctx, rt.argv(step.args...))
			if err != nil {
				return errors.Join(err, b.removeContainer(rt, runID), b.removeContainer(rt, waitID))
			}
			*step.into = append(*step.into, sample(kib))
		}
		delete(b.live, runID)
		if err := b.removeContainer(rt, waitID); err != nil {
			return err
		}
	}
	facts.PeakRun, facts.PeakCreate, facts.PeakState = int(median(run)), int(median(create)), int(median(state))
	return nil
}

// peak runs argv and returns its peak resident set in KiB.
func (b *bench) peak(ctx context.Context, argv []string) (int, error) {
	file := filepath.Join(b.dir, "peak")
	if _, err := b.launch.run(ctx, append([]string{b.fs.maxrss, file}, argv...)...); err != nil {
		return 0, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(text)))
}

// measureInit looks at the init that waits between create and start.
func (b *bench) measureInit(ctx context.Context, rt *ociRuntime, facts *memoryFacts) error {
	bundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
	if err != nil {
		return err
	}
	c, _, err := b.create(ctx, rt, bundle)
	if err != nil {
		return err
	}
	facts.InitPSS, facts.InitRSS, facts.InitThreads, err = residentOf(c.pid)
	if discardErr := b.discard(c); err == nil {
		err = discardErr
	}
	return err
}

// residentOf reads PSS and RSS in KiB and the number of threads of a process.
func residentOf(pid int) (pss, rss, threads int, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	rollup, err := os.ReadFile(filepath.Join(dir, "smaps_rollup"))
	if err != nil {
		return 0, 0, 0, err
	}
	status, err := os.ReadFile(filepath.Join(dir, "status"))
	if err != nil {
		return 0, 0, 0, err
	}
	for _, want := range []struct {
		text []byte
		key  string
		into *int
	}{{rollup, "Pss:", &pss}, {rollup, "Rss:", &rss}, {status, "Threads:", &threads}} {
		if *want.into, err = procField(want.text, want.key); err != nil {
			return 0, 0, 0, fmt.Errorf("%s: %w", dir, err)
		}
	}
	return pss, rss, threads, nil
}

// procField returns the number after key in a file of "Key: value" lines.
func procField(text []byte, key string) (int, error) {
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		if len(words) >= 2 && words[0] == key {
			return strconv.Atoi(words[1])
		}
	}
	return 0, fmt.Errorf("no line %q", key)
}

// measureLimits finds the smallest memory limit in which the payload runs,
// and whether it runs under the promised one. An exit status of 37 proves that
// the payload itself ran.
func (b *bench) measureLimits(ctx context.Context, rt *ociRuntime, facts *memoryFacts) error {
	runs := func(limit int64) bool {
		bundle, err := b.bundle(rt, defaultBundle, "limit", b.fs.payload.exit37, limit)
		for try := 0; err == nil && try < limitTries; try++ {
			_, err = b.run(ctx, rt, bundle, 37)
		}
		return err == nil
	}
	facts.RunsPromised = runs(promisedLimit)
	facts.LimitMeasured = true
	limit, ok := smallest(limitStep, limitCeiling, runs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if !ok {
		return fmt.Errorf("no container runs under a limit of %d KiB", limitCeiling>>10)
	}
	facts.SmallestLimit = int(limit >> 10)
	return nil
}

// smallest returns the least multiple of step, up to ceiling, for which ok
// holds, by bisection. It returns false when ok(ceiling) does not hold.
func smallest(step, ceiling int64, ok func(int64) bool) (int64, bool) {
	low, high := int64(0), ceiling/step // low fails, high holds
	// Gallop first: the trials that fail are the slow ones, and a limit far
	// above the answer costs as little as one beside it.
	for probe := int64(1); probe < high; probe *= 2 {
		if ok(probe * step) {
			high = probe
			break
		}
		low = probe
	}
	if high == ceiling/step && !ok(ceiling) {
		return 0, false
	}
	for high-low > 1 {
		if middle := (low + high) / 2; ok(middle * step) {
			high = middle
		} else {
			low = middle
		}
	}
	return high * step, true
}
