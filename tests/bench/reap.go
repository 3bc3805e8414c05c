package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// settleTime bounds the wait for processes that were killed.
const settleTime = 5 * time.Second

// becomeSubreaper makes the container processes that a runtime leaves behind
// children of the benchmark, as a containerd shim or conmon does.
func becomeSubreaper() error {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl PR_SET_CHILD_SUBREAPER: %w", err)
	}
	return nil
}

// awaitDeath waits at most limit for the process behind pidfd and reaps it when it
// is a child of the benchmark. Delete is timed after this, so that it never
// waits for a dying init.
func awaitDeath(pidfd, pid int, limit time.Duration) error {
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return fmt.Errorf("init %d is alive %v after it was killed", pid, limit)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}, int(left/time.Millisecond)+1)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("poll pidfd of init %d: %w", pid, err)
		}
		if n > 0 {
			break
		}
	}
	for {
		_, err := unix.Wait4(pid, nil, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil && err != unix.ECHILD {
			return fmt.Errorf("reap init %d: %w", pid, err)
		}
		return nil
	}
}

// reapOrphans collects the dead processes that runtimes left to the
// benchmark. It is called only while no command runs.
func reapOrphans() {
	for {
		pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if pid <= 0 || err != nil {
			return
		}
	}
}

// killOrphans kills and reaps every child of the benchmark but those in keep.
// It is called only while no command runs: what is left are inits and
// processes of runtimes that outlived a failed command.
func killOrphans(limit time.Duration, keep map[int]bool) error {
	deadline := time.Now().Add(limit)
	for {
		reapOrphans()
		pids, err := children()
		pids = slices.DeleteFunc(pids, func(pid int) bool { return keep[pid] })
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v survive SIGKILL", pids)
		}
		for _, pid := range pids {
			_ = unix.Kill(pid, unix.SIGKILL) // dead already, or dying
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// children lists those of the benchmark.
func children() ([]int, error) { return childrenOf(os.Getpid()) }

// childrenOf lists the child processes of all threads of a process.
func childrenOf(pid int) ([]int, error) {
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if errors.Is(err, os.ErrNotExist) {
			continue // a thread of the Go runtime that ended meanwhile
		}
		if err != nil {
			return nil, err
		}
		for _, word := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(word)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", list, err)
			}
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
