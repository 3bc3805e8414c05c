package integration

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The front starts with a limit of open files, a timer slack and an environment
// that are not the caller's (package entry). None of them may reach anybody else.

// TestEntryLeavesNoTrace: with each limit, the program and a hook that is given
// no environment see what the caller of tare had.
func TestEntryLeavesNoTrace(t *testing.T) {
	for _, soft := range []int{30, 100} {
		t.Run(fmt.Sprint(soft), func(t *testing.T) {
			b, shell, log := hookBox(t)
			hook := script(shell, log, `ulimit -Sn >`+log+`/files; env >`+log+`/env; cat /proc/$$/timerslack_ns >`+log+`/slack`)
			hook.Env = nil
			setHooks(b.spec, "createRuntime", hook)
			b.wrap = []string{shell, "sh", "-c", fmt.Sprintf(`ulimit -Sn %d; ulimit -Hn 150; exec "$@"`, soft), "sh"}
			b.env = []string{"PATH=/usr/bin:/bin", "SEEN=1"}
			r := b.probe()
			expect(t, "the program's open files", strings.Join(r.Rlimits[14:16], " "), fmt.Sprint(soft, " 150"))
			expect(t, "the program's timer slack", fmt.Sprint(r.Prctl["timerSlack"]), "50000")
			expect(t, "a hook's open files", readLog(t, log, "files"), fmt.Sprintln(soft))
			expect(t, "a hook's timer slack", readLog(t, log, "slack"), "50000\n")
			env := readLog(t, log, "env")
			if !strings.Contains(env, "SEEN=1\n") || strings.Contains(env, "GOMAXPROCS") {
				t.Errorf("a hook's environment:\n%s", env)
			}
		})
	}
}

// TestEntryHooksSlack: every hook has the timer slack of tare's caller, whichever of
// the Go runtime's threads starts it.
func TestEntryHooksSlack(t *testing.T) {
	const slack = 77000 // nanoseconds
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil {
		err = unix.Prctl(unix.PR_SET_TIMERSLACK, slack, 0, 0, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(before), 0, 0, 0) }()
	b, shell, log := hookBox(t)
	for _, kind := range []string{"createRuntime", "poststart", "poststop"} {
		var hs []specs.Hook
		for range 5 {
			hs = append(hs, script(shell, log, `busybox cat /proc/$$/timerslack_ns >>$L/`+kind+`; busybox seq 20000`))
		}
		setHooks(b.spec, kind, hs...)
	}
	b.env = []string{"GOMAXPROCS=4", "PATH=/usr/bin:/bin"} // threads enough to change them
	b.launch()
	b.remove("--force")
	for _, kind := range []string{"createRuntime", "poststart", "poststop"} {
		expect(t, "slack of "+kind+" hooks", readLog(t, log, kind), strings.Repeat(fmt.Sprintln(slack), 5))
	}
}

// TestEntryKeepsTheCallersChoice: a GOMAXPROCS that the caller has set stays.
func TestEntryKeepsTheCallersChoice(t *testing.T) {
	for _, env := range [][]string{{"GOMAXPROCS=2", "PATH=/bin"}, {"PATH=/bin", "GOMAXPROCS=2"}, {"GOMAXPRO=1", "GOMAXPROCT=1", "GOMAXPROCS=2"}} {
		b, shell, log := hookBox(t)
		hook := script(shell, log, `env >`+log+`/env`)
		hook.Env = nil
		setHooks(b.spec, "createRuntime", hook)
		b.env = env
		b.probe()
		if got := readLog(t, log, "env"); strings.Count(got, "GOMAXPROCS=") != 1 || !strings.Contains(got, "GOMAXPROCS=2\n") {
			t.Errorf("a hook's environment with %q:\n%s", env, got)
		}
	}
}

// TestEntryEmptyEnvironment: the place where the variable goes is the end.
func TestEntryEmptyEnvironment(t *testing.T) {
	b, shell, log := hookBox(t)
	hook := script(shell, log, `env >`+log+`/env`)
	hook.Env = nil
	setHooks(b.spec, "createRuntime", hook)
	b.wrap = []string{shell, "env", "-i"}
	b.probe()
	if got := readLog(t, log, "env"); strings.Contains(got, "GOMAXPROCS") {
		t.Errorf("a hook's environment:\n%s", got)
	}
}

// TestEntryClosedStreams: the Go runtime opens /dev/null for streams that are
// closed, and ends the program if it cannot.
func TestEntryClosedStreams(t *testing.T) {
	for _, closed := range []string{"<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"} {
		b, shell, _ := hookBox(t)
		b.create()
		b.wrap = []string{shell, "sh", "-c", `exec "$@" ` + closed, "sh"}
		if r := b.call("start", b.id); r.Code != 0 {
			t.Errorf("start with %s: exit code %d\n%s", closed, r.Code, r.Stderr)
		}
		b.wrap = nil
		b.remove("--force")
	}
}

func readLog(t *testing.T, log, name string) string {
	t.Helper()
	data, err := os.ReadFile(log + "/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestEntryFewFiles: commands that need few descriptors work where the limit
// leaves hardly any, as the soft limit is raised to the hard one.
func TestEntryFewFiles(t *testing.T) {
	for _, soft := range []int{0, 2, 3, 4} {
		b, shell, _ := hookBox(t)
		b.create()
		b.wrap = []string{shell, "sh", "-c", fmt.Sprintf(`ulimit -Sn %d; exec "$@"`, soft), "sh"}
		b.ok("start", b.id)
		b.ok("state", b.id)
		b.ok("kill", b.id, "KILL")
		b.wrap = nil
		b.remove("--force")
	}
}
