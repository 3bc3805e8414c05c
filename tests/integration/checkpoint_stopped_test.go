//go:build vm

package integration

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// childrenOf are the processes that another has started and not reaped.
func childrenOf(pid int) (out []int) {
	files, _ := filepath.Glob(procPath(pid, "task/*/children"))
	for _, f := range files {
		text, _ := os.ReadFile(f) // a thread that has ended has none
		for _, word := range strings.Fields(string(text)) {
			if n, err := strconv.Atoi(word); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// TestCheckpointStopped: what CRIU is at when the command is interrupted, it undoes.
func TestCheckpointStopped(t *testing.T) {
	b := countingBox(t)
	b.launch()
	b.counts(2)
	cmd, done := b.command("checkpoint", "--image-path", b.images(), b.id)
	b.must(cmd.Start())
	criu := 0
	b.until("CRIU to begin", func() bool {
		for _, pid := range childrenOf(cmd.Process.Pid) {
			criu = pid
		}
		text, _ := os.ReadFile(b.images() + "/dump.log")
		return criu > 0 && strings.Contains(string(text), "Dumping task")
	})
	b.must(syscall.Kill(criu, syscall.SIGSTOP)) // before it can be ready
	b.must(cmd.Process.Signal(syscall.SIGINT))
	b.until("the signal to be caught", func() bool { return !pendingIn(cmd.Process.Pid, syscall.SIGINT) })
	b.must(syscall.Kill(criu, syscall.SIGCONT))
	_ = cmd.Wait()
	b.mustSay(done(), "checkpoint", "checkpoint failed: interrupted: the container is as it was")
	expect(t, "status", b.status(), "running")
	b.counts(b.count())
	if _, err := os.Stat(b.images() + "/descriptors.json"); err == nil {
		t.Error("the names of the streams are left")
	}
	b.kill("KILL")
	b.remove()
}

// pendingIn says that a process has not taken a signal yet.
func pendingIn(pid int, signal syscall.Signal) bool {
	for line := range strings.Lines(readStatus(pid)) {
		if mask, ok := strings.CutPrefix(line, "ShdPnd:"); ok {
			n, _ := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return n&(1<<(signal-1)) != 0
		}
	}
	return false
}

func readStatus(pid int) string {
	text, _ := os.ReadFile(procPath(pid, "status")) // gone: nothing is pending
	return string(text)
}
