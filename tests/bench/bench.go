package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bench holds what all measurements share.
type bench struct {
	runtimes  []*ociRuntime // the one under test first, then the peers
	reference *ociRuntime   // the peer all ratios are taken to
	underTest *ociRuntime   // the first of runtimes, nil when there are only peers
	floor     []*ociRuntime // the C program, in its two forms
	launch    *launcher
	cgroups   *cgroupHost
	fs        rootfs
	dir       string // bundles, root file system, pid files
	states    string // state directories of the runtimes
	progress  io.Writer

	live    map[string]*ociRuntime // containers that exist, by id
	running map[int]bool           // inits of containers that outlive a measurement
	counter int                    // makes ids
}

// openBench makes the directories, the root file system and the launcher.
// The state directories are below /run where it can be written, as an engine
// would have them.
func openBench(ctx context.Context, runtimes []*ociRuntime, reference *ociRuntime, floorProgram string, progress io.Writer) (b *bench, err error) {
	b = &bench{runtimes: runtimes, reference: reference, progress: progress, live: map[string]*ociRuntime{}, running: map[int]bool{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, b.close())
		}
	}()
	if err = becomeSubreaper(); err != nil {
		return b, err
	}
	if b.dir, err = os.MkdirTemp("", "tare-bench-"); err != nil {
		return b, err
	}
	if b.states, err = os.MkdirTemp("/run", "tare-bench-"); err != nil {
		b.states = filepath.Join(b.dir, "state")
	}
	if b.fs, err = makeRootfs(b.dir); err != nil {
		return b, err
	}
	if b.launch, err = newLauncher(filepath.Join(b.dir, "stderr")); err != nil {
		return b, err
	}
	if b.cgroups, err = openCgroups(b.dir, "tare-bench-"+strconv.Itoa(os.Getpid())); err != nil {
		return b, err
	}
	for _, rt := range runtimes {
		if err = rt.identify(ctx, b.states); err != nil {
			return b, err
		}
	}
	b.floor, err = b.floors(floorProgram)
	return b, err
}

// close removes everything the benchmark made: containers, processes, cgroups,
// mounts, files. It works on what a half-made bench has.
func (b *bench) close() error {
	var errs []error
	if b.launch != nil {
		for id, rt := range b.live {
			errs = append(errs, b.removeContainer(rt, id))
		}
		errs = append(errs, killOrphans(settleTime, nil), b.launch.close())
	}
	if b.cgroups != nil {
		errs = append(errs, b.cgroups.close())
	}
	for _, dir := range []string{b.dir, b.states} {
		if dir != "" {
			errs = append(errs, os.RemoveAll(dir))
		}
	}
	return errors.Join(errs...)
}

// newID returns a container id of this run, known to close.
func (b *bench) newID(rt *ociRuntime) string {
	b.counter++
	id := fmt.Sprintf("bench-%d-%d", os.Getpid(), b.counter)
	b.live[id] = rt
	return id
}

// removeContainer deletes what a failed command left of the container id, and
// its processes. It has its own context: it also runs after an interrupt.
func (b *bench) removeContainer(rt *ociRuntime, id string) error {
	if rt.floor != nil {
		delete(b.live, id)
		return rt.floor.clean()
	}
	_, err := b.launch.run(context.Background(), rt.argv("delete", "--force", id)...)
	if exitStatus(err) > 0 {
		err = nil // "does not exist" is the wanted state
	}
	delete(b.live, id)
	return errors.Join(err, killOrphans(settleTime, b.running))
}

// bundle writes a bundle of rt and returns its directory.
func (b *bench) bundle(rt *ociRuntime, v variant, purpose string, args []string, memoryLimit int64) (string, error) {
	dir := filepath.Join(b.dir, "bundles", rt.Name, string(v)+"-"+purpose)
	return b.fs.writeBundle(dir, v, bundleOptions{args: args, cgroupsPath: b.cgroups.path(rt.Name), memoryLimit: memoryLimit})
}

// run times `run` of a bundle from start to the end of its payload. wantStatus
// is the status the payload ends with.
func (b *bench) run(ctx context.Context, rt *ociRuntime, bundle string, wantStatus int) (time.Duration, error) {
	id := b.newID(rt)
	elapsed, err := b.launch.run(ctx, rt.runArgv(bundle, id)...)
	if status := exitStatus(err); status != wantStatus {
		if err == nil {
			err = fmt.Errorf("%s run: exit status 0, want %d", rt.Name, wantStatus)
		}
		return 0, errors.Join(err, b.removeContainer(rt, id))
	}
	delete(b.live, id)
	reapOrphans()
	return elapsed, nil
}

// created is a container between create and start.
type created struct {
	rt    *ociRuntime
	id    string
	pid   int // of the init, in the host's pid namespace
	pidfd int
}

// create times `create` of a bundle and opens the pidfd of its init.
func (b *bench) create(ctx context.Context, rt *ociRuntime, bundle string) (created, time.Duration, error) {
	c := created{rt: rt, id: b.newID(rt), pidfd: -1}
	pidFile := filepath.Join(b.dir, "pid-"+c.id) // engines never write over one
	elapsed, err := b.launch.run(ctx, rt.argv("create", "--bundle", bundle, "--pid-file", pidFile, c.id)...)
	if err == nil {
		c.pid, err = readPid(pidFile)
		_ = os.Remove(pidFile) // it goes with the directory at the latest
	}
	if err == nil {
		c.pidfd, err = unix.PidfdOpen(c.pid, 0)
	}
	if err != nil {
		return c, 0, errors.Join(err, b.discard(c))
	}
	return c, elapsed, nil
}

// discard removes a container in any state, with its pidfd.
func (b *bench) discard(c created) error {
	delete(b.running, c.pid)
	err := b.removeContainer(c.rt, c.id)
	if c.pidfd >= 0 {
		err = errors.Join(err, unix.Close(c.pidfd))
	}
	return err
}

// readPid reads the file that --pid-file names.
func readPid(path string) (int, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0, fmt.Errorf("pid file: %w", err)
	}
	return pid, nil
}

// probe runs the minimal bundle once with every runtime: one that cannot do
// that has no place in a comparison.
func (b *bench) probe(ctx context.Context) error {
	for _, rt := range b.runtimes {
		bundle, err := b.bundle(rt, minimalBundle, "probe", b.fs.payload.exit37, 0)
		if err != nil {
			return err
		}
		if _, err = b.run(ctx, rt, bundle, 37); err != nil {
			return fmt.Errorf("%s cannot run the minimal bundle here: %w", rt.Name, err)
		}
	}
	return nil
}
