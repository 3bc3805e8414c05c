package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"time"
)

// loop is a command that is called many times in a row.
type loop struct {
	Calls  int                 `json:"calls"`
	Millis map[string][]sample `json:"millisecondsPerCall"` // one sample per round
}

const (
	loopCalls  = 200
	loopRounds = 3
)

// measureLoop times execs in a row, as health probes make them.
func (b *bench) measureLoop(ctx context.Context, r *report, quick bool) (err error) {
	calls, rounds := loopCalls, loopRounds
	if quick {
		calls, rounds = 20, 1
	}
	bundles, err := b.bundles(defaultBundle, "wait", b.fs.payload.wait)
	if err != nil {
		return err
	}
	probes := loop{Calls: calls, Millis: map[string][]sample{}}
	order := append([]*ociRuntime(nil), b.runtimes...)
	inside := map[string]created{}
	defer func() {
		for _, c := range inside {
			err = errors.Join(err, b.discard(c))
		}
	}()
	for _, rt := range order {
		c, _, err := b.create(ctx, rt, bundles[rt.Name])
		if err != nil {
			return err
		}
		inside[rt.Name] = c
		b.running[c.pid] = true
		if _, err := b.launch.run(ctx, rt.argv("start", c.id)...); err != nil {
			return err
		}
	}
	runtime.GC()
	for round := range rounds {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, rt := range order {
			argv := rt.argv(append([]string{"exec", inside[rt.Name].id}, b.fs.payload.exit...)...)
			begin := time.Now()
			for range calls {
				if _, err := b.launch.run(ctx, argv...); err != nil {
					return err
				}
			}
			probes.Millis[rt.Name] = append(probes.Millis[rt.Name], millis(time.Since(begin))/sample(calls))
		}
		fmt.Fprintf(b.progress, "\r%-44s %d/%d ", "execs in a row", round+1, rounds)
	}
	fmt.Fprintln(b.progress)
	r.Loop = &probes
	return nil
}
