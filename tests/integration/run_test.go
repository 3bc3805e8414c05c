package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestRunExitCodes(t *testing.T) {
	for last, want := range map[string]int{"exit:0": 0, "exit:7": 7, "exit:255": 255} {
		b := newBox(t, prober("quiet", last))
		expect(t, "exit code of "+last, b.run().Code, want)
		b.nothingLeft()
	}
	// Process 1 of a pid namespace cannot kill itself; without one it can.
	b := newBox(t, prober("quiet", "kill:9"), withoutNamespace("pid"))
	expect(t, "exit code of a killed program", b.run().Code, 137)
	b.nothingLeft()
}

// TestRunForwardsSignals sends signals to a foreground run.
func TestRunForwardsSignals(t *testing.T) {
	b := newBox(t, prober("quiet", "signals:3"))
	b.writeConfig()
	cmd, done := b.command("run", "--bundle", b.bundle, b.id)
	b.must(cmd.Start())
	out := b.dir + "/io/" + strconv.Itoa(b.calls) + ".out"
	b.until("the prober", func() bool { return strings.Contains(readText(t, out), "ready") })
	for i, sig := range []unix.Signal{unix.SIGTERM, unix.SIGHUP, unix.SIGUSR2} {
		b.must(cmd.Process.Signal(sig))
		b.until("the signal", func() bool { return strings.Count(readText(t, out), "\n") == 3+i })
	}
	_ = cmd.Wait()
	r := done()
	expect(t, "exit code", r.Code, 0)
	if !strings.HasSuffix(r.Stdout, ",15\n,1\n,12\n") {
		t.Errorf("the container got %q, expected 15, 1, 12", r.Stdout)
	}
	b.nothingLeft()
}

// TestRunDetached leaves a running container behind.
func TestRunDetached(t *testing.T) {
	b := newBox(t, prober("pause"))
	r := b.run("-d", "--pid-file", b.dir+"/io/pid")
	expect(t, "exit code", r.Code, 0)
	b.pid, _ = strconv.Atoi(readText(t, b.dir+"/io/pid"))
	b.output(r)
	expect(t, "status", b.status(), "running")
	expect(t, "exit code of the container", b.kill("KILL"), 137)
	b.remove()
}

func TestRunKilledRuntime(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.writeConfig()
	cmd, done := b.command("run", "--bundle", b.bundle, "--pid-file", b.dir+"/io/pid", b.id)
	b.must(cmd.Start())
	out := b.dir + "/io/" + strconv.Itoa(b.calls) + ".out"
	b.until("the container", func() bool {
		_, err := os.Stat(b.dir + "/io/pid")
		return err == nil && strings.HasSuffix(readText(t, out), "\n")
	})
	b.must(cmd.Process.Kill())
	_ = cmd.Wait()
	done()
	b.pid, _ = strconv.Atoi(readText(t, b.dir+"/io/pid"))
	b.remove("--force")
	b.nothingLeft()
}
