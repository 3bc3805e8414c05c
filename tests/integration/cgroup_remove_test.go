package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// inTrees begins a script: trees are the hierarchies that the container sees, some
// are two of them, or the one of cgroup v2.
const inTrees = `cd /sys/fs/cgroup; if [ -e cgroup.procs ]; then trees=$PWD some=$PWD; else trees=$PWD/* some="$PWD/pids $PWD/freezer"; fi; `

// TestRemoveInnerCgroups: cgroups that the container has made itself, however deep,
// go with it.
func TestRemoveInnerCgroups(t *testing.T) {
	b := newShellBox(t, inTrees+`for h in $trees; do busybox mkdir -p $h/a/b/c $h/d; done; for h in $some; do
		(echo 0 > $h/a/b/c/cgroup.procs; exec busybox sleep 1000) & done; busybox sleep 0.1; echo ready; busybox sleep 1000`,
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), withNamespace(specs.CgroupNamespace, ""))
	b.output(b.launch())
	n := 0
	for _, d := range cgroupDirs(b.id) {
		if strings.HasSuffix(d, b.id+"/a/b/c") {
			n++
		}
	}
	if n < len(hierarchies()) {
		t.Fatalf("the container has made only %v", cgroupDirs(b.id))
	}
	b.remove("--force")
	b.nothingLeft()
}

// TestRemoveFrozenInside: a cgroup below that the container has frozen itself is no
// obstacle either, with and without a pid namespace.
func TestRemoveFrozenInside(t *testing.T) {
	for _, shared := range []bool{false, true} {
		b := newShellBox(t, inTrees+`for h in $some; do :; done; busybox mkdir $h/cold; busybox sleep 1000 & echo $! > $h/cold/cgroup.procs
			if [ -e $h/cold/freezer.state ]; then echo FROZEN > $h/cold/freezer.state; else echo 1 > $h/cold/cgroup.freeze; fi; echo ready; busybox sleep 1000`,
			mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), withNamespace(specs.CgroupNamespace, ""))
		if shared {
			if !isTare {
				continue // runc 1.1 waits for the frozen one
			}
			b.edit(withoutNamespace(specs.PIDNamespace))
		}
		b.output(b.launch())
		if !b.onV2("freezer") {
			expect(t, "state of the cgroup below", b.limit("freezer", "cold/freezer.state"), "FROZEN")
		}
		b.remove("--force")
		b.nothingLeft()
		if isTare {
			b.output(b.launch())
			b.ok("kill", b.id, "KILL") // an engine waits for the end after this
			b.wait()
			b.remove()
			b.nothingLeft()
		}
	}
}

// TestRemoveStuck: a process that does not die keeps the cgroup, and the message
// says which it is and where it waits. Delete can be repeated.
func TestRemoveStuck(t *testing.T) {
	if !isTare {
		t.Skip("asserts tare's wordings")
	}
	b := newBox(t, prober("quiet", "stat:/stuck/file"), withoutNamespace(specs.PIDNamespace))
	fs := newStuckFS(b)
	b.edit(bind(fs.at, "/stuck"))
	b.allow = append(b.allow, "stuck")
	b.launch()
	fs.await()
	// Once it has been interrupted in vain, it waits for nothing but the answer.
	b.ok("kill", b.id, "TERM")
	b.until("the process to be stuck in the kernel", func() bool { return procState(b.pid) == "D" })
	words := []string{"process " + strconv.Itoa(b.pid) + " (", "state D"}
	if wchan := readText(t, procPath(b.pid, "wchan")); wchan != "0" {
		words = append(words, "in "+wchan)
	}
	start := time.Now()
	b.refused(words, "delete", "--force", b.id)
	if d := time.Since(start); d > 15*time.Second {
		t.Errorf("delete took %v to give up", d)
	}
	if len(cgroupDirs(b.id)) == 0 {
		t.Error("the cgroups are gone, and the process is not")
	}
	fs.end()
	b.wait()
	b.remove("--force")
	b.nothingLeft()
}

