package ops

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// What shows a joined namespace of others is made while there is privilege over it,
// and stands in where a user namespace has none.
func fsOpenEffect(t *testing.T) {
	d := donor(t, unix.CLONE_NEWIPC|unix.CLONE_NEWPID)
	b := newBox(t)
	root := tree(t, "proc/", "mqueue/")
	ipc, pid := b.plan.NewSlot("ipc"), b.plan.NewSlot("pid")
	proc, mqueue := b.plan.NewSlot("proc-0"), b.plan.NewSlot("mqueue-1")
	source := b.plan.NewSlot("tree")
	b.add(plan.TreeOpen("f", root, source, plan.FlagRecursive), plan.NsOpen("f", d.proc("ns/ipc"), plan.NewIPC, ipc), plan.NsOpen("f", d.proc("ns/pid"), plan.NewPID, pid),
		plan.NsJoin("f", plan.NewIPC, ipc), plan.NsJoin("f", plan.NewPID, pid),
		plan.FsOpen("f", "proc", []string{"hidepid=2"}, proc, plan.FlagIgnore), plan.FsOpen("f", "mqueue", nil, mqueue, plan.FlagIgnore)).userns()
	b.add(plan.Fork("f", plan.NewNS, plan.NoSlot), plan.MountPropagation("f", plan.PropSlave|plan.PropRec), plan.RootBind("f", root, source, 0),
		plan.MountFs(plan.Mount{Type: "proc", Source: "proc", Tree: proc, At: "/proc", Flags: plan.FlagRealDir, Attr: plan.Attr(plan.AttrNosuid, 0)}),
		plan.MountFs(plan.Mount{Type: "mqueue", Source: "mqueue", Tree: mqueue, At: "/mqueue"}),
		plan.RootPivot("f"), plan.SyncArrive("look"), plan.SyncAwait("looked"))
	b.startMapped(100000).arrive(len(b.plan.Ops) - 2)
	m := b.mount("/proc")
	equal(t, "type", m.fstype, "proc")
	if !strings.Contains(m.opts, "nosuid") || !strings.Contains(m.super, "hidepid=") {
		t.Errorf("the options are %s and %s", m.opts, m.super)
	}
	_, err := os.Stat(b.at("/proc/1/stat")) // the donor
	b.must("process 1 of the joined namespace", err)
	if _, err := os.Stat(b.at("/proc/" + strconv.Itoa(d.pid))); err == nil {
		t.Error("the procfs shows the host's processes")
	}
	equal(t, "type", b.mount("/mqueue").fstype, "mqueue")
}

// A file system that nobody knows is a failure, and one that is to be ignored leaves
// what comes after it to the kernel's own word.
func fsOpenFailure(t *testing.T) {
	b := newBox(t)
	b.add(plan.FsOpen("f", "nosuchfs", nil, b.plan.NewSlot("x"), 0)).fails("fsopen", unix.ENODEV, "")
	b = newBox(t)
	b.add(plan.FsOpen("f", "proc", []string{"nosuchoption"}, b.plan.NewSlot("x"), 0)).fails("fsmount", unix.EINVAL, "")
}
