package libcontainer

import (
	"fmt"
	"strings"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/state"
)

// Status is the state of a container as runtime.md names it, and paused.
type Status string

// The statuses.
const (
	Creating Status = "creating"
	Created  Status = "created"
	Running  Status = "running"
	Paused   Status = "paused"
	Stopped  Status = "stopped"
)

// observed is everything that a status follows from.
type observed struct {
	recorded bool // the record names a process
	busy     bool // its creator is at work
	alive    bool // that process exists, with the recorded start time, and is no zombie
	gate     bool // it waits at the start gate
	frozen   bool // its cgroup is frozen
}

// derive is the whole of tare's knowledge about status.
func derive(o observed) Status {
	switch {
	case !o.recorded && o.busy:
		return Creating
	case !o.recorded, !o.alive:
		return Stopped
	case o.frozen:
		return Paused
	case o.gate:
		return Created
	default:
		return Running
	}
}

func observe(r *state.Record) observed {
	o := observed{recorded: r.Pid != 0, busy: r.Busy}
	if !o.recorded {
		return o
	}
	start, letter, ok := state.StartTime(r.Pid)
	o.alive = ok && start == r.PidStart && letter != 'Z' && letter != 'X'
	if !o.alive {
		return o
	}
	// One that waits for start is frozen only by pause, which leaves a note.
	if o.gate = r.GateClosed(); !o.gate || r.PausedAtGate {
		o.frozen = frozen(r)
	}
	return o
}

func frozen(r *state.Record) bool {
	for i := range r.Cgroups {
		c := &r.Cgroups[i]
		if freezes(c) {
			if f, err := cgroup.Frozen(c.Mount, c.Path); err == nil && f {
				return true
			}
		}
	}
	return false
}

// operation is a command that not every status allows.
type operation uint8

const (
	opStart operation = iota
	opKill
	opDelete
	opDeleteForce
	opProcesses
	opExec
	opExecPaused
	opPause
	opResume
	opUpdate
	opEvents
	opCheckpoint
)

// refusal says why an operation may not be done in a status; "" means that it
// may. The wordings are those that engines match.
func refusal(op operation, s Status, id string) string {
	switch op {
	case opStart:
		switch s {
		case Created:
			return ""
		case Stopped:
			return "cannot start a container that has stopped"
		case Creating:
			return "cannot start a container that is still being created"
		case Paused:
			return "cannot start a container in the paused state"
		default:
			return "cannot start an already running container"
		}
	case opKill:
		if s == Stopped || s == Creating {
			return "container not running"
		}
	case opDelete:
		if s == Running || s == Paused || s == Creating {
			return fmt.Sprintf("cannot delete container %s that is not stopped: %s", id, s)
		}
	case opExec, opExecPaused:
		switch {
		case s == Stopped:
			return "cannot exec in a stopped container"
		case s == Creating:
			return "cannot exec in a container that is still being created"
		case s == Paused && op == opExec:
			return "cannot exec in a paused container (use --ignore-paused to override)"
		}
	case opPause:
		if s != Created && s != Running {
			return "container not running"
		}
	case opResume:
		if s != Paused {
			return "container not paused"
		}
	case opProcesses, opUpdate:
		if s == Stopped || s == Creating {
			return "container not running"
		}
	case opCheckpoint:
		if s != Running && s != Paused {
			return fmt.Sprintf("container cannot be checkpointed in %s state", s)
		}
	case opEvents:
		if s == Stopped || s == Creating {
			return fmt.Sprintf("container with id %s is not running", id)
		}
	}
	return ""
}

// StatusError says that a container's status forbids what was asked.
type StatusError struct {
	ID     string
	Status Status
	Why    string
}

// Error prints the refusal with the id and the status.
func (e *StatusError) Error() string {
	if strings.HasSuffix(e.Why, string(e.Status)) { // says it all already
		return e.Why
	}
	return fmt.Sprintf("%s: container %q is %s", e.Why, e.ID, e.Status)
}

func require(op operation, s Status, id string) error {
	if why := refusal(op, s, id); why != "" {
		return &StatusError{ID: id, Status: s, Why: why}
	}
	return nil
}
