package libcontainer

import (
	"strings"
	"testing"
)

// Every combination of what can be observed has its status.
func TestDeriveIsTotal(t *testing.T) {
	for n := 0; n < 32; n++ {
		o := observed{recorded: n&1 != 0, busy: n&2 != 0, alive: n&4 != 0, gate: n&8 != 0, frozen: n&16 != 0}
		want := Stopped
		switch {
		case !o.recorded:
			if o.busy {
				want = Creating
			}
		case !o.alive:
		case o.frozen:
			want = Paused
		case o.gate:
			want = Created
		default:
			want = Running
		}
		if got := derive(o); got != want {
			t.Errorf("%+v: got %s, want %s", o, got, want)
		}
	}
}

// Every pair of operation and status is allowed or refused with the words that
// engines match.
func TestRefusals(t *testing.T) {
	const (
		running  = "cannot start an already running container"
		stopped  = "cannot start a container that has stopped"
		creating = "cannot start a container that is still being created"
		paused   = "cannot start a container in the paused state"
		not      = "container not running"
		freed    = "container not paused"
		events   = "container with id c is not running"
	)
	cannot := func(s Status) string { return "cannot delete container c that is not stopped: " + string(s) }
	statuses := []Status{Creating, Created, Running, Paused, Stopped}
	table := map[operation][]string{
		opStart:       {creating, "", running, paused, stopped},
		opKill:        {not, "", "", "", not},
		opDelete:      {cannot(Creating), "", cannot(Running), cannot(Paused), ""},
		opDeleteForce: {"", "", "", "", ""},
		opProcesses:   {not, "", "", "", not},
		opUpdate:      {not, "", "", "", not},
		opPause:       {not, "", "", not, not},
		opResume:      {freed, freed, freed, "", freed},
		opEvents:      {events, "", "", "", events},
		opExec: {"cannot exec in a container that is still being created", "", "",
			"cannot exec in a paused container (use --ignore-paused to override)", "cannot exec in a stopped container"},
		opExecPaused: {"cannot exec in a container that is still being created", "", "", "", "cannot exec in a stopped container"},
	}
	for op, wants := range table {
		for i, want := range wants {
			s := statuses[i]
			if got := refusal(op, s, "c"); got != want {
				t.Errorf("operation %d in %s: got %q, want %q", op, s, got, want)
			}
			err := require(op, s, "c")
			if (err == nil) != (want == "") {
				t.Errorf("operation %d in %s: error %v", op, s, err)
			}
			if err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), string(s))) {
				t.Errorf("operation %d in %s: %v does not say the state", op, s, err)
			}
		}
	}
}
