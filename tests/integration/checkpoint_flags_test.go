//go:build vm

package integration

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// What each flag of checkpoint and restore does, seen from outside.

// written is how many blocks of 512 bytes the memory images of a directory have, and
// how long these are.
func written(t *testing.T, dir string) (blocks, length int64) {
	t.Helper()
	files, err := filepath.Glob(dir + "/pages-*.img")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		var st unix.Stat_t
		if err := unix.Stat(f, &st); err != nil {
			t.Fatal(err)
		}
		blocks, length = blocks+st.Blocks, length+st.Size
	}
	return blocks, length
}

// criuServes starts a CRIU that serves something, and returns what ends it.
func criuServes(t *testing.T, dir string, words ...string) (end func()) {
	t.Helper()
	cmd := exec.Command("criu", append(words, "--images-dir", dir, "-v4", "-o", "serve.log")...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return func() {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("criu %v: %v\n%s", words, err, errs.Bytes())
			}
		case <-time.After(patience):
			t.Fatalf("criu %v does not end", words)
		}
	}
}

// TestCheckpointPageServer: memory goes to the server, and nowhere else.
func TestCheckpointPageServer(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(2)
	there := b.dir + "/there"
	b.must(os.Mkdir(there, 0o700))
	end := criuServes(t, there, "page-server", "--address", "127.0.0.1", "--port", "27001")
	listening(b, "27001")
	b.checkpoint("--page-server", "127.0.0.1:27001")
	end()
	if _, length := written(t, b.images()); length != 0 {
		t.Errorf("%d bytes of memory beside the server's", length)
	}
	if _, length := written(t, there); length == 0 {
		t.Error("the server has got no memory")
	}
	hostRun(t, "sh", "-c", "mv "+there+"/page* "+b.images())
	b.restore()
	b.counts(n)
	b.kill("KILL")
	b.remove()
}

// listening waits until somebody listens at a port of this network namespace.
func listening(b *box, port string) {
	b.t.Helper()
	b.until("a listener at port "+port, func() bool { return hostRun(b.t, "ss", "-Htln", "sport = :"+port) != "" })
}

