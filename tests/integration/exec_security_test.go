package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestExecWorkingDirectory (CVE-2024-21626): no descriptor of the host leads out
// by the working directory, named by a flag, a link or a number.
func TestExecWorkingDirectory(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	b := newBox(t, prober("pause"))
	for fd := 3; fd < 40; fd++ {
		b.must(os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("%s/work/%d", b.rootfs, fd)))
	}
	b.begin()
	for fd := 3; fd < 40; fd++ {
		for _, cwd := range []string{fmt.Sprintf("/proc/self/fd/%d", fd), fmt.Sprintf("/work/%d", fd), fmt.Sprintf("/proc/self/fd/%d/../../..", fd)} {
			r := b.call("exec", "--cwd", cwd, b.id, "/prober", "ls:.")
			if r.Code == 0 && !strings.HasPrefix(b.parse(r.Stdout).Cwd, "/") {
				t.Errorf("--cwd %s: the process is in %s", cwd, b.parse(r.Stdout).Cwd)
			}
			if r.Code == 0 && b.parse(r.Stdout).Root != "/" {
				t.Errorf("--cwd %s: %s", cwd, r.Stdout)
			}
		}
	}
	b.remove("--force")
}

// TestExecOfItself (CVE-2019-5736): a program that names its interpreter
// /proc/self/exe gets the sealed init, which does nothing, and no file of the host.
func TestExecOfItself(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.put("self", "#!/proc/self/exe\n", 0o755)
	b.must(os.Symlink("/proc/self/exe", b.rootfs+"/link"))
	b.begin()
	before, err := os.Stat(binary)
	b.must(err)
	expect(t, "exit code", b.call("exec", b.id, "/self").Code, 127)
	expect(t, "exit code", b.call("exec", b.id, "/link").Code, 127)
	after, err := os.Stat(binary)
	b.must(err)
	if before.ModTime() != after.ModTime() || before.Size() != after.Size() {
		t.Error("the runtime's own file has changed")
	}
	b.remove("--force")
}

// TestExecIsOutOfReach (CVE-2016-9962): while it is in the container's pid
// namespace and not yet the program, a process of the container that may trace
// all others finds nothing of the host in it. A frozen cgroup makes it wait there.
func TestExecIsOutOfReach(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	all := []string{"CAP_SYS_PTRACE", "CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"}
	b := running(t, func(s *specs.Spec) {
		s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Effective: all, Permitted: all}
	})
	seen := 0
	for range 40 {
		cmd, done := b.command("exec", b.id, "/prober", "quiet")
		b.must(cmd.Start())
		end := make(chan struct{})
		go func() { _ = cmd.Wait(); close(end) }()
		for open := true; open; {
			select {
			case <-end:
				open = false
			default:
			}
			seen += b.lookForHostFiles()
		}
		expect(t, "exit code", done().Code, 0)
	}
	if seen == 0 {
		t.Log("no init was caught in the act")
	}
	b.remove("--force")
}

// lookForHostFiles looks at every init that is in the container's pid namespace.
func (b *box) lookForHostFiles() (inits int) {
	its, _ := os.Readlink(procPath(b.pid, "ns/pid"))
	for _, pid := range b.cgroupProcs() {
		comm, _ := os.ReadFile("/proc/" + pid + "/comm")
		ns, _ := os.Readlink("/proc/" + pid + "/ns/pid")
		if strings.TrimSpace(string(comm)) != "tare:init" || ns != its {
			continue
		}
		inits++
		entries, _ := os.ReadDir("/proc/" + pid + "/fd")
		for _, e := range entries {
			name := "/proc/" + pid + "/fd/" + e.Name()
			to, err := os.Readlink(name)
			if err != nil {
				continue
			}
			open, err := os.Stat(name) // once: it may be gone by the second time
			if err != nil || !open.IsDir() {
				continue
			}
			if root, err := os.Stat(procPath(b.pid, "root")); err != nil || !os.SameFile(open, root) {
				b.t.Errorf("the init in the container has the directory %s open", to)
			}
		}
	}
	time.Sleep(50 * time.Microsecond)
	return inits
}

// TestExecKilled: a runtime that is killed in the middle leaves no process that
// is not the program yet.
func TestExecKilled(t *testing.T) {
	b := running(t)
	for i := range 60 {
		cmd, _ := b.command("exec", b.id, "/prober", "quiet")
		b.must(cmd.Start())
		time.Sleep(time.Duration(i) * 200 * time.Microsecond)
		b.must(cmd.Process.Kill())
		_ = cmd.Wait()
	}
	// What had become the program has ended by itself, or will. One that is between
	// two parents is nobody's child, and in no cgroup yet: nothing may come for a while.
	quiet := 0
	b.until("the end of every other process", func() bool {
		for { // they are this test's to reap, and the container's process lives
			if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); err != nil || pid <= 0 {
				break
			}
		}
		if quiet++; len(b.cgroupProcs()) != 1 || len(children()) > 1 {
			quiet = 0
		}
		return quiet > 30
	})
	expect(t, "exit code", b.call("exec", b.id, "/prober", "quiet", "exit:8").Code, 8)
	b.remove("--force")
}
