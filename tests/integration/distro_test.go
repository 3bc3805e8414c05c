package integration

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// debian is a Debian root file system, made by debootstrap once and kept in the
// user's cache directory.
func debian(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "tare-integration", "bookworm-minbase")
	if _, err := os.Stat(dir + "/etc/os-release"); err == nil {
		return dir
	}
	tool, err := exec.LookPath("debootstrap")
	need(t, "debootstrap", err)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		t.Fatal(err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(dir), "new-")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(tmp, 0o755); err != nil {
		t.Fatal(err)
	}
	// The tests have a network of their own without a way out; the host's has one.
	cmd := exec.Command("nsenter", "--net="+procPath(outerPid, "ns/net"), tool, "--variant=minbase", "bookworm", tmp)
	if mirror := os.Getenv("TARE_TEST_MIRROR"); mirror != "" {
		cmd.Args = append(cmd.Args, mirror)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		_ = os.RemoveAll(tmp)
		tail := strings.Split(strings.TrimSpace(string(out)), "\n")
		need(t, "a Debian mirror", fmt.Errorf("%w: %s", err, tail[len(tail)-1]))
	}
	if err := os.Rename(tmp, dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// overlayRoot mounts lower with a layer of the box's own as its rootfs.
func (b *box) overlayRoot(lower string) {
	b.t.Helper()
	for _, d := range []string{"/upper", "/layerwork"} {
		b.must(os.Mkdir(b.dir+d, 0o755))
	}
	b.must(unix.Mount("overlay", b.rootfs, "overlay", 0, "lowerdir="+lower+",upperdir="+b.dir+"/upper,workdir="+b.dir+"/layerwork"))
	b.ownMounts = append(b.ownMounts, b.rootfs)
	b.t.Cleanup(func() { b.must(unix.Unmount(b.rootfs, unix.MNT_DETACH)) })
	b.files = func() {}
}

// shell runs a shell command in a fresh container and returns what it printed.
func (b *box) shell(command string) string {
	b.t.Helper()
	b.edit(args("/bin/sh", "-c", command))
	r := b.run()
	if r.Code != 0 {
		b.t.Fatalf("%s: exit code %d\n%s", command, r.Code, r.Stderr)
	}
	return r.Stdout
}

// TestDebian runs an ordinary distribution as engines do.
func TestDebian(t *testing.T) {
	root := debian(t)
	b := newBox(t)
	b.overlayRoot(root)
	b.spec.Process.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	if out := b.shell("cat /etc/os-release"); !strings.Contains(out, "VERSION_CODENAME=bookworm") {
		t.Errorf("os-release is %q", out)
	}
	if out := b.shell("ls / | tr '\\n' ' '"); !strings.Contains(out, "bin boot dev etc home") {
		t.Errorf("ls printed %q", out)
	}
	if out := b.shell("apt-get --version"); !strings.HasPrefix(out, "apt 2.") {
		t.Errorf("apt-get printed %q", out)
	}
	expect(t, "what the shell sees", b.shell("echo $$ $HOME $(hostname) $(id -u) $(tty)"), "1 /root box 0 not a tty\n")
	expect(t, "the pipe of two programs", b.shell("seq 100000 | sort -rn | head -1"), "100000\n")
	b.edit(args("sleep", "1000"))
	b.create()
	expect(t, "status", b.status(), "created")
	b.start()
	b.until("the program", func() bool { return strings.HasPrefix(readText(t, procPath(b.pid, "comm")), "sleep") })
	expect(t, "status", b.status(), "running")
	expect(t, "the program", strings.ReplaceAll(readText(t, procPath(b.pid, "cmdline")), "\x00", " "), "sleep 1000 ")
	expect(t, "exit code", b.kill("KILL"), 137)
	b.remove()
}

// TestBusybox runs a rootfs of busybox with everything that engines set.
func TestBusybox(t *testing.T) {
	_, err := os.Stat("/usr/bin/busybox")
	need(t, "a static busybox", err)
	b := newBox(t)
	b.copyFile("/usr/bin/busybox", "bin/busybox", 0o755)
	b.must(os.Symlink("busybox", b.rootfs+"/bin/sh"))
	b.spec.Root.Readonly = true
	b.spec.Process.NoNewPrivileges = true
	b.spec.Linux.MaskedPaths = []string{"/proc/acpi", "/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"}
	b.spec.Linux.ReadonlyPaths = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
	b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: 1024, Hard: 1024}}
	expect(t, "output", b.shell("busybox echo $((6*7)) $(busybox cat /proc/1/comm)"), "42 sh\n")
	expect(t, "processes", strings.Count(b.shell("busybox ps -o pid; true"), "\n"), 3)
	b.edit(args("/bin/sh", "-c", "exit 42"))
	expect(t, "exit code", b.run().Code, 42)
	b.edit(args("/bin/sh", "-c", "busybox sleep 1000 & busybox sleep 1000 & echo up; wait"))
	r := b.create()
	b.start()
	b.output(r)
	if n := len(cgroupProcs(t, b.id)); n < 3*len(hierarchies())-3 {
		t.Errorf("the kernel lists %d processes in all hierarchies", n)
	}
	b.remove("--force")
	b.nothingLeft()
}

// TestManyContainers has twenty at once, as a node has.
func TestManyContainers(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.writeConfig()
	var pids []int
	for i := range 20 {
		id := b.id + "m" + strconv.Itoa(i)
		pidFile := fmt.Sprintf("%s/io/m%d", b.dir, i)
		b.ok("create", "--bundle", b.bundle, "--pid-file", pidFile, id)
		pid, err := strconv.Atoi(readText(t, pidFile))
		b.must(err)
		pids = append(pids, pid)
		b.ok("start", id)
	}
	if out := b.ok("list", "-q").Stdout; strings.Count(out, "\n") != 20 {
		t.Errorf("list -q printed %q", out)
	}
	for i := range 20 {
		b.ok("delete", "--force", b.id+"m"+strconv.Itoa(i))
		_, _ = unix.Wait4(pids[i], nil, 0, nil)
	}
	b.nothingLeft()
}
