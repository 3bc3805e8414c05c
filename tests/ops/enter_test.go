package ops

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

func syncArriveEffect(t *testing.T) {
	b := newBox(t).add(plan.Session(), plan.SyncArrive("one"), plan.SyncArrive("two"), plan.SyncAwait("end")).start()
	for i := 1; i <= 2; i++ {
		r, err := b.report()
		if err != nil || r.Kind != initproto.Sync || int(r.Op) != i || r.Errno != 0 || r.Detail != "" {
			t.Fatalf("got %s, %v, want the sync of op %d", b.text(&r), err, i)
		}
	}
}

// A host that is gone cannot be told; the init ends all the same.
func syncArriveFailure(t *testing.T) {
	b := newBox(t).inject(unix.SYS_SENDTO, unix.EPIPE).add(plan.SyncArrive("one"), plan.SyncAwait("end")).start()
	equal(t, "exit status", b.wait(), 1)
	if r, err := b.report(); err != errClosed {
		t.Errorf("got %s, %v, want a closed socket", b.text(&r), err)
	}
}

func syncAwaitEffect(t *testing.T) {
	b := newBox(t).add(plan.SyncArrive("one"), plan.SyncAwait("go"), plan.SyncArrive("two"), plan.SyncAwait("end")).start()
	b.arrive(0)
	tv := unix.NsecToTimeval(100e6)
	b.must("timeout", unix.SetsockoptTimeval(b.sync, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	if r, err := b.report(); err == nil {
		t.Fatalf("the init did not wait: %s", b.text(&r))
	}
	b.release(1)
	tv = unix.NsecToTimeval(patience.Nanoseconds())
	b.must("timeout", unix.SetsockoptTimeval(b.sync, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	b.arrive(2)
}

func syncAwaitFailure(t *testing.T) {
	b := newBox(t).add(plan.SyncArrive("one"), plan.SyncAwait("go")).start()
	b.arrive(0)
	b.release(7)
	b.failed("receive", unix.EPROTO, "")
}

// The creator's death closes the socket; a container half made must not stay.
func TestInitEndsWithItsCreator(t *testing.T) {
	b := newBox(t).add(plan.SyncArrive("one"), plan.SyncAwait("go")).start()
	b.arrive(0)
	b.hangUp()
	equal(t, "exit status", b.wait(), 1)
}

func fdSealEffect(t *testing.T) {
	b := newBox(t).leaky().add(plan.FdSeal(3))
	p := b.program()
	for n, to := range p.Fds {
		if strings.Contains(to, "leak") {
			t.Errorf("descriptor %s, %s, reached the program", n, to)
		}
	}
}

func fdSealFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_CLOSE_RANGE, unix.EPERM).add(plan.FdSeal(3)).fails("close_range", unix.EPERM, "")
}

// leaky has the init inherit descriptors that are not close-on-exec.
func (b *box) leaky() *box {
	for i := range 3 {
		f, err := os.Create(filepath.Join(b.t.TempDir(), fmt.Sprintf("leak%d", i)))
		b.must("create", err)
		b.t.Cleanup(func() { f.Close() })
		b.extra = append(b.extra, f)
	}
	return b
}

// pidsCgroup makes a directory in the first v1 hierarchy, or in the unified one.
func pidsCgroup(t *testing.T) string {
	t.Helper()
	for _, top := range []string{"/sys/fs/cgroup/pids", "/sys/fs/cgroup/freezer"} {
		if _, err := os.Stat(top + "/tasks"); err != nil {
			continue
		}
		dir := top + "/tare-ops-" + strconv.Itoa(os.Getpid())
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	t.Skip("no cgroup v1 hierarchy is mounted, where the op is for")
	return ""
}

func cgroupJoinEffect(t *testing.T) {
	dir := pidsCgroup(t)
	defer os.Remove(dir)
	b := newBox(t)
	slot := b.plan.NewSlot("pids")
	b.add(plan.CgroupMake("f", "pids", dir, "tasks", slot, 0), plan.CgroupJoin("f", slot)).look()
	if got := b.read("cgroup"); !strings.Contains(got, ":/"+filepath.Base(dir)+"\n") {
		t.Errorf("the init is in\n%s", got)
	}
	b.end()
}

func cgroupJoinFailure(t *testing.T) {
	dir := pidsCgroup(t)
	defer os.Remove(dir)
	b := newBox(t)
	slot := b.plan.NewSlot("pids")
	// "0" is no answer that this file takes.
	b.add(plan.CgroupMake("f", "pids", dir, "cgroup.procs", slot, 0), plan.CgroupJoin("f", slot)).fails("write", unix.EBADF, "")
}

func oomScoreEffect(t *testing.T) {
	b := newBox(t).add(plan.OomScore("f", "345")).look()
	equal(t, "oom_score_adj", strings.TrimSpace(b.read("oom_score_adj")), "345")
}

func oomScoreFailure(t *testing.T) {
	newBox(t).add(plan.OomScore("f", "2000")).fails("write", unix.EINVAL, "")
}

// donor is a process with namespaces of its own that others can join.
func donor(t *testing.T, flags uintptr) *box {
	t.Helper()
	b := newBox(t)
	b.flags = flags
	return b.add(plan.Session()).look()
}

func nsJoinEffect(t *testing.T) {
	d := donor(t, unix.CLONE_NEWNET|unix.CLONE_NEWUTS|unix.CLONE_NEWIPC)
	b := newBox(t)
	types := []struct {
		name string
		flag uint64
	}{{"net", plan.NewNet}, {"uts", plan.NewUTS}, {"ipc", plan.NewIPC}, {"mnt", plan.NewNS}}
	slots := make([]plan.Slot, len(types))
	for i, ns := range types {
		slots[i] = b.plan.NewSlot(ns.name)
		b.add(plan.NsOpen("f", d.proc("ns/"+ns.name), ns.flag, slots[i]))
	}
	for i, ns := range types {
		b.add(plan.NsJoin("f", ns.flag, slots[i]))
	}
	b.look()
	for _, ns := range types {
		equal(t, ns.name, b.link("ns/"+ns.name), d.link("ns/"+ns.name))
	}
}

func nsJoinFailure(t *testing.T) {
	b := newBox(t)
	slot := b.plan.NewSlot("ns")
	b.add(plan.NsOpen("f", "/proc/self/ns/uts", plan.NewNet, slot), plan.NsJoin("f", plan.NewNet, slot)).fails("setns", unix.EINVAL, "")
}

// A joined pid namespace holds for the sibling that the fork op makes.
func TestJoinPidNamespace(t *testing.T) {
	d := donor(t, unix.CLONE_NEWPID)
	b := newBox(t)
	slot := b.plan.NewSlot("pid")
	b.add(plan.NsOpen("f", d.proc("ns/pid"), plan.NewPID, slot), plan.NsJoin("f", plan.NewPID, slot), plan.Fork("f", 0, plan.NoSlot)).look()
	equal(t, "pid namespace", b.link("ns/pid"), d.link("ns/pid"))
	if got := strings.Fields(b.status("NSpid")); len(got) < 2 || got[len(got)-1] == "1" {
		t.Errorf("NSpid is %v, want a number above 1 in the joined namespace", got)
	}
}

// A joined user namespace, entered before another one that belongs to it.
func TestJoinUserNamespace(t *testing.T) {
	d := newBox(t).add(plan.Unshare("f", plan.NewUser), plan.SyncArrive("made"), plan.SyncAwait("mapped"),
		plan.BecomeRoot("f"), plan.Unshare("f", plan.NewUTS), plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
	d.arrive(1)
	d.mapIDs(100000)
	d.release(2)
	d.arrive(5)
	b := newBox(t)
	user, uts := b.plan.NewSlot("user"), b.plan.NewSlot("uts")
	b.add(plan.NsOpen("f", d.proc("ns/user"), plan.NewUser, user), plan.NsOpen("f", d.proc("ns/uts"), plan.NewUTS, uts),
		plan.NsJoin("f", plan.NewUser, user), plan.BecomeRoot("f"), plan.NsJoin("f", plan.NewUTS, uts), plan.Hostname("f", "inner")).look()
	equal(t, "user namespace", b.link("ns/user"), d.link("ns/user"))
	equal(t, "uid", b.status("Uid"), "100000\t100000\t100000\t100000")
	d.inside("uts", func() {
		if name, err := os.Hostname(); err != nil || name != "inner" {
			t.Errorf("host name %q, %v, want inner", name, err)
		}
	})
}

func unshareEffect(t *testing.T) {
	all := map[string]uint64{"net": plan.NewNet, "uts": plan.NewUTS, "ipc": plan.NewIPC, "cgroup": plan.NewCgroup, "mnt": plan.NewNS}
	var flags uint64
	for _, f := range all {
		flags |= f
	}
	b := newBox(t).add(plan.Unshare("f", flags)).look()
	for name := range all {
		if mine, err := os.Readlink("/proc/self/ns/" + name); err != nil || b.link("ns/"+name) == mine {
			t.Errorf("%s namespace is still %s, %v", name, mine, err)
		}
	}
	for _, name := range []string{"pid", "user", "time"} {
		mine, err := os.Readlink("/proc/self/ns/" + name)
		b.must("readlink", err)
		equal(t, name, b.link("ns/"+name), mine)
	}
}

func unshareFailure(t *testing.T) {
	newBox(t).add(plan.Unshare("f", 1)).fails("unshare", unix.EINVAL, "")
}

func forkEffect(t *testing.T) {
	b := newBox(t).add(plan.Fork("f", plan.NewPID|plan.NewUTS, plan.NoSlot)).look()
	first := b.pids[0]
	if b.pid == first {
		t.Fatal("no fork was reported")
	}
	equal(t, "parent", b.status("PPid"), strconv.Itoa(os.Getpid()))
	equal(t, "NSpid ends in 1", strings.HasSuffix(b.status("NSpid"), "\t1"), true)
	var ws syscall.WaitStatus
	if _, err := syscall.Wait4(first, &ws, 0, nil); err != nil || ws.ExitStatus() != 0 {
		t.Errorf("the first process ended with %v, %v", ws, err)
	}
	b.pids = b.pids[1:]
}

// TestForkIntoCgroup: the sibling is born into a v2 cgroup, where its parent never
// was, and has no way into it open.
func TestForkIntoCgroup(t *testing.T) {
	dir := ""
	for _, top := range []string{"/sys/fs/cgroup", "/sys/fs/cgroup/unified"} {
		if _, err := os.Stat(top + "/cgroup.subtree_control"); err == nil {
			dir = top + "/tare-ops-" + strconv.Itoa(os.Getpid())
		}
	}
	if dir == "" {
		t.Skip("no cgroup v2 hierarchy is mounted")
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	b := newBox(t)
	slot := b.plan.NewSlot("unified")
	b.add(plan.CgroupMake("f", "unified", dir, "", slot, plan.FlagV2), plan.Fork("f", plan.NewPID, slot)).look()
	if got := b.read("cgroup"); !strings.Contains(got, "0::/"+filepath.Base(dir)+"\n") {
		t.Errorf("the sibling is in\n%s", got)
	}
	for fd, to := range b.fds() {
		if strings.Contains(to, "/tare-ops-") {
			t.Errorf("descriptor %d is open: %s", fd, to)
		}
	}
	b.end()
}

func forkFailure(t *testing.T) {
	newBox(t).add(plan.Fork("f", plan.NewUser|unix.CLONE_FS, plan.NoSlot)).fails("clone", unix.EINVAL, "")
}

// mapIDs maps 1000 ids of the process's user namespace to first and the next ones.
func (b *box) mapIDs(first int) {
	b.t.Helper()
	line := []byte(fmt.Sprintf("0 %d 1000\n", first))
	b.must("uid_map", os.WriteFile(b.proc("uid_map"), line, 0))
	b.must("gid_map", os.WriteFile(b.proc("gid_map"), line, 0))
}

// userns begins a plan in a new user namespace whose id 0 is first on the host.
func (b *box) userns() *box {
	return b.add(plan.Unshare("f", plan.NewUser), plan.SyncArrive("made"), plan.SyncAwait("mapped"), plan.BecomeRoot("f"))
}

// mapped follows userns once the plan has been started.
func (b *box) mapped(first int) *box {
	b.t.Helper()
	for i := range b.plan.Ops {
		if b.plan.Ops[i].Code == plan.OpSyncArrive {
			b.arrive(i)
			b.mapIDs(first)
			b.release(i + 1)
			return b
		}
	}
	b.t.Fatal("no user namespace in the plan")
	return b
}

// startMapped runs a plan that userns has begun.
func (b *box) startMapped(first int) *box { b.t.Helper(); return b.start().mapped(first) }

func becomeRootEffect(t *testing.T) {
	b := newBox(t).userns().add(plan.SyncArrive("look"), plan.SyncAwait("looked")).start().mapped(100000)
	b.arrive(4)
	equal(t, "uid", b.status("Uid"), "100000\t100000\t100000\t100000")
	equal(t, "gid", b.status("Gid"), "100000\t100000\t100000\t100000")
	equal(t, "groups", b.status("Groups"), "")
	equal(t, "effective capabilities", b.status("CapEff"), "000001ffffffffff")
	// Not dumpable: nobody in a namespace joined later may open its files.
	equal(t, "owner of /proc/PID/environ", stat(t, b.proc("environ")).Uid, 0)
}

func becomeRootFailure(t *testing.T) {
	newBox(t).add(plan.Unshare("f", plan.NewUser), plan.BecomeRoot("f")).fails("setgid", unix.EINVAL, "")
}

func sessionEffect(t *testing.T) {
	b := newBox(t).add(plan.Session()).look()
	f := strings.Fields(b.read("stat")[strings.LastIndexByte(b.read("stat"), ')')+1:])
	equal(t, "process group", f[2], strconv.Itoa(b.pid))
	equal(t, "session", f[3], strconv.Itoa(b.pid))
}

func sessionFailure(t *testing.T) {
	newBox(t).add(plan.Session(), plan.Session()).fails("setsid", unix.EPERM, "")
}

func keyringEffect(t *testing.T) {
	p := newBox(t).add(plan.Keyring("_ses.tare-ops")).program()
	if !strings.HasPrefix(p.Keyring, "keyring;0;0;") || !strings.HasSuffix(p.Keyring, ";_ses.tare-ops") {
		t.Errorf("session keyring %q", p.Keyring)
	}
}

func keyringFailure(t *testing.T) {
	newBox(t).add(plan.Keyring(".reserved")).fails("keyctl", unix.EPERM, "")
	newBox(t).inject(unix.SYS_KEYCTL, unix.EDQUOT).add(plan.Keyring("_ses.tare-ops")).fails("keyctl", unix.EDQUOT, "")
	// A kernel without keyrings.
	newBox(t).inject(unix.SYS_KEYCTL, unix.ENOSYS).add(plan.Keyring("_ses.tare-ops")).look()
}

func loopbackUpEffect(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWNET
	b.add(plan.LoopbackUp("f")).look()
	b.inside("net", func() {
		s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
		b.must("socket", err)
		defer unix.Close(s)
		lo, err := unix.NewIfreq("lo")
		b.must("ifreq", err)
		if err := unix.IoctlIfreq(s, unix.SIOCGIFFLAGS, lo); err != nil || lo.Uint16()&unix.IFF_UP == 0 {
			t.Errorf("lo has flags %#x, %v", lo.Uint16(), err)
		}
	})
}

func loopbackUpFailure(t *testing.T) {
	b := newBox(t).inject(unix.SYS_IOCTL, unix.EPERM)
	b.flags = unix.CLONE_NEWNET
	b.add(plan.LoopbackUp("f")).fails("ioctl", unix.EPERM, "")
}

// uts returns the names of the process's UTS namespace.
func (b *box) uts() (host, domain string) {
	b.inside("uts", func() {
		var u unix.Utsname
		b.must("uname", unix.Uname(&u))
		host, domain = unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:])
	})
	return host, domain
}

func hostnameEffect(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWUTS
	host, _ := b.add(plan.Hostname("f", "tare-host")).look().uts()
	equal(t, "host name", host, "tare-host")
}

func hostnameFailure(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWUTS
	b.add(plan.Hostname("f", strings.Repeat("h", 65))).fails("sethostname", unix.EINVAL, "")
}

func domainnameEffect(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWUTS
	_, domain := b.add(plan.Domainname("f", "tare.example")).look().uts()
	equal(t, "domain name", domain, "tare.example")
}

func domainnameFailure(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWUTS
	b.add(plan.Domainname("f", strings.Repeat("d", 65))).fails("setdomainname", unix.EINVAL, "")
}
