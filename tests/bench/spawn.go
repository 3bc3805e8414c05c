package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// commandTimeout bounds every command: a runtime that hangs or livelocks under
// a small memory limit is killed and counted as failed.
const commandTimeout = 10 * time.Second

// launcher runs one command at a time, all of them in the same way: vfork and
// execve by syscall.ForkExec, stdin and stdout on /dev/null, stderr in a file.
// Nothing of os/exec, no pipes and no goroutines per command.
type launcher struct {
	attr   syscall.ProcAttr
	null   *os.File
	stderr *os.File

	mu  sync.Mutex
	pid int // the running command; 0 when there is none or it is reaped
}

// newLauncher makes a launcher that keeps the stderr of the last command in
// the file errPath.
func newLauncher(errPath string) (*launcher, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	stderr, err := os.OpenFile(errPath, os.O_RDWR|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o600)
	if err != nil {
		return nil, errors.Join(err, null.Close())
	}
	return &launcher{
		attr: syscall.ProcAttr{
			Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C"},
			Files: []uintptr{null.Fd(), null.Fd(), stderr.Fd()},
		},
		null:   null,
		stderr: stderr,
	}, nil
}

// close releases the launcher's files.
func (l *launcher) close() error { return errors.Join(l.null.Close(), l.stderr.Close()) }

// kill ends the running command, if any. A pid is never signalled after it was
// reaped: reaping and clearing the pid happen under the same lock.
func (l *launcher) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pid != 0 {
		_ = syscall.Kill(l.pid, syscall.SIGKILL) // it may be a zombie already
	}
}

// run runs argv, whose first word is an absolute path, and returns the time
// from before the fork until its death was seen, by CLOCK_MONOTONIC. A command
// that ends with another status than 0 is an *exitError.
func (l *launcher) run(ctx context.Context, argv ...string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	stop := context.AfterFunc(ctx, l.kill)
	defer stop()
	if err := l.stderr.Truncate(0); err != nil {
		return 0, err
	}

	begin := time.Now()
	pid, err := syscall.ForkExec(argv[0], argv, &l.attr)
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", argv[0], err)
	}
	l.mu.Lock()
	l.pid = pid
	l.mu.Unlock()
	if ctx.Err() != nil {
		l.kill() // cancelled before the pid was known
	}
	err = awaitExit(pid)
	elapsed := time.Since(begin)

	l.mu.Lock()
	var status syscall.WaitStatus
	if err == nil {
		_, err = syscall.Wait4(pid, &status, 0, nil)
	}
	l.pid = 0
	l.mu.Unlock()
	switch {
	case err != nil:
		return 0, fmt.Errorf("wait for %s: %w", argv[0], err)
	case ctx.Err() != nil:
		return 0, fmt.Errorf("%s: %w", strings.Join(argv, " "), ctx.Err())
	case !status.Exited() || status.ExitStatus() != 0:
		return elapsed, &exitError{argv: argv, status: status, stderr: l.message()}
	}
	return elapsed, nil
}

// output runs argv and returns what it prints. It is not for what is timed.
func (b *bench) output(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env = b.launch.attr.Env
	out, err := cmd.Output()
	return string(out), err
}

// message returns what the last command wrote to stderr, on one line.
func (l *launcher) message() string {
	buf := make([]byte, 2048)
	n, _ := l.stderr.ReadAt(buf, 0) // io.EOF is the normal end
	return strings.Join(strings.Fields(string(bytes.ToValidUTF8(buf[:n], []byte("?")))), " ")
}

// awaitExit blocks until the child pid is dead, and leaves it to be reaped.
func awaitExit(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// exitError is a command that ran and failed.
type exitError struct {
	argv   []string
	status syscall.WaitStatus
	stderr string
}

// Error names the command, how it ended and what it said.
func (e *exitError) Error() string {
	how := fmt.Sprintf("exit status %d", e.status.ExitStatus())
	if e.status.Signaled() {
		how = "killed by signal " + e.status.Signal().String()
	}
	return fmt.Sprintf("%s: %s: %s", strings.Join(e.argv, " "), how, e.stderr)
}

// exitStatus returns the status a command ended with, -1 when it was killed,
// never started or err is of another kind.
func exitStatus(err error) int {
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) && exit.status.Exited() {
		return exit.status.ExitStatus()
	}
	return -1
}
