package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/specconv"
)

// rdtBox is a container whose resctrl file system is a tmpfs with the files of
// one: the machines that tare is tested on have none. The kernel fills a new
// group with files, and removes them with it; the tests do that themselves, so
// that groups which create makes have files only when they were there before.
type rdtBox struct {
	t    *testing.T
	root string // of resctrl
	rec  *state.Record
	o    CreateOptions
}

func newRdtBox(t *testing.T) *rdtBox {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: uid is", os.Geteuid())
	}
	dir := t.TempDir()
	b := &rdtBox{t: t, root: dir + "/resctrl"}
	b.must(os.MkdirAll(dir+"/bundle/rootfs", 0o755))
	b.must(os.Mkdir(b.root, 0o755))
	b.must(unix.Mount("resctrl-like", b.root, "tmpfs", 0, "size=1m"))
	t.Cleanup(func() { _ = unix.Unmount(b.root, unix.MNT_DETACH) })
	b.fill("")
	b.o = CreateOptions{ID: fmt.Sprintf("tare-test-rdt-%d", os.Getpid()), Bundle: dir + "/bundle", NoCgroup: true, NoNewKeyring: true}
	store, err := state.Open(dir+"/state", true)
	b.must(err)
	b.rec, err = store.Create(b.o.ID)
	b.must(err)
	t.Cleanup(b.rec.Unlock)
	return b
}

func (b *rdtBox) must(err error) {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
}

// fill makes a group as the kernel would.
func (b *rdtBox) fill(group string) {
	b.t.Helper()
	b.must(os.MkdirAll(filepath.Join(b.root, group, "mon_groups"), 0o755))
	b.must(os.WriteFile(filepath.Join(b.root, group, "tasks"), nil, 0o644))
	b.must(os.WriteFile(filepath.Join(b.root, group, "schemata"), []byte("    L3:0=00f;1=0ff\n    MB:0=100\n"), 0o644))
}

func (b *rdtBox) read(name string) string {
	data, err := os.ReadFile(filepath.Join(b.root, name))
	if err != nil {
		return err.(*fs.PathError).Err.Error()
	}
	return string(data)
}

func (b *rdtBox) exists(name string) bool {
	_, err := os.Stat(filepath.Join(b.root, name))
	return err == nil
}

// create runs the host's side of a create, up to the gate.
func (b *rdtBox) create(rdt *specs.LinuxIntelRdt) (*host, error) {
	b.t.Helper()
	spec := &specs.Spec{Version: specs.Version, Root: &specs.Root{Path: "rootfs"},
		Process: &specs.Process{Cwd: "/", Args: []string{"/prog"}},
		Linux:   &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}, IntelRdt: rdt}}
	b.must(os.WriteFile(b.o.Bundle+"/rootfs/prog", []byte("x"), 0o755))
	f := probe.Host(probe.Want{})
	f.Resctrl = b.root
	res, err := specconv.Compile(specconv.Input{ID: b.o.ID, Bundle: b.o.Bundle, Spec: spec, Facts: f, Gate: true, NoNewKeyring: true, NoCgroup: true})
	b.must(err)
	b.rec.RdtGroups, b.rec.RdtMade = nil, nil
	fillRecord(b.rec, &b.o, spec, res)
	b.must(b.rec.Begin())
	h := newHost(res.Plan, b.rec, &b.o)
	return h, h.run()
}

// remove is what delete does.
func (b *rdtBox) remove(h *host) error {
	unix.Close(h.sync)
	_ = syscall.Kill(h.pid, syscall.SIGKILL)
	reap(h.pid)
	return removeRdt(b.rec)
}

func TestRdtClassOfTheConfig(t *testing.T) {
	b := newRdtBox(t)
	b.fill("pool")
	h, err := b.create(&specs.LinuxIntelRdt{ClosID: "pool", L3CacheSchema: "L3:0=f;1=ff", MemBwSchema: "MB:0=100", Schemata: []string{"L2:0=1", "L2:1=3"}})
	b.must(err)
	if got := b.read("pool/tasks"); got != strconv.Itoa(h.pid) {
		t.Errorf("tasks: %q, want the process, %d", got, h.pid)
	}
	// What is there already is compared, and only schemata is written.
	if got := b.read("pool/schemata"); !strings.HasPrefix(got, "L2:0=1\nL2:1=3\n") {
		t.Errorf("schemata: %q", got)
	}
	if len(b.rec.RdtGroups) != 1 || len(b.rec.RdtMade) != 0 {
		t.Errorf("recorded %v, to remove %v", b.rec.RdtGroups, b.rec.RdtMade)
	}
	b.must(b.remove(h))
	if !b.exists("pool/tasks") {
		t.Error("delete removed a class that the config names")
	}
}

