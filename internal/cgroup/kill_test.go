package cgroup

import (
	"errors"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// waitUsage waits until the cgroup's memory has grown.
func waitUsage(t *testing.T, dir string, bytes int) {
	t.Helper()
	for end := soon(); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if n, _ := strconv.Atoi(read(t, dir+"/memory.usage_in_bytes")); n >= bytes {
			return
		}
	}
	t.Fatalf("%s stays below %d bytes", dir, bytes)
}

// isolated are the hierarchies in which Kill has to work alone: v1 through
// pidfds, v2 through cgroup.kill.
var isolated = []string{"pids", ""}

func TestKillEndsAllBelowAndNothingElse(t *testing.T) {
	for _, controller := range isolated {
		h := with(t, controller)
		rel, other := name(t), name(t)
		newCgroup(t, h, rel)
		newBelow(t, h, rel+"/a/b")
		newCgroup(t, h, other)
		inside := []child{start(t, "exec sleep 60", h.mount+rel), start(t, "sleep 60 & sleep 60 & wait", h.mount+rel+"/a/b")}
		outside := start(t, "exec sleep 60", h.mount+other)
		if err := Kill(soon(), Dir{h.mount, rel}, Dir{h.mount, rel + "-missing"}); err != nil {
			t.Errorf("%q: %v", controller, err)
		}
		for _, c := range inside {
			c.isDead(t)
		}
		outside.isAlive(t)
		if pids, err := Pids(h.mount, rel, true); err != nil || len(pids) != 0 {
			t.Errorf("%q: %v, %v", controller, pids, err)
		}
		if err := Kill(soon(), Dir{h.mount, other}); err != nil {
			t.Error(err)
		}
	}
}

func TestKillThaws(t *testing.T) {
	for controller, freeze := range map[string][2]string{"freezer": {"freezer.state", "FROZEN"}, "": {"cgroup.freeze", "1"}} {
		h := with(t, controller)
		rel := name(t)
		newCgroup(t, h, rel)
		newBelow(t, h, rel+"/below")
		c, below := start(t, "exec sleep 60", h.mount+rel), start(t, "exec sleep 60", h.mount+rel+"/below")
		put(t, h.mount+rel+"/below/"+freeze[0], freeze[1]) // frozen by itself as well
		put(t, h.mount+rel+"/"+freeze[0], freeze[1])
		if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
			t.Errorf("%q: %v", controller, err)
		}
		c.isDead(t)
		below.isDead(t)
	}
}

// A process that forks faster than it can be found is held by the freezer.
func TestKillForkBomb(t *testing.T) {
	freezer, pids := with(t, "freezer"), with(t, "pids")
	rel := name(t)
	newCgroup(t, freezer, rel)
	newCgroup(t, pids, rel)
	put(t, pids.mount+rel+"/pids.max", "40")
	bomb := "f() { while :; do (f) & done; }; f 2>/dev/null"
	c := start(t, bomb, freezer.mount+rel, pids.mount+rel)
	for end := soon(); ; time.Sleep(time.Millisecond) {
		if n, _ := strconv.Atoi(read(t, pids.mount+rel+"/pids.current")); n >= 30 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("the bomb does not go off")
		}
	}
	if err := Kill(soon(), Dir{freezer.mount, rel}, Dir{pids.mount, rel}); err != nil {
		t.Error(err)
	}
	c.isDead(t)
	if left, err := Pids(pids.mount, rel, true); err != nil || len(left) != 0 {
		t.Errorf("%v, %v", left, err)
	}
}

func TestKillSparesTheCaller(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	newCgroup(t, h, rel)
	own := read(t, "/proc/self/cgroup")
	put(t, h.mount+rel+"/cgroup.procs", "0")
	defer func() { // back to where the test came from
		for line := range strings.Lines(own) {
			if f := strings.SplitN(strings.TrimSpace(line), ":", 3); slices.Contains(strings.Split(f[1], ","), "pids") {
				put(t, h.mount+f[2]+"/cgroup.procs", strconv.Itoa(os.Getpid()))
			}
		}
	}()
	if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
		t.Error(err)
	}
}

func TestRemoveTakesWhatTheContainerMade(t *testing.T) {
	for _, controller := range isolated {
		h := with(t, controller)
		rel := name(t)
		if err := os.MkdirAll(h.mount+rel+"/a/b/c", 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			if err := os.MkdirAll(h.mount+rel+"/a/"+strconv.Itoa(i)+"/x", 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if err := Remove(h.mount, rel, nil, soon()); err != nil || exists(h.mount+rel) {
			t.Errorf("%q: %v", controller, err)
		}
	}
}

// However deep a container nests its cgroups, few descriptors are needed.
func TestRemoveDeepTree(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	deep := h.mount + rel + strings.Repeat("/d", 300)
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	var old unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &old); err != nil {
		t.Fatal(err)
	}
	few := old
	few.Cur = 64
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &old)
	if pids, err := Pids(h.mount, rel, true); err != nil || len(pids) != 0 {
		t.Errorf("%v, %v", pids, err)
	}
	if err := Remove(h.mount, rel, nil, soon()); err != nil {
		t.Error(err)
	}
}

