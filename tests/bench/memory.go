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
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	Peaks map[command]int `json:"peakKiB"` // ru_maxrss of a command and its descendants, median

	InitPSS     int `json:"initPssKiB"` // of the init between create and start
	InitRSS     int `json:"initRssKiB"`
	InitThreads int `json:"initThreads"`

	Resident    int `json:"residentProcesses"`   // beside a running detached container, the container's own not counted
	ResidentPSS int `json:"residentPssKiB"`      // of these
	RunPSS      int `json:"foregroundRunPssKiB"` // of the processes that wait while `run` holds a container

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
			{"memory beside a running container", true, b.measureResident},
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

// peakCommands lists the commands whose peak memory is taken.
var peakCommands = []command{cmdRun, cmdCreate, cmdStart, cmdState, cmdExec, cmdKill, cmdDelete}

// measurePeaks takes ru_maxrss of every command through the small program in
// testdata/maxrss.c, which says why it is needed.
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
	peaks := map[command][]sample{}
	for range peakRounds {
		runID, waitID := b.newID(rt), b.newID(rt)
		pidFile := filepath.Join(b.dir, "pid")
		args := map[command][]string{
			cmdRun:    {"run", "--bundle", runBundle, runID},
			cmdCreate: {"create", "--bundle", waitBundle, "--pid-file", pidFile, waitID},
			cmdStart:  {"start", waitID},
			cmdState:  {"state", waitID},
			cmdExec:   append([]string{"exec", waitID}, b.fs.payload.exit...),
			cmdKill:   {"kill", waitID, "KILL"},
			cmdDelete: {"delete", waitID},
		}
		for _, c := range peakCommands {
			kib, err := b.peak(ctx, rt.argv(args[c]...))
			if err == nil && c == cmdKill {
				err = awaitFile(pidFile)
			}
			if err != nil {
				return errors.Join(fmt.Errorf("%s: %w", c, err), b.removeContainer(rt, runID), b.removeContainer(rt, waitID))
			}
			peaks[c] = append(peaks[c], sample(kib))
		}
		delete(b.live, runID)
		delete(b.live, waitID)
	}
	facts.Peaks = map[command]int{}
	for c, xs := range peaks {
		facts.Peaks[c] = int(median(xs))
	}
	return nil
}

// awaitFile waits for the death of the process that a pid file names.
func awaitFile(path string) error {
	pid, err := readPid(path)
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err == unix.ESRCH {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(awaitDeath(pidfd, pid, killWait), unix.Close(pidfd))
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
	time.Sleep(settle)
	facts.InitPSS, facts.InitRSS, facts.InitThreads, err = residentOf(c.pid)
	if discardErr := b.discard(c); err == nil {
		err = discardErr
	}
	return err
}

// measureResident looks at what a runtime leaves beside a container that runs:
// a detached one, and one that `run` holds.
func (b *bench) measureResident(ctx context.Context, rt *ociRuntime, facts *memoryFacts) (err error) {
	bundle, err := b.bundle(rt, defaultBundle, "wait", b.fs.payload.wait, 0)
	if err != nil {
		return err
	}
	c, _, err := b.create(ctx, rt, bundle)
	if err != nil {
		return err
	}
	_, err = b.launch.run(ctx, rt.argv("start", c.id)...)
	if err == nil {
		facts.Resident, facts.ResidentPSS, err = besides(c.pid)
	}
	if err = errors.Join(err, b.discard(c)); err != nil {
		return err
	}

	id, pidFile := b.newID(rt), filepath.Join(b.dir, "held")
	argv := rt.argv("run", "--bundle", bundle, "--pid-file", pidFile, id)
	if err := os.RemoveAll(pidFile); err != nil {
		return err
	}
	pid, err := syscall.ForkExec(argv[0], argv, &b.launch.attr)
	if err != nil {
		return fmt.Errorf("start %s: %w", argv[0], err)
	}
	init := 0
	for deadline := time.Now().Add(commandTimeout); init == 0; time.Sleep(20 * time.Millisecond) {
		if comm, _ := os.ReadFile(filepath.Join("/proc", fmt.Sprint(held(pidFile)), "comm")); string(comm) == filepath.Base(b.fs.payload.wait[0])+"\n" {
			init = held(pidFile)
		}
		if time.Now().After(deadline) {
			err = fmt.Errorf("%s run: no container after %v: %s", rt.Name, commandTimeout, b.launch.message())
			break
		}
	}
	if err == nil {
		_, facts.RunPSS, err = besides(init)
	}
	_ = unix.Kill(init, unix.SIGKILL) // run ends with it
	if init == 0 {
		_ = unix.Kill(pid, unix.SIGKILL)
	}
	_, waitErr := syscall.Wait4(pid, nil, 0, nil)
	return errors.Join(err, waitErr, b.removeContainer(rt, id))
}

// held is the pid in a file that may not be there yet, then 0.
func held(pidFile string) int {
	pid, err := readPid(pidFile)
	if err != nil {
		return 0
	}
	return pid
}

// besides counts the descendants of the benchmark but init, and adds up their
// PSS in KiB.
func besides(init int) (processes, pss int, err error) {
	reapOrphans()
	pids, err := children()
	for i := 0; i < len(pids); i++ {
		if pids[i] == init {
			continue
		}
		own, _, _, err := residentOf(pids[i])
		if err != nil {
			return 0, 0, err
		}
		processes, pss = processes+1, pss+own
		more, err := childrenOf(pids[i])
		if err != nil {
			return 0, 0, err
		}
		pids = append(pids, more...)
	}
	return processes, pss, err
}

// settle is how long a created init is left alone before it is looked at: create may
// return before it has come to wait, and it waits for days.
const settle = 100 * time.Millisecond

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
