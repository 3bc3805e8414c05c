//go:build !tare_front

package libcontainer

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// distribution is a root as distributions ship it, with absolute links, beside a file
// that nothing in it may reach.
func distribution(t *testing.T) (rootfs string) {
	t.Helper()
	dir := t.TempDir()
	rootfs = filepath.Join(dir, "rootfs")
	for _, d := range []string{"outside", "rootfs/etc", "rootfs/run", "rootfs/usr/lib", "rootfs/var"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{
		"var/run": "/run", "var/lock": "/run/lock", "lib": "usr/lib", "etc/resolv.conf": "../run/systemd/resolv.conf",
		"abs": filepath.Join(dir, "outside"), "rel": "../../../../../outside", "up": "nowhere/../../outside", "loop": "/loop/x", "scratch": "/var/tmp",
	} {
		if err := os.Symlink(to, filepath.Join(rootfs, link)); err != nil {
			t.Fatal(err)
		}
	}
	return rootfs
}

// entries are the paths below a directory, as they lie there.
func entries(t *testing.T, dir string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && p != dir {
			name := strings.TrimPrefix(p, dir+"/")
			if d.IsDir() {
				name += "/"
			}
			out = append(out, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMakeTargets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	on := func(at string) specs.Mount { return specs.Mount{Destination: at, Type: "tmpfs", Source: "tmpfs"} }
	fileOn := func(at string) specs.Mount {
		return specs.Mount{Destination: at, Type: "bind", Source: file, Options: []string{"bind"}}
	}
	for _, c := range []struct {
		name   string
		mounts []specs.Mount
		made   string // separated by spaces
		err    string // part of it
	}{
		{"missing", []specs.Mount{on("/a/b/c")}, "a/ a/b/ a/b/c/", ""},
		{"there", []specs.Mount{on("/run"), on("/"), on("/usr/lib/"), on("/var/run")}, "", ""},
		{"absolute link", []specs.Mount{on("/var/run/secrets/x")}, "run/secrets/ run/secrets/x/", ""},
		{"relative link", []specs.Mount{on("/lib/modules")}, "usr/lib/modules/", ""},
		{"link to what is missing", []specs.Mount{on("/var/lock"), on("/scratch/x")}, "run/lock/ var/tmp/ var/tmp/x/", ""},
		{"file", []specs.Mount{fileOn("/var/run/x/file")}, "run/x/ run/x/file", ""},
		{"file by a link to what is missing", []specs.Mount{fileOn("/etc/resolv.conf")}, "run/systemd/ run/systemd/resolv.conf", ""},
		{"file that is there", []specs.Mount{fileOn("/new"), fileOn("/new")}, "new", ""},
		{"on an earlier mount", []specs.Mount{on("/run"), on("/run/a"), on("/var/run/b"), fileOn("/var/run/c/d")}, "", ""},
		{"on an earlier mount by its other name", []specs.Mount{on("/var/run"), on("/run/a")}, "", ""},
		{"beside an earlier mount", []specs.Mount{on("/run"), on("/runner")}, "runner/", ""},
		{"out by an absolute link", []specs.Mount{on("/abs/x")}, "", ""}, // made, but inside: see below
		{"out by dots", []specs.Mount{on("/rel/x")}, "outside/ outside/x/", ""},
		{"dots of what is missing", []specs.Mount{on("/up/x")}, "", `mounts[0].destination "/up/x": openat2`},
		{"loop", []specs.Mount{on("/ok"), on("/loop/y")}, "ok/", `mounts[1].destination "/loop/y": openat2`},
		{"below a file", []specs.Mount{fileOn("/new"), fileOn("/new/x")}, "new", ""}, // CRIU will say
	} {
		t.Run(c.name, func(t *testing.T) {
			rootfs := distribution(t)
			before := entries(t, rootfs)
			err := makeTargets(rootfs, rootfs, c.mounts)
			if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("error %v, want %q", err, c.err)
			}
			made := slices.DeleteFunc(entries(t, rootfs), func(p string) bool { return slices.Contains(before, p) })
			if c.name == "out by an absolute link" {
				inside := strings.TrimPrefix(filepath.Join(filepath.Dir(rootfs), "outside", "x"), "/") + "/"
				if !slices.Contains(made, inside) {
					t.Errorf("made %q, without %q", made, inside)
				}
			} else if got := strings.Join(made, " "); got != c.made {
				t.Errorf("made %q, want %q", got, c.made)
			}
			if left := entries(t, filepath.Join(filepath.Dir(rootfs), "outside")); len(left) > 0 {
				t.Errorf("made outside of the root: %q", left)
			}
		})
	}
}

// A root that changes while names are looked up in it gives nothing outside away.
func TestMakeTargetsWhileLinksChange(t *testing.T) {
	rootfs := distribution(t)
	outside := filepath.Join(filepath.Dir(rootfs), "outside")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		at := filepath.Join(rootfs, "x")
		for {
			select {
			case <-stop:
				return
			default:
			}
			_ = os.RemoveAll(at)
			_ = os.Symlink(outside, at)
			_ = os.Remove(at)
			_ = os.Mkdir(at, 0o755)
		}
	}()
	for range 300 {
		_ = makeTargets(rootfs, rootfs, []specs.Mount{{Destination: "/x/a/b", Type: "tmpfs", Source: "tmpfs"}}) // may fail: somebody is at it
	}
	close(stop)
	<-done
	if left := entries(t, outside); len(left) > 0 {
		t.Errorf("made outside of the root: %q", left)
	}
}
