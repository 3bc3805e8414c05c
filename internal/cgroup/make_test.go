package cgroup

import (
	"errors"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

func TestMakeAndRemoveInEveryHierarchy(t *testing.T) {
	for _, h := range hierarchies(t) {
		rel := name(t)
		created, err := makeOnly(h.mount, rel+"/a/b", strings.Contains(h.names, "cpuset"))
		if err != nil {
			t.Errorf("%s: %v", h.mount, err)
			continue
		}
		if want := []string{rel, rel + "/a", rel + "/a/b"}; !slices.Equal(created, want) {
			t.Errorf("created %v, want %v", created, want)
		}
		if !exists(h.mount + rel + "/a/b/cgroup.procs") {
			t.Errorf("%s%s/a/b is no cgroup", h.mount, rel)
		}
		if err := Remove(h.mount, rel+"/a/b", created, soon()); err != nil {
			t.Error(err)
		}
		if exists(h.mount + rel) {
			t.Errorf("%s%s is left", h.mount, rel)
		}
		if err := Remove(h.mount, rel+"/a/b", created, soon()); err != nil {
			t.Errorf("again: %v", err)
		}
	}
}

func TestMakeReportsOnlyWhatItMade(t *testing.T) {
	h := with(t, "memory")
	rel := name(t)
	newCgroup(t, h, rel)
	created, err := makeOnly(h.mount, rel+"/a", false)
	if err != nil || !slices.Equal(created, []string{rel + "/a"}) {
		t.Fatalf("%v, %v", created, err)
	}
	if created, err := makeOnly(h.mount, rel+"/a", false); err != nil || len(created) != 0 {
		t.Errorf("again: %v, %v", created, err)
	}
	// The parent is not ours to remove, though it is empty.
	if err := Remove(h.mount, rel+"/a", created, soon()); err != nil || !exists(h.mount+rel) || exists(h.mount+rel+"/a") {
		t.Errorf("%v; parent %v, cgroup %v", err, exists(h.mount+rel), exists(h.mount+rel+"/a"))
	}
}

func TestParentsInUseStay(t *testing.T) {
	h := with(t, "memory")
	rel := name(t)
	first, err := makeOnly(h.mount, rel+"/a", false)
	if err != nil {
		t.Fatal(err)
	}
	second, err := makeOnly(h.mount, rel+"/b", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := Remove(h.mount, rel+"/a", first, soon()); err != nil || !exists(h.mount+rel+"/b") {
		t.Fatal(err)
	}
	if err := Remove(h.mount, rel+"/b", second, soon()); err != nil || !exists(h.mount+rel) {
		t.Fatalf("%v; the second container made no parent, so it removes none", err)
	}
	if err := Remove(h.mount, rel+"/a", first, soon()); err != nil {
		t.Error(err)
	}
}

func TestMakeRefusesPathsOutside(t *testing.T) {
	h := with(t, "memory")
	for _, rel := range []string{"", "/", "//", ".", "..", "/../x", "/a/../b", "/a//b", "/a/./b", "/a/.."} {
		for what, f := range map[string]func() error{
			"Make":   func() error { _, err := makeOnly(h.mount, rel, false); return err },
			"Join":   func() error { _, err := openJoin(h.mount, rel, "tasks"); return err },
			"Remove": func() error { return Remove(h.mount, rel, nil, soon()) },
			"Pids":   func() error { _, err := Pids(h.mount, rel, true); return err },
			"Kill":   func() error { return Kill(soon(), Dir{h.mount, rel}) },
			"Frozen": func() error { _, err := Frozen(h.mount, rel); return err },
		} {
			if err := f(); !errors.Is(err, unix.EINVAL) {
				t.Errorf("%s %q: %v", what, rel, err)
			}
		}
	}
}

func TestOnlyCgroupFileSystems(t *testing.T) {
	hierarchies(t) // root
	dir := t.TempDir()
	if _, err := makeOnly(dir, "/x", false); !errors.Is(err, errNotCgroup) || exists(dir+"/x") {
		t.Errorf("make: %v", err)
	}
	if err := os.Mkdir(dir+"/x", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Remove(dir, "/x", []string{"/x"}, soon()); !errors.Is(err, errNotCgroup) || !exists(dir+"/x") {
		t.Errorf("remove: %v", err)
	}
	put(t, mustCreate(t, dir+"/x/pids.max"), "5")
	if err := Write(dir+"/x", "pids.max", "6"); !errors.Is(err, errNotCgroup) || read(t, dir+"/x/pids.max") != "5" {
		t.Errorf("write: %v", err)
	}
}

func mustCreate(t *testing.T, path string) string {
	t.Helper()
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMakeRefusesProcesses(t *testing.T) {
	for _, controller := range []string{"memory", ""} {
		h := with(t, controller)
		rel := name(t)
		newCgroup(t, h, rel)
		newBelow(t, h, rel+"/deep")
		c := start(t, "exec sleep 60", h.mount+rel+"/deep")
		_, err := makeOnly(h.mount, rel, false)
		if err == nil || !errors.Is(err, os.ErrExist) || !strings.Contains(err.Error(), "container's cgroup is not empty: 1 process(es) found") {
			t.Errorf("%q: %v", controller, err)
		}
		if pids, err := Pids(h.mount, rel, true); err != nil || !slices.Equal(pids, []int{c.pid}) {
			t.Errorf("%q: %v, %v", controller, pids, err)
		}
		if pids, err := Pids(h.mount, rel, false); err != nil || len(pids) != 0 {
			t.Errorf("%q: %v, %v", controller, pids, err)
		}
		if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
			t.Error(err)
		}
		c.isDead(t)
		if created, err := makeOnly(h.mount, rel, false); err != nil || created != nil {
			t.Errorf("%q, empty: %v, %v", controller, created, err)
		}
	}
}

func TestMakeRefusesFrozen(t *testing.T) {
	for controller, file := range map[string][3]string{
		"freezer": {"freezer.state", "FROZEN", "THAWED"},
		"":        {"cgroup.freeze", "1", "0"},
	} {
		h := with(t, controller)
		rel := name(t)
		newCgroup(t, h, rel)
		put(t, h.mount+rel+"/"+file[0], file[1])
		if frozen, err := Frozen(h.mount, rel); err != nil || !frozen {
			t.Errorf("%q: %v, %v", controller, frozen, err)
		}
		if _, err := makeOnly(h.mount, rel, false); err == nil || !strings.Contains(err.Error(), "container's cgroup unexpectedly frozen") {
			t.Errorf("%q: %v", controller, err)
		}
		put(t, h.mount+rel+"/"+file[0], file[2])
		if frozen, err := Frozen(h.mount, rel); err != nil || frozen {
			t.Errorf("%q: %v, %v", controller, frozen, err)
		}
		if _, err := makeOnly(h.mount, rel, false); err != nil {
			t.Errorf("%q: %v", controller, err)
		}
	}
	h := with(t, "pids")
	rel := name(t)
	newCgroup(t, h, rel)
	if frozen, err := Frozen(h.mount, rel); err != nil || frozen {
		t.Errorf("another hierarchy: %v, %v", frozen, err)
	}
}

func TestMakeUndoesItselfOnError(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	// The kernel refuses a line feed in the name of a cgroup.
	if created, err := makeOnly(h.mount, rel+"/a/b\nc", false); !errors.Is(err, unix.EINVAL) || created != nil {
		t.Errorf("%v, %v", created, err)
	}
	if fd, _, err := MakeJoin(h.mount, rel+"/a", "no.such.file", false); !errors.Is(err, unix.ENOENT) || fd != -1 {
		t.Errorf("%v, %v", fd, err)
	}
	if exists(h.mount + rel) {
		t.Error("half made cgroups are left")
	}
}

// A v1 cpuset without CPUs cannot be joined, so every level gets its parent's.
func TestCpusetIsFilledOnEveryLevel(t *testing.T) {
	h := with(t, "cpuset")
	rel := name(t)
	if err := os.Mkdir(h.mount+rel, 0o755); err != nil { // made by somebody who left it empty
		t.Fatal(err)
	}
	newCgroup(t, h, rel+"/a/b")
	for _, file := range []string{"/cpuset.cpus", "/cpuset.mems"} {
		want := read(t, h.mount+file)
		if want == "" {
			t.Fatalf("%s%s is empty", h.mount, file)
		}
		for _, level := range []string{"", "/a", "/a/b"} {
			if got := read(t, h.mount+rel+level+file); got != want {
				t.Errorf("%s%s%s: %q, want %q", rel, level, file, got, want)
			}
		}
	}
	put(t, h.mount+rel+"/a/b/cpuset.cpus", "0")
	put(t, h.mount+rel+"/a/cpuset.cpus", "0")
	if _, err := makeOnly(h.mount, rel+"/a/b", true); err != nil {
		t.Error(err)
	}
	if got := read(t, h.mount+rel+"/a/b/cpuset.cpus"); got != "0" {
		t.Errorf("what was set became %q", got)
	}
	t.Cleanup(func() { // this level is not Make's
		if err := Remove(h.mount, rel, nil, soon()); err != nil {
			t.Error(err)
		}
	})
}

// The v1 way in: one write of 0 by a single-threaded process to an open file.
func TestJoinByTasks(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	fd, created, err := MakeJoin(h.mount, rel, "tasks", false)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(created, []string{rel}) {
		t.Errorf("created %v", created)
	}
	tasks := os.NewFile(uintptr(fd), "tasks")
	cmd := exec.Command("/bin/sh", "-c", "echo 0 >&3; cat /proc/self/cgroup")
	cmd.ExtraFiles = []*os.File{tasks}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "pids:"+rel+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
	tasks.Close()
	if fd, err := openJoin(h.mount, rel, "tasks"); err != nil {
		t.Error(err)
	} else {
		unix.Close(fd)
	}
	if err := Remove(h.mount, rel, created, soon()); err != nil {
		t.Error(err)
	}
	if _, err := openJoin(h.mount, rel, "tasks"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("after removal: %v", err)
	}
}

// The v2 way in: the directory is given to clone3.
func TestCloneIntoCgroup(t *testing.T) {
	h := with(t, "")
	rel := name(t)
	newCgroup(t, h, rel+"/a")
	fd, err := openJoin(h.mount, rel+"/a", "")
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd := exec.Command("cat", "/proc/self/cgroup")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	out, err := cmd.Output()
	if err != nil || !strings.Contains(string(out), "0::"+rel+"/a\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

// Controllers of the v2 tree reach the container's cgroup through ancestors
// that did not pass them on before.
func TestControllersAreEnabled(t *testing.T) {
	h := with(t, "")
	all := read(t, h.mount+"/cgroup.controllers")
	if all == "" {
		t.Skipf("%s/cgroup.controllers is empty: v1 has every controller", h.mount)
	}
	rel := name(t)
	newCgroup(t, h, rel+"/a/b")
	if got := read(t, h.mount+rel+"/a/b/cgroup.controllers"); got != all {
		t.Errorf("controllers %q, want %q", got, all)
	}
}

// Containers with a common parent come and go at the same time: nobody fails
// because another one's removal took the parent.
func TestCommonParentUnderContention(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	errs := make(chan error)
	for n := range 4 {
		go func() {
			for i := range 100 {
				p := rel + "/a/" + strconv.Itoa(n) + "-" + strconv.Itoa(i)
				fd, created, err := MakeJoin(h.mount, p, "tasks", false)
				if err == nil {
					unix.Close(fd)
					err = Remove(h.mount, p, created, soon())
				}
				if err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	// Whoever made a parent found it in use when it left, and nobody else
	// removes it: what may be left is empty.
	if err := Remove(h.mount, rel, nil, soon()); err != nil {
		t.Error(err)
	}
}
