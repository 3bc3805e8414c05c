package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestStateRoot(t *testing.T) {
	wd := t.TempDir()
	t.Chdir(wd)
	for _, c := range []struct {
		given []string
		want  string
		err   string
	}{
		{[]string{"--root", "/var/x"}, "/var/x", ""},
		{[]string{"--root", "/var/../x/"}, "/x", ""},
		{[]string{"--root=sub"}, filepath.Join(wd, "sub"), ""},
		{[]string{"--root=/"}, "", "Option --root argument should not be set to /"},
		{[]string{"--root=/a/.."}, "", "Option --root argument should not be set to /"},
		{[]string{"--root="}, "", "--root must not be empty"},
	} {
		g := newValues(GlobalFlags)
		if _, err := g.parse(c.given, true); err != nil {
			t.Fatal(err)
		}
		got, err := stateRoot(&g)
		if got != c.want || (err == nil) != (c.err == "") || err != nil && err.Error() != c.err {
			t.Errorf("%v: %q, %v; want %q, %q", c.given, got, err, c.want, c.err)
		}
	}
}

func TestDefaultRoot(t *testing.T) {
	g := newValues(GlobalFlags)
	t.Setenv("XDG_RUNTIME_DIR", "")
	if got, err := stateRoot(&g); got != "/run/tare" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
	run := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", run)
	t.Setenv("USER", "root")
	want := "/run/tare"
	if os.Geteuid() != 0 {
		want = run + "/tare"
	}
	if got, err := stateRoot(&g); got != want || err != nil {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

func TestMakeRootIsSticky(t *testing.T) {
	g := newValues(GlobalFlags)
	dir := t.TempDir() + "/tare"
	if err := makeRoot(&g, dir); err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(dir)
	if err != nil || st.Mode() != os.ModeDir|os.ModeSticky|0o700 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
}