func TestRdtGroupOfTheContainer(t *testing.T) {
	b := newRdtBox(t)
	b.fill(b.o.ID) // somebody else's
	h, err := b.create(&specs.LinuxIntelRdt{MemBwSchema: "MB:0=50"})
	b.must(err)
	if got := b.read(b.o.ID + "/tasks"); got != strconv.Itoa(h.pid) {
		t.Errorf("tasks: %q", got)
	}
	if got := b.read(b.o.ID + "/schemata"); !strings.HasPrefix(got, "MB:0=50\n") {
		t.Errorf("schemata: %q", got)
	}
	b.must(b.remove(h))
	if !b.exists(b.o.ID) {
		t.Error("delete removed a group that was there before")
	}
}

// The groups that create makes are recorded before they are made, and gone when
// it fails: here because they lack the files that only the kernel makes, one at
// the join and one where the monitoring group is to be.
func TestRdtGroupsMade(t *testing.T) {
	for _, mon := range []bool{false, true} {
		b := newRdtBox(t)
		h, err := b.create(&specs.LinuxIntelRdt{EnableMonitoring: mon})
		what, made := "tasks", []string{b.root + "/" + b.o.ID}
		if mon {
			what, made = "mkdir", append(made, made[0]+"/mon_groups/"+b.o.ID)
		}
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), what) || !b.exists(b.o.ID) {
			t.Errorf("monitoring %v: %v", mon, err)
		}
		if !slices.Equal(b.rec.RdtMade, made) || !slices.Equal(b.rec.RdtGroups, made) {
			t.Errorf("recorded %v, to remove %v, want %v", b.rec.RdtGroups, b.rec.RdtMade, made)
		}
		h.fail()
		if b.exists(b.o.ID) {
			t.Error("a create that failed has left its group")
		}
	}
}

func TestRdtRefusals(t *testing.T) {
	for want, c := range map[string]struct {
		fill string
		rdt  specs.LinuxIntelRdt
	}{
		`linux.intelRdt.closID "ROOT/none": stat: no such file or directory (op 0/`:                              {"", specs.LinuxIntelRdt{ClosID: "none"}},
		`linux.intelRdt.l3CacheSchema "ROOT/pool": the class exists with another value, "L3:0=00f;1=0ff" (op 1/`: {"pool", specs.LinuxIntelRdt{ClosID: "pool", L3CacheSchema: "L3:0=1"}},
		`linux.intelRdt.memBwSchema "ROOT": the class exists with another value, "MB:0=100" (op 0/`:              {"", specs.LinuxIntelRdt{ClosID: "/", MemBwSchema: "MB:0=10"}},
		`linux.intelRdt.enableMonitoring "ROOT/pool/mon_groups/ID": mkdir: file exists (op 1/`:                   {"pool/mon_groups/ID", specs.LinuxIntelRdt{ClosID: "pool", EnableMonitoring: true}},
		`linux.intelRdt.schemata "ROOT/new": open ROOT/new/schemata: no such file or directory (op 1/`:           {"", specs.LinuxIntelRdt{ClosID: "new", Schemata: []string{"L3:0=1"}}},
	} {
		b := newRdtBox(t)
		name := func(s string) string {
			return strings.ReplaceAll(strings.ReplaceAll(s, "ROOT", b.root), "ID\"", b.o.ID+"\"")
		}
		if c.fill != "" {
			b.fill(strings.ReplaceAll(c.fill, "/ID", "/"+b.o.ID))
		}
		h, err := b.create(&c.rdt)
		if err == nil || !strings.HasPrefix(err.Error(), name(want)) {
			t.Errorf("got  %v\nwant %s", err, name(want))
		}
		if h.pid != 0 {
			t.Error("a process was made")
			_ = b.remove(h)
		}
		h.fail()
		if b.exists("new") {
			t.Error("the class is still there")
		}
	}
}
