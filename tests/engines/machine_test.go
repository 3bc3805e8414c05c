package engines

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// hierarchy is one cgroup file system: its mount point and what selects it.
type hierarchy struct {
	at     string
	fstype string // cgroup or cgroup2
	opts   string // "cpu,cpuacct", "name=systemd"; empty for cgroup2
}

// hierarchies lists what is mounted, each once.
func hierarchies() ([]hierarchy, error) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []hierarchy
	for line := range strings.Lines(string(data)) {
		head, tail, ok := strings.Cut(line, " - ")
		h, f := strings.Fields(head), strings.Fields(tail)
		if !ok || len(h) < 5 || len(f) < 3 || (f[0] != "cgroup" && f[0] != "cgroup2") {
			continue
		}
		one := hierarchy{at: h[4], fstype: f[0]}
		if f[0] == "cgroup" {
			words := slices.DeleteFunc(strings.Split(f[2], ","), func(w string) bool {
				return w == "rw" || w == "ro" || w == "xattr" || w == "clone_children" || strings.HasPrefix(w, "release_agent=")
			})
			one.opts = strings.Join(words, ",")
		}
		if !slices.ContainsFunc(out, func(o hierarchy) bool { return o.opts == one.opts }) {
			out = append(out, one)
		}
	}
	slices.SortStableFunc(out, func(a, b hierarchy) int { return strings.Compare(a.at, b.at) })
	if len(out) == 0 {
		return nil, errors.New("no cgroup file system is mounted")
	}
	return out, nil
}

// privateMounts gives this thread, and what it starts, a mount namespace in which
// every cgroup v1 hierarchy is mounted. Engines look for each that /proc/PID/cgroup
// lists; those stay behind when something has used them, and another program may
// mount one while the tests run.
func privateMounts() error {
	runtime.LockOSThread() // for good: the main goroutine starts the machine
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("propagation of /: %w", err)
	}
	all, err := hierarchies()
	if err != nil {
		return err
	}
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return err
	}
	names := strings.Fields("net_cls net_prio perf_event") // of no use to v2
	for line := range strings.Lines(string(data)) {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 && f[1] != "" && f[1] != "name=systemd" {
			names = append(names, f[1])
		}
	}
	v1 := slices.ContainsFunc(all, func(h hierarchy) bool { return h.fstype == "cgroup" })
	if err := unix.Mount("tmpfs", "/mnt", "tmpfs", 0, ""); err != nil {
		return fmt.Errorf("mount a tmpfs on /mnt: %w", err)
	}
	for _, name := range names {
		known := slices.ContainsFunc(all, func(h hierarchy) bool { return slices.Contains(strings.Split(h.opts, ","), name) || h.opts == name })
		at := "/mnt/" + name
		if known || !v1 || os.Mkdir(at, 0o755) != nil { // listed twice
			continue
		}
		if err := unix.Mount("cgroup", at, "cgroup", 0, name); err != nil {
			_ = os.Remove(at) // the kernel has no such controller
		}
	}
	return nil
}

// makeCgroups makes one cgroup in every hierarchy: the root of the machine's.
func makeCgroups() ([]string, error) {
	all, err := hierarchies()
	if err != nil {
		return nil, err
	}
	var made []string
	for _, h := range all {
		dir := filepath.Join(h.at, "tare-engines-"+strconv.Itoa(os.Getpid()))
		if err := os.Mkdir(dir, 0o755); err != nil {
			return made, err
		}
		made = append(made, dir)
		if strings.Contains(h.opts, "cpuset") { // empty, nobody could go in
			for _, f := range []string{"cpuset.cpus", "cpuset.mems"} {
				value, err := os.ReadFile(filepath.Join(h.at, f))
				if err == nil {
					err = os.WriteFile(filepath.Join(dir, f), value, 0)
				}
				if err != nil {
					return made, err
				}
			}
		}
	}
	return made, nil
}

// removeCgroups removes the machine's cgroups with all that is below. The
// processes are dead, but the kernel may need a moment to take them out.
func removeCgroups(dirs []string) error {
	var last error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		last = nil
		for _, dir := range dirs {
			below := cgroupsBelow(dir)
			slices.Reverse(below) // deepest first
			for _, d := range append(below, dir) {
				if err := unix.Rmdir(d); err != nil && err != unix.ENOENT {
					last = fmt.Errorf("remove the cgroup %s: %w", d, err)
				}
			}
		}
		if last == nil {
			return nil
		}
	}
	return last
}

func cgroupsBelow(dir string) []string {
	var out []string
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && p != dir {
			out = append(out, p)
		}
		return nil // removed meanwhile
	})
	return out
}

// Paths in the machine.
const (
	tools   = "/run/engines/bin" // the scripts' own programs
	images  = "/run/engines/images"
	scratch = "/run/tmp"
)

