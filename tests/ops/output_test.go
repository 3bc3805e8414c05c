package ops

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// Hooks write to the files of their slots, before the gate and after it; at the
// gate these are open and nothing else of the host is; the program has none.
func TestHookOutputFiles(t *testing.T) {
	const say = "echo out $A; echo err $A >&2"
	for _, c := range []struct{ out, err, both bool }{{out: true, err: true}, {out: true}, {err: true}, {both: true}} {
		dir := t.TempDir()
		b := newBox(t)
		ns := b.plan.NewSlot("unused") // one descriptor of the host more, in front
		b.add(plan.NsOpen("f", "/proc/self/ns/uts", plan.NewUTS, ns))
		var out, errs plan.Slot
		kept := 0
		if c.out || c.both {
			out = b.plan.NewSlot("out")
			b.add(plan.HookLog("f", dir+"/out", out))
			kept++
		}
		if c.err {
			errs = b.plan.NewSlot("err")
			b.add(plan.HookLog("f", dir+"/err", errs))
			kept++
		}
		if c.both {
			errs = out
		}
		b.add(plan.GateOpen("f"), plan.FdSeal(3), plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", self(t), ""),
			sh(say, 0, "A=early").WithOutput(out, errs), plan.SyncArrive("look"), plan.SyncAwait("looked"),
			plan.Gate().WithOutput(out, errs), sh(say, 0, "A=late").WithOutput(out, errs), plan.FdClose(3), plan.Exec("f", []string{"probe"})).start()
		at := slices.IndexFunc(b.plan.Ops, func(op plan.Op) bool { return op.Code == plan.OpSyncArrive })
		b.arrive(at)
		fifo, err := os.OpenFile(b.gate, os.O_RDWR, 0)
		b.must("open gate", err)
		b.release(at + 1)
		b.hangUp()
		open := func() []string { return b.slotFds(func(string) bool { return true }) }
		atGate := 3 + 1 + kept // the standard streams, the fifo, the files
		for range 1000 {
			if len(open()) == atGate {
				break
			}
			_ = unix.Nanosleep(&unix.Timespec{Nsec: 2e6}, nil)
		}
		if got := open(); len(got) != atGate {
			t.Errorf("%+v: open at the gate: %v", c, got)
		}
		_, err = fifo.Write([]byte{'0'})
		b.must("start", err)
		equal(t, "exit status", b.wait(), 0)
		fifo.Close()
		want := map[string]string{"out": "", "err": ""}
		for _, a := range []string{"early", "late"} {
			if c.out || c.both {
				want["out"] += "out " + a + "\n"
			}
			if c.both {
				want["out"] += "err " + a + "\n"
			}
			if c.err {
				want["err"] += "err " + a + "\n"
			}
		}
		for name, text := range want {
			got, _ := os.ReadFile(dir + "/" + name)
			equal(t, name, string(got), text)
		}
		if strings.Contains(b.output(), dir) {
			t.Errorf("the program has one of the files: %s", b.output())
		}
	}
}

// What has no file is in the report of a hook that fails, what has one is not.
func TestHookOutputOfAFailure(t *testing.T) {
	b := newBox(t)
	out := b.plan.NewSlot("out")
	b.add(plan.HookLog("f", t.TempDir()+"/out", out), sh("echo one; echo two >&2; exit 5", 0).WithOutput(out, plan.NoSlot)).fails("hook", unix.ECANCELED, "exit status 5: two")
}

// The caller's groups stay where the ops say so, in a new user namespace and in
// one that is joined, and nowhere else.
func TestKeepGroups(t *testing.T) {
	groups, err := syscall.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setgroups(groups) }()
	if err := syscall.Setgroups([]int{4711}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		flags uint32
		want  string
	}{{0, ""}, {plan.FlagKeepGroups, "4711"}} {
		top, join := plan.BecomeRoot("f"), plan.NsJoin("f", plan.NewUser, 0)
		top.Flags, join.Flags = c.flags, c.flags
		id := plan.Identity("f", 5, 6, 0o22, nil, c.flags)

		b := newBox(t).add(plan.Unshare("f", plan.NewUser), plan.SyncArrive("made"), plan.SyncAwait("mapped"), top, id,
			plan.SyncArrive("look"), plan.SyncAwait("looked")).start().mapped(100000)
		b.arrive(5)
		equal(t, "groups in a new user namespace", b.status("Groups"), c.want)

		j := newBox(t)
		slot := j.plan.NewSlot("user")
		join.Num[1] = uint64(slot)
		j.add(plan.NsOpen("f", b.proc("ns/user"), plan.NewUser, slot), join, top, id).look()
		equal(t, "groups in one that is joined", j.status("Groups"), c.want)
		j.end()
		b.end()
	}
}

// Where descriptors are closed before the gate (a filter that needs privilege)
// and Linux before 5.11 cannot mark them, the files are there for a later hook.
func TestHookOutputAfterFdClose(t *testing.T) {
	for _, old := range []bool{false, true} {
		b, path := newBox(t), t.TempDir()+"/out"
		if old {
			b.flagged = append(b.flagged, flaggedCall{unix.SYS_CLOSE_RANGE, 2, 4, uint32(unix.EINVAL)})
		}
		out := b.plan.NewSlot("out")
		b.add(plan.HookLog("f", path, out), plan.GateOpen("f"), plan.FdSeal(3), plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", self(t), ""),
			plan.FdClose(3), plan.Gate().WithOutput(out, plan.NoSlot), sh("echo late", 0).WithOutput(out, plan.NoSlot), plan.Exec("f", []string{"probe"}))
		fifo := b.startGated()
		_, err := fifo.Write([]byte{'0'})
		b.must("start", err)
		equal(t, "exit status", b.wait(), 0)
		fifo.Close()
		got, _ := os.ReadFile(path)
		equal(t, "file", string(got), "late\n")
		if strings.Contains(b.output(), path) {
			t.Errorf("the program has the file: %s", b.output())
		}
	}
}
