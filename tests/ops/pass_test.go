package ops

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// passing is a box whose host opens n files called tasks after the spawn, and the
// gate. They are joined in the opposite order.
func passing(t *testing.T, n int) (b *box, dirs []string) {
	b = newBox(t).add(plan.Spawn("f", 0, plan.NoSlot))
	slots := make([]plan.Slot, n)
	for i := range slots {
		dir := filepath.Join(t.TempDir(), strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "tasks"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, dir)
		slots[i] = b.plan.NewSlot("cgroup-" + strconv.Itoa(i))
		b.beside(plan.CgroupMake("f", "pids", dir, "tasks", slots[i], 0))
	}
	b.beside(plan.GateOpen("f"), plan.FdSeal(3), plan.FdPass())
	return b, dirs
}

// What is passed comes to the slots of the ops that have opened it, is the process's
// own, and is closed by the program that it becomes.
func fdPassEffect(t *testing.T) {
	b, dirs := passing(t, 3)
	at := len(b.plan.Ops) - 1
	b.add(plan.CgroupJoin("f", plan.FirstDynamic+1)).lookPassed()
	b.pass(at, b.passed...)
	b.arrive(len(b.plan.Ops) - 2)
	for i, want := range []string{"", "0", ""} {
		if got, err := os.ReadFile(filepath.Join(dirs[i], "tasks")); err != nil || string(got) != want {
			t.Errorf("file %d has %q, want %q (%v)", i, got, want, err)
		}
	}
	fds, err := os.ReadDir("/proc/" + strconv.Itoa(b.pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	open := map[string]int{}
	for _, fd := range fds {
		path, _ := os.Readlink("/proc/" + strconv.Itoa(b.pid) + "/fd/" + fd.Name())
		open[path]++
		if strings.HasSuffix(path, "/tasks") || path == b.gate {
			info, _ := os.ReadFile("/proc/" + strconv.Itoa(b.pid) + "/fdinfo/" + fd.Name())
			if !strings.Contains(string(info), "flags:\t02") {
				t.Errorf("%s would stay open: %s", path, info)
			}
		}
	}
	for path, want := range map[string]int{filepath.Join(dirs[0], "tasks"): 1, filepath.Join(dirs[1], "tasks"): 0, filepath.Join(dirs[2], "tasks"): 1, b.gate: 1} {
		if open[path] != want {
			t.Errorf("%s is open %d times, want %d", path, open[path], want)
		}
	}
}

// lookPassed starts a plan that ends as that of look does, but waits before for fd-pass.
func (b *box) lookPassed() *box {
	return b.add(plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
}

// As many as one message takes.
func TestPassMost(t *testing.T) {
	b, dirs := passing(t, plan.MaxPassed-1) // and the gate
	at := len(b.plan.Ops) - 1
	b.add(plan.CgroupJoin("f", plan.FirstDynamic+plan.MaxPassed-2)).lookPassed()
	b.pass(at, b.passed...)
	b.arrive(len(b.plan.Ops) - 2)
	if got, err := os.ReadFile(filepath.Join(dirs[len(dirs)-1], "tasks")); err != nil || string(got) != "0" {
		t.Errorf("the last has %q (%v)", got, err)
	}
}

// A host that passes something else than the plan says is not trusted.
func fdPassFailure(t *testing.T) {
	for name, pass := range map[string]func(b *box, at int){
		"too few":     func(b *box, at int) { b.pass(at, b.passed[:2]...) },
		"none":        func(b *box, at int) { b.release(at) },
		"too many":    func(b *box, at int) { b.pass(at, append(b.passed, b.passed[0])...) },
		"another op":  func(b *box, at int) { b.pass(at-1, b.passed...) },
		"no whole op": func(b *box, _ int) { b.must("send", unix.Send(b.sync, []byte{1}, unix.MSG_NOSIGNAL)) },
	} {
		t.Run(name, func(t *testing.T) {
			b, _ := passing(t, 2)
			b.start()
			pass(b, len(b.plan.Ops)-1)
			b.failed("receive", syscall.EPROTO, "")
		})
	}
	b, _ := passing(t, 1)
	b.inject(unix.SYS_RECVMSG, unix.ENOMEM).fails("receive", unix.ENOMEM, "")

	b, _ = passing(t, 8)
	b.start()
	b.must("prlimit", unix.Prlimit(b.pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 8, Max: 64}, nil))
	b.pass(len(b.plan.Ops)-1, b.passed...)
	b.failed("receive", syscall.EMFILE, "")
}

// A host that dies takes the process along.
func TestPassNobody(t *testing.T) {
	b, _ := passing(t, 1)
	b.start().hangUp()
	if code := b.wait(); code != 1 {
		t.Errorf("the init ended with %d, want 1", code)
	}
}
