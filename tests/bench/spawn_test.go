package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func openLauncher(t *testing.T) *launcher {
	t.Helper()
	l, err := newLauncher(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

func TestRunTimesTheCommandUntilItsDeath(t *testing.T) {
	elapsed, err := openLauncher(t).run(t.Context(), "/bin/sleep", "0.2")
	if err != nil {
		t.Fatal(err)
	}
	if elapsed < 200*time.Millisecond || elapsed > 5*time.Second {
		t.Errorf("sleep 0.2 took %v", elapsed)
	}
}

func TestRunReportsStatusAndLastMessage(t *testing.T) {
	l := openLauncher(t)
	if _, err := l.run(t.Context(), "/bin/sh", "-c", "echo first, and long >&2; exit 1"); exitStatus(err) != 1 {
		t.Fatalf("exit status %d (%v), want 1", exitStatus(err), err)
	}
	_, err := l.run(t.Context(), "/bin/sh", "-c", "echo second >&2; exit 37")
	if exitStatus(err) != 37 {
		t.Fatalf("exit status %d (%v), want 37", exitStatus(err), err)
	}
	if text := err.Error(); !strings.HasSuffix(text, "exit status 37: second") {
		t.Errorf("error %q does not end with the status and the message of the last command alone", text)
	}
	if _, err = l.run(t.Context(), "/bin/sh", "-c", "kill -9 $$"); exitStatus(err) != -1 || !strings.Contains(err.Error(), "killed") {
		t.Errorf("a killed command: status %d, %v", exitStatus(err), err)
	}
}

func TestCancelKillsTheRunningCommand(t *testing.T) {
	l := openLauncher(t)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	begin := time.Now()
	_, err := l.run(ctx, "/bin/sleep", "60")
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the context's", err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("returned after %v", took)
	}
	if err := unix.Waitid(unix.P_ALL, 0, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil); err != unix.ECHILD {
		t.Errorf("waitid: %v, want ECHILD: the killed command is still a child", err)
	}
	if _, err := l.run(ctx, "/bin/true"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a command ran after the cancel: %v", err)
	}
}

func TestAwaitDeathReapsAnOrphan(t *testing.T) {
	if err := becomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	l := openLauncher(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	if _, err := l.run(t.Context(), "/bin/sh", "-c", "sleep 60 & echo $! >"+pidFile); err != nil {
		t.Fatal(err)
	}
	pid, err := readPid(pidFile)
	if err != nil {
		t.Fatal(err)
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	if err := awaitDeath(pidfd, pid, 20*time.Millisecond); err == nil {
		t.Error("awaitDeath of a living process: no error")
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := awaitDeath(pidfd, pid, 5*time.Second); err != nil {
		t.Error(err)
	}
	if err := unix.Kill(pid, 0); err != unix.ESRCH {
		t.Errorf("signal 0 to %d: %v, want ESRCH: it was not reaped", pid, err)
	}
}

func TestKillOrphansSparesWhatIsKept(t *testing.T) {
	if err := becomeSubreaper(); err != nil {
		t.Fatal(err)
	}
	l := openLauncher(t)
	dir := t.TempDir()
	for _, name := range []string{"keep", "drop"} {
		if _, err := l.run(t.Context(), "/bin/sh", "-c", "sleep 60 & echo $! >"+filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	keep, err := readPid(filepath.Join(dir, "keep"))
	if err != nil {
		t.Fatal(err)
	}
	if err := killOrphans(5*time.Second, map[int]bool{keep: true}); err != nil {
		t.Fatal(err)
	}
	if pids, err := children(); err != nil || len(pids) != 1 || pids[0] != keep {
		t.Errorf("children %v (%v), want [%d]", pids, err, keep)
	}
	if err := killOrphans(5*time.Second, nil); err != nil {
		t.Fatal(err)
	}
	if pids, err := children(); err != nil || len(pids) != 0 {
		t.Errorf("children %v (%v), want none", pids, err)
	}
}
