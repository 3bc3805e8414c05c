package engines

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// runtimes, the reference first.
var runtimes = [...]string{"runc", "tare"}

var runtimePaths = map[string]string{"runc": "/usr/sbin/runc", "tare": "/usr/local/sbin/tare"}

// only runs one of them, while a script is being written.
var only = os.Getenv("TARE_ENGINES_ONLY")

// scriptLimit ends a script that hangs.
const scriptLimit = 3 * time.Minute

// runScripts runs every script of a folder as a subtest. Names that begin with
// "alone-" run by themselves, after the others.
func runScripts(t *testing.T, folder string) {
	files, err := filepath.Glob("scripts/" + folder + "/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts in %s: %v", folder, err)
	}
	t.Run("all", func(t *testing.T) {
		for _, f := range files {
			if name := strings.TrimSuffix(filepath.Base(f), ".sh"); !strings.HasPrefix(name, "alone-") {
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					compareRuntimes(t, folder, name)
				})
			}
		}
	})
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".sh"); strings.HasPrefix(name, "alone-") {
			t.Run(name, func(t *testing.T) { compareRuntimes(t, folder, name) })
		}
	}
}

// compareRuntimes runs one script with both runtimes.
func compareRuntimes(t *testing.T, folder, name string) {
	var transcripts [len(runtimes)]string
	var group sync.WaitGroup
	for i, rt := range runtimes {
		if (only != "" && rt != only) || (rt == "runc" && runcCannot(t, folder+"/"+name)) {
			continue
		}
		run := func() {
			start := time.Now()
			transcripts[i] = transcript(folder, name, rt)
			t.Logf("%s: %.1f s", rt, time.Since(start).Seconds())
		}
		if strings.HasPrefix(name, "alone-") {
			run()
			continue
		}
		group.Go(run)
	}
	group.Wait()
	judge(t, folder, name, transcripts)
}

// judge compares the transcripts of a script with the wanted one.
func judge(t *testing.T, folder, name string, transcripts [len(runtimes)]string) {
	t.Helper()
	file := filepath.Join("scripts", folder, name+".want")
	if *update && transcripts[0] == "" {
		transcripts[0] = transcripts[1]
	}
	if *update {
		if err := os.WriteFile(file, []byte(transcripts[0]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := string(data)
	if transcripts[0] != "" && transcripts[0] != want {
		t.Errorf("with runc, against %s:\n%s", file, diff(want, transcripts[0]))
	}
	if transcripts[1] == "" {
		return
	}
	if explained := explain(t, folder+"/"+name, transcripts[1]); explained != want {
		t.Errorf("with tare, against %s:\n%s", file, diff(want, explained))
	}
}

// transcript is what a script prints, without what changes from run to run.
func transcript(folder, name, rt string) string {
	ctx, cancel := context.WithTimeout(context.Background(), scriptLimit)
	defer cancel()
	label := rt + "-" + folder + "-" + name
	dir := filepath.Join(scratch, label)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err.Error()
	}
	words := []string{"/usr/bin/env", "RT=" + rt, "RTPATH=" + runtimePaths[rt], "N=" + label, "/bin/sh", "/run/engines/scripts/" + folder + "/" + name + ".sh"}
	if folder == "rootless" {
		words = asUser(words...)
		if err := os.Chown(dir, userID, userID); err != nil {
			return err.Error()
		}
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	text := normal(string(out), rt, label)
	if ctx.Err() != nil {
		text += "the script does not end\n"
	} else if err != nil {
		text += fmt.Sprintf("the script ends with %v\n", err)
	}
	return text
}

var logTime = regexp.MustCompile(`time="20[^"]*"`)

// waitsNoMore is what Docker's client says at its end if it is done before the goroutine
// is that waits for the container, also where nobody waits for one (run -d).
const waitsNoMore = `time="TIME" level=error msg="error waiting for container: context canceled"` + "\n"

var longID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// normal replaces names and numbers that differ in every run.
func normal(text, rt, label string) string {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, label, "NAME")
	text = logTime.ReplaceAllString(text, `time="TIME"`)
	text = longID.ReplaceAllString(text, "ID")
	text = strings.ReplaceAll(text, waitsNoMore, "")
	return regexp.MustCompile(`\b`+rt+`\b`).ReplaceAllString(text, "RUNTIME")
}

// diff lists the lines that are only in one of two texts, in order.
func diff(want, got string) string {
	var b strings.Builder
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for len(w) > 0 || len(g) > 0 {
		switch {
		case len(w) > 0 && len(g) > 0 && w[0] == g[0]:
			fmt.Fprintf(&b, "  %s\n", w[0])
			w, g = w[1:], g[1:]
		case len(w) > 0 && !slices.Contains(g, w[0]):
			fmt.Fprintf(&b, "- %s\n", w[0])
			w = w[1:]
		case len(g) > 0:
			fmt.Fprintf(&b, "+ %s\n", g[0])
			g = g[1:]
		default:
			fmt.Fprintf(&b, "- %s\n", w[0])
			w = w[1:]
		}
	}
	return b.String()
}
