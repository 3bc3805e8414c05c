package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The front starts with a limit of open files, a timer slack and an environment
// that are not the caller's (package entry). None of them may reach anybody else.

// TestEntryLeavesNoTrace: with each limit, the program and a hook see what the
// caller of tare had, but for the environment, which is nobody's but tare's own.
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
			if strings.Contains(env, "SEEN") || strings.Contains(env, "GOMAXPROCS") {
				t.Errorf("a hook's environment:\n%s", env)
			}
		})
	}
}

// wholeEnvironment is what the front gives the whole as its environment: the
// caller's, for a hook without one of its own has none.
func wholeEnvironment(t *testing.T, b *box) string {
	t.Helper()
	if !isTare {
		t.Skip("only tare is two programs in one file")
	}
	strace, err := exec.LookPath("strace")
	need(t, "strace", err)
	trace := filepath.Join(t.TempDir(), "trace")
	b.wrap = append([]string{strace, "-qq", "-v", "-s", "4096", "-e", "trace=execve", "-o", trace}, b.wrap...)
	b.call("--help")
	text := readText(t, trace)
	_, env, ok := strings.Cut(text, `execve("/proc/self/fd/`)
	if !ok {
		t.Fatalf("the whole was not executed:\n%s", text)
	}
	return env
}

// TestEntryKeepsTheCallersChoice: a GOMAXPROCS that the caller has set stays.
func TestEntryKeepsTheCallersChoice(t *testing.T) {
	for _, env := range [][]string{{"GOMAXPROCS=2", "PATH=/bin"}, {"PATH=/bin", "GOMAXPROCS=2"}, {"GOMAXPRO=1", "GOMAXPROCT=1", "GOMAXPROCS=2"}} {
		b, _, _ := hookBox(t)
		b.env = env
		if got := wholeEnvironment(t, b); strings.Count(got, `"GOMAXPROCS=`) != 1 || !strings.Contains(got, `"GOMAXPROCS=2"`) || !strings.Contains(got, `"`+env[1]+`"`) {
			t.Errorf("the environment of the whole with %q:\n%s", env, got)
		}
	}
}

// TestEntryEmptyEnvironment: the place where the variable goes is the end.
func TestEntryEmptyEnvironment(t *testing.T) {
	b, shell, _ := hookBox(t)
	b.wrap = []string{shell, "env", "-i"}
	if got := wholeEnvironment(t, b); strings.Contains(got, "GOMAXPROCS") {
		t.Errorf("the environment of the whole:\n%s", got)
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
