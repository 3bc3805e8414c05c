package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/state"
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
