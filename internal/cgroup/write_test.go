package cgroup

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWriteForms(t *testing.T) {
	h := with(t, "pids")
	rel := name(t)
	newCgroup(t, h, rel)
	dir := h.mount + rel
	for _, c := range []struct{ file, value, want string }{
		{"pids.max", "7", "7"},
		{"pids.none|pids.max", "8", "8"},
		{"pids.max|pids.none", "9", "9"},
		{"pids.none|pids.max", "wrong|10", "10"},
		{"pids.max|pids.none", "11|wrong", "11"},
		{"pids.none|pids.max|", "x|12", "12"},
		{"pids.none|", "13", "12"},
		{"pids.max", "max", "max"},
	} {
		if err := Write(dir, c.file, c.value); err != nil {
			t.Errorf("%s=%s: %v", c.file, c.value, err)
		}
		if got := read(t, dir+"/pids.max"); got != c.want {
			t.Errorf("%s=%s: pids.max is %s, want %s", c.file, c.value, got, c.want)
		}
	}
	for _, c := range []struct {
		file, value string
		err         error
		text        string
	}{
		{"pids.max", "x", unix.EINVAL, `write "x" to ` + dir + "/pids.max: invalid argument (the most is 4194304, PID_MAX_LIMIT; max is no limit)"},
		{"pids.max|pids.none", "x", unix.EINVAL, `write "x" to ` + dir + "/pids.max: invalid argument (the most is 4194304, PID_MAX_LIMIT; max is no limit)"},
		{"pids.none", "1", os.ErrNotExist, `write "1" to ` + dir + "/pids.none: no such file or directory"},
		{"pids.none|pids.gone", "1|2", os.ErrNotExist, `write "2" to ` + dir + "/pids.gone: no such file or directory"},
		{"../pids.max", "1", unix.EINVAL, "write to " + dir + "/../pids.max: invalid argument"},
		{"", "1", unix.EISDIR, `write "1" to ` + dir + "/: is a directory"},
	} {
		if err := Write(dir, c.file, c.value); !errors.Is(err, c.err) || err.Error() != c.text {
			t.Errorf("%s=%s: %v, want %s", c.file, c.value, err, c.text)
		}
	}
}

func TestWriteClears(t *testing.T) {
	h := with(t, "cpuset")
	rel := name(t)
	newCgroup(t, h, rel)
	if err := Write(h.mount+rel, "cpuset.cpus", ""); err != nil {
		t.Error(err)
	}
	if got := read(t, h.mount+rel+"/cpuset.cpus"); got != "" {
		t.Errorf("cpuset.cpus is %q", got)
	}
}

func TestWriterKeepsTheFileOpen(t *testing.T) {
	h := with(t, "devices")
	rel := name(t)
	newCgroup(t, h, rel)
	var w Writer
	defer w.Close()
	for _, line := range []string{"deny a", "allow c 1:3 rwm", "allow c 1:5 rw", "allow b *:* m"} {
		how, rule, _ := strings.Cut(line, " ")
		if err := w.Write(h.mount+rel, "devices."+how, rule); err != nil {
			t.Fatal(err)
		}
	}
	if got := read(t, h.mount+rel+"/devices.list"); got != "c 1:3 rwm\nc 1:5 rw\nb *:* m" {
		t.Errorf("devices.list is\n%s", got)
	}
}

// A limit below the usage is told with the usage.
func TestMemoryInUseIsNamed(t *testing.T) {
	h := with(t, "memory")
	rel := name(t)
	newCgroup(t, h, rel)
	dir := h.mount + rel
	c := start(t, "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 60 & wait", dir)
	defer func() {
		if err := Kill(soon(), Dir{h.mount, rel}); err != nil {
			t.Error(err)
		}
		c.isDead(t)
	}()
	waitUsage(t, dir, 15<<20)
	err := Write(dir, "memory.limit_in_bytes", "4096")
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), `write "4096" to `+dir+"/memory.limit_in_bytes: device or resource busy (in use: ") ||
		!strings.Contains(err.Error(), " bytes, at most so far: ") {
		t.Errorf("%v", err)
	}
}

func TestMissingControllerIsNamedV2(t *testing.T) {
	h := with(t, "")
	if strings.Contains(read(t, h.mount+"/cgroup.controllers"), "memory") {
		t.Skipf("%s has the memory controller", h.mount)
	}
	rel := name(t)
	newCgroup(t, h, rel)
	err := Write(h.mount+rel, "memory.max", "4096")
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "the controller memory is not enabled here") {
		t.Errorf("%v", err)
	}
}
