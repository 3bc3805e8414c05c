package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tare-oci/tare/tests/cgroupview"
	"golang.org/x/sys/unix"
)

// outside is what the host sees of a container's process.
type outside struct {
	namespaces map[string]string
	mounts     []string // mount point, type and options, sorted
	cgroups    string
	devices    []string
	status     []string // capabilities and no_new_privs
	files      string   // limit of open files
	routes     string   // of the network namespace: it has one when lo is up
}

// look reads everything of a process.
func look(t *testing.T, pid int, cgroup string) outside {
	t.Helper()
	proc := "/proc/" + strconv.Itoa(pid)
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(proc, name))
		if err != nil {
			t.Fatal(err)
		}
		return strings.ReplaceAll(string(text), cgroup, "CGROUP")
	}
	o := outside{namespaces: map[string]string{}, cgroups: read("cgroup"), routes: read("net/fib_trie")}
	for _, name := range []string{"pid", "net", "ipc", "uts", "mnt", "cgroup", "user"} {
		link, err := os.Readlink(filepath.Join(proc, "ns", name))
		if err != nil {
			t.Fatal(err)
		}
		o.namespaces[name] = link
	}
	for line := range strings.Lines(read("mountinfo")) {
		f := strings.Fields(line)
		kind := f[slices.Index(f, "-")+1]
		if f[3] == "/null" { // of the host's devtmpfs, or of the container's own tmpfs
			kind, f[5] = "null", "masked"
		}
		o.mounts = append(o.mounts, strings.Join([]string{f[4], f[3], kind, f[5]}, " "))
	}
	slices.Sort(o.mounts)
	entries, err := os.ReadDir(filepath.Join(proc, "root/dev"))
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		o.devices = append(o.devices, e.Name()+" "+e.Type().String())
	}
	for line := range strings.Lines(read("status")) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
			o.status = append(o.status, line)
		}
	}
	o.files = regexp.MustCompile(`Max open files.*`).FindString(read("limits"))
	return o
}

// observe starts argv, whose container runs the payload, looks at it, and ends it.
// cgroup must be gone then.
func observe(t *testing.T, payload, cgroup string, argv ...string) outside {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	var said strings.Builder
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// It is the one descendant that is named so.
	pid := 0
	for pid == 0 && ctx.Err() == nil {
		list, _ := filepath.Glob("/proc/" + strconv.Itoa(cmd.Process.Pid) + "/task/*/children") // the pattern is right
		for _, file := range list {
			text, _ := os.ReadFile(file) // a thread may have ended
			for _, word := range strings.Fields(string(text)) {
				if comm, _ := os.ReadFile("/proc/" + word + "/comm"); string(comm) == payload+"\n" {
					pid, _ = strconv.Atoi(word) // the kernel wrote it
				}
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	if pid == 0 {
		_ = cmd.Wait()
		t.Fatalf("%v: no payload: %s", argv, said.String())
	}
	o := look(t, pid, cgroup)
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 137 {
		t.Errorf("%v: %v, want status 137: %s", argv, err, said.String())
	}
	left, _ := filepath.Glob(cgroupview.Root + "/*" + cgroup) // the pattern is right
	if _, err := os.Stat(cgroupview.Root + cgroup); err == nil {
		left = append(left, cgroupview.Root+cgroup)
	}
	if len(left) > 0 {
		t.Errorf("%v leaves %v", argv, left)
	}
	return o
}

// The floor is only one if its container is that of the runtimes.
func TestFloorMakesTheSameContainer(t *testing.T) {
	tare := os.Getenv("TARE")
	if tare == "" {
		tare = "../../tare"
	}
	tare, err := filepath.Abs(tare)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tare); err != nil || os.Geteuid() != 0 {
		t.Skipf("needs root and a built tare: %v", err)
	}
	program := os.Getenv("TARE_FLOOR") // where there is no compiler
	if program == "" {
		program = filepath.Join(t.TempDir(), "floor")
		if out, err := exec.Command("make", "-s", "-C", "../..", "OUT="+filepath.Dir(program), program).CombinedOutput(); err != nil {
			t.Fatalf("make floor: %v\n%s", err, out)
		}
	}
	dir := t.TempDir()
	fs, err := makeRootfs(dir)
	if err != nil {
		t.Fatal(err)
	}
	parent := "tare-floor-" + strconv.Itoa(os.Getpid())
	t.Cleanup(func() {
		if err := cgroupview.Sweep(parent); err != nil {
			t.Error(err)
		}
	})
	names, err := cgroupview.Hierarchies()
	if err != nil {
		t.Fatal(err)
	}
	bundle, err := fs.writeBundle(filepath.Join(dir, "bundle"), defaultBundle, bundleOptions{args: fs.payload.wait, cgroupsPath: "/" + parent + "/tare"})
	if err != nil {
		t.Fatal(err)
	}
	payload := filepath.Base(fs.payload.wait[0])
	want := observe(t, payload, "/"+parent+"/tare", tare, "--root", filepath.Join(dir, "state"), "run", "--bundle", bundle, parent)
	own := look(t, os.Getpid(), "\x00")

	for _, beside := range []bool{false, true} {
		f := floor{rootfs: fs.dir, cgroup: parent + "/floor", names: strings.Join(names, ":"), beside: beside, payload: fs.payload.wait}
		if len(names) == 0 {
			f.names = "-"
		}
		got := observe(t, payload, "/"+parent+"/floor", f.argv(program)...)
		for name, link := range got.namespaces {
			if (link != own.namespaces[name]) != (name != "user") {
				t.Errorf("beside %v: namespace %s is %s, the host's %s", beside, name, link, own.namespaces[name])
			}
		}
		for _, c := range []struct{ what, got, want string }{
			{"mounts", strings.Join(got.mounts, "\n"), strings.Join(want.mounts, "\n")},
			{"cgroups", got.cgroups, want.cgroups},
			{"devices", strings.Join(got.devices, "\n"), strings.Join(want.devices, "\n")},
			{"status", strings.Join(got.status, ""), strings.Join(want.status, "")},
			{"open files", got.files, want.files},
			{"routes", got.routes, want.routes},
		} {
			if c.got != c.want || c.got == "" {
				t.Errorf("beside %v: %s:\n%s\nof tare:\n%s", beside, c.what, c.got, c.want)
			}
		}
	}
	if !strings.Contains(want.cgroups, "CGROUP") || !strings.Contains(want.routes, "127.0.0.1") || len(want.mounts) < 15 {
		t.Errorf("nothing was compared: %+v", want)
	}
}
