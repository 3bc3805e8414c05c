//go:build vm

package integration

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests behind the tag "vm" change the whole machine: modules, swap, huge
// pages. tests/vm runs them in one that is thrown away.

func init() { patience = 3 * time.Minute } // emulation, on a host that does other things too

const v2Root = "/sys/fs/cgroup"

// newV2Box is a box on a host with cgroup v2 alone, with limits to be set.
func newV2Box(t *testing.T, edits ...func(*specs.Spec)) *box {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(v2Root, &st); err != nil || st.Type != unix.CGROUP2_SUPER_MAGIC {
		t.Fatalf("%s is no cgroup v2 tree (%v, type %#x)", v2Root, err, st.Type)
	}
	return newBox(t, edits...)
}

// shellOf gives the box busybox, and makes its program a shell command.
func (b *box) shellOf(command string) {
	b.t.Helper()
	if _, err := os.Stat(b.rootfs + "/bin/busybox"); err != nil {
		b.copyFile("/bin/busybox", "bin/busybox", 0o755)
		b.must(os.Symlink("busybox", b.rootfs+"/bin/sh"))
		for _, d := range []string{"dd", "cat", "mkdir", "sleep", "id", "ls", "rmdir"} {
			b.must(os.Symlink("busybox", b.rootfs+"/bin/"+d))
		}
	}
	b.edit(args("/bin/sh", "-c", command))
}

// cgroup is the container's directory.
func (b *box) cgroup() string {
	if p := b.spec.Linux.CgroupsPath; p != "" {
		return v2Root + p
	}
	return v2Root + "/" + b.id
}

// value reads a file of the container's cgroup.
func (b *box) value(file string) string {
	b.t.Helper()
	return strings.TrimSpace(readText(b.t, b.cgroup()+"/"+file))
}

// counter finds "key N" in a file of the container's cgroup.
func (b *box) counter(file, key string) int64 {
	b.t.Helper()
	for line := range strings.Lines(b.value(file) + "\n") {
		if v, ok := strings.CutPrefix(line, key+" "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
			b.must(err)
			return n
		}
	}
	b.t.Fatalf("%s has no %s", file, key)
	return 0
}

// cpuTime is how much of a processor the container used in a time, in thousandths.
func (b *box) cpuTime(over time.Duration) int64 {
	b.t.Helper()
	began, before := time.Now(), b.counter("cpu.stat", "usage_usec")
	time.Sleep(over)
	return (b.counter("cpu.stat", "usage_usec") - before) * 1000 / time.Since(began).Microseconds()
}

// adjust writes a file of the machine, and another value at the end.
func adjust(t *testing.T, path, value, old string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(value), 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.WriteFile(path, []byte(old), 0); err != nil {
			t.Error(err)
		}
	})
}

// must run a command of the machine.
func hostRun(t *testing.T, words ...string) string {
	t.Helper()
	out, err := hostCommand(words...)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
	}
	return out
}