// TestCheckpointAutoDedup: what the second image has is dropped from the first, and
// what is restored from both.
func TestCheckpointAutoDedup(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(2)
	first := b.dir + "/first"
	b.ok("checkpoint", "--pre-dump", "--image-path", first, b.id)
	before, length := written(t, first)
	n = b.counts(n)
	b.checkpoint("--parent-path", "../first", "--auto-dedup")
	after, same := written(t, first)
	if after >= before || length != same {
		t.Errorf("the first image: %d blocks before, and %d after; %d bytes, and %d", before, after, length, same)
	}
	b.restore("--auto-dedup")
	b.counts(n)
	if blocks, _ := written(t, b.images()); blocks != 0 {
		t.Errorf("%d blocks of the image are left", blocks)
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointLinkRemap: a file that is open under a name that is gone, of two.
func TestCheckpointLinkRemap(t *testing.T) {
	b := countingBox(t)
	b.must(os.Symlink("busybox", b.rootfs+"/bin/ln"))
	b.must(os.Symlink("busybox", b.rootfs+"/bin/rm"))
	b.allow = []string{"work/b"}
	b.shellOf("echo kept open >/work/a; ln /work/a /work/b; exec 4</work/a; rm /work/a; " + strings.Replace(counting, "exit 7", "cat <&4; exit 7", 1))
	b.launch()
	n := b.counts(2)
	b.refused([]string{"checkpoint failed: criu dump", "link-remap"}, "checkpoint", "--image-path", b.images(), b.id)
	n = b.counts(n)
	b.checkpoint("--link-remap")
	if remaps, _ := filepath.Glob(b.rootfs + "/work/link_remap.*"); len(remaps) != 1 {
		t.Errorf("names for the time being: %q", remaps)
	}
	r := b.restore()
	b.counts(n)
	b.must(os.WriteFile(b.dir+"/data/end", nil, 0o644))
	expect(t, "exit code", b.wait(), 7)
	if text := readText(t, r.outFile); !strings.HasSuffix(text, "kept open\n") {
		t.Errorf("printed %q", text)
	}
	if remaps, _ := filepath.Glob(b.rootfs + "/work/link_remap.*"); len(remaps) != 0 {
		t.Errorf("left: %q", remaps)
	}
	b.remove()
}

// locked says whether somebody has a lock on a file.
func locked(t *testing.T, path string) bool {
	t.Helper()
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) == unix.EWOULDBLOCK
}

// TestCheckpointFileLocks: a lock is there again, and CRIU's file of options, by
// annotation or by its place, is as good as the flag.
func TestCheckpointFileLocks(t *testing.T) {
	b := countingBox(t)
	// Its output goes nowhere: a file that is restored has to have the size that it had.
	b.shellOf(fmt.Sprintf("exec /prober quiet call:native:%d:@/work/lock:%d call:native:%d:3:%d pause >/dev/null",
		unix.SYS_OPEN, unix.O_RDWR, unix.SYS_FLOCK, unix.LOCK_EX))
	b.allow = []string{"work/lock"}
	lock := b.rootfs + "/work/lock"
	b.must(os.WriteFile(lock, nil, 0o600))
	b.launch()
	b.until("the lock", func() bool { return locked(t, lock) })
	b.refused([]string{"checkpoint failed: criu dump", "--file-locks"}, "checkpoint", "--image-path", b.images(), b.id)
	b.must(os.MkdirAll("/etc/criu", 0o755))
	for _, file := range []string{"", "/etc/criu/runc.conf", "/etc/criu/tare.conf"} {
		var flags []string
		if file == "" {
			flags = append(flags, "--file-locks")
		} else {
			b.must(os.WriteFile(file, []byte("file-locks\n"), 0o644))
			defer os.Remove(file)
		}
		expect(t, "the lock", locked(t, lock), true)
		b.checkpoint(flags...)
		expect(t, "the lock of nobody", locked(t, lock), false)
		b.restore(flags...)
		expect(t, "the lock again", locked(t, lock), true)
		if file != "" {
			b.must(os.Remove(file))
		}
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointConfigFile: the file that an annotation names, and an empty name,
// with which none is read.
func TestCheckpointConfigFile(t *testing.T) {
	const conf = "/etc/criu/tare.conf"
	if err := errors.Join(os.MkdirAll("/etc/criu", 0o755), os.WriteFile(conf, []byte("log-file of-tare.log\n"), 0o644)); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(conf)
	for _, c := range []struct{ annotation, log string }{{"", "dump.log"}, {"FILE", "of-the-annotation.log"}, {"none", "of-tare.log"}} {
		b := countingBox(t)
		b.must(os.WriteFile(b.dir+"/criu.conf", []byte("log-file of-the-annotation.log\n"), 0o644))
		if c.annotation != "none" {
			b.spec.Annotations = map[string]string{"org.criu.config": strings.Replace(c.annotation, "FILE", b.dir+"/criu.conf", 1)}
		}
		b.launch()
		b.counts(1)
		b.checkpoint()
		if st, err := os.Stat(b.images() + "/" + c.log); err != nil || st.Size() == 0 {
			t.Errorf("with %q there is no %s: %v", c.annotation, c.log, err)
		}
	}
}

// TestCheckpointProgram: --criu names the program, for both directions.
func TestCheckpointProgram(t *testing.T) {
	b := countingBox(t)
	b.must(os.WriteFile(b.dir+"/mine", []byte("#!/bin/sh\necho \"$@\" >>"+b.dir+"/called\nexec criu \"$@\"\n"), 0o755))
	b.launch()
	n := b.counts(2)
	b.global = []string{"--criu", b.dir + "/mine"}
	b.checkpoint()
	b.restore()
	b.counts(n)
	expect(t, "calls", readText(t, b.dir+"/called"), "swrk 3\nswrk 3\n")
	b.kill("KILL")
	b.remove()
}

// TestCheckpointLazyPages: the checkpoint serves memory and says when it does; a
// program runs before it has got its own, and the images never had it.
func TestCheckpointLazyPages(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(3)
	r, w, err := os.Pipe()
	b.must(err)
	defer r.Close()
	flags := []string{"checkpoint", "--lazy-pages", "--image-path", b.images()}
	b.refused([]string{"--status-fd 9: bad file descriptor"}, append(flags, "--page-server", "127.0.0.1:27002", "--status-fd", "9", b.id)...)
	cmd, done := b.command(append(flags, "--page-server", "127.0.0.1:27002", "--status-fd", "3", b.id)...)
	cmd.ExtraFiles = []*os.File{w}
	b.must(cmd.Start())
	w.Close()
	ready := make([]byte, 1)
	b.must(r.SetReadDeadline(time.Now().Add(patience)))
	if _, err := io.ReadFull(r, ready); err != nil || ready[0] != 0 {
		_ = cmd.Wait()
		t.Fatalf("said %q: %v\n%s", ready, err, done().Stderr)
	}
	if _, length := written(t, b.images()); length > 256<<10 {
		t.Errorf("%d bytes of memory in the images", length)
	}
	end := criuServes(t, b.images(), "lazy-pages", "--page-server", "--address", "127.0.0.1", "--port", "27002")
	b.until("CRIU's socket", func() bool { _, err := os.Lstat(b.images() + "/lazy-pages.socket"); return err == nil })
	before := b.id
	b.id += "-second"
	defer func() { b.id = before }()
	b.restore("--lazy-pages")
	b.counts(n)
	end()
	b.must(cmd.Wait())
	expect(t, "stderr of checkpoint", done().Stderr, "")
	b.refused([]string{"container does not exist"}, "state", before)
	log := readText(t, b.images()+"/serve.log")
	if !strings.Contains(log, "uffd: ") {
		t.Errorf("no page has been asked for:\n%s", log)
	}
	n = b.counts(n)
	b.counts(n)
	b.kill("KILL")
	b.remove()
	b.id = before
	b.reap()
	b.nothingLeft()
}

// TestRestoreCgroupModes: a cgroup that the program has made within its own is made
// again, and the program is in it, unless CRIU is told to leave cgroups alone. What
// tare makes is there in any case, with its limits.
func TestRestoreCgroupModes(t *testing.T) {
	for _, mode := range []string{"soft", "full", "strict", "ignore"} {
		t.Run(mode, func(t *testing.T) {
			b := countingBox(t)
			at := slices.IndexFunc(b.spec.Mounts, func(m specs.Mount) bool { return m.Type == "cgroup" })
			b.spec.Mounts[at].Options = nil // writable
			b.shellOf("mkdir /sys/fs/cgroup/sub; echo $$ >/sys/fs/cgroup/sub/cgroup.procs; " + counting)
			b.launch()
			n := b.counts(2)
			place := strings.TrimPrefix(b.cgroup(), v2Root)
			inCgroup(t, b.pid, place+"/sub")
			b.checkpoint("--manage-cgroups-mode", mode)
			b.restore("--manage-cgroups-mode", mode)
			b.counts(n)
			if mode == "ignore" {
				inCgroup(t, b.pid, place)
			} else {
				inCgroup(t, b.pid, place+"/sub")
			}
			memory, pids := b.limitsOf()
			expect(t, "memory limit", memory, "67108864")
			expect(t, "pids limit", pids, "33")
			b.kill("KILL")
			b.remove("--force")
			b.nothingLeft()
		})
	}
}

// TestRestoreAppArmor: --lsm-profile gives the processes another profile than they had.
func TestRestoreAppArmor(t *testing.T) {
	b := countingBox(t)
	loadProfile(t, "tare-first")
	loadProfile(t, "tare-second")
	b.spec.Process.ApparmorProfile = "tare-first"
	b.launch()
	n := b.counts(2)
	label := func() string { return strings.TrimRight(readText(t, procPath(b.pid, "attr/current")), "\x00\n") }
	expect(t, "profile", label(), "tare-first (enforce)")
	b.checkpoint()
	b.restore("--lsm-profile", "apparmor:tare-second")
	b.counts(n)
	expect(t, "profile", label(), "tare-second (enforce)")
	b.kill("KILL")
	b.remove()
}

// TestCheckpointRedirected: a shell that has redirected its own output just then gets
// it back after the restore, be it a file or a pipe.
func TestCheckpointRedirected(t *testing.T) {
	for _, kind := range []string{"file", "pipe"} {
		t.Run(kind, func(t *testing.T) {
			b := countingBox(t)
			b.shellOf("{ " + strings.Replace(counting, "exit 7", ":", 1) + "; } >/data/inner; echo back; exit 7")
			b.writeConfig()
			call := func(verb string, more ...string) (output func() string) {
				pidFile := b.dir + "/io/" + verb + "-pid"
				cmd, done := b.command(append(append([]string{verb, "--detach", "--bundle", b.bundle, "--pid-file", pidFile}, more...), b.id)...)
				output = func() string { return readText(t, done().outFile) }
				if kind == "pipe" {
					r, w, err := os.Pipe()
					b.must(err)
					defer w.Close()
					t.Cleanup(func() { r.Close() })
					cmd.Stdout = w
					output = func() string { text, _ := io.ReadAll(r); return string(text) }
				}
				b.must(cmd.Run())
				expect(t, "stderr of "+verb, done().Stderr, "")
				var err error
				b.pid, err = strconv.Atoi(readText(t, pidFile))
				b.must(err)
				b.reaped = false
				return output
			}
			call("run")
			n := b.counts(2)
			b.checkpoint()
			output := call("restore", "--image-path", b.images())
			b.counts(n)
			b.must(os.WriteFile(b.dir+"/data/end", nil, 0o644))
			expect(t, "exit code", b.wait(), 7)
			expect(t, "output", output(), "back\n")
			b.remove()
		})
	}
}
