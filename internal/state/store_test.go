package state

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func newStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "a", "b"), true)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sample() State {
	n := 5
	return State{Schema: Schema, ID: "x", Bundle: "/b \"q\"", Rootfs: "/b/rootfs", Created: "2026-01-02T03:04:05Z", Owner: 7,
		Annotations: map[string]string{"b": "2", "a": "1\n", "": "empty"}, Pid: 42, PidStart: 1<<63 + 1, PidNamespace: true, NoKeyring: true, Notify: true,
		HostMounts: true, MountNS: "/proc/9/ns/mnt", MountsAt: "/real/rootfs", CgroupsMade: true, MountsBefore: 2, MountNSInode: 4026532000, NetNS: 4026531833, ClassID: 0x100001, Priorities: []specs.LinuxInterfacePriority{{Name: "lo", Priority: 5}},
		Cgroups:   []Cgroup{{Hierarchy: "memory", Mount: "/sys/fs/cgroup/memory", Path: "/x", Created: []string{"/x"}}, {Mount: "/u", Path: "/x", V2: true}},
		RdtGroups: []string{"/r/class", "/r/class/mon_groups/x"}, RdtMade: []string{"/r/class/mon_groups/x"},
		Poststart: []specs.Hook{{Path: "/a", Args: []string{"a", ""}, Env: []string{}, Timeout: &n}},
		Poststop:  []specs.Hook{{Path: "/z"}, {Path: "/y", Env: []string{"A=b"}}}}
}

func TestRecordSurvivesTheRoundTrip(t *testing.T) {
	want := sample()
	got, err := Decode(want.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	if got.Poststart[0].Env == nil || got.Poststop[0].Env != nil {
		t.Error("an absent and an empty environment became the same")
	}
	if string(want.Encode()) != string(got.Encode()) {
		t.Error("the same record gives other bytes")
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	_, err := Decode([]byte(`{"schema":2,"id":"x"}`))
	var se *SchemaError
	if !errors.As(err, &se) || !strings.Contains(err.Error(), "schema 2") {
		t.Errorf("got %v", err)
	}
}

func TestIDs(t *testing.T) {
	for _, id := range []string{"a", "A-b_c+d.e", "..a", "a..", "0", strings.Repeat("x", 240)} {
		if err := CheckID(id); err != nil {
			t.Errorf("%q: %v", id, err)
		}
	}
	if err := CheckID(""); err != ErrEmptyID {
		t.Errorf("empty: %v", err)
	}
	for _, id := range []string{".", "..", "a/b", "/", "a b", "a\x00", "ä", "a\n", strings.Repeat("x", 241)} {
		if err := CheckID(id); !errors.Is(err, ErrID) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// The files of ids that look like each other's do not meet.
func TestNamesDoNotCollide(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"a", "a.json", "a.gate", "a.new", "a.dead"} {
		r, err := s.Create(id)
		if err != nil {
			t.Fatalf("%s: %v", id, err)
		}
		if err := r.Begin(); err != nil {
			t.Fatal(err)
		}
		fd, err := r.MakeGate()
		if err != nil {
			t.Fatal(err)
		}
		syscall.Close(fd)
		if err := r.Save(); err != nil {
			t.Fatal(err)
		}
		r.Unlock()
	}
	ids, err := s.List()
	if want := []string{"a", "a.dead", "a.gate", "a.json", "a.new"}; err != nil || !reflect.DeepEqual(ids, want) {
		t.Errorf("got %v, %v", ids, err)
	}
}

func TestLifeOfARecord(t *testing.T) {
	s := newStore(t)
	r, err := s.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Create("x"); !errors.Is(err, ErrExist) {
		t.Errorf("second create: %v", err)
	}
	// Nothing written yet: a reader sees a container being created.
	got, err := s.Load("x", false)
	if err != nil || !got.Busy || got.Pid != 0 {
		t.Errorf("while creating: %+v, %v", got, err)
	}
	r.State = sample()
	if err := r.Begin(); err != nil {
		t.Fatal(err)
	}
	r.Pid = 43
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	if got, err = s.Load("x", false); err != nil || got.Pid != 43 {
		t.Errorf("after save: %+v, %v", got, err)
	}
	r.Unlock()
	if r, err = s.Load("x", true); err != nil {
		t.Fatal(err)
	}
	if err := r.Bury(); err != nil {
		t.Fatal(err)
	}
	r.Unlock()
	if _, err := s.Load("x", false); !errors.Is(err, ErrNotExist) {
		t.Errorf("after bury: %v", err)
	}
	dead, err := s.LoadDead("x")
	if err != nil || dead.Pid != 43 {
		t.Fatalf("dead: %+v, %v", dead, err)
	}
	if err := dead.Forget(); err != nil {
		t.Fatal(err)
	}
	dead.Unlock()
	if left, _ := os.ReadDir(s.root); len(left) != 0 {
		t.Errorf("left: %v", left)
	}
}

// A creator that was killed leaves an unlocked record without a pid.
func TestDeadCreatorIsNotBusy(t *testing.T) {
	s := newStore(t)
	r, err := s.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	r.Unlock() // what the kernel does when the process dies
	got, err := s.Load("x", false)
	if err != nil || got.Busy {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Writers exclude each other although every save replaces the locked file, and
// a reader never sees half a record.
func TestLockMovesWithTheFile(t *testing.T) {
	s := newStore(t)
	r, err := s.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	r.State = sample()
	r.Pid = 0
	if err := r.Save(); err != nil {
		t.Fatal(err)
	}
	r.Unlock()
	const writers, rounds = 8, 25
	var wg sync.WaitGroup
	stop := make(chan struct{})
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				if _, err := s.Load("x", false); err != nil {
					t.Errorf("reader: %v", err)
				}
			}
		}
	}()
	for w := 0; w < writers; w++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := 0; i < rounds; i++ {
				r, err := s.Load("x", true)
				if err != nil {
					t.Error(err)
					return
				}
				r.Pid++
				if err := r.Save(); err != nil {
					t.Error(err)
				}
				r.Unlock()
			}
		}()
	}
	wg.Wait()
	close(stop)
	if got, err := s.Load("x", false); err != nil || got.Pid != writers*rounds {
		t.Errorf("pid %d, want %d: an update was lost (%v)", got.Pid, writers*rounds, err)
	}
}

