package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/tare-oci/tare/tests/syscalltrace"
)

// measureTraces traces run and exec of every runtime, when strace is installed.
func (b *bench) measureTraces(ctx context.Context, r *report) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		r.Notes = append(r.Notes, "strace is not installed: no system calls were counted")
		return nil
	}
	for _, rt := range b.runtimes {
		fmt.Fprintf(b.progress, "system calls, %s\n", rt.Name)
		r.Traces[rt.Name] = map[command]*syscalltrace.Counts{}
		for _, c := range tracedCommands {
			facts, err := c.trace(b, ctx, strace, rt)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.Refused = append(r.Refused, refusal{Runtime: rt.Name, What: "strace of " + string(c.name), Message: err.Error()})
				continue
			}
			r.Traces[rt.Name][c.name] = facts
		}
	}
	return nil
}

// tracedCommands lists what is run under strace.
var tracedCommands = []struct {
	name  command
	trace func(*bench, context.Context, string, *ociRuntime) (*syscalltrace.Counts, error)
}{
	{cmdRun, (*bench).traceRun},
	{cmdExec, (*bench).traceExec},
}

// traceRun runs the default bundle under strace.
func (b *bench) traceRun(ctx context.Context, strace string, rt *ociRuntime) (*syscalltrace.Counts, error) {
	bundle, err := b.bundle(rt, defaultBundle, "run", b.fs.payload.exit, 0)
	if err != nil {
		return nil, err
	}
	id := b.newID(rt)
	facts, err := b.trace(ctx, strace, rt.argv("run", "--bundle", bundle, id))
	if err != nil {
		return nil, errors.Join(err, b.removeContainer(rt, id))
	}
	delete(b.live, id)
	return facts, nil
}

// traceExec runs one exec in a container of the default bundle under strace.
func (b *bench) traceExec(ctx context.Context, strace string, rt *ociRuntime) (*syscalltrace.Counts, error) {
	bundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
	if err != nil {
		return nil, err
	}
	c, _, err := b.create(ctx, rt, bundle)
	if err != nil {
		return nil, err
	}
	var facts *syscalltrace.Counts
	if _, err = b.launch.run(ctx, rt.argv("start", c.id)...); err == nil {
		facts, err = b.trace(ctx, strace, rt.argv(append([]string{"exec", c.id}, b.fs.payload.exit...)...))
	}
	return facts, errors.Join(err, b.discard(c))
}

// trace runs argv under strace and counts.
func (b *bench) trace(ctx context.Context, strace string, argv []string) (*syscalltrace.Counts, error) {
	out := filepath.Join(b.dir, "strace")
	if _, err := b.launch.run(ctx, syscalltrace.Command(strace, out, argv...)...); err != nil {
		return nil, err
	}
	reapOrphans()
	return syscalltrace.ParseFile(out)
}
