package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// ExecOptions says what to run in a container. The zero value of every field but
// Process is the usual choice.
type ExecOptions struct {
	// Process is what to run. What it leaves out is taken from the container's own
	// process (specconv.FillProcess).
	Process *specs.Process

	// Stdin, Stdout and Stderr are given to the process; nil means the caller's.
	Stdin, Stdout, Stderr *os.File

	// BeforeStart is called once, before the program runs. nil is fine.
	BeforeStart func()

	PidFile       string // absolute; written when the program runs
	ConsoleSocket string // absolute; where the terminal is sent
	PidfdSocket   string // absolute; where a pidfd of the process is sent
	PreserveFDs   int    // descriptors 3 and up that the process inherits
	// Cgroups are directories below the container's, "[CONTROLLER[,...]:]PATH".
	Cgroups []string
	// Paused allows a paused container; the process then waits until that is resumed.
	Paused bool
	// Detach says that the caller does not stay: a terminal needs a ConsoleSocket.
	Detach bool
	// Program is what the caller calls itself in a message; "" is tare.
	Program string
	// SeccompCompiler is CompilerTare, which "" means, or CompilerLibseccomp.
	SeccompCompiler string
}

// Process is one that Exec has started, a child of this program.
type Process struct {
	// Warnings are what the spec says to warn about and go on.
	Warnings []string

	pid      int
	terminal *os.File
	mu       sync.Mutex
	done     bool // it has been waited for, and its number may be another's
}

// Pid is the process on the host.
func (p *Process) Pid() int { return p.pid }

// Terminal is the master of the process's terminal, if it has one and no console
// socket was named. The caller owns it.
func (p *Process) Terminal() *os.File { return p.terminal }

// Signal sends a signal to the process; to one that has ended, nothing.
func (p *Process) Signal(sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done {
		return nil
	}
	return os.NewSyscallError("kill", syscall.Kill(p.pid, sig))
}

// Wait waits for the process's end and returns its exit code, or 128 and the
// number of the signal that ended it.
func (p *Process) Wait() (int, error) {
	for {
		// It is looked at first and reaped under the lock, so that no signal goes to
		// a process that has got its number.
		err := unix.Waitid(unix.P_PID, p.pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return -1, fmt.Errorf("wait for process %d: %w", p.pid, err)
		}
		code, _, err := p.Ended()
		return code, err
	}
}

// Ended is Wait for a program that learns from SIGCHLD when to look: it says
// whether the process has ended.
func (p *Process) Ended() (code int, ended bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ws syscall.WaitStatus
	pid, err := syscall.Wait4(p.pid, &ws, syscall.WNOHANG, nil)
	if err != nil {
		return -1, false, fmt.Errorf("wait for process %d: %w", p.pid, err)
	}
	if pid == 0 {
		return -1, false, nil
	}
	p.done = true
	return ExitCode(ws), true, nil
}

// Exec runs a program in the container, which may be created, running, or with
// ExecOptions.Paused paused. It returns when the program runs.
func (c *Container) Exec(o ExecOptions) (*Process, error) {
	p, err := c.exec(&o)
	if err != nil {
		return nil, fmt.Errorf("exec failed: %w", err)
	}
	return p, nil
}

func (c *Container) exec(o *ExecOptions) (*Process, error) {
	if o.Process == nil || len(o.Process.Args) == 0 {
		return nil, errors.New("exec args cannot be empty")
	}
	res, rec, err := c.execPlan(o, true)
	if err != nil {
		return nil, err
	}
	if err := checkTerminal(o.Process, o.Detach, o.ConsoleSocket, o.Program); err != nil {
		return nil, err
	}
	h := newHost(res.Plan, rec, &CreateOptions{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, PreserveFDs: o.PreserveFDs,
		BeforeStart: o.BeforeStart})
	h.exec = true
	p, err := h.runExec(o.PidFile)
	if err != nil {
		return nil, fmt.Errorf("unable to start container process: %w", err)
	}
	p.Warnings = res.Warnings
	return p, nil
}

// ExecPlan compiles what Exec would do, without doing it, whatever the status of
// the container.
func (c *Container) ExecPlan(o ExecOptions) (*specconv.Result, error) {
	res, _, err := c.execPlan(&o, false)
	return res, err
}

