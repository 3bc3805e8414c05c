package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// crowdLevels are the numbers of containers that are in the making at once.
var crowdLevels = []int{1, 2, 8, 32, 128}

const (
	// leastStarts is the least number of containers of one measurement: fewer
	// at once than that follow each other.
	leastStarts = 32
	// fullContentions and quickContentions are the numbers of rounds.
	fullContentions  = 15
	quickContentions = 1
	// batchTimeout bounds one measurement; what runs then is killed and failed.
	batchTimeout = 60 * time.Second
)

// contention is `run` of the default bundle, some at once.
type contention struct {
	Level int `json:"atOnce"`
	// One sample per round for each runtime.
	StartsPerSecond map[string][]sample `json:"startsPerSecond"`
	CPUMillis       map[string][]sample `json:"cpuMillisecondsPerStart"` // of the runtime and the container, not of kernel threads
	Failed          map[string]int      `json:"failed"`
	Message         map[string]string   `json:"message"` // of the last that failed
}

// measureContention fills r.Contention.
func (b *bench) measureContention(ctx context.Context, r *report, quick bool) error {
	levels, rounds := crowdLevels, fullContentions
	if quick {
		levels, rounds = []int{1, 8}, quickContentions
	}
	bundles := map[string][]string{}
	for _, rt := range b.runtimes {
		for slot := range levels[len(levels)-1] {
			dir, err := b.crowdBundle(rt, slot)
			if err != nil {
				return err
			}
			bundles[rt.Name] = append(bundles[rt.Name], dir)
		}
	}
	for _, level := range levels {
		c := contention{Level: level, StartsPerSecond: map[string][]sample{}, CPUMillis: map[string][]sample{}, Failed: map[string]int{}, Message: map[string]string{}}
		order := append([]*ociRuntime(nil), b.runtimes...)
		runtime.GC()
		for range rounds {
			rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
			for _, rt := range order {
				got, err := b.crowd(ctx, rt, bundles[rt.Name][:level], max(level, leastStarts))
				if err != nil {
					return err
				}
				c.StartsPerSecond[rt.Name] = append(c.StartsPerSecond[rt.Name], got.rate)
				c.CPUMillis[rt.Name] = append(c.CPUMillis[rt.Name], got.cpu)
				c.Failed[rt.Name] += got.failed
				if got.message != "" {
					c.Message[rt.Name] = got.message
				}
			}
		}
		fmt.Fprintf(b.progress, "%d at once: %v failed\n", level, c.Failed)
		r.Contention = append(r.Contention, c)
	}
	return nil
}

// crowdBundle writes the default bundle for one of many containers at once.
func (b *bench) crowdBundle(rt *ociRuntime, slot int) (string, error) {
	name := "slot" + strconv.Itoa(slot)
	dir := filepath.Join(b.dir, "bundles", rt.Name, name)
	return b.fs.writeBundle(dir, defaultBundle, bundleOptions{args: b.fs.payload.exit, cgroupsPath: b.cgroups.path(rt.Name + "-" + name)})
}

// crowdResult is one measurement of crowd.
type crowdResult struct {
	rate    sample // containers that ran, per second
	cpu     sample // milliseconds of processor time for each
	failed  int
	message string
}

// crowd runs total containers, one in each bundle at a time. Slots wait for
// nobody: the next container of a slot is started when its last has ended.
func (b *bench) crowd(ctx context.Context, rt *ociRuntime, bundles []string, total int) (res crowdResult, err error) {
	if err := ctx.Err(); err != nil {
		return res, err
	}
	reapOrphans()
	var before, after unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &before); err != nil {
		return res, err
	}
	ctx, cancel := context.WithTimeout(ctx, batchTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, killChildren)()
	type slot struct {
		bundle string
		id     string
	}
	running := map[int]slot{}
	started, ended := 0, 0
	start := func(bundle string) error {
		id := b.newID(rt)
		argv := rt.runArgv(bundle, id)
		pid, err := syscall.ForkExec(argv[0], argv, &b.launch.attr)
		if err != nil {
			return fmt.Errorf("start %s: %w", argv[0], err)
		}
		running[pid] = slot{bundle, id}
		started++
		return nil
	}
	if err := b.launch.stderr.Truncate(0); err != nil {
		return res, err
	}
	begin := time.Now()
	for _, dir := range bundles {
		err = errors.Join(err, start(dir))
	}
	for len(running) > 0 && err == nil {
		var status unix.WaitStatus
		pid, waitErr := awaitAny(&status)
		if waitErr != nil || ctx.Err() != nil {
			err = errors.Join(waitErr, ctx.Err())
			break
		}
		done, known := running[pid]
		if !known {
			continue // an init whose runtime is gone
		}
		delete(running, pid)
		if status.Exited() && status.ExitStatus() == 0 {
			delete(b.live, done.id)
			ended++
		} else {
			res.failed++
			res.message = b.launch.message()
		}
		if started < total {
			err = start(done.bundle)
		}
	}
	elapsed := time.Since(begin)
	if err != nil { // nothing of this runtime may run on beside the next
		return res, errors.Join(err, killOrphans(settleTime, b.running))
	}
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &after); err != nil {
		return res, err
	}
	spent := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	res.rate, res.cpu = missing(), missing()
	if ended > 0 {
		res.rate = sample(float64(ended) / elapsed.Seconds())
		res.cpu = millis(spent) / sample(ended)
	}
	if res.failed > 0 { // what they left is removed before the next measurement
		for id, owner := range b.live {
			if owner == rt {
				err = errors.Join(err, b.removeContainer(rt, id))
			}
		}
	}
	return res, err
}

// awaitAny reaps one child of the benchmark.
func awaitAny(status *unix.WaitStatus) (int, error) {
	for {
		pid, err := unix.Wait4(-1, status, 0, nil)
		if err != unix.EINTR {
			return pid, os.NewSyscallError("wait4", err)
		}
	}
}

// killChildren kills every child of the benchmark and reaps none.
func killChildren() {
	pids, _ := children() // what it cannot see ends by its own time limit
	for _, pid := range pids {
		_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
	}
}
