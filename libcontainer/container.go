package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// Container is a handle on one container. It holds no lock and no descriptor:
// every method looks again, under the lock where it changes something.
type Container struct {
	runtime *Runtime
	rec     *state.Record
	child   bool // the process is a child of this program
	// terminal is the master of the container's terminal, which came to this program.
	terminal *os.File
	creation *creation // read by Process and Exec
	// Warnings are what the spec says to warn about and go on; Create fills it.
	Warnings []string
}

// Load returns the container with the id. The error wraps state.ErrNotExist,
// "container does not exist", when there is none.
func (r *Runtime) Load(id string) (*Container, error) {
	rec, err := r.load(id, false)
	if err != nil {
		return nil, err
	}
	return &Container{runtime: r, rec: rec}, nil
}

func (r *Runtime) load(id string, lock bool) (*state.Record, error) {
	store, err := state.Open(r.root, false)
	if err != nil {
		return nil, err
	}
	return store.Load(id, lock)
}

// Find returns a handle on the container with the id without looking whether
// there is one, which its methods do. Until then it knows nothing but the id.
func (r *Runtime) Find(id string) *Container {
	c := &Container{runtime: r, rec: &state.Record{}}
	c.rec.ID = id
	return c
}

// ID is the container's name.
func (c *Container) ID() string { return c.rec.ID }

// Pid is the container's process on the host.
func (c *Container) Pid() int { return c.rec.Pid }

// Bundle is the absolute path of the bundle.
func (c *Container) Bundle() string { return c.rec.Bundle }

// Terminal is the master of the terminal of a container that Run has made without
// a console socket; nil when process.terminal is false. The caller owns it.
func (c *Container) Terminal() *os.File { return c.terminal }

// Status looks at the container.
func (c *Container) Status() Status { return derive(observe(c.rec)) }

// locked reads the record again under its lock.
func (c *Container) locked() (*state.Record, error) { return c.runtime.load(c.rec.ID, true) }

// Start lets the program of a created container run. When it returns, the
// program runs, and the poststart hooks have.
func (c *Container) Start() error {
	rec, err := c.locked()
	if err != nil {
		return err
	}
	if err := require(opStart, derive(observe(rec)), rec.ID); err != nil {
		rec.Unlock()
		return err
	}
	opened, err := rec.OpenGate()
	// Hooks may take long, and may call tare for their own container: nothing is
	// held while they run.
	rec.Unlock()
	if err != nil {
		return err
	}
	report, err := opened.Wait()
	if err != nil {
		return err
	}
	if report != nil {
		err := startError(report)
		if isHook(report) {
			// A failed startContainer hook ends the container (runtime.md, 7).
			c.destroy()
		}
		return err
	}
	if died(rec) {
		return errors.New("init was killed before it became the container's program")
	}
	if len(rec.Poststart) == 0 {
		return nil
	}
	if err := hooks.RunAll("poststart", rec.Poststart, hookSetting(rec, Running, rec.Pid)); err != nil {
		c.destroy() // runtime.md, 9
		return err
	}
	return nil
}

// died says that the process has ended and never was anything but the init,
// which its name tells as long as nobody has reaped it.
func died(rec *state.Record) bool {
	start, letter, ok := state.StartTime(rec.Pid)
	return ok && start == rec.PidStart && letter == 'Z' &&
		strings.TrimSpace(sys.Text("/proc/"+strconv.Itoa(rec.Pid)+"/comm")) == "tare:init"
}

// startError words a report that the init left behind after the gate: the plan
// is gone by then, but few ops are left that can fail.
func startError(r *initproto.Report) error {
	step := plan.Step(r.Step).String()
	if step == "execve" && r.Detail != "" && !isHook(r) {
		return &ExecError{Program: r.Detail, Err: r.Errno}
	}
	e := &OpError{Step: step, Detail: r.Detail, Err: r.Errno}
	if step == "seccomp" || step == "capset" {
		e.Field = "linux.seccomp" // the ops that stand behind the gate for its sake
	}
	return e
}

// hookMark begins the detail of a hook's report (init/op_hook.c).
const hookMark = "hooks.startContainer["

func isHook(r *initproto.Report) bool { return strings.HasPrefix(r.Detail, hookMark) }

