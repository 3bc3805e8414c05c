package integration

import (
	"os"
	"syscall"
	"testing"
)

// TestCheckpointRefused: where there is no CRIU, or it ends at once, the container
// goes on, and a restore leaves nothing. What CRIU does is tested where it works.
func TestCheckpointRefused(t *testing.T) {
	if !isTare {
		t.Skip("the words are tare's")
	}
	b := newBox(t, prober("pause"))
	images := b.dir + "/images"
	b.create()
	created := []string{"container cannot be checkpointed in created state"}
	b.refused(created, "checkpoint", "--image-path", images, b.id)
	b.ok("pause", b.id)
	b.refused(created, "checkpoint", "--image-path", images, b.id)
	b.ok("resume", b.id)
	b.start()
	for criu, words := range map[string][]string{
		"/nowhere/criu": {"checkpoint failed: ", "/nowhere/criu", "which is not installed (the package criu"},
		"false":         {"checkpoint failed: criu ended without an answer: exit status 1"},
	} {
		b.refused(words, "--criu", criu, "checkpoint", "--image-path", images, b.id)
		if got := b.status(); got != "running" && got != "created" {
			t.Errorf("the container is %s", got)
		}
		if left, _ := os.ReadDir(images); len(left) > 0 {
			t.Errorf("no image, and yet %v", left)
		}
	}
	for flag, word := range map[string]string{
		"--parent-path=/first": "must be relative", "--page-server=here": "ADDRESS:PORT", "--page-server=h:99999": "ADDRESS:PORT",
		"--manage-cgroups-mode=all": "use soft", "--empty-ns=pid": "use network", "--network-lock=x": "use iptables, nftables or skip", "--lazy-pages": "needs --page-server", "--status-fd=3": "only for --lazy-pages",
	} {
		b.refused([]string{word}, "checkpoint", flag, "--image-path", images, b.id)
	}
	b.remove("--force")
	b.must(os.MkdirAll(images, 0o700))
	b.refused([]string{"restore failed: criu ended without an answer"}, "--criu", "false", "restore", "--bundle", b.bundle, "--image-path", images, b.id)
	b.nothingLeft()
	b.spec.Annotations = map[string]string{"org.criu.config": "/nowhere/criu.conf"}
	b.writeConfig()
	b.refused([]string{`annotations["org.criu.config"]`, "/nowhere/criu.conf"}, "restore", "--bundle", b.bundle, "--image-path", images, b.id)
	b.nothingLeft()
}

// TestCheckpointInterrupted: a container that stands still while it is looked at goes
// on when the checkpoint is interrupted, and whoever did that is told so.
func TestCheckpointInterrupted(t *testing.T) {
	if !isTare {
		t.Skip("the words are tare's")
	}
	b := newShellBox(t, counter)
	fs := newStuckFS(b)
	b.allow = append(b.allow, "stuck")
	b.spec.Annotations = map[string]string{"org.criu.config": fs.at + "/file"} // which is looked for then
	b.launch()
	b.until("the first count", b.grows)
	cmd, done := b.command("--criu", "false", "checkpoint", "--image-path", b.dir+"/images", b.id)
	b.must(cmd.Start())
	fs.await()
	expect(t, "status", b.status(), "paused")
	b.must(cmd.Process.Signal(syscall.SIGINT))
	fs.end() // the call is one that nobody can interrupt
	_ = cmd.Wait()
	b.mustSay(done(), "checkpoint", "checkpoint failed: ") // of the signal or of the file, whichever is seen first
	expect(t, "status", b.status(), "running")
	b.until("the next count", b.grows)
}

// TestCheckpointOfDead: one that has died at its gate has stopped.
func TestCheckpointOfDead(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.create()
	b.must(syscall.Kill(b.pid, syscall.SIGKILL))
	b.wait()
	b.refused([]string{"container cannot be checkpointed in stopped state"}, "checkpoint", "--image-path", b.dir+"/images", b.id)
	b.remove()
}