func TestRemoveWaitsForTheLastProcess(t *testing.T) {
	for _, controller := range isolated {
		h := with(t, controller)
		rel := name(t)
		created, err := makeOnly(h.mount, rel, false)
		if err != nil {
			t.Fatal(err)
		}
		start(t, "exec sleep 0.15", h.mount+rel)
		if err := Remove(h.mount, rel, created, soon()); err != nil || exists(h.mount+rel) {
			t.Errorf("%q: %v", controller, err)
		}
	}
}

func TestRemoveNamesWhatIsLeft(t *testing.T) {
	for _, controller := range isolated {
		h := with(t, controller)
		rel := name(t)
		newCgroup(t, h, rel)
		newBelow(t, h, rel+"/below")
		c := start(t, "exec sleep 60", h.mount+rel+"/below")
		c.sleeps(t)
		begin := time.Now()
		err := Remove(h.mount, rel, nil, begin.Add(60*time.Millisecond))
		took := time.Since(begin)
		var busy *BusyError
		if !errors.As(err, &busy) || !errors.Is(err, unix.EBUSY) || len(busy.Processes) != 1 || busy.Processes[0].Pid != c.pid {
			t.Fatalf("%q: %v", controller, err)
		}
		p := busy.Processes[0]
		want := "cgroup " + h.mount + rel + " is still in use by process " + strconv.Itoa(c.pid) + " (sleep, state S"
		if p.Name != "sleep" || p.State != "S" || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: %v, want %s", controller, err, want)
		}
		if took < 60*time.Millisecond || took > 10*time.Second {
			t.Errorf("%q: took %v", controller, took)
		}
		if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
			t.Error(err)
		}
	}
}

func TestKillNamesWhatDoesNotDie(t *testing.T) {
	h, freezer := with(t, "pids"), with(t, "freezer")
	rel := name(t)
	newCgroup(t, h, rel)
	newCgroup(t, freezer, rel)
	c := start(t, "exec sleep 60", h.mount+rel, freezer.mount+rel)
	if err := Freeze(freezer.mount, rel, soon(), nil); err != nil { // of which Kill is not told
		t.Fatal(err)
	}
	err := Kill(time.Now().Add(-time.Second), Dir{h.mount, rel})
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Processes[0].Pid != c.pid {
		t.Errorf("%v", err)
	}
	if err := Thaw(freezer.mount, rel, soon()); err != nil {
		t.Error(err)
	}
	c.isDead(t)
}

func TestMissingCgroupIsNotExist(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	if _, err := Pids(h.mount, rel, true); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), h.mount+rel) {
		t.Errorf("Pids: %v", err)
	}
	if _, err := Frozen(h.mount, rel); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Frozen: %v", err)
	}
	if err := Remove(h.mount, rel+"/a", []string{rel, rel + "/a"}, soon()); err != nil {
		t.Errorf("Remove: %v", err)
	}
}

// A stopped process does not count; a thawed one goes on.
func TestFreezeAndThaw(t *testing.T) {
	for _, controller := range []string{"freezer", ""} {
		h := with(t, controller)
		rel := name(t)
		newCgroup(t, h, rel)
		file := t.TempDir() + "/count"
		c := start(t, "while :; do echo x >> "+file+"; sleep 0.005; done", h.mount+rel)
		grows := func() bool {
			size := func() int64 {
				st, err := os.Stat(file)
				if err != nil {
					return 0
				}
				return st.Size()
			}
			before := size()
			for end := time.Now().Add(150 * time.Millisecond); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
				if size() > before {
					return true
				}
			}
			return false
		}
		runs := func() bool { // on a busy machine it may take a while
			for end := soon(); ; {
				if grows() {
					return true
				}
				if time.Now().After(end) {
					return false
				}
			}
		}
		if !runs() {
			t.Fatal("the process does not run")
		}
		for range 2 { // to do it again is no mistake
			if err := Freeze(h.mount, rel, soon(), nil); err != nil {
				t.Fatalf("%q: %v", controller, err)
			}
		}
		if frozen, err := Frozen(h.mount, rel); err != nil || !frozen || grows() {
			t.Errorf("%q: frozen %v, %v, or still running", controller, frozen, err)
		}
		for range 2 {
			if err := Thaw(h.mount, rel, soon()); err != nil {
				t.Fatalf("%q: %v", controller, err)
			}
		}
		if frozen, err := Frozen(h.mount, rel); err != nil || frozen || !runs() {
			t.Errorf("%q: frozen %v, %v, or not running", controller, frozen, err)
		}
		if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
			t.Error(err)
		}
		c.isDead(t)
	}
	h := with(t, "pids")
	rel := name(t)
	newCgroup(t, h, rel)
	if err := Freeze(h.mount, rel, soon(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("another hierarchy: %v", err)
	}
}