func TestGate(t *testing.T) {
	s := newStore(t)
	r, err := s.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Unlock()
	if r.GateClosed() {
		t.Error("closed before it is made")
	}
	fd, err := r.MakeGate()
	if err != nil {
		t.Fatal(err)
	}
	if !r.GateClosed() {
		t.Error("open although somebody waits")
	}
	// The one who waits reads the byte and goes away, as at an execve.
	done := make(chan byte)
	go func() {
		var b [1]byte
		if n, err := syscall.Read(fd, b[:]); n != 1 || err != nil {
			t.Errorf("read: %d, %v", n, err)
		}
		time.Sleep(10 * time.Millisecond)
		syscall.Close(fd)
		done <- b[0]
	}()
	opened, err := r.OpenGate()
	if err != nil {
		t.Fatal(err)
	}
	if r.GateClosed() {
		t.Error("the gate is still there for a second start")
	}
	if report, err := opened.Wait(); err != nil || report != nil {
		t.Errorf("got %v, %v", report, err)
	}
	<-done
	if r.GateClosed() {
		t.Error("closed although nobody waits")
	}
	if _, err := r.OpenGate(); err != ErrNobodyWaits {
		t.Errorf("second start: %v", err)
	}
}

func TestStartTime(t *testing.T) {
	start, letter, ok := StartTime(os.Getpid())
	if !ok || start == 0 || letter == 0 {
		t.Errorf("self: %d %c %v", start, letter, ok)
	}
	if again, _, _ := StartTime(os.Getpid()); again != start {
		t.Errorf("start time changed from %d to %d", start, again)
	}
	if _, _, ok := StartTime(1 << 30); ok {
		t.Error("a process that cannot exist has a start time")
	}
}
