package integration

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestCwdThroughDescriptor (CVE-2024-21626): no descriptor of the runtime leads to
// the host.
func TestCwdThroughDescriptor(t *testing.T) {
	for fd := 0; fd < 24; fd++ {
		b := newBox(t)
		b.spec.Process.Cwd = fmt.Sprintf("/proc/self/fd/%d", fd)
		b.edit(prober("stat:../../../../../../" + strings.TrimPrefix(b.dir, "/") + "/io"))
		r := b.run()
		if r.Code == 0 {
			rep := b.parse(r.Stdout)
			if !strings.HasPrefix(rep.Cwd, "/") || rep.Results[0].Err == 0 {
				t.Errorf("cwd through descriptor %d: %q, and the host is seen: errno %d", fd, rep.Cwd, rep.Results[0].Err)
			}
		} else {
			b.mustSay(r, "run", "process.cwd")
		}
		b.nothingLeft()
	}
}

// TestLinkedProc (CVE-2019-19921, CVE-2023-27561, CVE-2025-54867): /proc and /sys of
// the image are real directories, or the container is refused.
func TestLinkedProc(t *testing.T) {
	for _, dir := range []string{"proc", "sys"} {
		b := newBox(t, prober("quiet"))
		b.must(os.Remove(b.rootfs + "/" + dir))
		b.must(os.Mkdir(b.rootfs+"/evil", 0o755))
		b.must(os.Symlink("/evil", b.rootfs+"/"+dir))
		b.createFails("mounts[", "/"+dir, "symbolic link")
		entries, err := os.ReadDir(b.rootfs + "/evil")
		b.must(err)
		expect(t, "number of files behind the link", len(entries), 0)
	}
}

// TestLinkedDev (CVE-2026-41579): a /dev that leads out of the root makes nothing on
// the host.
func TestLinkedDev(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 changes files outside of the rootfs here")
	}
	for name, mounts := range map[string]bool{"with tmpfs": true, "without": false} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := newBox(t, prober("quiet"))
			outside := b.dir + "/outside"
			b.must(os.MkdirAll(outside+"/pts", 0o755))
			b.must(os.WriteFile(outside+"/ptmx", []byte("mine"), 0o644))
			b.must(os.Remove(b.rootfs + "/dev"))
			b.must(os.Symlink(outside, b.rootfs+"/dev"))
			if !mounts {
				b.spec.Mounts = nil
			}
			b.files = func() {}
			_ = b.run()
			entries, err := os.ReadDir(outside)
			b.must(err)
			expect(t, "number of files outside", len(entries), 2)
			expect(t, "a file outside", readText(t, outside+"/ptmx"), "mine")
			b.nothingLeft()
		})
	}
}

// TestMountRace (CVE-2021-30465, CVE-2024-45310, CVE-2025-31133, CVE-2025-52881):
// while containers are made, somebody exchanges a directory of the rootfs for a link
// that leads out; nothing outside is ever touched.
func TestMountRace(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 makes directories outside of the rootfs here")
	}
	b := newBox(t, prober("quiet"))
	outside := b.dir + "/outside"
	b.must(os.MkdirAll(outside+"/sub", 0o755))
	b.must(os.Mkdir(b.dir+"/src", 0o755))
	b.must(os.WriteFile(outside+"/file", []byte("host"), 0o644))
	b.must(os.Mkdir(b.rootfs+"/a", 0o755))
	b.must(os.WriteFile(b.rootfs+"/a/file", []byte("inside"), 0o644))
	b.must(os.Mkdir(b.rootfs+"/a/sub", 0o755))
	b.must(os.Symlink(outside, b.rootfs+"/b"))
	// In the root, the link leads to a place of the same name below it.
	b.allow = []string{"a", "b", strings.Split(workDir, "/")[1]}
	b.edit(mount("/a/sub/deep/one", "tmpfs", "tmpfs"), bind(b.dir+"/src", "/a/sub/two"), mount("/a/proc", "proc", "proc"))
	b.spec.Linux.MaskedPaths = []string{"/a/file", "/a/sub"}
	b.spec.Linux.ReadonlyPaths = []string{"/a/sub"}
	b.spec.Linux.Devices = []specs.LinuxDevice{{Path: "/a/sub/null", Type: "c", Major: 1, Minor: 3}}
	b.spec.Process.Cwd = "/a/sub/made"
	before := tree(outside)
	var stop atomic.Bool
	done := make(chan int)
	go func() {
		n := 0
		for ; !stop.Load(); n++ {
			_ = unix.Renameat2(unix.AT_FDCWD, b.rootfs+"/a", unix.AT_FDCWD, b.rootfs+"/b", unix.RENAME_EXCHANGE)
		}
		if n%2 == 1 {
			_ = unix.Renameat2(unix.AT_FDCWD, b.rootfs+"/a", unix.AT_FDCWD, b.rootfs+"/b", unix.RENAME_EXCHANGE)
		}
		done <- n
	}()
	made := 0
	b.writeConfig()
	for range 200 {
		if r := b.call("run", "--bundle", b.bundle, b.id); r.Code == 0 {
			made++
		} else if r.Code != 1 || strings.Contains(r.Stderr, "goroutine") {
			t.Errorf("exit code %d: %s", r.Code, r.Stderr)
		}
	}
	stop.Store(true)
	swaps := <-done
	t.Logf("%d of 200 containers were made during %d exchanges", made, swaps)
	if swaps < 1000 {
		t.Errorf("only %d exchanges: the race was not run", swaps)
	}
	for _, l := range before.compare(tree(outside)) {
		t.Error("outside of the rootfs: " + l)
	}
	expect(t, "the file outside", readText(t, outside+"/file"), "host")
	b.nothingLeft()
}

