// Package hooks runs OCI hooks in the runtime's namespaces (config.md,
// POSIX-platform Hooks). Those of the container's namespaces are run by the
// init.
//
// A hook without an env member gets the runtime's environment, as runc and crun give
// it (hooks in use look for programs in the PATH of there), without what tare tells
// itself; one with an env member, even an empty one, exactly that. PATH is never
// needed to find it. It
// inherits no descriptor but its standard streams, runs in the bundle's
// directory, and leads a process group of its own, which is killed whole when
// its timeout ends.
package hooks

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sys"
)

// ownVariable begins what the front tells the whole (package whole).
const ownVariable = "TARE_SELF="

// Error says which hook failed and how.
type Error struct {
	Kind   string // "createRuntime"
	Index  int
	Path   string
	Reason string // "exit status 3", "killed after 2 s", "no such file or directory"
	Output string // the end of what it printed
}

// Error prints `hooks.createRuntime[0] "/bin/x": exit status 3: its output`.
func (e *Error) Error() string {
	s := fmt.Sprintf("hooks.%s[%d] %q: %s", e.Kind, e.Index, e.Path, e.Reason)
	if e.Output != "" {
		s += ": " + e.Output
	}
	return s
}

// Setting is what a hook finds.
type Setting struct {
	State []byte // JSON, on its stdin
	Dir   string // its working directory, the bundle
	// Stdout and Stderr are files that the output is appended to. What goes there
	// is not in the error of a hook that fails; "" is for what does not.
	Stdout, Stderr string
}

// Run runs one hook.
func Run(kind string, index int, h *specs.Hook, in *Setting) error {
	fail := func(reason, output string) error {
		return &Error{Kind: kind, Index: index, Path: h.Path, Reason: reason, Output: output}
	}
	stdin, err := stateFile(in.State)
	if err != nil {
		return fail(err.Error(), "")
	}
	defer stdin.Close()
	// Our own descriptors close at the execve by themselves; those that our caller
	// has left open would reach the hook.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil && err != unix.ENOSYS && err != unix.EINVAL {
		return fail("close_range: "+err.Error(), "")
	}
	// Files, all of them, so that nothing but the hook is waited for.
	cmd := &exec.Cmd{Path: h.Path, Args: h.Args, Env: h.Env, Dir: in.Dir, Stdin: stdin, SysProcAttr: &syscall.SysProcAttr{Setpgid: true}}
	var out *output
	for _, log := range []struct {
		path string
		to   *io.Writer
	}{{in.Stdout, &cmd.Stdout}, {in.Stderr, &cmd.Stderr}} {
		if log.path == "" {
			if out == nil {
				if out, err = newOutput(); err != nil {
					return fail("its output: "+err.Error(), "")
				}
			}
			*log.to = out.w
			continue
		}
		f, err := OpenLog(log.path)
		if err != nil {
			out.close()
			return fail("its output: "+err.Error(), "")
		}
		defer f.Close()
		*log.to = f
	}
	if len(h.Args) == 0 {
		cmd.Args = []string{h.Path}
	}
	if h.Env == nil {
		cmd.Env = slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, ownVariable) })
	} else if len(h.Env) == 0 {
		cmd.Env = []string{}
	}
	if err := sys.AsCaller(cmd.Start); err != nil {
		out.close()
		var pe *os.PathError
		if errors.As(err, &pe) {
			err = pe.Err
		}
		return fail(err.Error(), "")
	}
	out.collect()
	var timedOut atomic.Bool
	if h.Timeout != nil {
		timer := time.AfterFunc(time.Duration(*h.Timeout)*time.Second, func() {
			timedOut.Store(true)
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		})
		err = cmd.Wait()
		timer.Stop()
	} else {
		err = cmd.Wait()
	}
	text := out.finish()
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil // at the last moment, maybe
	case timedOut.Load():
		return fail(fmt.Sprintf("killed after its timeout of %d s", *h.Timeout), text)
	case errors.As(err, &exit):
		return fail(exitText(exit.ProcessState), text)
	default:
		return fail(err.Error(), text)
	}
}

// RunAll runs hooks in their order and stops at the first failure.
func RunAll(kind string, hs []specs.Hook, in *Setting) error {
	for i := range hs {
		if err := Run(kind, i, &hs[i], in); err != nil {
			return err
		}
	}
	return nil
}

// RunEach runs all hooks whatever happens, and returns every failure; poststop
// hooks are run so.
func RunEach(kind string, hs []specs.Hook, in *Setting) []error {
	var errs []error
	for i := range hs {
		if err := Run(kind, i, &hs[i], in); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// OpenLog opens a file that the output of hooks is appended to, and makes it,
// for its owner alone, if it is missing.
func OpenLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
}

func exitText(p *os.ProcessState) string {
	if ws, ok := p.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return "killed by " + ws.Signal().String()
	}
	return p.String()
}

// stateFile puts the state into a file in memory: a hook that does not read its
// stdin blocks nobody, however long the annotations are.
func stateFile(state []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("state", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "state")
	if _, err := f.WriteAt(state, 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
