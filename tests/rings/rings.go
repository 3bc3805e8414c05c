package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ring is one group of tests that needs more of the host than the one before.
type ring struct {
	name  string
	doc   string
	limit time.Duration // a ring that takes longer is ended and fails
	run   func(context.Context, time.Duration) tally
}

// rings, innermost first.
var rings = []ring{
	{"verify", "what is generated is current; format, sizes, changelog, scripts", 3 * time.Minute, steps([]string{"make", "--no-print-directory", "-s", "verify"})},
	{"vet", "go vet of all modules", 4 * time.Minute, steps(
		[]string{"go", "vet", "./..."},
		[]string{"go", "vet", "-tags=tare_front", "."},
		[]string{"go", "vet", "-tags=vm", "./tests/integration"},
		[]string{"go", "-C", "tests/conformance", "vet", "./..."},
		[]string{"go", "-C", "tests/engines/cri", "vet", "./..."})},
	{"unit", "all packages; as root also those that touch the kernel", 12 * time.Minute, unit},
	{"ops", "each operation alone, by the real init in fresh namespaces", 6 * time.Minute, goTest("./tests/ops/...")},
	{"init", "the init built for a libc, with sanitizers, and held against the Go decoder", 6 * time.Minute, goTest("./tests/init/...")},
	{"fuzz", "native fuzzing of what reads foreign bytes, a few seconds each", 6 * time.Minute, steps([]string{"make", "--no-print-directory", "-s", "fuzz", "FUZZTIME=8s", "FUZZPROFILES=800"})},
	{"integration", "the built tare from outside", 12 * time.Minute, goTest("-timeout=11m", "./tests/integration/...")},
	{"vm", "the same in a virtual machine: systemd, cgroup v2 alone, AppArmor; cgroup v1; SELinux", 30 * time.Minute, testsOf(".", "go", "run", "./tests/vm")},
	{"network", "tare-net under tare, runc and crun, in network namespaces of the tests", 15 * time.Minute, goTest("-timeout=14m", "./tests/network/...")},
	{"conformance", "the validation programs of the OCI runtime-tools", 10 * time.Minute, conformance},
	{"differential", "generated configs, the same for tare, runc and crun", 5 * time.Minute, closed("go", "run", "./tests/differential", "--runtime", "tare="+built())},
	{"engines", "Docker, containerd, podman and buildah, the same scripts with runc and with tare", 15 * time.Minute, goTest("-timeout=14m", "./tests/engines/...")},
	{"allowance", "what each command asks of the kernel, and the programs' sizes, counted and held against a file", 3 * time.Minute, goTest("./tests/allowance/...")},
	{"bench", "the benchmark runs; its times are not judged here", 5 * time.Minute, bench},
	{"build", "the other machine's build, and the same bytes from two folders", 6 * time.Minute, steps(
		[]string{"make", "--no-print-directory", "-s", "cross"},
		[]string{"make", "--no-print-directory", "-s", "reproducible"})},
}

