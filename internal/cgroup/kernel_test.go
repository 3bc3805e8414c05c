package cgroup

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is a cgroup tree that is mounted on the machine of the test.
type hierarchy struct {
	mount string
	names string // "cpu,cpuacct"; "" for v2
	v2    bool
}

// TestMain takes back what the tests enabled at the top of the v2 tree.
func TestMain(m *testing.M) {
	files, before := map[string]bool{}, map[string]string{}
	for _, h := range mounted() {
		if h.v2 {
			file := h.mount + "/cgroup.subtree_control"
			b, err := os.ReadFile(file)
			files[file], before[file] = err == nil, string(b)
		}
	}
	code := m.Run()
	for file, known := range files {
		now, err := os.ReadFile(file)
		for _, c := range strings.Fields(string(now)) {
			if known && err == nil && !slices.Contains(strings.Fields(before[file]), c) {
				err = os.WriteFile(file, []byte("-"+c), 0)
			}
		}
		if err != nil && !errors.Is(err, unix.EBUSY) { // in use by others now
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// hierarchies finds what is mounted. The tests need root and at least one
// hierarchy; a machine without them is shown in the reason for skipping.
func hierarchies(t testing.TB) []hierarchy {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("needs root, runs as user %d", os.Geteuid())
	}
	var all []hierarchy
	for _, h := range mounted() {
		if writable(h.mount) {
			all = append(all, h)
		}
	}
	if len(all) == 0 {
		text, _ := os.ReadFile("/proc/self/mountinfo")
		t.Skipf("no writable cgroup file system in\n%s", text)
	}
	return all
}

// mounted lists every hierarchy once.
func mounted() []hierarchy {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		panic(err)
	}
	var all []hierarchy
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		before, after, _ := strings.Cut(line, " - ")
		fs := strings.Fields(after)
		if !strings.HasPrefix(fs[0], "cgroup") {
			continue
		}
		h := hierarchy{mount: strings.Fields(before)[4], v2: fs[0] == "cgroup2"}
		if !h.v2 {
			_, h.names, _ = strings.Cut(fs[2], ",")
		}
		if !seen[h.names] {
			seen[h.names] = true
			all = append(all, h)
		}
	}
	return all
}

func writable(mount string) bool {
	d := filepath.Join(mount, "tare-test-"+strconv.Itoa(os.Getpid())+"-probe")
	if os.Mkdir(d, 0o755) != nil {
		return false
	}
	return os.Remove(d) == nil
}

// with returns the hierarchy of a v1 controller, or of v2 for "".
func with(t testing.TB, controller string) hierarchy {
	t.Helper()
	for _, h := range hierarchies(t) {
		for _, n := range strings.Split(h.names, ",") {
			if n == controller && h.v2 == (controller == "") {
				return h
			}
		}
	}
	text, _ := os.ReadFile("/proc/cgroups")
	t.Skipf("no hierarchy has the controller %q; the kernel says\n%s", controller, text)
	return hierarchy{}
}

var count atomic.Int32

// name is a new path at the top. Whatever is left of it in any hierarchy when
// the test ends is a failure, and is removed.
func name(t testing.TB) string {
	t.Helper()
	rel := "/tare-test-" + strconv.Itoa(os.Getpid()) + "-" + strconv.Itoa(int(count.Add(1)))
	all := hierarchies(t)
	t.Cleanup(func() {
		for _, h := range all {
			if exists(h.mount + rel) {
				t.Errorf("%s%s is left", h.mount, rel)
				soon := time.Now().Add(2 * time.Second)
				if err := Kill(soon, Dir{h.mount, rel}); err != nil {
					t.Error(err)
				}
				if err := Remove(h.mount, rel, nil, soon); err != nil {
					t.Error(err)
				}
			}
		}
	})
	return rel
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

func soon() time.Time { return time.Now().Add(30 * time.Second) }

// newCgroup makes a cgroup that the test's end removes.
func newCgroup(t testing.TB, h hierarchy, rel string) {
	t.Helper()
	created, err := makeOnly(h.mount, rel, h.names == "" || strings.Contains(h.names, "cpuset"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Remove(h.mount, rel, created, soon()); err != nil {
			t.Error(err)
		}
	})
}

// newBelow makes a cgroup as a container does it: without passing controllers
// on, so that in v2 the levels above may have processes. newCgroup's end
// removes it.
func newBelow(t testing.TB, h hierarchy, rel string) {
	t.Helper()
	if err := os.MkdirAll(h.mount+rel, 0o755); err != nil {
		t.Fatal(err)
	}
}

// child is a process of the test. It is reaped when it ends.
type child struct {
	pid  int
	dead chan struct{}
}

// start runs a command in the cgroups: it puts itself there before it goes on.
func start(t testing.TB, script string, dirs ...string) child {
	t.Helper()
	var join string
	for _, d := range dirs {
		join += "echo 0 > " + d + "/cgroup.procs || exit 9; "
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	cmd := exec.Command("/bin/sh", "-c", join+"echo ready; exec >&- ;"+script)
	cmd.Stdout = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	c := child{cmd.Process.Pid, make(chan struct{})}
	go func() {
		_ = cmd.Wait() // killed, mostly
		close(c.dead)
	}()
	t.Cleanup(func() {
		select {
		case <-c.dead:
		default:
			_ = cmd.Process.Kill()
			<-c.dead
		}
	})
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "ready\n" {
		t.Fatalf("the process did not get into %v: %q, %v", dirs, line, err)
	}
	return c
}

// sleeps waits until the process is sleep(1), and sleeps.
func (c child) sleeps(t testing.TB) {
	t.Helper()
	for end := soon(); ; time.Sleep(time.Millisecond) {
		if text := read(t, "/proc/"+strconv.Itoa(c.pid)+"/stat"); strings.Contains(text, "(sleep) S ") {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("process %d does not sleep", c.pid)
		}
	}
}

func (c child) isDead(t testing.TB) {
	t.Helper()
	select {
	case <-c.dead:
	case <-time.After(30 * time.Second):
		t.Errorf("process %d is alive", c.pid)
	}
}

func (c child) isAlive(t testing.TB) {
	t.Helper()
	select {
	case <-c.dead:
		t.Errorf("process %d is dead", c.pid)
	case <-time.After(20 * time.Millisecond):
	}
}

func read(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func put(t testing.TB, path, value string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
}

// makeOnly makes a cgroup as MakeJoin does.
func makeOnly(mount, rel string, prepare bool) (created []string, err error) {
	t, err := openTree(mount)
	if err != nil {
		return nil, err
	}
	defer t.close()
	fd, created, err := t.make(rel, prepare)
	if err != nil {
		return nil, err
	}
	t.closeParent(fd)
	return created, nil
}

// openJoin opens what a process joins a cgroup by that is there.
func openJoin(mount, rel, file string) (fd int, err error) {
	t, err := openTree(mount)
	if err != nil {
		return -1, err
	}
	defer t.close()
	parent, leaf, err := t.parentOf(rel)
	if err != nil {
		return -1, err
	}
	defer t.closeParent(parent)
	return t.openJoin(parent, leaf, file, rel)
}