// Kill sends a signal to the container's process. With all, to every process of
// the container, and a stopped container is no error.
//
// It takes no lock: a container can be killed whatever another command is doing.
func (c *Container) Kill(sig syscall.Signal, all bool) error {
	rec, err := c.runtime.load(c.rec.ID, false)
	if err != nil {
		return err
	}
	status := derive(observe(rec))
	if all {
		return signalAll(rec, sig)
	}
	if err := require(opKill, status, rec.ID); err != nil {
		// The first process is gone, but others of a shared pid namespace may not be.
		if sig == unix.SIGKILL && !rec.PidNamespace {
			if pids, _ := processes(rec); len(pids) > 0 {
				return killCgroups(rec)
			}
		}
		return err
	}
	if err := signalInit(rec, sig); err != nil {
		return err
	}
	if sig == unix.SIGKILL {
		// A frozen v1 cgroup keeps even the killed from dying, and so does one that
		// the container has made itself and frozen.
		if status == Paused {
			thaw(rec)
		}
		thawBelow(rec)
		if !rec.PidNamespace {
			// Who has no access to the cgroups any more has signalled the first process.
			if err := killCgroups(rec); err != nil && !errors.Is(err, fs.ErrPermission) {
				return err
			}
		}
	}
	return nil
}

// signalInit signals through a pidfd whose process is proven to be the recorded
// one, so that a reused pid is never hit.
func signalInit(rec *state.Record, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(rec.Pid, 0)
	if err != nil {
		return fmt.Errorf("container not running: %w", err)
	}
	defer unix.Close(fd)
	if start, _, ok := state.StartTime(rec.Pid); !ok || start != rec.PidStart {
		return &StatusError{ID: rec.ID, Status: Stopped, Why: "container not running"}
	}
	if err := unix.PidfdSendSignal(fd, sig, nil, 0); err != nil {
		if err == unix.ESRCH {
			return fmt.Errorf("container not running: %w", err)
		}
		return fmt.Errorf("signal %d to process %d: %w", int(sig), rec.Pid, err)
	}
	return nil
}

// DeleteOptions says how to delete.
type DeleteOptions struct {
	// Force kills a running container first, and makes a missing one no error.
	Force bool
}

// Delete removes a stopped container, or a created one, which it kills. Failed
// poststop hooks are returned as *HookWarnings: the container is gone all the
// same, and delete can be repeated to run them again.
func (r *Runtime) Delete(id string, o DeleteOptions) error {
	op := opDelete
	if o.Force {
		op = opDeleteForce
	}
	// Looked at before the lock is waited for: a hook that hangs, or a creator that
	// waits for one, holds it until the process is gone.
	if rec, err := r.load(id, false); err == nil {
		if err := r.needsSystemd(rec); err != nil {
			return err
		}
		status := derive(observe(rec))
		if err := require(op, status, id); err != nil {
			return err
		}
		if o.Force && status != Stopped && rec.Pid != 0 {
			if err := killInit(rec, status == Paused); err != nil {
				return err
			}
		}
	}
	rec, err := r.load(id, true)
	if errors.Is(err, state.ErrNotExist) {
		return r.deleteAgain(id, o, err)
	}
	var torn *state.TornError
	if o.Force && errors.As(err, &torn) {
		rec, err = r.loadTorn(id)
	}
	if err != nil {
		return err
	}
	defer rec.Unlock()
	if err := r.needsSystemd(rec); err != nil {
		return err
	}
	if o.Force && rec.Bundle == "" {
		guessCgroups(rec)
	}
	status := derive(observe(rec))
	if err := require(op, status, rec.ID); err != nil {
		return err
	}
	if status != Stopped {
		if err := killInit(rec, status == Paused); err != nil {
			return err
		}
	}
	return r.remove(rec)
}

// Delete deletes this container.
func (c *Container) Delete(o DeleteOptions) error { return c.runtime.Delete(c.rec.ID, o) }

// deleteAgain runs the poststop hooks that an earlier delete left undone.
func (r *Runtime) deleteAgain(id string, o DeleteOptions, notExist error) error {
	store, err := state.Open(r.root, false)
	if err != nil {
		return err
	}
	rec, err := store.LoadDead(id)
	if err != nil {
		if o.Force && errors.Is(err, state.ErrNotExist) {
			return nil
		}
		return notExist
	}
	defer rec.Unlock()
	return poststop(rec)
}