// command starts words in a process group of its own, which ends with ctx: a
// test program has children, and none may outlive its ring.
func command(ctx context.Context, words ...string) *exec.Cmd {
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	c.Cancel = func() error { return syscall.Kill(-c.Process.Pid, syscall.SIGKILL) }
	c.WaitDelay = 10 * time.Second
	c.Env = append(os.Environ(), "TARE="+built(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -tags=urfave_cli_no_docs,urfave_cli_no_suggest"))
	return c
}

func built() string {
	if p := os.Getenv("TARE"); p != "" {
		return p
	}
	p, err := filepath.Abs("tare")
	if err != nil {
		return "tare"
	}
	return p
}

// steps is a ring of commands, each of which is one test.
func steps(cmds ...[]string) func(context.Context, time.Duration) tally {
	return func(ctx context.Context, limit time.Duration) (t tally) {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		for _, words := range cmds {
			out, err := command(ctx, words...).CombinedOutput()
			if err != nil {
				t.fail(fmt.Sprintf("%s: %v\n%s", strings.Join(words, " "), err, tail(out)))
				continue
			}
			t.passed++
		}
		return t
	}
}

// goTest is a ring of `go test`.
func goTest(args ...string) func(context.Context, time.Duration) tally { return goTestIn(".", args...) }

func goTestIn(dir string, args ...string) func(context.Context, time.Duration) tally {
	return testsOf(dir, append([]string{"go", "test", "-json", "-count=1"}, args...)...)
}

// testsOf is a ring of a program that prints what `go test -json` does.
func testsOf(dir string, words ...string) func(context.Context, time.Duration) tally {
	return func(ctx context.Context, limit time.Duration) tally {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		c := command(ctx, words...)
		c.Dir = dir
		r, w := io.Pipe()
		c.Stdout, c.Stderr = w, w
		if err := c.Start(); err != nil {
			return tally{failed: 1, failures: []string{err.Error()}}
		}
		done := make(chan error, 1)
		go func() {
			err := c.Wait()
			w.Close()
			done <- err
		}()
		t := readTests(r)
		if err := <-done; err != nil && t.failed == 0 {
			t.fail(fmt.Sprintf("%s: %v", strings.Join(words, " "), err))
		}
		if ctx.Err() != nil {
			t.fail(fmt.Sprintf("not finished after %s", limit))
		}
		return t
	}
}

// unit tests every package of both modules that has no ring of its own. What
// two packages do to the same cgroup hierarchies they must not do at once.
func unit(ctx context.Context, limit time.Duration) tally {
	out, err := exec.CommandContext(ctx, "go", "list", "./...").Output()
	if err != nil {
		return tally{failed: 1, failures: []string{"go list: " + err.Error()}}
	}
	args := []string{"-p=1"}
	for _, p := range strings.Fields(string(out)) {
		if !ownRing(p) {
			args = append(args, p)
		}
	}
	t := goTest(args...)(ctx, limit)
	u := goTestIn("tests/conformance", "./...")(ctx, limit)
	t.add(u)
	t.failures = append(t.failures, u.failures...)
	t.skips = append(t.skips, u.skips...)
	return t
}

func ownRing(pkg string) bool {
	for _, dir := range []string{"integration", "init", "network", "ops", "engines", "allowance"} {
		if strings.HasPrefix(pkg, "github.com/tare-oci/tare/tests/"+dir) {
			return true
		}
	}
	return false
}

// closed is a ring of one program that adds itself up: its last line is "N
// passed, N failed, N skipped".
func closed(words ...string) func(context.Context, time.Duration) tally {
	return func(ctx context.Context, limit time.Duration) tally {
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		out, err := command(ctx, words...).CombinedOutput()
		t, ok := closing(lastLine(out))
		switch {
		case !ok:
			t.fail(fmt.Sprintf("no closing line: %v\n%s", err, tail(out)))
		case err != nil || t.failed > 0:
			t.failures = append(t.failures, string(tail(out)))
			if t.failed == 0 {
				t.failed = 1
			}
		}
		if t.skipped > 0 {
			t.skips = []string{strings.Join(words, " ") + ": " + firstLine(out)}
		}
		return t
	}
}

// conformance's skips are the failures that expected.json lists and
// docs/conformance.md proves.
func conformance(ctx context.Context, limit time.Duration) tally {
	t := closed("go", "-C", "tests/conformance", "run", ".", "--runtime", built())(ctx, limit)
	if t.skipped > 0 {
		t.skips = []string{fmt.Sprintf("%d lines that no runtime can pass: docs/conformance.md", t.skipped)}
	}
	return t
}

// bench proves that the benchmark works. It needs a peer to compare with.
func bench(ctx context.Context, limit time.Duration) (t tally) {
	args := []string{"go", "run", "./tests/bench", "--quick", "--rounds", "2", "--runtime", "tare=" + built(), "--floor", "build/out/floor"}
	peers := 0
	for _, name := range []string{"crun", "runc"} {
		path, err := exec.LookPath(name)
		if err != nil {
			t.skipped++
			t.skips = append(t.skips, "bench against "+name+": not installed")
			continue
		}
		peers++
		args = append(args, "--peer", name+"="+path)
	}
	if peers == 0 {
		return t
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if out, err := command(ctx, "make", "--no-print-directory", "-s", "floor").CombinedOutput(); err != nil {
		t.fail(fmt.Sprintf("make floor: %v\n%s", err, tail(out)))
		return t
	}
	out, err := command(ctx, args...).CombinedOutput()
	if err != nil {
		t.fail(fmt.Sprintf("%s: %v\n%s", strings.Join(args, " "), err, tail(out)))
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			t.failures[len(t.failures)-1] += fmt.Sprintf("\nnot finished after %s", limit)
		}
		return t
	}
	t.passed++
	return t
}

// tail is what a reader of a long output wants first.
func tail(out []byte) []byte {
	const most = 6000
	if len(out) > most {
		return append([]byte("...\n"), out[len(out)-most:]...)
	}
	return out
}

func firstLine(out []byte) string {
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func lastLine(out []byte) string {
	s := strings.TrimRight(string(out), "\n")
	return s[strings.LastIndexByte(s, '\n')+1:]
}