// TestKillAll: every process of a container that shares the host's pid namespace,
// those in cgroups of their own making and those that fork all the time included.
func TestKillAll(t *testing.T) {
	b := newShellBox(t, inTrees+`for h in $some; do busybox mkdir -p $h/deep/er; (echo 0 > $h/deep/er/cgroup.procs; exec busybox sleep 1000) & done
		f() { while :; do (busybox true) & busybox true; done; }; f & f & echo ready; f`,
		mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"), withNamespace(specs.CgroupNamespace, ""), withoutNamespace(specs.PIDNamespace))
	b.spec.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(60))}
	for _, how := range [][]string{{"kill", "--all", b.id, "KILL"}, {"kill", b.id, "KILL"}, {"delete", "--force", b.id}} {
		b.output(b.launch())
		b.ok(how...)
		b.wait()
		if how[0] == "kill" {
			b.until("the end of all processes", func() bool { return len(cgroupProcs(t, b.id)) == 0 })
			b.ok("kill", "--all", b.id, "KILL")
			b.remove()
		}
		b.nothingLeft()
	}
}

// TestCgroupInUse: a cgroup that is frozen, or has processes, is not used, whatever
// hierarchy it is in.
func TestCgroupInUse(t *testing.T) {
	b := newBox(t, prober("quiet"))
	h := hold(b, 0)
	frozen, thawed := [2]string{"freezer.state", "FROZEN"}, "THAWED"
	if b.onV2("freezer") {
		frozen, thawed = [2]string{"cgroup.freeze", "1"}, "0"
	}
	for _, c := range []struct{ controller, file, value, word string }{
		{"freezer", frozen[0], frozen[1], "container's cgroup unexpectedly frozen"},
		{"pids", "cgroup.procs", strconv.Itoa(h.pid), "container's cgroup is not empty: 1 process(es) found"},
		{"memory", "below/cgroup.procs", strconv.Itoa(h.pid), "container's cgroup is not empty: 1 process(es) found"},
	} {
		at, v2 := b.hierarchyOf(c.controller)
		dir := at + "/" + b.id
		b.must(os.MkdirAll(filepath.Dir(dir+"/"+c.file), 0o755))
		b.must(os.WriteFile(dir+"/"+c.file, []byte(c.value), 0o644))
		if isTare || c.controller == "freezer" {
			r := b.run()
			b.mustSay(r, "run", c.word)
		}
		if c.controller == "freezer" {
			b.must(os.WriteFile(dir+"/"+c.file, []byte(thawed), 0o644))
		} else {
			name := c.controller
			if v2 {
				name = ""
			}
			back := cgroupOf(readText(t, "/proc/self/cgroup"))[name]
			b.must(os.WriteFile(at+back+"/cgroup.procs", []byte(strconv.Itoa(h.pid)), 0o644))
		}
		_ = os.Remove(dir + "/below")
		b.must(os.Remove(dir))
	}
	// An empty one that was there before is used, and stays.
	at, _ := b.hierarchyOf("pids")
	dir := at + "/" + b.id
	b.must(os.Mkdir(dir, 0o755))
	expect(t, "exit code", b.run().Code, 0)
	if isTare {
		if _, err := os.Stat(dir); err != nil {
			t.Errorf("the cgroup that was there before: %v", err)
		}
		b.must(os.Remove(dir))
	}
}

// cgroupCounts are the numbers of cgroups of the whole machine, by controller.
func cgroupCounts(t *testing.T) map[string]int {
	t.Helper()
	out := map[string]int{}
	for line := range strings.Lines(readText(t, "/proc/cgroups")) {
		if f := strings.Fields(line); len(f) == 4 && f[0][0] != '#' {
			out[f[0]], _ = strconv.Atoi(f[2])
		}
	}
	return out
}

// cgroupsSettle waits until no hierarchy has noticeably more cgroups than before. The
// kernel lets go of them some time after their removal, and others use the
// machine too: so few may remain that it is not one for each container.
func cgroupsSettle(before map[string]int, containers int, boxes ...*box) {
	b := boxes[0]
	b.t.Helper()
	// What a container has written to files is in memory that is charged to it.
	for _, b := range boxes {
		files, err := filepath.Glob(b.dir + "/io/*")
		b.must(err)
		for _, f := range files {
			b.must(os.Remove(f))
		}
	}
	var over []string
	dropped := time.Now()
	for end := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		if time.Since(dropped) > 5*time.Second { // pages and inodes that are charged to a cgroup keep it
			_ = os.WriteFile("/proc/sys/vm/drop_caches", []byte("3"), 0) // where it may; the counts tell
			dropped = time.Now()
		}
		over = nil
		for name, n := range cgroupCounts(b.t) {
			if n > before[name]+containers/3 {
				over = append(over, fmt.Sprintf("%s: %d, before %d", name, n, before[name]))
			}
		}
		if len(over) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(over) > 0 {
		b.t.Errorf("cgroups stay in the kernel after %d containers: %s", containers, strings.Join(over, "; "))
	}
}

