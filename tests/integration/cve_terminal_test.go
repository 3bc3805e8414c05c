package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ownDev has the image's /dev, with a devpts in it.
func ownDev(s *specs.Spec) {
	s.Mounts = append(s.Mounts[:1:1], s.Mounts[2:]...)
}

// TestCVE2025_52565Console: the image's /dev/console is a link out of the container,
// or becomes one while the container gets its terminal. Nothing is mounted where it
// leads, and the terminal is the container's.
func TestCVE2025_52565Console(t *testing.T) {
	for _, raced := range []bool{false, true} {
		b := shellBox(t, "exit 0", ownDev)
		outside := sharedDir(b, "outside", map[string]string{"file": "host"})
		b.must(os.Symlink(outside+"/file", b.rootfs+"/dev/evil"))
		b.must(os.WriteFile(b.rootfs+"/dev/console", nil, 0o600))
		b.allow = []string{"dev", strings.Split(workDir, "/")[1]}
		before := tree(outside)
		s := b.socket("tty")
		stop := func() {}
		rounds := 20
		if raced {
			b.writeConfig()
			stop = swap(t, b.rootfs+"/dev/console", b.rootfs+"/dev/evil", 20)
		} else {
			rounds = 1
			b.must(os.Rename(b.rootfs+"/dev/evil", b.rootfs+"/dev/console"))
			b.writeConfig()
		}
		for range rounds {
			r := b.call("run", "--detach", "--bundle", b.bundle, "--console-socket", s.path, b.id)
			for _, m := range parseMounts(readText(t, "/proc/self/mountinfo")) {
				if strings.HasPrefix(m.at, outside) {
					t.Errorf("mounted outside: %s", m.at)
				}
			}
			if r.Code == 0 {
				text, x := s.terminal()
				expect(t, "message", text, "/dev/pts/0")
				var st unix.Statfs_t
				b.must(unix.Fstatfs(x.master, &st))
				expect(t, "file system of the terminal", st.Type, unix.DEVPTS_SUPER_MAGIC)
			}
			b.ok("delete", "--force", b.id)
			for { // what has ended
				if pid, err := unix.Wait4(-1, nil, unix.WNOHANG, nil); pid <= 0 || err != nil {
					break
				}
			}
		}
		stop()
		for _, l := range before.compare(tree(outside)) {
			t.Error("outside of the rootfs: " + l)
		}
		expect(t, "the file outside", readText(t, outside+"/file"), "host")
		b.nothingLeft()
	}
}

// TestCVE2025_52565Ptmx: what the image has at /dev/pts/ptmx is no multiplexer of a
// devpts: a link to one, a file, a device of that number elsewhere, another device.
func TestCVE2025_52565Ptmx(t *testing.T) {
	for name, plant := range map[string]func(at string) error{
		"link to the host's":  func(at string) error { return os.Symlink("/dev/ptmx", at) },
		"link out":            func(at string) error { return os.Symlink("../../../../../../../../dev/ptmx", at) },
		"file":                func(at string) error { return os.WriteFile(at, nil, 0o666) },
		"device of no devpts": func(at string) error { return unix.Mknod(at, unix.S_IFCHR|0o666, int(unix.Mkdev(5, 2))) },
		"another device":      func(at string) error { return unix.Mknod(at, unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))) },
		"fifo":                func(at string) error { return unix.Mkfifo(at, 0o666) },
	} {
		b := shellBox(t, "exit 0", withoutDev)
		b.must(os.MkdirAll(b.rootfs+"/dev/pts", 0o755))
		b.must(plant(b.rootfs + "/dev/pts/ptmx"))
		b.allow = []string{"dev"}
		s := b.socket("tty")
		b.writeConfig()
		r := b.call("run", "--detach", "--bundle", b.bundle, "--console-socket", s.path, b.id)
		if r.Code == 0 {
			t.Errorf("%s: a terminal was made of it", name)
		}
		b.mustSay(r, name, "process.terminal")
		b.nothingLeft()
	}
}
