package state

import (
	"errors"
	"os"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A record that was cut anywhere is told from a whole one, and nothing is taken
// for said that may have lost its end.
func TestTornRecord(t *testing.T) {
	s := State{ID: "x", Bundle: "/b", Rootfs: "/b/r", Created: "now", Pid: 12345, PidStart: 67890, PidNamespace: true,
		HostMounts: true, MountNS: "", MountsAt: "/b/r", MountsBefore: 12, Annotations: map[string]string{"a": "b"}, CgroupsMade: true,
		Cgroups:  []Cgroup{{Hierarchy: "pids", Mount: "/sys/fs/cgroup/pids", Path: "/x", Created: []string{"/x"}}, {Mount: "/sys/fs/cgroup", Path: "/x/y", V2: true, Created: []string{"/x/y"}}},
		Poststop: []specs.Hook{{Path: "/bin/rm", Args: []string{"rm", "-r", "/tmp/x", "/tmp/x/y"}}}}
	whole := s.Encode()
	for n := range whole {
		got := Salvage(whole[:n])
		if _, err := Decode(whole[:n]); err == nil {
			t.Fatalf("%d of %d bytes are taken for a record", n, len(whole))
		}
		if got.Poststop != nil {
			t.Fatalf("%d bytes: hooks %v", n, got.Poststop)
		}
		for i, c := range got.Cgroups {
			if c.Path != s.Cgroups[i].Path || c.Mount != s.Cgroups[i].Mount {
				t.Fatalf("%d bytes: cgroup %+v", n, c)
			}
		}
		if got.HostMounts && (got.MountsBefore != 12 || got.MountsAt != "/b/r") {
			t.Fatalf("%d bytes: %+v", n, got)
		}
		// A number may be cut; then the other of the two is not there yet.
		if got.Pid != 0 && got.Pid != s.Pid && got.PidStart != 0 {
			t.Fatalf("%d bytes: pid %d", n, got.Pid)
		}
	}
	if got := Salvage(whole); len(got.Cgroups) != 2 || got.Pid != 12345 || !got.HostMounts {
		t.Errorf("%+v", got)
	}
	if got := Salvage([]byte(`{"schema":99,"pid":1}`)); got.Pid != 0 {
		t.Errorf("%+v", got)
	}
}

func TestLoadTorn(t *testing.T) {
	store, err := Open(t.TempDir(), true)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := store.Create("x")
	if err != nil {
		t.Fatal(err)
	}
	rec.Pid, rec.PidStart = 7, 8
	if err := rec.Save(); err != nil {
		t.Fatal(err)
	}
	rec.Unlock()
	data := rec.Encode()
	if err := os.WriteFile(store.path("x", ".json"), data[:len(data)-10], 0o600); err != nil {
		t.Fatal(err)
	}
	var torn *TornError
	if _, err := store.Load("x", false); !errors.As(err, &torn) {
		t.Fatalf("got %v", err)
	}
	got, err := store.LoadTorn("x")
	if err != nil || got.Pid != 7 || got.PidStart != 8 || got.ID != "x" {
		t.Fatalf("%+v, %v", got, err)
	}
	if err := got.Remove(); err != nil {
		t.Fatal(err)
	}
	got.Unlock()
	if _, err := store.LoadTorn("x"); !errors.Is(err, ErrNotExist) {
		t.Errorf("got %v", err)
	}
}