type mount struct{ source, at, fstype, data string }

// furnish makes the machine out of the new namespaces: a /proc, /sys and cgroup
// file systems that show only it, and directories that only it has. /etc is the
// host's, with changes that nobody else sees.
func furnish() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	// Engines bind sources with shared propagation, and so need a shared tree; but
	// nothing may go back to the host.
	for _, flag := range []uintptr{unix.MS_PRIVATE, unix.MS_SHARED} {
		if err := unix.Mount("", "/", "", flag|unix.MS_REC, ""); err != nil {
			return fmt.Errorf("propagation of /: %w", err)
		}
	}
	if err := unix.Sethostname([]byte("engines")); err != nil {
		return err
	}
	mounts := []mount{
		{"proc", "/proc", "proc", ""}, {"sysfs", "/sys", "sysfs", ""},
		{"tmpfs", "/sys/fs/cgroup", "tmpfs", "mode=755"}, {"tmpfs", "/run", "tmpfs", "mode=755"},
		{"tmpfs", "/var/lib", "tmpfs", "mode=755"}, {"tmpfs", "/home", "tmpfs", "mode=755"},
		{"tmpfs", "/dev/shm", "tmpfs", "mode=1777"}, {"mqueue", "/dev/mqueue", "mqueue", ""},
		{"tmpfs", "/usr/local/sbin", "tmpfs", "mode=755"}, {"tmpfs", "/root", "tmpfs", "mode=700"}, {"tmpfs", "/opt", "tmpfs", "mode=755"},
	}
	binary, err := os.ReadFile(os.Getenv("TARE"))
	if err != nil {
		return err
	}
	client, err := os.ReadFile(os.Getenv("TARE_ENGINES_CRI"))
	if err != nil {
		return err
	}
	self, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return err
	}
	scripts, err := filepath.Abs("scripts")
	if err != nil {
		return err
	}
	contrib, err := filepath.Abs("../../contrib")
	if err != nil {
		return err
	}
	// The tree may lie below a directory that is about to be covered.
	for _, dir := range []*string{&scripts, &contrib} {
		fd, err := unix.OpenTree(unix.AT_FDCWD, *dir, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
		if err != nil {
			return fmt.Errorf("%s: %w", *dir, err)
		}
		defer unix.Close(fd)
		*dir = strconv.Itoa(fd)
	}
	// The host's, or mountinfo would still list the hidden cgroup file systems,
	// which engines read from the top.
	for _, at := range []string{"/sys", "/proc", "/mnt"} {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.at, m.fstype, 0, m.data); err != nil && m.fstype != "mqueue" {
			return fmt.Errorf("mount %s on %s: %w", m.fstype, m.at, err)
		}
	}
	for _, h := range all {
		if rest, ok := strings.CutPrefix(h.at, "/mnt/"); ok {
			h.at = "/sys/fs/cgroup/" + rest
		}
		if err := os.MkdirAll(h.at, 0o755); err != nil {
			return err
		}
		if err := unix.Mount(h.fstype, h.at, h.fstype, 0, h.opts); err != nil {
			return fmt.Errorf("mount %s with %q on %s: %w", h.fstype, h.opts, h.at, err)
		}
	}
	for _, dir := range []string{tools, images, "/run/etc/upper", "/run/etc/work", "/run/lock", "/run/engines/scripts", "/run/engines/contrib"} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Mkdir(scratch, 0o777); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o1777); err != nil {
		return err
	}
	if err := unix.Mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work"); err != nil {
		return fmt.Errorf("mount an overlay on /etc: %w", err)
	}
	for from, at := range map[string]string{scripts: "/run/engines/scripts", contrib: "/run/engines/contrib"} {
		fd, _ := strconv.Atoi(from)
		if err := unix.MoveMount(fd, "", unix.AT_FDCWD, at, unix.MOVE_MOUNT_F_EMPTY_PATH); err != nil {
			return fmt.Errorf("mount on %s: %w", at, err)
		}
	}
	if err := os.WriteFile("/usr/local/sbin/tare", binary, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(tools+"/pty", self, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(tools+"/cri", client, 0o755); err != nil {
		return err
	}
	if err := os.MkdirAll("/opt/cni", 0o755); err != nil {
		return err
	}
	if err := os.Symlink("/usr/lib/cni", "/opt/cni/bin"); err != nil {
		return err
	}
	if out, err := exec.Command("/usr/sbin/ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		return fmt.Errorf("ip link set lo up: %w: %s", err, out)
	}
	for _, name := range []string{"PATH", "TMPDIR", "HOME", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DOCKER_HOST", "NOTIFY_SOCKET"} {
		os.Unsetenv(name)
	}
	os.Setenv("PATH", tools+":"+searchPath)
	os.Setenv("TMPDIR", scratch)
	os.Setenv("HOME", "/root")
	return makeImages()
}
