package ops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// The attacks of past vulnerabilities against a plan, and against the same plan with
// one protection taken out: the former holds, the latter does not. So it is the
// protection that holds, and a test that stages the attack would notice its loss.

// CVE-2019-19921, CVE-2023-27561, CVE-2023-28642, CVE-2025-54867.
func TestWithoutRealDir(t *testing.T) {
	for _, fs := range []string{"proc", "sysfs"} {
		protected := plan.Mount{Type: fs, Source: fs, At: "/target", Flags: plan.FlagRealDir}
		newBox(t).in(tree(t, "evil/", "target -> evil")).add(plan.MountFs(protected)).fails("symlink-refused", unix.ELOOP, "")

		weak := protected
		weak.Flags = 0
		root := tree(t, "evil/", "target -> evil")
		b := newBox(t).in(root).add(plan.MountFs(weak), plan.RootPivot("f")).look()
		equal(t, "without it, the type of what is mounted behind the link", b.mount("/evil").fstype, fs)
	}
}

// CVE-2024-21626, CVE-2016-9962: descriptors, and a working directory through one.
func TestWithoutFdClose(t *testing.T) {
	leaks := func(protected bool) (n int) {
		b := newBox(t).leaky()
		if protected {
			b.add(plan.FdClose(3))
		}
		for _, to := range b.program().Fds {
			if strings.Contains(to, "leak") {
				n++
			}
		}
		return n
	}
	equal(t, "descriptors that reach the program", leaks(true), 0)
	equal(t, "descriptors that reach the program without it", leaks(false), 3)
}

// CVE-2022-29162, CVE-2022-27650, CVE-2025-27612.
func TestWithInheritableCapabilities(t *testing.T) {
	const caps = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL
	inheritable := func(set uint64) string {
		return newBox(t).add(plan.CapsBound("f", caps), plan.CapsSet("f", caps, caps, set, 0)).program().Caps["CapInh"]
	}
	equal(t, "inheritable", inheritable(0), "0000000000000000")
	if inheritable(caps) == inheritable(0) {
		t.Error("the program does not show what it inherits: the comparison proves nothing")
	}
}

// CVE-2019-16884, CVE-2025-52881: a volume over /proc, whose files stand where the
// kernel's would. Labels and sysctls go to the kernel's. That the trap is armed shows
// a write by path, as runtimes made it.
func TestWritesByPathAreRedirected(t *testing.T) {
	attr, label := lsm()
	for _, c := range []struct {
		file string
		op   plan.Op
		step string
	}{
		{"self/attr/exec", plan.LsmExec("f", "exec", "label"), "write"},
		{"self/attr/keycreate", plan.LsmExec("f", "keycreate", "label"), "write"},
		{"sys/net/ipv4/ip_forward", plan.Sysctl("f", "net/ipv4/ip_forward", "1"), ""},
	} {
		root := tree(t, "proc/")
		fake := root + "/fake/" + c.file
		if err := errors.Join(os.MkdirAll(filepath.Dir(fake), 0o755), os.WriteFile(fake, []byte("fake"), 0o666)); err != nil {
			t.Fatal(err)
		}
		b := newBox(t).in(root)
		b.flags |= unix.CLONE_NEWNET | unix.CLONE_NEWPID
		b.add(plan.ProcOpen("f"), plan.MountBind(plan.Mount{Source: root + "/fake", At: "/proc"}), plan.RootPivot("f"))
		switch {
		case c.step == "":
			b.add(c.op).look()
			if err := os.WriteFile(b.at("/proc/"+c.file), []byte("redirected"), 0); err != nil {
				t.Errorf("the trap is not armed: %v", err)
			}
			equal(t, "after a write by path, "+c.file, readFile(t, fake), "redirected")
			b.inside("net", func() { equal(t, "the sysctl", strings.TrimSpace(readFile(t, "/proc/sys/net/ipv4/ip_forward")), "1") })
		case attr == "":
			// The kernel was asked, and has nobody to answer; a file would have taken it.
			b.add(c.op).fails(c.step, unix.EINVAL, "")
			equal(t, "the volume's "+c.file, readFile(t, fake), "fake")
		default:
			b.add(plan.LsmExec("f", attr, label)).look()
			equal(t, "the volume's "+c.file, readFile(t, fake), "fake")
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// CVE-2025-31133: what covers a masked file is opened before the container can have a
// say, and is /dev/null; a plan that binds the image's covers it with what that is.
func TestWithTheImagesNull(t *testing.T) {
	newTree := func() string { return tree(t, "dev/", "secret = secret", "dev/null -> /secret", "hidden = hidden") }
	b := newBox(t).in(newTree()).add(plan.NullOpen("f"), plan.RootPivot("f"), plan.MaskPrepare("f"), plan.PathMask("f", "/hidden")).look()
	equal(t, "what covers the file", stat(t, b.at("/hidden")).Rdev, unix.Mkdev(1, 3))

	root := newTree()
	b = newBox(t).in(root).add(plan.MountBind(plan.Mount{Source: root + "/secret", At: "/hidden"}), plan.RootPivot("f")).look() // as the link leads
	equal(t, "what covers the file if the image's /dev/null does", readFile(t, b.at("/hidden")), "secret")
}

// CVE-2026-41579, CVE-2024-45310, CVE-2018-15664: names are looked up in the root. The
// same name looked up on the host, as a joined path is, leads out.
func TestWithJoinedPaths(t *testing.T) {
	outside := t.TempDir()
	root := tree(t, "dev -> "+outside)
	newBox(t).in(root).add(plan.DirMake("f", "/dev/made", 0o755)).look()
	if _, err := os.Stat(outside + "/made"); err == nil {
		t.Error("a directory was made outside of the root")
	}
	if err := os.Mkdir(root+"/dev/joined", 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(outside + "/joined"); err != nil {
		t.Errorf("the trap is not armed: %v", err)
	}
}
