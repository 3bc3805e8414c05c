package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// traceFacts are what strace sees of one command on the default bundle,
// payload included.
type traceFacts struct {
	Syscalls    int `json:"syscalls"`
	Processes   int `json:"processes"`   // processes ever alive, the first included
	Threads     int `json:"threads"`     // threads ever started besides the processes' first
	Execs       int `json:"execs"`       // programs executed, the payload included
	ProcsWrites int `json:"procsWrites"` // writes to a cgroup.procs: each waits for an RCU grace period on an idle host
	TasksWrites int `json:"tasksWrites"` // writes to a v1 tasks file
}

// measureTraces traces run and exec of every runtime, when strace is installed.
func (b *bench) measureTraces(ctx context.Context, r *report) error {
	strace, err := exec.LookPath("strace")
	if err != nil {
		r.Notes = append(r.Notes, "strace is not installed: no system calls were counted")
		return nil
	}
	for _, rt := range b.runtimes {
		fmt.Fprintf(b.progress, "system calls, %s\n", rt.Name)
		r.Traces[rt.Name] = map[command]*traceFacts{}
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
	trace func(*bench, context.Context, string, *ociRuntime) (*traceFacts, error)
}{
	{cmdRun, (*bench).traceRun},
	{cmdExec, (*bench).traceExec},
}

// traceRun runs the default bundle under strace.
func (b *bench) traceRun(ctx context.Context, strace string, rt *ociRuntime) (*traceFacts, error) {
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
func (b *bench) traceExec(ctx context.Context, strace string, rt *ociRuntime) (*traceFacts, error) {
	bundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
	if err != nil {
		return nil, err
	}
	c, _, err := b.create(ctx, rt, bundle)
	if err != nil {
		return nil, err
	}
	var facts *traceFacts
	if _, err = b.launch.run(ctx, rt.argv("start", c.id)...); err == nil {
		facts, err = b.trace(ctx, strace, rt.argv(append([]string{"exec", c.id}, b.fs.payload.exit...)...))
	}
	return facts, errors.Join(err, b.discard(c))
}

// trace runs argv under strace and counts.
func (b *bench) trace(ctx context.Context, strace string, argv []string) (*traceFacts, error) {
	out := filepath.Join(b.dir, "strace")
	if _, err := b.launch.run(ctx, append([]string{strace, "-f", "-qq", "-y", "-s", "64", "-o", out}, argv...)...); err != nil {
		return nil, err
	}
	reapOrphans()
	file, err := os.Open(out)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return parseTrace(file)
}

// parseTrace counts the lines of `strace -f -y -o FILE`: each begins with the
// thread's id. A call that is interrupted by another thread's takes two lines,
// of which the first counts.
func parseTrace(in io.Reader) (*traceFacts, error) {
	facts := &traceFacts{}
	seen := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		tid, call, found := strings.Cut(lines.Text(), " ")
		call = strings.TrimLeft(call, " ")
		name, args, isCall := strings.Cut(call, "(")
		if !found || !isCall || strings.ContainsAny(name, " <+-") {
			continue // a signal, an exit, or the second half of a call
		}
		seen[tid] = true
		facts.Syscalls++
		switch name {
		case "clone", "clone3":
			if strings.Contains(args, "CLONE_THREAD") {
				facts.Threads++
			}
		case "execve", "execveat":
			if strings.HasSuffix(args, " = 0") || strings.HasSuffix(args, "<unfinished ...>") {
				facts.Execs++
			}
		case "write", "pwrite64", "writev":
			fd, _, _ := strings.Cut(args, ",")
			switch {
			case strings.HasSuffix(fd, "/cgroup.procs>"):
				facts.ProcsWrites++
			case strings.HasSuffix(fd, "/tasks>"):
				facts.TasksWrites++
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if facts.Syscalls == 0 {
		return nil, errors.New("strace recorded no system calls")
	}
	facts.Processes = len(seen) - facts.Threads
	return facts, nil
}
