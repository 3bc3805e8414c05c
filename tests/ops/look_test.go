package ops

import (
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// What can be seen of a process from outside.

func (b *box) proc(name string) string { return "/proc/" + strconv.Itoa(b.pid) + "/" + name }

// at is a path as the init sees it, reached from outside.
func (b *box) at(path string) string { return b.proc("root") + path }

func (b *box) read(name string) string {
	b.t.Helper()
	data, err := os.ReadFile(b.proc(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return string(data)
}

func (b *box) link(name string) string {
	b.t.Helper()
	to, err := os.Readlink(b.proc(name))
	if err != nil {
		b.t.Fatal(err)
	}
	return to
}

// status is a field of /proc/PID/status.
func (b *box) status(field string) string {
	b.t.Helper()
	return statusField([]byte(b.read("status")), field)
}

func statusField(status []byte, field string) string {
	for _, line := range strings.Split(string(status), "\n") {
		if v, ok := strings.CutPrefix(line, field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// mountLine is one line of mountinfo.
type mountLine struct {
	at, opts, optional, fstype, source, super, root, dev string
}

// mounts are the lines of the process's mountinfo, oldest first.
func (b *box) mounts() []mountLine {
	b.t.Helper()
	var out []mountLine
	for _, line := range strings.Split(strings.TrimSpace(b.read("mountinfo")), "\n") {
		f := strings.Fields(line)
		m := mountLine{dev: f[2], root: f[3], at: f[4], opts: f[5]}
		i := 6
		for ; f[i] != "-"; i++ {
			m.optional += f[i] + " "
		}
		m.optional = strings.TrimSpace(m.optional)
		m.fstype, m.source, m.super = f[i+1], f[i+2], f[i+3]
		out = append(out, m)
	}
	return out
}

// mount is the newest mount at a path of mountinfo.
func (b *box) mount(at string) mountLine {
	b.t.Helper()
	var found *mountLine
	for _, m := range b.mounts() {
		if m.at == at {
			found = &m
		}
	}
	if found == nil {
		b.t.Fatalf("no mount at %s in\n%s", at, b.read("mountinfo"))
	}
	return *found
}

// wantOpts compares mount options as sets; relatime, the default, may be left out.
func wantOpts(t testing.TB, what, got, want string) {
	t.Helper()
	set := func(s string) map[string]bool {
		m := map[string]bool{}
		for _, o := range strings.Split(s, ",") {
			if o != "relatime" {
				m[o] = true
			}
		}
		return m
	}
	g, w := set(got), set(want)
	same := len(g) == len(w)
	for o := range w {
		same = same && g[o]
	}
	if !same {
		t.Errorf("%s has options %s, want %s", what, got, want)
	}
}

func equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func stat(t testing.TB, path string) *syscall.Stat_t {
	t.Helper()
	var st syscall.Stat_t
	if err := syscall.Lstat(path, &st); err != nil {
		t.Fatalf("lstat %s: %v", path, err)
	}
	return &st
}

// inside runs f in one namespace of the process, on a thread that is then thrown
// away.
func (b *box) inside(ns string, f func()) {
	b.t.Helper()
	fd, err := unix.Open(b.proc("ns/"+ns), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	b.must("open namespace", err)
	defer unix.Close(fd)
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := unix.Setns(fd, 0)
		if err == nil {
			f()
		}
		done <- err
	}()
	b.must("setns", <-done)
}

// tree makes files below a new directory: a name that ends in a slash is a
// directory, "name -> to" a link, "name = text" a file.
func tree(t testing.TB, entries ...string) string {
	t.Helper()
	root := t.TempDir()
	fill(t, root, entries...)
	return root
}

func fill(t testing.TB, root string, entries ...string) {
	t.Helper()
	for _, e := range entries {
		var err error
		if name, to, ok := strings.Cut(e, " -> "); ok {
			err = os.Symlink(to, filepath.Join(root, name))
		} else if name, text, ok := strings.Cut(e, " = "); ok {
			err = os.WriteFile(filepath.Join(root, name), []byte(text), 0o644)
		} else {
			err = os.MkdirAll(filepath.Join(root, e), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// snapshot lists a tree with types and contents, to prove that nothing changed.
func snapshot(t testing.TB, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String())
		if d.Type().IsRegular() {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b.WriteString(" " + string(data))
		}
		b.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}
