package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/tests/cgroupview"
)

// newShellBox makes a box whose program is a script for busybox's sh. Its programs
// are not in the PATH: "busybox dd".
func newShellBox(t *testing.T, script string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	const at = "/bin/busybox"
	_, err := os.Stat(at)
	need(t, "a static busybox", err)
	b := newBox(t, args("/bin/sh", "-c", script))
	b.copyFile(at, "bin/busybox", 0o755)
	b.must(os.Symlink("busybox", b.rootfs+"/bin/sh"))
	b.edit(edits...)
	b.allow = append(b.allow, "work")
	return b
}

// launch creates and starts the container.
func (b *box) launch() result {
	b.t.Helper()
	r := b.create()
	b.start()
	return r
}

// onV2 says that a controller is found in the v2 tree and in no v1 hierarchy. The
// freezer, CPU accounting and devices are in every v2 cgroup. Where there is
// neither, the test is skipped.
func (b *box) onV2(controller string) bool {
	b.t.Helper()
	_, v2 := b.hierarchyOf(controller)
	return v2
}

func (b *box) hierarchyOf(controller string) (at string, v2 bool) {
	b.t.Helper()
	unified := ""
	for _, m := range parseMounts(readText(b.t, "/proc/self/mountinfo")) {
		if m.fstype == "cgroup2" && unified == "" {
			unified = m.at
		}
		for _, o := range strings.Split(m.sb, ",") {
			if m.fstype == "cgroup" && o == controller {
				return m.at, false
			}
		}
	}
	v2Name := map[string]string{"blkio": "io", "freezer": "", "cpuacct": "", "devices": ""}
	name, ok := v2Name[controller]
	if !ok {
		name = controller
	}
	if unified == "" || name != "" && !strings.Contains(" "+strings.TrimSpace(readText(b.t, unified+"/cgroup.controllers"))+" ", " "+name+" ") {
		b.t.Skipf("no cgroup hierarchy with %q is mounted: %s", controller, readText(b.t, "/proc/cgroups"))
	}
	return unified, true
}

// v1Only skips a test about something that only cgroup v1 has.
func v1Only(t *testing.T, controllers ...string) {
	t.Helper()
	for _, c := range controllers {
		if b := (&box{t: t}); b.onV2(c) {
			t.Skipf("the controller %s is cgroup v2's here", c)
		}
	}
}

// cgroupAt is the container's directory in the hierarchy that has a controller.
func (b *box) cgroupAt(controller string) string {
	b.t.Helper()
	at, _ := b.hierarchyOf(controller)
	for _, d := range cgroupDirs(b.id) {
		if strings.HasPrefix(d, at+"/") && filepath.Base(d) == b.id {
			return d
		}
	}
	b.t.Fatalf("the container has no cgroup below %s", at)
	return ""
}

// frozen is what the kernel says, "THAWED", "FREEZING" or "FROZEN".
func (b *box) frozen() string {
	b.t.Helper()
	if !b.onV2("freezer") {
		return b.limit("freezer", "freezer.state")
	}
	switch {
	case b.limit("freezer", "cgroup.freeze") == "0":
		return "THAWED"
	case b.field("freezer", "cgroup.events", "frozen") == 0:
		return "FREEZING"
	}
	return "FROZEN"
}

// cpuUsed is the container's CPU time.
func (b *box) cpuUsed() time.Duration {
	b.t.Helper()
	if b.onV2("cpuacct") {
		return time.Duration(b.field("cpuacct", "cpu.stat", "usage_usec")) * time.Microsecond
	}
	return time.Duration(b.number("cpuacct", "cpuacct.usage"))
}

// limits are the most usual ones, in the config's units; -1 is none.
type limits struct{ memory, total, quota, period, pids int64 }

func (b *box) limits() (l limits) {
	b.t.Helper()
	number := func(text string) int64 {
		n, err := strconv.ParseUint(text, 10, 64)
		if text == "max" || text == "-1" || err == nil && n > 1<<62 {
			return -1
		}
		b.must(err)
		return int64(n)
	}
	l.pids = number(b.limit("pids", "pids.max"))
	if b.onV2("cpu") {
		quota, period, _ := strings.Cut(b.limit("cpu", "cpu.max"), " ")
		l.quota, l.period = number(quota), number(period)
	} else {
		l.quota, l.period = number(b.limit("cpu", "cpu.cfs_quota_us")), number(b.limit("cpu", "cpu.cfs_period_us"))
	}
	if !b.onV2("memory") {
		l.memory, l.total = number(b.limit("memory", "memory.limit_in_bytes")), number(b.limit("memory", "memory.memsw.limit_in_bytes"))
		return l
	}
	l.memory, l.total = number(b.limit("memory", "memory.max")), number(b.limit("memory", "memory.swap.max"))
	if l.total >= 0 {
		l.total += l.memory
	}
	return l
}

