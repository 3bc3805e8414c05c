package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/entry"
	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/specconv"
)

// removeWait bounds how long a removal waits for processes to be gone.
const removeWait = 10 * time.Second

// Create makes the container: everything but the program, which waits for
// Start. When it fails, nothing is left of the container.
func (r *Runtime) Create(o CreateOptions) (*Container, error) {
	c, err := r.create(o, true)
	if err != nil {
		return nil, fmt.Errorf("create failed: unable to start container process: %w", err)
	}
	return c, nil
}

// Run makes the container and starts its program at once.
func (r *Runtime) Run(o CreateOptions) (*Container, error) {
	c, err := r.create(o, false)
	if err != nil {
		return nil, fmt.Errorf("run failed: unable to start container process: %w", err)
	}
	return c, nil
}

// maxRaces bounds how often a container is made anew whose empty cgroup somebody
// has removed before its process was in it.
const maxRaces = 16

func (r *Runtime) create(o CreateOptions, gate bool) (*Container, error) {
	if o.ConsoleSocket != "" {
		o.dialled = &connection{fd: -1}
		defer o.dialled.close()
	}
	for race := 0; ; race++ {
		c, err := r.createOnce(o, gate)
		var gone *vanishedError
		if race >= maxRaces || !errors.As(err, &gone) {
			return c, err
		}
	}
}

func (r *Runtime) createOnce(o CreateOptions, gate bool) (*Container, error) {
	if err := state.CheckID(o.ID); err != nil {
		return nil, err
	}
	if o.SystemdCgroup && !o.NoCgroup && r.dialSystemd == nil {
		return nil, ErrNoSystemd
	}
	// Nothing on the host changes before the config is accepted whole.
	spec, config, err := o.load()
	if err != nil {
		return nil, err
	}
	if err := o.checkTerminal(spec, gate); err != nil {
		return nil, err
	}
	// But for a network namespace, which nobody can see and which takes as long as
	// reading the config and making the cgroups together.
	net := earlyNetwork(spec)
	defer net.drop()
	spec = o.activated(o.sized(spec), r.root)
	f, systemd, err := r.facts(&o, wantOf(spec))
	if err != nil {
		return nil, err
	}
	if systemd != nil {
		defer systemd.Close()
	}
	rec, res, err := r.reserve(&o, spec, config, f, gate)
	if err != nil {
		return nil, err
	}
	h := newHost(res.Plan, rec, &o)
	h.net, h.systemd = net, systemd
	if rec.Notify {
		err = rec.MakeNotifyDir()
	}
	var ready *listener
	if err == nil && rec.Notify && !gate {
		ready, err = listen(rec)
	}
	if err == nil {
		err = h.run()
	}
	if err == nil && !gate {
		err = h.finish()
	}
	if err == nil && !gate {
		if err = hooks.RunAll("poststart", rec.Poststart, hookSetting(rec, Running, h.pid)); err != nil {
			h.hooked = true
		}
	}
	var terminal *os.File
	if err == nil && !gate && o.ConsoleSocket == "" {
		terminal, err = h.receiveTerminal()
	}
	h.letGo()
	defer h.closeDevices()
	if err != nil {
		ready.close()
		err = h.vanished(err)
		h.fail()
		return nil, err
	}
	rec.Unlock()
	ctr := &Container{runtime: r, rec: rec, Warnings: res.Warnings, child: true, terminal: terminal}
	switch {
	case ready == nil:
	case o.Detach:
		ctr.Warnings = append(ctr.Warnings, ready.forward(o.NotifySocket, rec, true)...)
		ready.close()
	default:
		entry.Parallel()
		go func() { // this program stands in for the container, and so is the main one
			ready.forward(o.NotifySocket, rec, false)
			ready.close()
		}()
	}
	return ctr, nil
}

// reserve compiles the config, and only then takes the id.
func (r *Runtime) reserve(o *CreateOptions, spec *specs.Spec, config []byte, f *facts.Facts, gate bool) (*state.Record, *specconv.Result, error) {
	res, err := o.compile(spec, config, f, gate)
	if err != nil {
		return nil, nil, err
	}
	store, err := state.Open(r.root, true)
	if err != nil {
		return nil, nil, err
	}
	rec, err := store.Create(o.ID)
	if err != nil {
		return nil, nil, err
	}
	fillRecord(rec, o, spec, res)
	rec.Config = config
	if err := rec.Begin(); err != nil {
		_ = rec.Remove()
		rec.Unlock()
		return nil, nil, err
	}
	return rec, res, nil
}

