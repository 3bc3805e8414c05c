package devfilter

import (
	"errors"
	"fmt"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childEnv makes this program open and make device nodes, and print what came of it.
const childEnv = "TARE_TEST_DEVICES"

func TestMain(m *testing.M) {
	if script := os.Getenv(childEnv); script != "" {
		child(script)
		return
	}
	os.Exit(m.Run())
}

// child does "open PATH FLAGS" and "mknod PATH MODE DEV" lines.
func child(script string) {
	for _, line := range strings.Split(script, "\n") {
		var verb, path string
		var a, b uint32
		var err error
		if _, scanErr := fmt.Sscan(line, &verb, &path, &a, &b); scanErr != nil {
			panic(scanErr)
		}
		switch verb {
		case "open":
			var fd int
			if fd, err = unix.Open(path, int(a)|unix.O_CLOEXEC|unix.O_NONBLOCK, 0); err == nil {
				unix.Close(fd)
			}
		case "mknod":
			if err = unix.Mknod(path, a, int(b)); err == nil {
				err = os.Remove(path)
			}
		}
		var errno unix.Errno
		errors.As(err, &errno)
		fmt.Println(int(errno))
	}
}

var cgroups atomic.Int32

// newCgroup makes a cgroup on the machine's v2 tree.
func newCgroup(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("loading a program needs root")
	}
	mount := ""
	for _, at := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		var st unix.Statfs_t
		if unix.Statfs(at, &st) == nil && st.Type == unix.CGROUP2_SUPER_MAGIC {
			mount = at
		}
	}
	if mount == "" {
		t.Skip("no cgroup v2 tree is mounted")
	}
	dir := fmt.Sprintf("%s/devfilter-%d-%d", mount, os.Getpid(), cgroups.Add(1))
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// in runs the child in the cgroup and returns an errno for each line.
func in(t *testing.T, cgroup string, lines ...string) []string {
	t.Helper()
	fd, err := unix.Open(cgroup, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{childEnv + "=" + strings.Join(lines, "\n")}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: fd}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.Fields(string(out))
}

const denied = int(unix.EPERM)

func attach(t *testing.T, cgroup string, lines ...string) {
	t.Helper()
	if err := Attach(cgroup, mustCompile(t, mustParse(t, lines...))); err != nil {
		t.Fatal(err)
	}
}

func expectErrnos(t *testing.T, what string, got []string, want ...int) {
	t.Helper()
	if g, w := strings.Join(got, " "), strings.Trim(fmt.Sprint(want), "[]"); g != w {
		t.Errorf("%s: errnos are %s, expected %s", what, g, w)
	}
}

func TestKernelObeys(t *testing.T) {
	dir := newCgroup(t)
	made := t.TempDir()
	ask := []string{
		fmt.Sprintf("open /dev/null %d 0", unix.O_RDONLY), fmt.Sprintf("open /dev/null %d 0", unix.O_WRONLY),
		fmt.Sprintf("open /dev/null %d 0", unix.O_RDWR), fmt.Sprintf("open /dev/zero %d 0", unix.O_RDONLY),
		fmt.Sprintf("mknod %s %d %d", filepath.Join(made, "a"), unix.S_IFCHR|0o600, unix.Mkdev(1, 3)),
		fmt.Sprintf("mknod %s %d %d", filepath.Join(made, "b"), unix.S_IFBLK|0o600, unix.Mkdev(7, 0)),
	}
	expectErrnos(t, "before", in(t, dir, ask...), 0, 0, 0, 0, 0, 0)
	attach(t, dir, "deny a", "allow c 1:3 r", "allow b *:* m")
	expectErrnos(t, "reading null, making block devices", in(t, dir, ask...), 0, denied, denied, denied, denied, 0)
	// The second one replaces the first: both together would deny everything.
	attach(t, dir, "deny a", "allow c 1:* rwm", "deny c 1:5 r")
	expectErrnos(t, "all memory devices but zero", in(t, dir, ask...), 0, 0, 0, denied, 0, denied)
	attach(t, dir, "deny a")
	expectErrnos(t, "nothing", in(t, dir, ask...), denied, denied, denied, denied, denied, denied)
	attach(t, dir, "allow a", "deny c 1:3 w")
	expectErrnos(t, "all but writing null", in(t, dir, ask...), 0, denied, denied, 0, 0, 0)
}

