package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// regime says how far apart commands are started.
type regime string

const (
	// hot starts each command directly after an untimed one of the same
	// runtime, so that what one runtime's command leaves warm in the kernel
	// is nobody else's gain or loss.
	hot regime = "hot"
	// isolated leaves isolatedGap before each command, as a user or a kubelet
	// does: the kernel's RCU fast paths have cooled down by then.
	isolated regime = "isolated"
)

const (
	isolatedGap  = 100 * time.Millisecond
	warmUpRounds = 2
	// livesApart is what lies between a life of a container and the next, hot: as
	// much as where the budgets were set, by lives of several runtimes in turn. The
	// kernel is by then out of the mode in which a write to cgroup.procs need not
	// wait for a grace period.
	livesApart = 30 * time.Millisecond
)

// gap returns the time slept before each timed command.
func (r regime) gap() time.Duration {
	if r == isolated {
		return isolatedGap
	}
	return 0
}

// series are the times of one command on one bundle in one regime: for each
// runtime one sample per round, in the order of the rounds.
type series struct {
	Bundle  variant             `json:"bundle"`
	Command command             `json:"command"`
	Regime  regime              `json:"regime"`
	Millis  map[string][]sample `json:"milliseconds"`
}

// refusal is a runtime that could not do a measurement.
type refusal struct {
	Runtime string `json:"runtime"`
	What    string `json:"what"`
	Rounds  int    `json:"rounds"` // failed rounds; 0 when it failed in the warm-up and was left out
	Message string `json:"message"`
}

// measureFunc makes one measurement with one runtime.
type measureFunc func(ctx context.Context, rt *ociRuntime) (map[command]sample, error)

// interleave measures all runtimes in every round, in a new random order each
// time, so that a drift of the machine hits all of them alike. between, if there is
// one, comes after a hot runtime's untimed measurement.
func (b *bench) interleave(ctx context.Context, what string, mode regime, rounds int, contestants []*ociRuntime, commands []command, between func(context.Context) error, measure measureFunc) (map[command]map[string][]sample, []refusal, error) {
	what = fmt.Sprintf("%s, %s", what, mode)
	var refused []refusal
	var able []*ociRuntime
	for _, rt := range contestants {
		ok := true
		for range warmUpRounds {
			_, err := measure(ctx, rt)
			if err != nil { // what another program did to the host does not happen twice
				_, err = measure(ctx, rt)
			}
			if err != nil {
				if ctx.Err() != nil {
					return nil, nil, ctx.Err()
				}
				refused = append(refused, refusal{Runtime: rt.Name, What: what, Message: err.Error()})
				ok = false
				break
			}
		}
		if ok {
			able = append(able, rt)
		}
	}

	result := map[command]map[string][]sample{}
	for _, c := range commands {
		result[c] = map[string][]sample{}
	}
	failed := map[string]*refusal{}
	runtime.GC() // none is due while rounds run: see main
	for round := range rounds {
		rand.Shuffle(len(able), func(i, j int) { able[i], able[j] = able[j], able[i] })
		for _, rt := range able {
			if mode == hot {
				_, _ = measure(ctx, rt) // a failure shows again in the timed one
				if between != nil {
					if err := between(ctx); err != nil {
						return nil, nil, err
					}
				}
			}
			times, err := measure(ctx, rt)
			if ctx.Err() != nil {
				return nil, nil, ctx.Err()
			}
			if err != nil {
				if failed[rt.Name] == nil {
					failed[rt.Name] = &refusal{Runtime: rt.Name, What: what, Message: err.Error()}
				}
				failed[rt.Name].Rounds++
			}
			for _, c := range commands {
				value, ok := times[c]
				if !ok {
					value = missing()
				}
				result[c][rt.Name] = append(result[c][rt.Name], value)
			}
		}
		fmt.Fprintf(b.progress, "\r%-44s %d/%d ", what, round+1, rounds)
	}
	fmt.Fprintln(b.progress)
	for _, f := range failed {
		refused = append(refused, *f)
	}
	return result, refused, nil
}

// measureTimes runs all timed measurements in both regimes.
func (b *bench) measureTimes(ctx context.Context, r *report) error {
	for _, mode := range []regime{hot, isolated} {
		for _, v := range variants {
			if err := b.measureRun(ctx, r, v, mode); err != nil {
				return err
			}
		}
		if err := b.measureLifecycle(ctx, r, defaultBundle, mode); err != nil {
			return err
		}
		exec := func(id string) []string { return append([]string{"exec", id}, b.fs.payload.exit...) }
		if err := b.measureInside(ctx, r, defaultBundle, mode, cmdExec, exec); err != nil {
			return err
		}
		r.Series = append(r.Series, r.sum(defaultBundle, mode))
		events := func(id string) []string { return []string{"events", "--stats", id} }
		if err := b.measureInside(ctx, r, defaultBundle, mode, cmdEvents, events); err != nil {
			return err
		}
	}
	return nil
}

