package libcontainer

import (
	"fmt"
	"os"
	"strconv"
	"syscall"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// OpError is the failure of one op of a plan: which config field asked for it,
// with which value, what the kernel said, and where in the plan that was.
type OpError struct {
	Field  string // "linux.maskedPaths[3]"; empty for ops of no field
	Value  string // "/proc/kcore"
	Step   string // the system call, "mount_setattr"
	Detail string // what else is known: the file system's own message
	Op     string // "path-mask"
	Index  int    // of the op in the plan
	Of     int    // the plan's length
	Err    error
}

// Error prints `linux.maskedPaths[3] "/proc/kcore": open_tree: permission denied
// (op 41/97, path-mask)`.
func (e *OpError) Error() string {
	text := (&field.Error{Path: e.Field, Value: e.Value, Why: e.cause()}).Error()
	if e.Of > 0 {
		text += fmt.Sprintf(" (op %d/%d, %s)", e.Index, e.Of, e.Op)
	}
	return text
}

// cause words what went wrong. Where the check was tare's own, the errno says
// less than the name of the check.
func (e *OpError) cause() string {
	var text string
	switch e.Step {
	case "symlink-refused":
		text = "is a symbolic link, and must be a real directory"
	case "not-a-directory":
		text = "a directory and a file cannot be mounted over each other: not a directory"
	case "not-mounted":
		text = "is not a mount point, so there is nothing to remount: " + e.Err.Error()
	case "identity":
		text = "exists and is not the device that is meant"
	case "outside-root":
		text = "leads outside the container's root: permission denied"
	case "is-directory":
		text = "is a directory: permission denied"
	case "hook":
		return e.Detail // the hook's exit code and output say it all
	case "timeout":
		text = "timeout"
	case "check":
		text = "refused by init: " + e.Err.Error()
	default:
		text = e.Step + ": " + e.Err.Error()
	}
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	return text
}

// Unwrap returns the errno.
func (e *OpError) Unwrap() error { return e.Err }

// ExecError says that the container's program cannot be run. Its wording is the
// one that engines turn into exit codes 126 and 127.
type ExecError struct {
	Program string
	Lookup  bool // it was looked for in PATH
	Err     error
}

// Error prints `exec: "x": executable file not found in $PATH`, or
// `exec /run.sh: no such file or directory`.
func (e *ExecError) Error() string {
	if e.Lookup {
		return fmt.Sprintf("exec: %q: executable file not found in $PATH", e.Program)
	}
	return fmt.Sprintf("exec %s: %v", e.Program, e.Err)
}

// Unwrap returns the errno.
func (e *ExecError) Unwrap() error { return e.Err }

// reportError turns an init's report into the error of the op it names.
func reportError(p *plan.Plan, r *initproto.Report) error {
	if int(r.Op) >= len(p.Ops) {
		return fmt.Errorf("init failed at op %d of a plan of %d: %w", r.Op, len(p.Ops), r.Errno)
	}
	op := &p.Ops[r.Op]
	step := plan.Step(r.Step).String()
	switch op.Code {
	case plan.OpExecFind:
		err := &ExecError{Program: op.Program(), Lookup: step == "not-found-in-path", Err: r.Errno}
		if step == "is-directory" {
			err.Err = fmt.Errorf("is a directory: %w", r.Errno)
		}
		return err
	case plan.OpExec:
		return &ExecError{Program: op.Program(), Err: r.Errno}
	}
	return &OpError{Field: op.Field, Value: op.Value(), Step: step, Detail: detail(op, r), Op: op.Code.Name(), Index: int(r.Op), Of: len(p.Ops), Err: r.Errno}
}

// hostError is the same for ops of the host's side.
func hostError(p *plan.Plan, index int, err error) error {
	op := &p.Ops[index]
	e := &OpError{Field: op.Field, Value: op.Value(), Op: op.Code.Name(), Index: index, Of: len(p.Ops), Err: err}
	if m, ok := err.(*idMapError); ok { //nolint:errorlint // made by the op itself
		e.Field = m.field
		return &wrapped{e: e, err: m.err}
	}
	if pe, ok := err.(*os.PathError); ok { //nolint:errorlint // the outermost one names the call
		e.Step, e.Err = pe.Op, pe.Err
		if pe.Path != e.Value {
			e.Step += " " + pe.Path
		}
		return e
	}
	if errno, ok := err.(syscall.Errno); ok { //nolint:errorlint // bare errno of the op's own call
		e.Step, e.Err = op.Code.Name(), errno
		return e
	}
	return &wrapped{e: e, err: err}
}

// wrapped is a host error that already words itself.
type wrapped struct {
	e   *OpError
	err error
}

func (w *wrapped) Error() string {
	head := w.e.Field
	if w.e.Value != "" {
		head += " " + strconv.Quote(w.e.Value)
	}
	return fmt.Sprintf("%s: %v (op %d/%d, %s)", head, w.err, w.e.Index, w.e.Of, w.e.Op)
}

func (w *wrapped) Unwrap() error { return w.err }