// TestOthersPrograms: a cgroup below cannot allow what one above denies, and a
// program of somebody else stays in force.
func TestOthersPrograms(t *testing.T) {
	dir := newCgroup(t)
	below := dir + "/below"
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(below)
	ask := []string{fmt.Sprintf("open /dev/null %d 0", unix.O_RDONLY), fmt.Sprintf("open /dev/zero %d 0", unix.O_RDONLY), fmt.Sprintf("open /dev/full %d 0", unix.O_RDONLY)}
	attach(t, dir, "deny a", "allow c 1:3 r", "allow c 1:7 r")
	attach(t, below, "deny a", "allow c 1:3 r", "allow c 1:5 r")
	expectErrnos(t, "below", in(t, below, ask...), 0, denied, denied)
	expectErrnos(t, "above", in(t, dir, ask...), 0, denied, 0)
}

// TestVerifier loads random lists: the kernel takes whatever the compiler makes.
func TestVerifier(t *testing.T) {
	newCgroup(t)
	r := rand.New(rand.NewSource(2))
	for range 300 {
		rules := randomRules(r)
		fd, err := load(mustCompile(t, rules))
		if err != nil {
			t.Fatalf("%+v: %v", rules, err)
		}
		unix.Close(fd)
	}
	if _, err := load([]Instruction{insn(opExit, 0, 0, 0, 0)}); err == nil || !strings.Contains(err.Error(), "R0 !read_ok") {
		t.Errorf("a program without an answer: %v, expected the verifier's word", err)
	}
}

func TestAttachRefuses(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/not/there"} {
		if err := Attach(dir, mustCompile(t, nil)); err == nil {
			t.Errorf("attached to %s", dir)
		}
	}
}

// TestLockedMemory: kernels before 5.11 need the limit out of the way, for a moment.
func TestLockedMemory(t *testing.T) {
	get := func() (l unix.Rlimit) {
		t.Helper()
		if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
			t.Fatal(err)
		}
		return l
	}
	set := func(l unix.Rlimit) {
		t.Helper()
		if err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &l, nil); err != nil {
			t.Fatal(err)
		}
	}
	whole := get()
	defer set(whole)
	small := unix.Rlimit{Cur: 4096, Max: whole.Max}
	set(small)
	var during unix.Rlimit
	if err := withLockedMemory(func() { during = get() }); err != nil {
		t.Fatal(err)
	}
	if during.Cur < whole.Max || get() != small {
		t.Errorf("during %v, after %v; expected at least %d and %v", during, get(), whole.Max, small)
	}
}

// TestGoesWithTheCgroup: nothing has to take a program away again.
func TestGoesWithTheCgroup(t *testing.T) {
	id := uint32(0)
	t.Run("attach", func(t *testing.T) {
		dir := newCgroup(t)
		attach(t, dir, "deny a", "allow c 1:3 rwm")
		fd, err := unix.Open(dir, unix.O_DIRECTORY|unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
		q := queryAttr{target: uint32(fd), kind: unix.BPF_CGROUP_DEVICE, ids: pointer(unsafe.Pointer(&id)), count: 1}
		if _, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&q), unsafe.Sizeof(q)); err != nil || q.count != 1 || id == 0 {
			t.Fatalf("%d programs, the first is %d: %v", q.count, id, err)
		}
	})
	if id == 0 {
		return // skipped, or failed
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		get := idAttr{id: id}
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&get), unsafe.Sizeof(get))
		if errors.Is(err, unix.ENOENT) {
			return
		}
		if err == nil {
			unix.Close(fd)
		}
		if time.Now().After(end) {
			t.Fatalf("the program %d is still there (%v), its cgroup is not", id, err)
		}
	}
}