// measureRun times `run` of one variant.
func (b *bench) measureRun(ctx context.Context, r *report, v variant, mode regime) error {
	bundles, err := b.bundles(v, "run", b.fs.payload.exit)
	if err != nil {
		return err
	}
	measure := func(ctx context.Context, rt *ociRuntime) (map[command]sample, error) {
		time.Sleep(mode.gap())
		elapsed, err := b.run(ctx, rt, bundles[rt.Name], 0)
		if err != nil {
			return nil, err
		}
		return map[command]sample{cmdRun: millis(elapsed)}, nil
	}
	result, refused, err := b.interleave(ctx, fmt.Sprintf("run, %s bundle", v), mode, r.Rounds, b.contestants(v, cmdRun), []command{cmdRun}, nil, measure)
	r.Refused = append(r.Refused, refused...)
	r.Series = append(r.Series, series{v, cmdRun, mode, result[cmdRun]})
	return err
}

// measureLifecycle times the commands of a container's life; hot, its creation once
// more directly after another life.
func (b *bench) measureLifecycle(ctx context.Context, r *report, v variant, mode regime) error {
	bundles, err := b.bundles(v, "wait", b.fs.payload.wait)
	if err != nil {
		return err
	}
	measure := func(ctx context.Context, rt *ociRuntime) (map[command]sample, error) {
		return b.lifecycle(ctx, rt, bundles[rt.Name], mode.gap())
	}
	result, refused, err := b.interleave(ctx, fmt.Sprintf("lifecycle, %s bundle", v), mode, r.Rounds, b.runtimes, lifecycleCommands, b.apart, measure)
	r.Refused = append(r.Refused, refused...)
	if err != nil {
		return err
	}
	for _, c := range lifecycleCommands {
		r.Series = append(r.Series, series{v, c, mode, result[c]})
	}
	if mode != hot {
		return nil
	}
	again := func(ctx context.Context, rt *ociRuntime) (map[command]sample, error) {
		times, err := measure(ctx, rt)
		return map[command]sample{cmdAgain: times[cmdCreate]}, err
	}
	result, refused, err = b.interleave(ctx, fmt.Sprintf("%s, %s bundle", cmdAgain, v), mode, r.Rounds, b.runtimes, []command{cmdAgain}, nil, again)
	r.Refused = append(r.Refused, refused...)
	r.Series = append(r.Series, series{v, cmdAgain, mode, result[cmdAgain]})
	return err
}

// apart lets livesApart go by without a rest: the C program, where there is one, makes
// containers all the while. It joins cgroups without a write to cgroup.procs, and leaves
// nothing behind that a runtime would gain or lose by.
func (b *bench) apart(ctx context.Context) error {
	if len(b.floor) == 0 {
		time.Sleep(livesApart)
		return ctx.Err()
	}
	for end := time.Now().Add(livesApart); time.Now().Before(end); {
		if _, err := b.run(ctx, b.floor[0], "", 0); err != nil {
			return err
		}
	}
	return nil
}

// sum adds the commands of a life up, round by round.
func (r *report) sum(v variant, mode regime) series {
	sum := map[string][]sample{}
	for name := range r.find(v, cmdCreate, mode).Millis {
		var parts [][]sample
		for _, c := range sumCommands {
			parts = append(parts, r.find(v, c, mode).Millis[name])
		}
		if len(parts[0]) > 0 {
			sum[name] = total(parts...)
		}
	}
	return series{v, cmdSum, mode, sum}
}

// measureInside times a command on a container that keeps running. It is no part
// of the lifecycle: the cgroup join of an exec would warm the kernel for the next
// create.
func (b *bench) measureInside(ctx context.Context, r *report, v variant, mode regime, cmd command, args func(id string) []string) (err error) {
	bundles, err := b.bundles(v, "wait", b.fs.payload.wait)
	if err != nil {
		return err
	}
	running := map[string]created{}
	defer func() {
		for _, c := range running {
			err = errors.Join(err, b.discard(c))
		}
	}()
	measure := func(ctx context.Context, rt *ociRuntime) (map[command]sample, error) {
		c, ok := running[rt.Name]
		if !ok {
			var err error
			if c, _, err = b.create(ctx, rt, bundles[rt.Name]); err != nil {
				return nil, err
			}
			running[rt.Name] = c
			b.running[c.pid] = true
			if _, err := b.launch.run(ctx, rt.argv("start", c.id)...); err != nil {
				return nil, err
			}
		}
		time.Sleep(mode.gap())
		elapsed, err := b.launch.run(ctx, rt.argv(args(c.id)...)...)
		if err != nil {
			return nil, err
		}
		return map[command]sample{cmd: millis(elapsed)}, nil
	}
	result, refused, err := b.interleave(ctx, fmt.Sprintf("%s, %s bundle", cmd, v), mode, r.Rounds, b.runtimes, []command{cmd}, nil, measure)
	r.Refused = append(r.Refused, refused...)
	r.Series = append(r.Series, series{v, cmd, mode, result[cmd]})
	return err
}

// bundles writes the bundle of one variant for each runtime.
func (b *bench) bundles(v variant, purpose string, args []string) (map[string]string, error) {
	dirs := map[string]string{}
	for _, rt := range b.runtimes {
		dir, err := b.bundle(rt, v, purpose, args, 0)
		if err != nil {
			return nil, err
		}
		dirs[rt.Name] = dir
	}
	return dirs, nil
}
