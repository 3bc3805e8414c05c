// Command conformance runs the validation programs of the OCI runtime-tools
// against a runtime, and compares what fails with the list of what cannot pass
// (expected.json). docs/conformance.md explains each entry.
//
// It needs root, and touches the host only by mounting missing cgroup v1
// hierarchies in a mount namespace of its own.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	code, err := run(os.Args[1:], os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

// options is the command line.
type options struct {
	runtimes   []string
	only       []string
	out        string
	cache      string
	jobs       int
	timeout    time.Duration
	baseline   bool
	ociVersion string
}

const (
	exitFailed  = 1 // the runtime failed
	exitTrouble = 2 // no verdict: wrong arguments, or the host refused something
)

func parseOptions(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("conformance", flag.ContinueOnError)
	list := func(to *[]string) func(string) error {
		return func(v string) error { *to = append(*to, strings.Split(v, ",")...); return nil }
	}
	f.Func("runtime", "`path` of the runtime to judge; with --baseline several, separated by commas", list(&o.runtimes))
	f.Func("only", "run only the programs `name,...`", list(&o.only))
	f.StringVar(&o.out, "out", "", "keep output, errors and runtime calls of every program in `dir`")
	f.StringVar(&o.cache, "cache", "", "`dir` for compiled programs (default: in the user's cache)")
	f.IntVar(&o.jobs, "jobs", 1, "run up to `n` programs at a time; those that share a cgroup never run together")
	f.DurationVar(&o.timeout, "timeout", 2*time.Minute, "kill a program after `duration`")
	f.BoolVar(&o.baseline, "baseline", false, "print a JSON table of what each runtime does, and judge nothing")
	f.StringVar(&o.ociVersion, "oci-version", "", "rewrite ociVersion to `version` for a runtime that is older than the programs")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case len(o.runtimes) == 0:
		return o, errors.New("--runtime is required")
	case len(o.runtimes) > 1 && !o.baseline:
		return o, errors.New("--runtime: several are only compared with --baseline")
	case o.jobs < 1:
		return o, fmt.Errorf("--jobs %d: must be at least 1", o.jobs)
	case strings.Trim(o.ociVersion, "0123456789.") != "":
		return o, fmt.Errorf("--oci-version %q: not a released version", o.ociVersion)
	}
	for i, r := range o.runtimes {
		path, err := exec.LookPath(r)
		if err == nil {
			path, err = filepath.Abs(path)
		}
		if err != nil {
			return o, fmt.Errorf("--runtime: %w", err)
		}
		o.runtimes[i] = path
	}
	if o.cache == "" {
		base, err := os.UserCacheDir()
		if err != nil {
			return o, fmt.Errorf("--cache: %w", err)
		}
		o.cache = filepath.Join(base, "oci-conformance")
	}
	var err error
	o.cache, err = filepath.Abs(o.cache)
	return o, err
}

// run is the program without the process around it.
func run(args []string, stdout io.Writer) (code int, err error) {
	if len(args) == 2 && args[0] == stageCommand {
		return trouble(runStage(args[1]))
	}
	if len(args) > 2 && args[0] == releaseCommand {
		return trouble(release(args[1], args[2:]))
	}
	o, err := parseOptions(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0, nil
	}
	if err != nil {
		return exitTrouble, err
	}
	host, err := probeHost()
	if err != nil {
		return exitTrouble, err
	}
	list, err := loadExpectations(expectedJSON, host)
	if err != nil {
		return exitTrouble, err
	}
	bin, programs, err := build(o.cache)
	if err != nil {
		return exitTrouble, err
	}
	for _, name := range o.only {
		if !slices.Contains(programs, name) {
			return exitTrouble, fmt.Errorf("--only: no program %q; there are %s", name, strings.Join(programs, ", "))
		}
	}
	if len(o.only) > 0 {
		programs = o.only
	}
	unlock, err := lock()
	if err != nil {
		return exitTrouble, err
	}
	defer unlock()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var table []summary
	for _, runtime := range o.runtimes {
		results, err := o.measure(ctx, runtime, bin, programs)
		if err != nil {
			return exitTrouble, err
		}
		if !o.baseline {
			return judgeAll(stdout, results, list), nil
		}
		table = append(table, summarise(runtime, results))
	}
	enc := json.NewEncoder(stdout)
	enc.SetIndent("", "  ")
	return trouble(enc.Encode(table))
}

func trouble(err error) (int, error) {
	if err != nil {
		return exitTrouble, err
	}
	return 0, nil
}

// lock keeps two runs apart: the programs use cgroups with fixed names.
func lock() (unlock func() error, err error) {
	f, err := os.Open(cgroupRoot)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: another run is going on: %w", cgroupRoot, err)
	}
	return f.Close, nil
}

// measure runs programs against one runtime and leaves the host as it was.
func (o *options) measure(ctx context.Context, runtime, bin string, programs []string) (results []result, err error) {
	work, err := os.MkdirTemp("", "conformance")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	// Containers in a user namespace have to reach their root file system.
	if err := os.Chmod(work, 0o755); err != nil {
		return nil, err
	}
	if err := furnish(work, bin); err != nil {
		return nil, err
	}
	out := filepath.Join(work, "out")
	if o.out != "" {
		out = filepath.Join(o.out, filepath.Base(runtime))
		if out, err = filepath.Abs(out); err != nil {
			return nil, err
		}
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	cgroups, err := inspectControllers()
	if err != nil {
		return nil, err
	}
	if !cgroups.usable {
		programs, results = skipCgroups(programs)
		cgroups = controllers{}
	}
	base := stage{
		Bin: bin, Out: out, Runtime: runtime, OCIVersion: o.ociVersion, Timeout: o.timeout, Mount: cgroups.mount,
	}
	done, err := runLanes(ctx, work, &base, lanes(programs, o.jobs))
	if len(cgroups.free) > 0 {
		args := append([]string{releaseCommand, work}, cgroups.free...)
		err = errors.Join(err, reexec(context.WithoutCancel(ctx), args...))
	}
	results = append(results, done...)
	slices.SortFunc(results, func(a, b result) int { return strings.Compare(a.Program, b.Program) })
	return results, err
}

// reexec runs this executable in a mount namespace of its own. A cancelled
// context asks it to end, and waits until it has cleaned up.
func reexec(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "/proc/self/exe", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Setpgid: true}
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	return nil
}