func (c *Container) execPlan(o *ExecOptions, check bool) (*specconv.Result, *state.Record, error) {
	// Not while it is being made: its namespaces are there before its root is.
	rec, spec, err := c.created(check)
	if err != nil {
		return nil, nil, err
	}
	op := opExec
	if o.Paused {
		op = opExecPaused
	}
	if check {
		if err := require(op, derive(observe(rec)), rec.ID); err != nil {
			return nil, nil, err
		}
	}
	var want probe.Want
	filled := specconv.FillProcess(spec.Process, o.Process)
	want.Profile = filled.ApparmorProfile != ""
	want.LSM = want.Profile || filled.SelinuxLabel != ""
	ownUser := false
	if spec.Linux != nil {
		for _, n := range spec.Linux.Namespaces {
			ownUser = ownUser || n.Type == specs.UserNamespace
		}
	}
	target, err := findTarget(rec, o, ownUser)
	if err != nil {
		return nil, nil, err
	}
	filter, err := foreignFilter(o.SeccompCompiler, spec, rec.Config)
	if err != nil {
		return nil, nil, err
	}
	res, err := specconv.CompileExec(specconv.ExecInput{ID: rec.ID, Spec: spec, Process: o.Process, Facts: probe.Inside(want), Target: target,
		PreserveFDs: o.PreserveFDs, ConsoleSocket: o.ConsoleSocket, PidfdSocket: o.PidfdSocket, Filter: filter})
	return res, rec, err
}

// creation is a record with the config that the container was created with,
// decoded, and the bytes of both.
type creation struct {
	rec  *state.Record
	spec *specs.Spec
	data []byte
}

// created reads the record. What was decoded before is not decoded again.
func (c *Container) created(settled bool) (*state.Record, *specs.Spec, error) {
	store, err := state.Open(c.runtime.root, false)
	if err != nil {
		return nil, nil, err
	}
	rec, data, err := store.LoadConfig(c.rec.ID, settled)
	if err != nil {
		return nil, nil, err
	}
	if old := c.creation; old != nil && data != nil && bytes.Equal(old.data, data) {
		return old.rec, old.spec, nil
	}
	if rec.Pid == 0 { // nobody is there to join, as the caller will find
		return rec, &specs.Spec{}, nil
	}
	if len(rec.Config) == 0 {
		return nil, nil, fmt.Errorf("the record of container %q does not have the config that it was created with", rec.ID)
	}
	spec, errs := ociconfig.DecodeSpec(rec.Config)
	if err := errs.Err(); err != nil {
		return nil, nil, fmt.Errorf("recorded config of container %q: %w", rec.ID, err)
	}
	c.creation = &creation{rec, spec, data}
	return rec, spec, nil
}

// Process is a copy of the process of the config that the container was created
// with, for Exec to begin with; nil if it had none.
func (c *Container) Process() (*specs.Process, error) {
	_, spec, err := c.created(false)
	if err != nil || spec.Process == nil {
		return nil, err
	}
	p := *spec.Process
	return &p, nil
}

// LoadProcess reads and decodes a file with a process (config.md, Process).
func LoadProcess(path string) (*specs.Process, error) {
	data, err := sys.ReadFile(path, maxConfig)
	if err != nil {
		return nil, err
	}
	p, errs := ociconfig.DecodeProcess(data)
	if err := errs.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return p, nil
}

// runExec walks the plan. The pid file comes last: an engine takes its presence
// for success, and a program that cannot be executed is none.
func (h *host) runExec(pidFile string) (*Process, error) {
	p := &Process{}
	// Nothing that this program does later is before the program: the init is on its
	// way to it as soon as it has been spawned.
	h.beforeStart()
	err := h.run()
	if err == nil {
		err = h.finish()
	}
	if err == nil {
		p.terminal, err = h.receiveTerminal()
	}
	if err == nil && pidFile != "" {
		err = writePidFile(pidFile, h.pid)
	}
	h.letGo()
	if err != nil {
		if p.terminal != nil {
			p.terminal.Close()
		}
		h.failExec()
		return nil, err
	}
	p.pid = h.pid
	return p, nil
}

// failExec leaves nothing of a process that did not come to run.
func (h *host) failExec() {
	for _, pid := range []int{h.pid, h.stage} {
		if pid > 0 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
			reap(pid)
		}
		if h.stage == h.pid {
			break
		}
	}
	h.closeSlots()
}
