package libcontainer

import (
	"errors"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

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
