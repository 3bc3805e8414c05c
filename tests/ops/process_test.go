package ops

import (
	"encoding/binary"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// slotFds lists the descriptors of the init that f accepts.
func (b *box) slotFds(f func(path string) bool) []string {
	b.t.Helper()
	dir, err := os.ReadDir(b.proc("fd"))
	b.must("fd", err)
	var out []string
	for _, e := range dir {
		if p := b.proc("fd/") + e.Name(); f(p) {
			out = append(out, p)
		}
	}
	return out
}

func isProc(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.PROC_SUPER_MAGIC
}

func procOpenEffect(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWPID
	b.add(plan.ProcOpen("f")).look()
	fds := b.slotFds(isProc)
	if len(fds) != 1 {
		t.Fatalf("descriptors of a procfs: %v", fds)
	}
	// Of the container's own pid namespace, where the init is process 1 ...
	self, err := os.ReadFile(fds[0] + "/1/comm")
	if err != nil || strings.TrimSpace(string(self)) != "tare:init" {
		t.Errorf("process 1 is %q, %v", self, err)
	}
	// ... and mounted nowhere but where the host has one already.
	host, err := os.ReadFile("/proc/self/mountinfo")
	b.must("mountinfo", err)
	for _, m := range b.mounts() {
		if m.fstype == "proc" && !strings.Contains(string(host), " "+m.at+" ") {
			t.Errorf("procfs is mounted at %s", m.at)
		}
	}
}

// Where a new procfs is refused the host's is used, but only if it is one.
func procOpenFailure(t *testing.T) {
	b := newBox(t).inject(unix.SYS_FSOPEN, unix.EPERM).add(plan.ProcOpen("f")).look()
	if fds := b.slotFds(isProc); len(fds) != 1 {
		t.Errorf("descriptors of a procfs: %v", fds)
	}
	b = newBox(t).inject(unix.SYS_FSOPEN, unix.EPERM)
	b.root = tree(t, "proc/sys/kernel", "proc/sys/kernel/domainname = x")
	b.add(plan.ProcOpen("f")).fails("fstatfs", unix.EXDEV, "")
	b = newBox(t).inject(unix.SYS_FSOPEN, unix.EPERM)
	b.root = tree(t)
	b.add(plan.ProcOpen("f")).fails("open", unix.ENOENT, "")
}

func nullOpenEffect(t *testing.T) {
	b := newBox(t).add(plan.FdSeal(3), plan.NullOpen("f")).look()
	fds := b.slotFds(func(p string) bool {
		var st unix.Stat_t
		n, err := strconv.Atoi(p[strings.LastIndexByte(p, '/')+1:])
		return err == nil && n > 2 && unix.Stat(p, &st) == nil && st.Rdev == unix.Mkdev(1, 3)
	})
	if len(fds) != 1 {
		t.Errorf("descriptors of the null device: %v", fds)
	}
}

func nullOpenFailure(t *testing.T) {
	for _, c := range []struct {
		tree  []string
		step  string
		errno unix.Errno
	}{
		{[]string{}, "open", unix.ENOENT},
		{[]string{"dev/", "dev/null = "}, "identity", unix.EEXIST},
		{[]string{"dev/", "dev/null -> zero"}, "identity", unix.EEXIST},
	} {
		b := newBox(t)
		b.root = tree(t, c.tree...)
		b.add(plan.NullOpen("f")).fails(c.step, c.errno, "")
	}
	b := newBox(t)
	b.root = tree(t, "dev/")
	b.must("mknod", unix.Mknod(b.root+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))))
	b.add(plan.NullOpen("f")).fails("identity", unix.EEXIST, "")
}

func sysctlEffect(t *testing.T) {
	host, err := os.ReadFile("/proc/sys/kernel/msgmax")
	if err != nil {
		t.Fatal(err)
	}
	b := newBox(t)
	b.flags = unix.CLONE_NEWIPC | unix.CLONE_NEWNET
	b.add(plan.ProcOpen("f"), plan.Sysctl("f", "kernel/msgmax", "12345"), plan.Sysctl("f", "net/ipv4/ip_forward", "1"), plan.SyncArrive("look"), plan.SyncAwait("looked"))
	b.start().arrive(3)
	fds := b.slotFds(isProc)
	for _, c := range []struct{ ns, key, want string }{{"ipc", "kernel/msgmax", "12345"}, {"net", "net/ipv4/ip_forward", "1"}} {
		b.inside(c.ns, func() {
			at := "/proc"
			if c.ns == "net" { // whose sysctls are those of the process that opened the procfs
				at = fds[0]
			}
			got, err := os.ReadFile(at + "/sys/" + c.key)
			if err != nil || strings.TrimSpace(string(got)) != c.want {
				t.Errorf("%s is %q, %v, want %s", c.key, got, err, c.want)
			}
		})
	}
	after, err := os.ReadFile("/proc/sys/kernel/msgmax")
	b.must("read", err)
	equal(t, "the host's msgmax", string(after), string(host))
}

