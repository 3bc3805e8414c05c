package rdt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// tree is a tmpfs with the files of a resctrl file system. What only the kernel
// does there, filling a new group and judging a schema, the tests do by hand: no
// host that tare is tested on has the hardware.
func tree(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a tmpfs: uid is", os.Geteuid())
	}
	root := t.TempDir()
	if err := unix.Mount("resctrl-like", root, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(root, unix.MNT_DETACH) })
	put(t, root+"/info/last_cmd_status", "ok\n")
	put(t, root+"/info/MB/bandwidth_gran", "10\n")
	put(t, root+"/mon_groups/.keep", "")
	fill(t, root, "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n")
	return root
}

func put(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// fill does what the kernel does to a new group.
func fill(t *testing.T, group, schemata string) {
	t.Helper()
	put(t, group+"/tasks", "")
	put(t, group+"/schemata", schemata)
}

func text(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestGroup(t *testing.T) {
	root := tree(t)
	g := root + "/box"
	if err := Exists(g); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
	if made, err := Make(g); err != nil || !made {
		t.Fatal(made, err)
	}
	if made, err := Make(g); err != nil || made {
		t.Error("made again:", made, err)
	}
	if err := Exists(g); err != nil {
		t.Error(err)
	}
	if err := MakeNew(g); !errors.Is(err, syscall.EEXIST) {
		t.Errorf("got %v", err)
	}
	if err := Exists(root + "/tasks"); !errors.Is(err, syscall.ENOTDIR) {
		t.Errorf("got %v", err)
	}
	fill(t, g, "")
	if err := Write(g, "L3:0=f\nMB:0=20"); err != nil || text(t, g+"/schemata") != "L3:0=f\nMB:0=20\n" {
		t.Error(err, text(t, g+"/schemata"))
	}
	if !Unused(g) {
		t.Error("used without a process")
	}
	if err := Join(g, 4711); err != nil || text(t, g+"/tasks") != "4711" {
		t.Error(err, text(t, g+"/tasks"))
	}
	if Unused(g) {
		t.Error("unused with a process in it")
	}
	if err := Remove(g); !errors.Is(err, syscall.ENOTEMPTY) { // a tmpfs, unlike resctrl, does not take the files away
		t.Errorf("got %v", err)
	}
	_ = os.Remove(g + "/tasks")
	_ = os.Remove(g + "/schemata")
	for range 2 {
		if err := Remove(g); err != nil {
			t.Error(err)
		}
	}
	if err := Exists(g); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("still there: %v", err)
	}
}

// A refusal comes with the kernel's reason, from wherever the group is.
func TestReason(t *testing.T) {
	root := tree(t)
	put(t, root+"/info/last_cmd_status", "mask f0f has non-consecutive 1-bits\n")
	g := root + "/c/mon_groups/m"
	if err := os.MkdirAll(g+"/tasks", 0o755); err != nil { // not to be written
		t.Fatal(err)
	}
	if err := Join(g, 1); !errors.Is(err, syscall.EISDIR) || !strings.HasSuffix(err.Error(), ": mask f0f has non-consecutive 1-bits") {
		t.Errorf("got %v", err)
	}
	if err := Write(root+"/none", "x"); !errors.Is(err, syscall.ENOENT) || strings.Contains(err.Error(), "mask") {
		t.Errorf("a missing file is not what that command was about: %v", err)
	}
}

func TestMatch(t *testing.T) {
	root := tree(t)
	g := root + "/class"
	fill(t, g, "    MB:0= 30;1=  70\n  SMBA:0=2048\n    L3:0=007f0;1=0001f\n    L2:0=ff\n")
	for line, want := range map[string]string{
		"L3:0=7f0;1=1f": "", "L3:1=1F": "", "L3:0=7f0": "", "L3: 0 = 7f0 ": "", "MB:0=30;1=70": "", "MB:0=25;1=61": "", "MB:1=70": "", "SMBA:0=2048": "",
		"L3:0=7ff":     `the class exists with another value, "L3:0=007f0;1=0001f"`,
		"L3:2=1":       `the class exists with another value, "L3:0=007f0;1=0001f"`,
		"MB:0=20":      `the class exists with another value, "MB:0= 30;1=  70"`,
		"MB:0=31":      `the class exists with another value, "MB:0= 30;1=  70"`,
		"L3:":          `the class exists with another value, "L3:0=007f0;1=0001f"`,
		"L3CODE:0=7f0": `the class exists and has no L3CODE in its schemata`,
	} {
		got := ""
		if err := Match(g, line); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if err := Match(root+"/none", "L3:0=1"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v", err)
	}
}
