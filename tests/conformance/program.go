package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// result is what one program did with one runtime.
type result struct {
	Program  string   `json:"program"`
	Seconds  float64  `json:"seconds"`
	Passed   int      `json:"passed"`             // "ok" lines
	Failed   int      `json:"failed"`             // "not ok" lines
	Problems []string `json:"problems,omitempty"` // normalised; empty when all is well
	Residue  []string `json:"residue,omitempty"`  // left behind after every container was deleted
	Skipped  string   `json:"skipped,omitempty"`  // why the host cannot run the program at all
}

// runProgram runs one validation program to its end and reads what it printed.
// Its process group is killed after the time limit.
func (s *stage) runProgram(name string) (result, error) {
	calls := filepath.Join(s.Out, name+".calls")
	if err := s.writeRuntime(calls); err != nil {
		return result{}, err
	}
	out, stderr := filepath.Join(s.Out, name+".tap"), filepath.Join(s.Out, name+".err")
	start := time.Now()
	pid, err := s.spawn(filepath.Join(s.Bin, name), nil, out, stderr)
	if err != nil {
		return result{}, err
	}
	var timedOut atomic.Bool
	timer := time.AfterFunc(s.Timeout, func() {
		timedOut.Store(true)
		syscall.Kill(-pid, syscall.SIGKILL)
	})
	s.group.Store(int64(pid))
	status, err := reap(pid)
	s.group.Store(0)
	timer.Stop()
	if err != nil {
		return result{}, err
	}
	elapsed := time.Since(start)
	tap, err := os.ReadFile(out)
	if err != nil {
		return result{}, err
	}
	message, err := os.ReadFile(stderr)
	if err != nil {
		return result{}, err
	}

	report := parseTAP(string(tap))
	r := result{
		Program: name, Seconds: elapsed.Round(time.Millisecond).Seconds(),
		Passed: report.passed, Failed: report.failed, Problems: report.problems,
	}
	switch {
	case timedOut.Load():
		r.abort(fmt.Sprintf("no end after %v", s.Timeout), "")
	case status.Signaled():
		r.abort("ended by signal: "+status.Signal().String(), string(message))
	case status.ExitStatus() != 0:
		r.abort(fmt.Sprintf("exit status %d", status.ExitStatus()), string(message))
	case r.Passed+r.Failed == 0:
		r.Problems = append(r.Problems, "no test executed")
	}
	r.Residue, err = s.clean(name, calls)
	return r, err
}

// abort records that a program did not end well, and its last words. That
// explains why a series of tests has no plan.
func (r *result) abort(how, message string) {
	r.Problems = slices.DeleteFunc(r.Problems, func(p string) bool { return p == noPlan })
	if last := lastLines(message, 3); len(last) > 0 {
		how += ": " + normalise(strings.Join(last, "; "))
	}
	r.Problems = append(r.Problems, how)
}

// lastLines returns up to n lines from the end of text, without empty ones.
func lastLines(text string, n int) []string {
	var lines []string
	for _, line := range strings.Split(text, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines[max(0, len(lines)-n):]
}

// runtimeScript stands between the programs and the runtime. It gives the run
// a state directory of its own and writes down every call, one argument list a
// line, so that the containers a program leaves can be deleted. It replaces
// itself by the runtime: the process that a program waits for is the runtime.
const runtimeScript = `#!/bin/sh
printf '%%s\n' "$*" >>%s
bundle=
previous=
for argument; do
	[ "$previous" = --bundle ] && bundle=$argument
	previous=$argument
done
[ -z %[2]s ] || [ -z "$bundle" ] ||
	sed -i 's/"ociVersion": *"[1-9][0-9.]*"/"ociVersion":"'%[2]s'"/' "$bundle/config.json"
exec %[3]s --root %[4]s "$@"
`

// writeRuntime writes the script that the programs run as the runtime.
func (s *stage) writeRuntime(calls string) error {
	text := fmt.Sprintf(runtimeScript, quote(calls), quote(s.OCIVersion), quote(s.Runtime), quote(s.root()))
	return os.WriteFile(s.script(), []byte(text), 0o755)
}

func (s *stage) script() string { return filepath.Join(s.Work, "runtime") }

func (s *stage) root() string { return filepath.Join(s.Work, "state") }

// quote makes one word of the shell of text.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// spawn starts a command in the work folder, in a process group of its own,
// with its output in files: a container inherits them, and would keep a pipe
// open for longer than the command lives.
func (s *stage) spawn(path string, args []string, stdout, stderr string) (int, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	files := []uintptr{null.Fd()}
	for _, name := range []string{stdout, stderr} {
		f, err := os.Create(name)
		if err != nil {
			return 0, err
		}
		defer f.Close()
		files = append(files, f.Fd())
	}
	env := append(os.Environ(), "RUNTIME="+s.script(), "TMPDIR="+filepath.Join(s.Work, "tmp"))
	pid, err := syscall.ForkExec(path, append([]string{path}, args...), &syscall.ProcAttr{
		Dir: s.Work, Env: env, Files: files, Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", path, err)
	}
	return pid, nil
}

// reap waits for pid, and for every process that loses its parent meanwhile:
// the stage is their reaper, like the init process of a host.
func reap(pid int) (syscall.WaitStatus, error) {
	for {
		var status syscall.WaitStatus
		got, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return 0, fmt.Errorf("wait for process %d: %w", pid, err)
		case got == pid:
			return status, nil
		}
	}
}