func sysctlFailure(t *testing.T) {
	for _, c := range []struct {
		key, value, step string
		errno            unix.Errno
	}{
		{"kernel/no_such_key", "1", "openat2", unix.ENOENT},
		{"kernel/msgmax", "many", "write", unix.EINVAL},
		{"kernel/../../self/oom_score_adj", "1", "openat2", unix.ELOOP},
		{"kernel/" + strings.Repeat("x", 4096), "1", "check", unix.ENAMETOOLONG},
	} {
		b := newBox(t)
		b.flags = unix.CLONE_NEWIPC
		b.add(plan.ProcOpen("f"), plan.Sysctl("f", c.key, c.value)).fails(c.step, c.errno, "")
	}
}

// lsm returns the attribute and the label to try, where the kernel has an LSM
// that labels programs.
func lsm() (attr, label string) {
	if b, err := os.ReadFile("/sys/module/apparmor/parameters/enabled"); err == nil && b[0] == 'Y' {
		return "apparmor/exec", "exec unconfined"
	}
	if b, err := os.ReadFile("/sys/fs/selinux/enforce"); err == nil && len(b) > 0 {
		return "exec", "system_u:system_r:unconfined_t:s0"
	}
	return "", ""
}

func lsmExecEffect(t *testing.T) {
	attr, label := lsm()
	if attr == "" {
		t.Skip("this kernel runs neither AppArmor nor SELinux")
	}
	b := newBox(t).add(plan.ProcOpen("f"), plan.LsmExec("f", attr, label)).look()
	equal(t, attr, strings.TrimSpace(b.read("attr/"+attr)), strings.TrimPrefix(label, "exec "))
}

func lsmExecFailure(t *testing.T) {
	newBox(t).add(plan.ProcOpen("f"), plan.LsmExec("f", "no-such-lsm/exec", "x")).fails("openat2", unix.ENOENT, "")
	if attr, _ := lsm(); attr == "" {
		// The file itself is reached; the kernel has nobody to ask.
		newBox(t).add(plan.ProcOpen("f"), plan.LsmExec("f", "exec", "x")).fails("write", unix.EINVAL, "")
	}
}

func stdioOwnerEffect(t *testing.T) {
	null := stat(t, "/dev/null").Uid
	b := newBox(t).add(plan.StdioOwner("f", null+1, 0)).look()
	equal(t, "owner of stdout", stat(t, b.out.Name()).Uid, null+1)
	equal(t, "owner of /dev/null", stat(t, "/dev/null").Uid, null)
}

func stdioOwnerFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_FCHOWNAT, unix.EIO).add(plan.StdioOwner("f", 1, 0)).fails("chown", unix.EIO, "")
	// What cannot change hands stays as it is.
	for _, errno := range []unix.Errno{unix.EINVAL, unix.EPERM, unix.EROFS} {
		newBox(t).inject(unix.SYS_FCHOWNAT, errno).add(plan.StdioOwner("f", 1, 0)).look()
	}
}

func rlimitEffect(t *testing.T) {
	b := newBox(t).add(plan.Rlimit("f", "RLIMIT_NOFILE", 7, 64, 128), plan.Rlimit("f", "RLIMIT_CORE", 4, 0, 0)).look()
	var l unix.Rlimit
	b.must("prlimit", unix.Prlimit(b.pid, unix.RLIMIT_NOFILE, nil, &l))
	equal(t, "RLIMIT_NOFILE", l, unix.Rlimit{Cur: 64, Max: 128})
	b.must("prlimit", unix.Prlimit(b.pid, unix.RLIMIT_CORE, nil, &l))
	equal(t, "RLIMIT_CORE", l, unix.Rlimit{})
}

