package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// profile says where the processor time of a command goes, by samples of a
// software clock: a tracer would lengthen what it looks at.
type profile struct {
	Runs      int            `json:"runs"`
	CPUMillis float64        `json:"cpuMilliseconds"` // of one command and its container, without kernel threads
	Parts     map[string]int `json:"samples"`
}

const (
	profileRuns = 150
	quickRuns   = 15
	// profileRate is the number of samples per second of processor time.
	profileRate = 20000
)

// profiledCommands lists what is profiled.
var profiledCommands = []command{cmdRun, cmdExec, cmdState}

// measureProfile fills r.Profiles for the runtime under test, when perf is there.
func (b *bench) measureProfile(ctx context.Context, r *report, quick bool) error {
	rt := b.underTest
	if rt == nil {
		return nil
	}
	perf, err := exec.LookPath("perf")
	if err != nil {
		r.Notes = append(r.Notes, "perf is not installed: no profile was taken")
		return nil
	}
	runs := profileRuns
	if quick {
		runs = quickRuns
	}
	r.Profiles = map[command]*profile{}
	for _, c := range profiledCommands {
		fmt.Fprintf(b.progress, "profile of %s\n", c)
		p, err := b.profile(ctx, perf, rt, c, runs)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.Refused = append(r.Refused, refusal{Runtime: rt.Name, What: "profile of " + string(c), Message: err.Error()})
			continue
		}
		r.Profiles[c] = p
	}
	return nil
}

// profile samples one command.
func (b *bench) profile(ctx context.Context, perf string, rt *ociRuntime, c command, runs int) (p *profile, err error) {
	id := b.newID(rt)
	var args []string
	if c == cmdRun {
		bundle, err := b.bundle(rt, defaultBundle, "run", b.fs.payload.exit, 0)
		if err != nil {
			return nil, err
		}
		args = []string{"run", "--bundle", bundle, id}
	} else {
		bundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
		if err != nil {
			return nil, err
		}
		held, _, err := b.create(ctx, rt, bundle)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, b.discard(held)) }()
		if _, err := b.launch.run(ctx, rt.argv("start", held.id)...); err != nil {
			return nil, err
		}
		args = append([]string{string(c), held.id}, b.fs.payload.exit...)
		if c == cmdState {
			args = args[:2]
		}
	}
	// Under a name of its own, because everything on the machine is sampled: what
	// is bound to a process ends before the process takes itself down.
	link := filepath.Join(b.dir, "bench"+strconv.Itoa(os.Getpid()))
	if err := os.Symlink(rt.path, link); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	names := []string{filepath.Base(link), rt.Name + ":init", filepath.Base(b.fs.payload.exit[0])}
	data := filepath.Join(b.dir, "perf.data")
	argv := []string{perf, "record", "-q", "-a", "-e", "cpu-clock", "-F", fmt.Sprint(profileRate), "-g", "-o", data, "--",
		"/bin/sh", "-c", `n=$1; shift; while [ "$n" -gt 0 ]; do "$@" >/dev/null || exit 1; n=$((n-1)); done`, "sh", fmt.Sprint(runs)}
	argv = append(append(argv, link), rt.argv(args...)[1:]...)
	if err := b.call(ctx, argv...); err != nil {
		return nil, errors.Join(err, b.removeContainer(rt, id))
	}
	delete(b.live, id)
	cmd := exec.CommandContext(ctx, perf, "script", "-i", data, "--comms", strings.Join(names, ","), "-F", "comm,ip,sym,dso")
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p, err = readProfile(out, names)
	if err = errors.Join(err, cmd.Wait(), os.Remove(data)); err != nil {
		return nil, err
	}
	p.Runs = runs
	p.CPUMillis = float64(p.total()) / profileRate * 1000 / float64(runs)
	return p, nil
}

// call runs a program that may take longer than a command.
func (b *bench) call(ctx context.Context, argv ...string) error {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = b.launch.attr.Env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, out)
	}
	return nil
}

// total returns the number of samples.
func (p *profile) total() int {
	n := 0
	for _, samples := range p.Parts {
		n += samples
	}
	return n
}

// share returns the part's share, 0 to 1.
func (p *profile) share(part string) float64 {
	if p == nil || p.total() == 0 {
		return math.NaN()
	}
	return float64(p.Parts[part]) / float64(p.total())
}

// kernelShare returns the share of all samples that are in the kernel.
func (p *profile) kernelShare() float64 {
	return 1 - p.share(partGo) - p.share(partInit) - p.share(partPayload)
}

// readProfile adds up the output of `perf script -F comm,ip,sym,dso`: a line with
// the name of the process, then the call chain with the innermost frame first,
// then an empty line. Only processes with these names count.
func readProfile(in io.Reader, names []string) (*profile, error) {
	p := &profile{Parts: map[string]int{}}
	lines := bufio.NewScanner(in)
	comm, chain := "", []frame(nil)
	end := func() {
		if len(chain) > 0 && slices.Contains(names, comm) {
			p.Parts[partOf(comm, chain)]++
		}
		comm, chain = "", nil
	}
	for lines.Scan() {
		text := lines.Text()
		switch {
		case strings.TrimSpace(text) == "":
			end()
		case comm == "":
			comm = strings.TrimSpace(text)
		default:
			chain = append(chain, parseFrame(text))
		}
	}
	end()
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(p.Parts) == 0 {
		return nil, errors.New("perf recorded no samples")
	}
	return p, nil
}

// frame is one function of a call chain.
type frame struct {
	symbol string
	kernel bool
}

// parseFrame reads "   ADDRESS SYMBOL (FILE)".
func parseFrame(text string) frame {
	text = strings.TrimSpace(text)
	_, rest, _ := strings.Cut(text, " ")
	at := strings.LastIndex(rest, " (")
	if at < 0 {
		return frame{symbol: rest}
	}
	symbol, _, _ := strings.Cut(rest[:at], "+")
	return frame{symbol: symbol, kernel: strings.HasPrefix(rest[at+2:], "[kernel") || strings.HasPrefix(rest[at+2:], "[guest.kernel")}
}
