package cgroup

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestDelegate: the directory and the files that the kernel lists change hands,
// and no others.
func TestDelegate(t *testing.T) {
	const uid = 4242
	for _, h := range hierarchies(t) {
		rel := "/delegate-" + strings.ReplaceAll(t.Name(), "/", "-")
		created, err := makeOnly(h.mount, rel, false)
		if err != nil {
			t.Fatal(err)
		}
		dir := h.mount + rel
		defer func() {
			for range created {
				if err := os.Remove(dir); err != nil {
					t.Error(err)
				}
			}
		}()
		err = Delegate(dir, uid)
		if !h.v2 {
			if !errors.Is(err, unix.EOPNOTSUPP) {
				t.Errorf("%s: %v, expected that v1 is refused", dir, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		list, err := os.ReadFile(delegable)
		if err != nil {
			t.Fatal(err)
		}
		given := " . " + strings.Join(strings.Fields(string(list)), " ") + " "
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append([]string{"."}, names(entries)...) {
			var st unix.Stat_t
			if err := unix.Lstat(dir+"/"+name, &st); err != nil {
				t.Fatal(err)
			}
			want := uint32(0)
			if strings.Contains(given, " "+name+" ") {
				want = uid
			}
			if st.Uid != want {
				t.Errorf("%s/%s belongs to %d, expected %d", dir, name, st.Uid, want)
			}
		}
	}
	if err := Delegate(t.TempDir(), uid); !errors.Is(err, errNotCgroup) {
		t.Errorf("another file system: %v", err)
	}
}

func names(entries []os.DirEntry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