// TestManyCycles: two hundred containers, one after the other, leave nothing in the
// kernel.
func TestManyCycles(t *testing.T) {
	const cycles = 200
	b := newBox(t, prober("quiet"), memoryLimit(64<<20))
	expect(t, "exit code", b.run().Code, 0) // the first brings the root's files into memory
	before := cgroupCounts(t)
	for i := range cycles {
		if i%2 == 0 {
			if r := b.run(); r.Code != 0 {
				t.Fatalf("container %d: %s", i, r.Stderr)
			}
			continue
		}
		b.launch()
		b.wait()
		b.remove()
	}
	cgroupsSettle(before, cycles, b)
	b.nothingLeft()
}

// TestManyAtOnce: fifty containers at the same time, paused, changed and killed.
func TestManyAtOnce(t *testing.T) {
	const containers = 50
	boxes := make([]*box, containers)
	for i := range boxes {
		boxes[i] = newBox(t, prober("quiet", "pause"), memoryLimit(64<<20))
		boxes[i].shared = true
	}
	before := cgroupCounts(t)
	each := func(do func(*box)) {
		var all sync.WaitGroup
		for _, b := range boxes {
			all.Go(func() { do(b) })
		}
		all.Wait()
	}
	command := func(args ...string) func(*box) {
		return func(b *box) {
			if r := b.call(append(args, b.id)...); r.Code != 0 || r.Stderr != "" {
				t.Errorf("%v of %s: exit code %d\n%s", args, b.id, r.Code, r.Stderr)
			}
		}
	}
	each(func(b *box) {
		b.writeConfig()
		command("create", "--bundle", b.bundle, "--pid-file", b.dir+"/io/pid")(b)
	})
	each(command("start"))
	each(command("pause"))
	each(command("update", "--memory", "32m", "--pids-limit", "5"))
	each(command("events", "--stats"))
	each(command("resume"))
	each(command("delete", "--force"))
	for _, b := range boxes {
		if text, err := os.ReadFile(b.dir + "/io/pid"); err == nil {
			pid, _ := strconv.Atoi(string(text))
			_, _ = unix.Wait4(pid, nil, 0, nil)
		}
	}
	cgroupsSettle(before, containers, boxes...)
}

// TestVanishingCgroup: a cgroup that somebody removes before the process is in it is
// made again.
func TestVanishingCgroup(t *testing.T) {
	if !isTare {
		t.Skip("runc fails where it loses the race")
	}
	b := newBox(t, prober("pause"))
	won, tries := 0, 0
	for tries == 0 || won < 3 && tries < 200 {
		for _, path := range []string{"/" + b.id, "/" + b.id + "-above/c"} {
			b.spec.Linux.CgroupsPath = path
			b.spec.Process.Terminal = !b.spec.Process.Terminal // with an engine that waits for it, and without
			b.writeConfig()
			for _, controller := range []string{"pids", "freezer"} {
				at, _ := b.hierarchyOf(controller)
				for range 5 {
					tries++
					done := make(chan bool)
					stop := make(chan bool)
					go func() {
						runtime.LockOSThread()
						defer close(done)
						for unix.Rmdir(at+path) != nil {
							select {
							case <-stop:
								return
							default:
							}
						}
						won++
					}()
					if b.spec.Process.Terminal {
						s := b.socket(fmt.Sprint("tty", b.calls))
						b.create("--console-socket", s.path)
						s.terminal()
					} else {
						b.create()
					}
					close(stop)
					<-done
					if procs := strings.TrimSpace(readText(t, at+path+"/cgroup.procs")); procs != strconv.Itoa(b.pid) {
						t.Fatalf("in the cgroup are %q, the process is %d", procs, b.pid)
					}
					b.remove("--force")
					b.must(os.Remove(b.dir + "/io/pid"))
				}
			}
		}
	}
	t.Logf("the cgroup was removed in the middle of %d of %d creates", won, tries)
	if won < 3 {
		t.Errorf("only %d of %d cgroups were removed in time", won, tries)
	}
	b.nothingLeft()
}
