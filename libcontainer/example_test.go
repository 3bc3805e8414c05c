package libcontainer_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/libcontainer"
)

// The whole life of a container from a Go program, which needs no init() hook
// and is not executed again.
func Example() {
	r := libcontainer.New("/run/example")
	c, err := r.Create(libcontainer.CreateOptions{ID: "web", Bundle: "/bundles/web"})
	if err != nil {
		fmt.Println(err)
		return
	}
	if err := c.Start(); err != nil {
		fmt.Println(err)
	}
	code, err := c.Wait()
	fmt.Println(code, err)
	if err := c.Delete(libcontainer.DeleteOptions{}); err != nil {
		fmt.Println(err)
	}
}

// Another program in a container that runs.
func ExampleContainer_Exec() {
	c, err := libcontainer.New("/run/example").Load("web")
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := c.Exec(libcontainer.ExecOptions{Process: &specs.Process{Args: []string{"nginx", "-t"}, Env: []string{"PATH=/usr/sbin"}, Cwd: "/"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Wait())
}

// TestLibraryUse is the example, run for real from another package.
func TestLibraryUse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: uid is", os.Geteuid())
	}
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox-static:", err)
	}
	bundle := t.TempDir()
	if err := os.Chmod(filepath.Dir(bundle), 0o755); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(bundle, "rootfs", "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "sh"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := &specs.Spec{
		Version:  specs.Version,
		Root:     &specs.Root{Path: "rootfs"},
		Hostname: "from-a-library",
		Process:  &specs.Process{Cwd: "/", Args: []string{"/bin/sh", "-c", "echo pid $$ on $(/bin/sh -c 'busybox hostname' 2>/dev/null || cat /proc/sys/kernel/hostname); exit 42"}, Env: []string{"PATH=/bin"}},
		Mounts:   []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace},
			{Type: specs.UTSNamespace}, {Type: specs.IPCNamespace}, {Type: specs.NetworkNamespace}}},
	}
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()

	r := libcontainer.New(filepath.Join(t.TempDir(), "state"))
	id := fmt.Sprintf("tare-test-lib-%d", os.Getpid())
	c, err := r.Create(libcontainer.CreateOptions{ID: id, Bundle: bundle, Spec: spec, Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.State(); s.Status != specs.StateCreated || s.Pid != c.Pid() || s.Pid == 0 {
		t.Errorf("state after create: %+v", s)
	}
	p, err := c.Exec(libcontainer.ExecOptions{Process: &specs.Process{Cwd: "/", Args: []string{"/bin/sh", "-c", "exit $$"}}, Stdout: out, Stderr: out})
	if err != nil {
		t.Fatal(err)
	}
	if code, err := p.Wait(); err != nil || code != 2 { // process 2 of its pid namespace
		t.Errorf("exec: %d, %v; want 2", code, err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	code, err := c.Wait()
	if err != nil || code != 42 {
		t.Errorf("wait: %d, %v; want 42", code, err)
	}
	if s := c.Status(); s != libcontainer.Stopped {
		t.Errorf("status after the end: %s", s)
	}
	if err := c.Delete(libcontainer.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Load(id); err == nil {
		t.Error("the container still exists after delete")
	}
	text, _ := os.ReadFile(out.Name())
	if want := "pid 1 on from-a-library\n"; !bytes.Equal(text, []byte(want)) {
		t.Errorf("printed %q, want %q", text, want)
	}
	if left, _ := filepath.Glob("/sys/fs/cgroup/*/" + id); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
