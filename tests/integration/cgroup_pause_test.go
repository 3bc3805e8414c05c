package integration

import (
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// counter is a script that counts on, a file's length being the number.
const counter = "while :; do echo >> /work/count; done"

// grows says that the file of counter gets longer within a time in which it would
// by thousands.
func (b *box) grows() bool {
	size := func() int64 {
		st, err := os.Stat(b.rootfs + "/work/count")
		if err != nil {
			return 0
		}
		return st.Size()
	}
	before := size()
	for end := time.Now().Add(300 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if size() > before {
			return true
		}
	}
	return false
}

// TestPause: a paused container does nothing, and a resumed one goes on.
func TestPause(t *testing.T) {
	b := newShellBox(t, counter)
	b.launch()
	b.until("the first count", b.grows)
	for range 3 {
		b.ok("pause", b.id)
		if b.grows() {
			t.Fatal("a paused container goes on")
		}
		expect(t, "status", b.status(), "paused")
		if isTare {
			expect(t, "state of the freezer", b.frozen(), "FROZEN")
		}
		b.ok("resume", b.id)
		expect(t, "status", b.status(), "running")
		b.until("the next count", b.grows)
	}
}

// TestPauseCreated: the gate stays closed, and start is possible once the
// container is resumed.
func TestPauseCreated(t *testing.T) {
	b := newShellBox(t, "echo > /work/started")
	b.create()
	b.ok("pause", b.id)
	expect(t, "status", b.status(), "paused")
	b.refused([]string{"cannot start a container in the paused state"}, "start", b.id)
	b.ok("resume", b.id)
	expect(t, "status", b.status(), "created")
	b.start()
	expect(t, "exit code", b.wait(), 0)
	if _, err := os.Stat(b.rootfs + "/work/started"); err != nil {
		t.Error(err)
	}
}

// TestPauseForks: processes that come and go all the time are frozen too.
func TestPauseForks(t *testing.T) {
	b := newShellBox(t, "f() { while :; do busybox true; (echo >> /work/count); done; }; f & f & f & f")
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(50))}
	b.launch()
	b.until("the first count", b.grows)
	for range 20 {
		b.ok("pause", b.id)
		if isTare {
			expect(t, "state of the freezer", b.frozen(), "FROZEN")
		}
		b.ok("resume", b.id)
	}
	b.ok("pause", b.id)
	if b.grows() {
		t.Error("a paused container goes on")
	}
	// One that is frozen dies of SIGKILL and of nothing less.
	b.ok("kill", b.id, "KILL")
	b.wait()
}

// TestKillPaused: other signals wait until the container is resumed.
func TestKillPaused(t *testing.T) {
	b := newBox(t, prober("quiet", "pause"))
	b.launch()
	b.ok("pause", b.id)
	b.ok("kill", b.id, "USR1") // the first process of a pid namespace is deaf to it, as it has no handler
	expect(t, "status", b.status(), "paused")
	b.ok("kill", b.id, "KILL")
	expect(t, "exit code", b.wait(), 128+9)
	b.remove()
	b.create()
	b.ok("pause", b.id)
	b.remove("--force")
	b.nothingLeft()
}

// TestPauseFails: what cannot be frozen is thawed, however pause ends, and the
// message names who did not stop and where it waits.
func TestPauseFails(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t, prober("quiet", "stat:/stuck/file"))
	fs := newStuckFS(b)
	b.edit(bind(fs.at, "/stuck"))
	b.allow = append(b.allow, "stuck")
	b.launch()
	fs.await()
	words := []string{"does not freeze", "process " + strconv.Itoa(b.pid), "(prober, state D, in "}
	b.refused(words, "pause", b.id)
	expect(t, "state of the freezer", b.frozen(), "THAWED")
	expect(t, "status", b.status(), "running")

	// And when somebody loses patience.
	cmd, done := b.command("pause", b.id)
	b.must(cmd.Start())
	b.until("the attempt to freeze", func() bool { return b.frozen() == "FREEZING" })
	b.must(cmd.Process.Signal(syscall.SIGTERM))
	_ = cmd.Wait()
	b.mustSay(done(), "pause", words...)
	expect(t, "state of the freezer", b.frozen(), "THAWED")

	// With a way out of the kernel, it works.
	fs.end()
	expect(t, "exit code", b.wait(), 0)
}