// killInit kills the container's process and waits until it is gone.
func killInit(rec *state.Record, paused bool) error {
	fd, err := unix.PidfdOpen(rec.Pid, 0)
	if err != nil {
		return nil // gone
	}
	defer unix.Close(fd)
	if start, _, ok := state.StartTime(rec.Pid); !ok || start != rec.PidStart {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
		return fmt.Errorf("kill process %d: %w", rec.Pid, err)
	}
	if paused {
		thaw(rec)
	}
	if err := waitGone(fd, rec.Pid, frozenWait); err == nil || !rec.CgroupsMade {
		return waitGone(fd, rec.Pid, removeWait)
	}
	// It may wait for the others of its pid namespace, and they may be in a cgroup
	// that the container has frozen itself, where v1 keeps even the killed.
	if err := killCgroups(rec); err != nil {
		if waitGone(fd, rec.Pid, 0) != nil {
			err = fmt.Errorf("container init still running: %w", err)
		}
		return err
	}
	return waitGone(fd, rec.Pid, removeWait)
}

// frozenWait is how long a process may take to die before its cgroups are looked
// through for what keeps it.
const frozenWait = 200 * time.Millisecond

func waitGone(pidfd, pid int, timeout time.Duration) error {
	end := time.Now().Add(timeout)
	for {
		left := time.Until(end)
		p := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(p, int(max(left.Milliseconds(), 0)))
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return fmt.Errorf("wait for process %d: %w", pid, err)
		case n > 0:
			return nil
		default:
			_, letter, _ := state.StartTime(pid)
			return fmt.Errorf("container init still running: process %d is in state %c after %v", pid, letter, timeout)
		}
	}
}

// remove undoes what create made: the unit, cgroups, then the record, then the hooks that
// tear down what other hooks have set up.
func (r *Runtime) remove(rec *state.Record) error {
	if !rec.PidNamespace || rec.Pid == 0 { // no first process took the others along
		if err := killCgroups(rec); err != nil {
			return err
		}
	}
	if err := removeHostMounts(rec); err != nil {
		return err
	}
	if err := r.stopUnit(rec); err != nil {
		return err
	}
	if err := removeCgroups(rec); err != nil {
		return err
	}
	if err := removeRdt(rec); err != nil {
		return err
	}
	if len(rec.Poststop) == 0 {
		return rec.Remove()
	}
	if err := rec.Bury(); err != nil {
		return err
	}
	return poststop(rec)
}

// HookWarnings are failures of poststop hooks, which do not keep a container
// from being deleted (runtime.md, Lifecycle, 13).
type HookWarnings struct{ Errs []error }

// Error prints one line for each.
func (w *HookWarnings) Error() string { return errors.Join(w.Errs...).Error() }

// Unwrap returns the failures.
func (w *HookWarnings) Unwrap() []error { return w.Errs }

func poststop(rec *state.Record) error {
	errs := hooks.RunEach("poststop", rec.Poststop, hookSetting(rec, Stopped, 0))
	if len(errs) > 0 {
		return &HookWarnings{Errs: errs}
	}
	return rec.Forget()
}

// destroy stops and removes a container whose hook has failed; the hook's error
// is the one to tell.
func (c *Container) destroy() { _ = c.Delete(DeleteOptions{Force: true}) }

// Wait waits for the program of a container that this program has created, and
// returns its exit code, or 128 and the number of the signal that ended it.
func (c *Container) Wait() (int, error) {
	if !c.child {
		return -1, errors.New("only the program that created a container can wait for it")
	}
	var ws syscall.WaitStatus
	for {
		_, err := syscall.Wait4(c.rec.Pid, &ws, 0, nil)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return -1, fmt.Errorf("wait for process %d: %w", c.rec.Pid, err)
		}
		return ExitCode(ws), nil
	}
}

// ExitCode is what a shell would report for a wait status.
func ExitCode(ws syscall.WaitStatus) int {
	if ws.Signaled() {
		return 128 + int(ws.Signal())
	}
	return ws.ExitStatus()
}

// State is the state as runtime.md defines it.
func (c *Container) State() specs.State {
	status := c.Status()
	s := specs.State{Version: specs.Version, ID: c.rec.ID, Status: specs.ContainerState(status), Bundle: c.rec.Bundle, Annotations: c.rec.Annotations}
	if status != Stopped {
		s.Pid = c.rec.Pid
	}
	return s
}