// limit reads a file of the container's cgroup.
func (b *box) limit(controller, file string) string {
	b.t.Helper()
	return strings.TrimSpace(readText(b.t, b.cgroupAt(controller)+"/"+file))
}

func (b *box) number(controller, file string) int64 {
	b.t.Helper()
	n, err := strconv.ParseInt(b.limit(controller, file), 10, 64)
	b.must(err)
	return n
}

// field reads one line "name number" of a file of the container's cgroup.
func (b *box) field(controller, file, name string) int64 {
	b.t.Helper()
	for line := range strings.Lines(b.limit(controller, file)) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			n, err := strconv.ParseInt(f[1], 10, 64)
			b.must(err)
			return n
		}
	}
	b.t.Fatalf("%s has no %s", file, name)
	return 0
}

// settings are the files of the container's cgroups that hold limits, by path.
func (b *box) settings() map[string]string {
	b.t.Helper()
	out := map[string]string{}
	for _, d := range cgroupDirs(b.id) {
		entries, err := os.ReadDir(d)
		b.must(err)
		for _, e := range entries {
			n := e.Name()
			for _, word := range []string{"limit_in_bytes", ".max", "cfs_", "rt_", "shares", ".low", ".high", "cpuset.cpus", "cpuset.mems", "weight", "throttle", "swappiness", "oom_control",
				"classid", "ifpriomap", "cpu.idle"} {
				if strings.Contains(n, word) && !strings.Contains(n, "io_serv") && !strings.Contains(n, "max_usage") && !strings.Contains(n, "effective") {
					if data, err := os.ReadFile(d + "/" + n); err == nil {
						out[d+"/"+n] = string(data)
					}
				}
			}
		}
	}
	if len(out) < 10 {
		b.t.Fatalf("only %d files with limits were found: %v", len(out), out)
	}
	return out
}

// sameSettings demands that the limits are what they were.
func (b *box) sameSettings(before map[string]string) {
	b.t.Helper()
	for file, now := range b.settings() {
		if now != before[file] {
			b.t.Errorf("%s was %q and is %q", file, before[file], now)
		}
	}
}

// mountHierarchy mounts cgroup v1 controllers below the test's own directory, for
// as long as the test runs: together if they are free, and else the first as it is
// mounted elsewhere. A hierarchy is the whole kernel's, and cannot be put together anew
// while it is in use. One that was free is so again after the test.
func mountHierarchy(t *testing.T, controllers string) string {
	t.Helper()
	at := filepath.Join(workDir, "odd place", strings.ReplaceAll(controllers, ",", "+"))
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	bound := cgroupview.Bound(controllers)
	err := unix.Mount("cgroup", at, "cgroup", 0, controllers)
	if first, _, _ := strings.Cut(controllers, ","); err == unix.EBUSY {
		t.Logf("%s cannot be mounted so: %v", controllers, err)
		err = unix.Mount("cgroup", at, "cgroup", 0, cgroupview.Mounted(first))
	}
	need(t, "a free cgroup v1 hierarchy for "+controllers, err)
	t.Cleanup(func() {
		entries, _ := os.ReadDir(at)
		for _, e := range entries {
			if e.IsDir() && strings.HasPrefix(e.Name(), tag) {
				t.Errorf("left behind in the hierarchy of %s: %s", controllers, e.Name())
			}
		}
		release := func() error { return unix.Unmount(at, 0) }
		if !bound {
			release = func() error { return cgroupview.Dissolve(at, controllers) }
		}
		if err := release(); err != nil {
			t.Errorf("unmount %s: %v", at, err)
		}
	})
	return at
}

// loopDevice attaches an image to a free loop device.
func loopDevice(b *box, image string) string {
	b.t.Helper()
	out, err := exec.Command("losetup", "--find", "--show", image).CombinedOutput()
	if err != nil {
		need(b.t, "a loop device", fmt.Errorf("%w: %s", err, out))
	}
	device := strings.TrimSpace(string(out))
	b.t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			b.t.Errorf("losetup --detach %s: %v: %s", device, err, out)
		}
	})
	return device
}