// TestKilledCreate kills create at many instants; delete --force then removes all
// that there is.
func TestKilledCreate(t *testing.T) {
	if !isTare {
		t.Skip("runc leaves cgroups behind")
	}
	b := newBox(t, prober("pause"), userNamespace(100000))
	b.own(100000)
	b.writeConfig()
	// As long as an undisturbed create takes, of which there are some among these.
	whole := time.Hour
	for range 5 {
		begin := time.Now()
		b.create()
		whole = min(whole, time.Since(begin))
		b.remove()
	}
	partial := 0
	// More, where the machine has become faster since.
	for i := 0; i < 150 || partial < 30 && i < 1000; i++ {
		id := b.id + "x" + strconv.Itoa(i)
		cmd, done := b.command("create", "--bundle", b.bundle, "--pid-file", b.dir+"/io/killed", id)
		b.must(cmd.Start())
		time.Sleep(time.Duration(rand.Int63n(int64(whole * 11 / 10))))
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if r := done(); r.Code != 0 {
			partial++
		}
		for _, f := range mustGlob(t, b.dir+"/io/.killed") {
			_ = os.Remove(f) // the temporary pid file lies in the caller's directory
		}
		_ = os.Remove(b.dir + "/io/killed")
		b.ok("delete", "--force", id)
		b.stateEmpty()
		if left := cgroupDirs(id); len(left) > 0 {
			t.Errorf("after a kill, delete --force leaves %v", left)
			for _, d := range left {
				_ = unix.Rmdir(d)
			}
		}
		for _, pid := range children() {
			if cg, _ := os.ReadFile(procPath(pid, "cgroup")); hasID(string(cg), id) {
				t.Errorf("after a kill, process %d is left", pid)
			}
		}
		if t.Failed() {
			break
		}
	}
	if partial < 30 {
		t.Errorf("only %d creates were killed in time", partial)
	}
	for { // the orphans that have died
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); pid <= 0 || err != nil {
			break
		}
	}
}

// TestConcurrentSameID: of many creates with one id exactly one wins.
func TestConcurrentSameID(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 lets several through")
	}
	b := newBox(t, prober("pause"))
	b.writeConfig()
	type call struct {
		wait func() error
		done func() result
	}
	var calls []call
	for i := range 12 {
		cmd, done := b.command("create", "--bundle", b.bundle, "--pid-file", fmt.Sprintf("%s/io/pid%d", b.dir, i), b.id)
		b.must(cmd.Start())
		calls = append(calls, call{cmd.Wait, done})
	}
	won := 0
	for _, c := range calls {
		_ = c.wait()
		if r := c.done(); r.Code == 0 {
			won++
		} else {
			b.mustSay(r, "create", "already exists")
		}
	}
	expect(t, "number of winners", won, 1)
	expect(t, "number of pid files", len(mustGlob(t, b.dir+"/io/pid*")), 1)
	b.pid, _ = strconv.Atoi(readText(t, mustGlob(t, b.dir+"/io/pid*")[0]))
	expect(t, "status", b.status(), "created")
	b.remove()
}

// TestPidReuse: a record whose process has been replaced by another is stopped, and
// that other process is not touched.
func TestPidReuse(t *testing.T) {
	if !isTare {
		t.Skip("edits tare's record")
	}
	b := newBox(t, prober("quiet"))
	b.create()
	b.start()
	b.wait()
	time.Sleep(50 * time.Millisecond) // start times are counted in ticks of 10 ms
	victim := hold(b, 0)
	record := b.root + "/" + b.id + ".json"
	text := readText(t, record)
	pid := func(n int) string { return `"pid":` + strconv.Itoa(n) + "," } // ids and paths may have the same digits
	changed := strings.Replace(text, pid(b.pid), pid(victim.pid), 1)
	if changed == text {
		t.Fatal("the record does not hold the pid")
	}
	b.must(os.WriteFile(record, []byte(changed), 0o600))
	expect(t, "status", b.status(), "stopped")
	b.refused([]string{"container not running"}, "kill", b.id, "KILL")
	b.remove("--force")
	if _, err := os.Stat(filepath.Join("/proc", strconv.Itoa(victim.pid))); err != nil {
		t.Error("delete has killed another process")
	}
}
