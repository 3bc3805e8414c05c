// Command bench compares OCI runtimes with each other: time, memory and
// system calls of the commands that an engine calls for every container.
//
//	go run ./tests/bench --runtime tare=PATH --peer crun=PATH --peer runc=PATH
//	    [--floor FILE] [--rounds N] [--quick] [--out FILE.md] [--json FILE] [--check]
//
// It needs root, a static busybox, and for the full picture a C compiler and
// strace. All runtimes run the same pinned bundles in interleaved rounds, each
// round in a new random order; only the ratios of neighbours are compared,
// because the speed of a machine drifts. Each figure is taken in two regimes:
// hot (back to back) and isolated (after a rest, as real hosts start
// containers).
//
// Everything it makes is removed at the end, also after an interrupt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"

	"github.com/tare-oci/tare/tests/cgroupview"
)

const (
	fullRounds  = 40
	quickRounds = 8
)

// options are the command line.
type options struct {
	underTest runtimeFlag // at most one
	peers     runtimeFlag // the first is the reference of all ratios
	rounds    int
	quick     bool   // few rounds, no search for memory limits
	check     bool   // a missed budget is an error
	floor     string // the C program of tests/bench/floor
	only      string // a word in the names of the measurements to make; empty for all
	out       string
	json      string
}

func main() {
	o, err := parseOptions(os.Args[1:], os.Stderr)
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	err = compare(ctx, o, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parseOptions reads the command line; errors and usage of the flag package go
// to usage.
func parseOptions(args []string, usage io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(usage)
	flags.Var(&o.underTest, "runtime", "the runtime under test, `NAME=PATH`; without it only peers are compared")
	flags.Var(&o.peers, "peer", "a runtime to compare with, `NAME=PATH`; repeatable, ratios are to the first")
	flags.IntVar(&o.rounds, "rounds", 0, fmt.Sprintf("number of rounds (default %d, %d with --quick)", fullRounds, quickRounds))
	flags.BoolVar(&o.quick, "quick", false, "few rounds and no search for the smallest memory limit")
	flags.BoolVar(&o.check, "check", false, "exit with status 1 when a budget is missed")
	flags.StringVar(&o.floor, "floor", "", "`FILE` of the C program that is the floor of run (make floor)")
	flags.StringVar(&o.only, "only", "", "make only the measurements whose name contains `WORD`: times, loop, contention, populated, memory, traces, profile")
	flags.StringVar(&o.out, "out", "", "write the tables as markdown to `FILE`, and charts beside it")
	flags.StringVar(&o.json, "json", "", "write every sample as JSON to `FILE`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.rounds == 0 {
		o.rounds = fullRounds
		if o.quick {
			o.rounds = quickRounds
		}
	}
	names := map[string]bool{}
	for _, rt := range slices.Concat(o.underTest, o.peers) {
		if names[rt.Name] {
			return o, fmt.Errorf("two runtimes are named %q", rt.Name)
		}
		names[rt.Name] = true
	}
	switch {
	case flags.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case len(o.underTest) > 1:
		return o, errors.New("--runtime is given twice; give the others as --peer")
	case len(o.peers) == 0:
		return o, errors.New("--peer is missing: there is nothing to compare with")
	case o.check && len(o.underTest) == 0:
		return o, errors.New("--check needs --runtime: peers have no budget")
	case o.rounds < 1:
		return o, fmt.Errorf("--rounds %d: want at least 1", o.rounds)
	}
	return o, nil
}

// compare makes all measurements, prints the report to out and writes the
// files that were asked for.
func compare(ctx context.Context, o options, out, progress io.Writer) (err error) {
	if os.Geteuid() != 0 {
		return errors.New("needs root: containers with all namespaces and limits are measured")
	}
	if err := cgroupview.Isolate(); err != nil {
		return err
	}
	// A garbage collection beside a timed command would be charged to it;
	// interleave collects between measurements.
	debug.SetGCPercent(-1)

	b, err := openBench(ctx, slices.Concat(o.underTest, o.peers), o.peers[0], o.floor, progress)
	if err != nil {
		return err
	}
	r, err := b.measure(ctx, o)
	closeErr := b.close()
	if err != nil {
		return errors.Join(err, closeErr)
	}
	// What could not be cleaned up is an error, but takes no figures away.
	return errors.Join(closeErr, r.publish(o, out))
}

// publish prints the report to out, writes the files that were asked for and
// checks the budgets.
func (r *report) publish(o options, out io.Writer) error {
	err := r.text(out)
	if o.out != "" {
		err = errors.Join(err, r.writeMarkdown(o.out))
	}
	if o.json != "" {
		err = errors.Join(err, r.writeJSON(o.json))
	}
	if o.check {
		err = errors.Join(err, checkBudgets(r))
	}
	return err
}

// measure fills a report.
func (b *bench) measure(ctx context.Context, o options) (*report, error) {
	if err := b.probe(ctx); err != nil {
		return nil, err
	}
	r, err := newReport(b, o.rounds)
	if err != nil {
		return nil, err
	}
	if len(o.underTest) > 0 {
		b.underTest = o.underTest[0]
		r.UnderTest = b.underTest.Name
	}
	steps := []struct {
		name    string
		measure func() error
	}{
		{"times", func() error { return b.measureTimes(ctx, r) }},
		{"loop", func() error { return b.measureLoop(ctx, r, o.quick) }},
		{"contention", func() error { return b.measureContention(ctx, r, o.quick) }},
		{"populated", func() error { return b.measurePopulated(ctx, r, o.quick) }},
		{"memory", func() error { return b.measureMemory(ctx, r, !o.quick) }},
		{"traces", func() error { return b.measureTraces(ctx, r) }},
		{"profile", func() error { return b.measureProfile(ctx, r, o.quick) }},
	}
	for _, step := range steps {
		if !strings.Contains(step.name, o.only) {
			continue
		}
		if err := step.measure(); err != nil {
			return nil, err
		}
	}
	return r, nil
}
