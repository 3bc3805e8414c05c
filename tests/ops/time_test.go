package ops

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

func timeOffsetEffect(t *testing.T) {
	b := newBox(t).add(plan.TimeOpen("f"), plan.Unshare("f", plan.NewTime), plan.TimeOffset("f", "monotonic 864000 7\nboottime 1728000 0\n"), plan.Fork("f", 0, plan.NoSlot)).look()
	got := strings.Join(strings.Fields(b.read("timens_offsets")), " ")
	equal(t, "offsets", got, "monotonic 864000 7 boottime 1728000 0")
	mine, err := os.Readlink("/proc/self/ns/time")
	b.must("readlink", err)
	if b.link("ns/time") == mine {
		t.Error("the sibling is not in the new time namespace")
	}
}

func timeOffsetFailure(t *testing.T) {
	newBox(t).add(plan.TimeOpen("f"), plan.Unshare("f", plan.NewTime), plan.TimeOffset("f", "realtime 1 0\n")).fails("write", unix.EINVAL, "")
}

// Offsets in a user namespace of its own: the file was opened before, and the
// process is dumpable at no time.
func TestTimeOffsetInUserNamespace(t *testing.T) {
	b := newBox(t).add(plan.TimeOpen("f"), plan.Unshare("f", plan.NewUser), plan.SyncArrive("made"), plan.SyncAwait("mapped"), plan.BecomeRoot("f"),
		plan.Unshare("f", plan.NewTime), plan.TimeOffset("f", "boottime 99 0\n"), plan.Fork("f", plan.NewPID|plan.NewNS, plan.NoSlot),
		plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
	b.arrive(2)
	b.mapIDs(100000)
	b.release(3)
	b.arrive(8)
	equal(t, "offsets", strings.Join(strings.Fields(b.read("timens_offsets")), " "), "monotonic 0 0 boottime 99 0")
	equal(t, "NSpid", strings.HasSuffix(b.status("NSpid"), "\t1"), true)
	equal(t, "owner of its files", b.owner(), 0)
}

// owner is who owns the process's files in /proc: root, on the host, of one that
// is not dumpable.
func (b *box) owner() int {
	b.t.Helper()
	return int(stat(b.t, b.proc("stat")).Uid)
}

// The files of a process that is dumpable belong to its user.
func exposeEffect(t *testing.T) {
	const user, admin = 12345, 21
	as := func() *box {
		b := newBox(t)
		b.user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}, AmbientCaps: []uintptr{admin}}
		return b
	}
	equal(t, "owner before", as().add(plan.FdSeal(3)).look().owner(), 0)
	equal(t, "owner", as().add(plan.Expose("f")).look().owner(), user)
	// Both ways into a namespace end it.
	b := as()
	slot := b.plan.NewSlot("uts")
	b.add(plan.NsOpen("f", "/proc/self/ns/uts", plan.NewUTS, slot), plan.Expose("f"), plan.NsJoin("f", plan.NewUTS, slot)).look()
	equal(t, "owner after ns-join", b.owner(), 0)
	b = as().add(plan.Expose("f")).userns().add(plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
	b.arrive(2)
	equal(t, "owner in the new user namespace", b.owner(), user)
	b.mapIDs(user)
	b.release(3)
	b.arrive(5)
	equal(t, "owner after become-root", b.owner(), 0)
}

func timeOpenEffect(t *testing.T) {
	b := newBox(t).add(plan.TimeOpen("f")).look()
	found := false
	entries, err := os.ReadDir(b.proc("fd"))
	b.must("fd", err)
	for _, e := range entries {
		found = found || strings.HasSuffix(b.link("fd/"+e.Name()), "/timens_offsets")
	}
	equal(t, "open", found, true)
}

// Who is not root and not exposed may not.
func timeOpenFailure(t *testing.T) {
	b := newBox(t)
	b.user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	b.add(plan.TimeOpen("f")).fails("open", unix.EACCES, "")
}