// letGo ends what binds this program to the init.
func (h *host) letGo() {
	for _, fd := range []*int{&h.sync, &h.console} {
		if *fd >= 0 {
			unix.Close(*fd)
			*fd = -1
		}
	}
	if h.locked {
		runtime.UnlockOSThread()
		h.locked = false
	}
}

// recorded runs before the init is told that its process is on record: the pid
// file is the last thing that create writes, and run's program finds it.
func (h *host) recorded() error {
	h.beforeStart()
	if h.opts.PidFile == "" {
		return nil
	}
	h.pidFile = true
	return writePidFile(h.opts.PidFile, h.pid)
}

func fillRecord(rec *state.Record, o *CreateOptions, spec *specs.Spec, res *specconv.Result) {
	rec.Bundle = o.Bundle
	rec.Rootfs = spec.Root.Path
	if !strings.HasPrefix(rec.Rootfs, "/") {
		rec.Rootfs = filepath.Join(o.Bundle, rec.Rootfs)
	}
	rec.Created = time.Now().UTC().Format(time.RFC3339Nano)
	rec.Owner = uint32(syscall.Geteuid())
	rec.Annotations = spec.Annotations
	if spec.Hooks != nil {
		rec.Poststart, rec.Poststop = spec.Hooks.Poststart, spec.Hooks.Poststop
	}
	if spec.Linux != nil {
		if r := spec.Linux.Resources; r != nil && r.Network != nil {
			if r.Network.ClassID != nil {
				rec.ClassID = *r.Network.ClassID
			}
			rec.Priorities = r.Network.Priorities
		}
		for _, n := range spec.Linux.Namespaces {
			if n.Type == specs.PIDNamespace && n.Path == "" {
				rec.PidNamespace = true
			}
		}
	}
	rec.NoKeyring = o.NoNewKeyring
	rec.Notify = o.NotifySocket != ""
	recordRdt(rec, res.RdtGroups)
	if res.HostMounts {
		rec.HostMounts, rec.MountNS = true, res.MountNS
		_ = inMountNS(rec.MountNS, 0, func(proc int) error {
			rec.MountsAt = realPathBy(proc, rec.Rootfs)
			rec.MountsBefore = mountsAt(proc, rec.MountsAt)
			var st unix.Stat_t
			if rec.MountNS != "" && unix.Fstatat(proc, "thread-self/ns/mnt", &st, 0) == nil {
				rec.MountNSInode = st.Ino
			}
			return nil
		})
	}
	rec.Unit, rec.UserUnit, rec.Taken = res.Unit.Name, res.Unit.User, res.Taken
	rec.Cgroups = make([]state.Cgroup, len(res.Cgroups))
	for i, c := range res.Cgroups {
		rec.Cgroups[i] = state.Cgroup{Hierarchy: c.Hierarchy, Mount: c.Mount, Path: c.Path, V2: c.V2, Created: []string{c.Path}}
	}
}

// fail undoes everything, in reverse. The first error is the one to report;
// what cannot be undone stays recorded, for delete --force.
func (h *host) fail() {
	if h.pid > 0 {
		_ = syscall.Kill(h.pid, syscall.SIGKILL)
		reap(h.pid)
	}
	if h.stage > 0 && h.stage != h.pid {
		_ = syscall.Kill(h.stage, syscall.SIGKILL)
		reap(h.stage)
	}
	_ = killCgroups(h.rec) // of a process that was forked and never reported, too
	h.closeSlots()
	if h.pidFile {
		_ = unix.Unlink(h.opts.PidFile)
	}
	clean := removeHostMounts(h.rec) == nil
	for i := len(h.undo) - 1; i >= 0; i-- {
		if h.undo[i]() != nil {
			clean = false
		}
	}
	switch {
	case clean && h.hooked && len(h.rec.Poststop) > 0:
		// runtime.md, Lifecycle: a failed hook stops the container and goes on
		// with step 12; failures of poststop hooks do not change the error, and
		// delete can run them again.
		if h.rec.Bury() == nil {
			_ = poststop(h.rec)
		}
	case clean:
		_ = h.rec.Remove()
	}
	h.rec.Unlock()
}

// writePidFile writes the decimal pid, without a newline, by rename.
func writePidFile(path string, pid int) error {
	tmp := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	fd, err := unix.Open(tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err == unix.EEXIST { // of a creator that was killed
		_ = unix.Unlink(tmp)
		fd, err = unix.Open(tmp, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	}
	if err != nil {
		return &fs.PathError{Op: "--pid-file: create", Path: tmp, Err: err}
	}
	_, err = unix.Write(fd, []byte(strconv.Itoa(pid)))
	unix.Close(fd)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		_ = unix.Unlink(tmp)
		return fmt.Errorf("--pid-file: %w", err)
	}
	return nil
}
