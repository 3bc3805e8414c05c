package main

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// What the guest prints: everything but the last line is passed on, byte by byte.
func TestCopyOutput(t *testing.T) {
	for _, c := range []struct {
		in, out string
		code    int
		fails   bool
	}{
		{"one\ntwo\n\n" + exitMark + "7\nPowering off.\n", "one\ntwo\n", 7, false},
		{"\n" + exitMark + "0\n", "", 0, false},
		{"a\n\nb without end\n" + exitMark + "0\n", "a\n\nb without end\n", 0, false},
		{"\n\n\n" + exitMark + "255\n", "\n\n", 255, false},
		{"one\n", "one\n", 0, true},
		{"", "", 0, true},
		{exitMark + "x\n", "", 0, true},
	} {
		var out strings.Builder
		code, err := copyOutput(strings.NewReader(c.in), &out)
		if code != c.code || (err != nil) != c.fails || out.String() != c.out {
			t.Errorf("%q: code %d, %v, output %q", c.in, code, err, out.String())
		}
	}
}

// The kernel's own format, read by the tool that everybody has.
func TestArchive(t *testing.T) {
	if _, err := exec.LookPath("busybox"); err != nil {
		t.Skip("no busybox to unpack it with")
	}
	var a archive
	a.add("dir", 0o040755, nil)
	a.add("dir/file", 0o100644, []byte("seven b"))
	a.add("empty", 0o100600, nil)
	dir := t.TempDir()
	cmd := exec.Command("busybox", "cpio", "-i", "-H", "newc")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(a.bytes())
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(dir + "/dir/file")
	st, statErr := os.Stat(dir + "/empty")
	if err != nil || statErr != nil || string(data) != "seven b" || st.Size() != 0 || st.Mode() != 0o600 {
		t.Errorf("%q, %v; %v, %v", data, err, st, statErr)
	}
}

func TestPayload(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{"a": "1", "tree/b": "22", "tree/in/c": "333"} {
		if err := os.MkdirAll(filepath.Dir(dir+"/"+name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(dir+"/"+name, []byte(data), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("b", dir+"/tree/link"); err != nil {
		t.Fatal(err)
	}
	p := programPayload(dir+"/a", []string{"it's", "b c", ""}, []hostFile{{dir + "/tree", "/opt/x"}})
	disk := dir + "/disk"
	if err := p.write(disk); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(disk); err != nil || st.Size()%(1<<20) != 0 {
		t.Errorf("%v, %v", st, err)
	}
	f, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	got := map[string]string{}
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = string(data) + h.Linkname
	}
	for name, want := range map[string]string{"payload/run": `exec /payload/program 'it'\''s' 'b c' ''` + "\n", "payload/program": "1",
		"opt/x/b": "22", "opt/x/in/c": "333", "opt/x/link": "b"} {
		if got[name] != want {
			t.Errorf("%s is %q, expected %q", name, got[name], want)
		}
	}
}

func TestParseFile(t *testing.T) {
	if f, err := parseFile("a/b:/c/d"); err != nil || f != (hostFile{"a/b", "/c/d"}) {
		t.Errorf("%v, %v", f, err)
	}
	for _, s := range []string{"", "a", ":/b", "a:b", "a:"} {
		if f, err := parseFile(s); err == nil {
			t.Errorf("%q is %v", s, f)
		}
	}
}

// Changing what the guest consists of makes another image.
func TestRecipe(t *testing.T) {
	before := recipe()
	packages = append(slices.Clone(packages), "one-more")
	defer func() { packages = packages[:len(packages)-1] }()
	if recipe() == before || recipe() != recipe() {
		t.Error("the recipe's name does not tell recipes apart")
	}
}