func rlimitFailure(t *testing.T) {
	newBox(t).add(plan.Rlimit("f", "RLIMIT_NOFILE", 7, 128, 64)).fails("setrlimit", unix.EINVAL, "")
	newBox(t).add(plan.Rlimit("f", "RLIMIT_NONE", 99, 1, 1)).fails("setrlimit", unix.EINVAL, "")
}

func personalityEffect(t *testing.T) {
	b := newBox(t).add(plan.Personality("f", 0x0008)).look()
	equal(t, "personality", strings.TrimSpace(b.read("personality")), "00000008")
}

func personalityFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_PERSONALITY, unix.EINVAL).add(plan.Personality("f", 8)).fails("personality", unix.EINVAL, "")
}

// schedAttr is struct sched_attr of a policy.
func schedAttr(policy uint32, nice int32) []byte {
	b := make([]byte, 48)
	le := binary.LittleEndian
	le.PutUint32(b, 48)
	le.PutUint32(b[4:], policy)
	le.PutUint32(b[16:], uint32(nice))
	return b
}

func schedulerEffect(t *testing.T) {
	b := newBox(t).add(plan.Scheduler("f", "SCHED_BATCH", schedAttr(unix.SCHED_BATCH, 7))).look()
	got, err := unix.SchedGetAttr(b.pid, 0)
	if err != nil || got.Policy != unix.SCHED_BATCH || got.Nice != 7 {
		t.Errorf("scheduling is %+v, %v", got, err)
	}
}

func schedulerFailure(t *testing.T) {
	newBox(t).add(plan.Scheduler("f", "SCHED_NONE", schedAttr(99, 0))).fails("sched_setattr", unix.EINVAL, "")
}

func ioPriorityEffect(t *testing.T) {
	const prio = 2<<13 | 5 // best effort, level 5
	b := newBox(t).add(plan.IOPriority("f", prio)).look()
	got, _, errno := unix.Syscall(unix.SYS_IOPRIO_GET, 1, uintptr(b.pid), 0)
	if errno != 0 || got != prio {
		t.Errorf("I/O priority %#x, %v, want %#x", got, errno, prio)
	}
}

func ioPriorityFailure(t *testing.T) {
	newBox(t).add(plan.IOPriority("f", 7<<13)).fails("ioprio_set", unix.EINVAL, "")
}

func affinityEffect(t *testing.T) {
	newBox(t).add(plan.Affinity("f", "0", []byte{1, 0, 0, 0, 0, 0, 0, 0}, 0)).look().onTheFirstCPU()
}

func (b *box) onTheFirstCPU() {
	b.t.Helper()
	var set unix.CPUSet
	b.must("sched_getaffinity", unix.SchedGetaffinity(b.pid, &set))
	if set.Count() != 1 || !set.IsSet(0) {
		b.t.Errorf("CPUs %v", set)
	}
}

func affinityFailure(t *testing.T) {
	newBox(t).add(plan.Affinity("f", "none", make([]byte, 8), 0)).fails("sched_setaffinity", unix.EINVAL, "")
	newBox(t).add(plan.Affinity("f", "none", make([]byte, 8), plan.FlagIgnore)).look()
}

func memoryPolicyEffect(t *testing.T) {
	b := newBox(t).add(plan.MemoryPolicy("f", "MPOL_BIND", 2, []byte{1, 0, 0, 0, 0, 0, 0, 0})).look()
	if got := b.read("numa_maps"); !strings.Contains(got, " bind:0 ") {
		t.Errorf("numa_maps:\n%s", got)
	}
}

func memoryPolicyFailure(t *testing.T) {
	newBox(t).add(plan.MemoryPolicy("f", "MPOL_NONE", 99, nil)).fails("set_mempolicy", unix.EINVAL, "")
}

// A sibling that the host was never told of must not go on.
func TestForkWithoutReport(t *testing.T) {
	out := t.TempDir() + "/went-on"
	b := newBox(t).inject(unix.SYS_SENDTO, unix.EPIPE).add(plan.Fork("f", 0, plan.NoSlot), sh("echo >"+out, 0)).start()
	if r, err := b.report(); err != errClosed { // by both processes
		t.Fatalf("got %s, %v, want a closed socket", b.text(&r), err)
	}
	equal(t, "exit status", b.wait(), 1)
	if _, err := os.Stat(out); err == nil {
		t.Error("the sibling went on")
	}
}
