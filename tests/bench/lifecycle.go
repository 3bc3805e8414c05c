package main

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sys/unix"
)

// command is a measured command of a runtime.
type command string

const (
	cmdRun    command = "run"
	cmdCreate command = "create"
	cmdStart  command = "start"
	cmdState  command = "state"
	cmdExec   command = "exec"
	cmdEvents command = "events --stats"
	cmdKill   command = "kill"
	cmdDelete command = "delete"
	// cmdAgain is create directly after another life of a container, with nothing
	// between.
	cmdAgain command = "create at once"
	// cmdSum is the sum of sumCommands for one container.
	cmdSum command = "lifecycle sum"
)

// lifecycleCommands lists what lifecycle measures, in the order of the tables.
var lifecycleCommands = []command{cmdCreate, cmdStart, cmdState, cmdKill, cmdDelete}

// sumCommands lists what the budget of a life counts. The exec is measured apart: see
// measureInside.
var sumCommands = append([]command{cmdExec}, lifecycleCommands...)

// killWait bounds the time from SIGKILL to the death of an init.
const killWait = 5 * time.Second

// lifecycle leads one sleeping container through its life and times each
// command. gap is slept before each.
func (b *bench) lifecycle(ctx context.Context, rt *ociRuntime, bundle string, gap time.Duration) (_ map[command]sample, err error) {
	times := map[command]sample{}
	time.Sleep(gap)
	c, elapsed, err := b.create(ctx, rt, bundle)
	if err != nil {
		return nil, err
	}
	times[cmdCreate] = millis(elapsed)
	defer func() {
		if err != nil {
			err = errors.Join(err, b.discard(c))
		}
	}()

	steps := []struct {
		name command
		args []string
	}{
		{cmdStart, []string{"start", c.id}},
		{cmdState, []string{"state", c.id}},
		{cmdKill, []string{"kill", c.id, "KILL"}},
		{cmdDelete, []string{"delete", c.id}},
	}
	for _, step := range steps {
		if step.name == cmdDelete {
			if err := awaitDeath(c.pidfd, c.pid, killWait); err != nil {
				return nil, err
			}
		}
		time.Sleep(gap)
		elapsed, err := b.launch.run(ctx, rt.argv(step.args...)...)
		if err != nil {
			return nil, err
		}
		times[step.name] = millis(elapsed)
	}
	delete(b.live, c.id)
	reapOrphans()
	return times, unix.Close(c.pidfd)
}

// millis converts a duration to a sample.
func millis(d time.Duration) sample { return sample(float64(d) / float64(time.Millisecond)) }
