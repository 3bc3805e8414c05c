package ops

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
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
// kernel's would. Labels and sysctls go to the kernel's, and with an init that opens
// them by path to the volume's.
func TestWritesByPathAreRedirected(t *testing.T) {
	weak := weakened(t, "op_proc.c", `	owned_fd fd = sys_openat2(c->slots[SLOT_PROC], path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0,
				  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
`, `	owned_fd proc = sys_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY, 0);
	owned_fd fd = sys_openat(proc, path, O_WRONLY, 0);
`)
	attr, label := lsm()
	for _, c := range []struct {
		file, value string
		op          plan.Op
	}{
		{"1/task/1/attr/exec", "label", plan.LsmExec("f", "exec", "label")},
		{"1/task/1/attr/keycreate", "label", plan.LsmExec("f", "keycreate", "label")},
		{"sys/net/ipv4/ip_forward", "1", plan.Sysctl("f", "net/ipv4/ip_forward", "1")},
	} {
		prepare := func() (b *box, fake string) {
			root := tree(t, "proc/")
			fake = root + "/fake/" + c.file
			if err := errors.Join(os.MkdirAll(filepath.Dir(fake), 0o755), os.WriteFile(fake, nil, 0o666)); err != nil {
				t.Fatal(err)
			}
			b = newBox(t).in(root)
			b.flags |= unix.CLONE_NEWNET | unix.CLONE_NEWPID
			return b.add(plan.ProcOpen("f"), plan.MountBind(plan.Mount{Source: root + "/fake", At: "/proc"}), plan.RootPivot("f")), fake
		}
		b, fake := prepare()
		switch {
		case c.op.Code == plan.OpSysctl:
			b.add(c.op).look()
			b.inside("net", func() { equal(t, "the sysctl", strings.TrimSpace(readFile(t, "/proc/sys/net/ipv4/ip_forward")), "1") })
		case attr == "":
			// The kernel was asked, and has nobody to answer; a file would have taken it.
			b.add(c.op).fails("write", unix.EINVAL, "")
		default:
			b.add(plan.LsmExec("f", attr, label)).look()
		}
		equal(t, "the volume's "+c.file, readFile(t, fake), "")

		b, fake = prepare()
		b.weak = weak
		b.add(c.op).look()
		equal(t, "without the private procfs, the volume's "+c.file, readFile(t, fake), c.value)
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

	b = newBox(t)
	b.weak = weakened(t, "op_dev.c", `	owned_fd fd = sys_openat(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fail(c, STEP_OPEN, fd);
	/* A container's /dev/null can be anything (CVE-2025-31133): this one is the
	 * host's, and is looked at before it is used. */
	int r = verify(c, fd, S_IFCHR, (u64)1 << 32 | 3, &st);
`, `	owned_fd fd = open_in_root(c, "/dev/null", O_PATH);
	int r = sys_fstat(fd, &st);
`)
	b.in(newTree()).add(plan.NullOpen("f"), plan.RootPivot("f"), plan.MaskPrepare("f"), plan.PathMask("f", "/hidden")).look()
	equal(t, "what covers the file if the image's /dev/null does", readFile(t, b.at("/hidden")), "secret")
}

// CVE-2026-41579, CVE-2024-45310, CVE-2018-15664: names are looked up in the root. The
// same name looked up on the host, as a joined path is, leads out.
func TestWithJoinedPaths(t *testing.T) {
	made := func(weak string) bool {
		outside := t.TempDir()
		b := newBox(t)
		b.weak = weak
		b.in(tree(t, "dev -> "+outside)).add(plan.DirMake("f", "/dev/made", 0o755)).look()
		_, err := os.Stat(outside + "/made")
		return err == nil
	}
	equal(t, "a directory was made outside of the root", made(""), false)
	equal(t, "a directory was made outside of the root, with joined paths", made(weakened(t, "path.c",
		`	return sys_openat2(c->slots[SLOT_ROOT], path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
`, `	while (*path == '/')
		path++;
	return sys_openat(c->slots[SLOT_ROOT], *path ? path : ".", (int)flags, 0);
`)), true)
}

// CVE-2016-9962: nobody who is in a namespace that the init joins can look into it,
// because its files in /proc, and the right to trace it, are root's.
func TestWithADumpableInit(t *testing.T) {
	const user = 12345
	owner := func(weak string) int {
		b := newBox(t)
		b.weak = weak
		b.user = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		return b.look().owner()
	}
	equal(t, "owner of the init's files", owner(""), 0)
	equal(t, "owner of the files of an init that is dumpable", owner(weakened(t, "main.c", `	(void)sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
`, "")), user)
}

// CVE-2023-25809: what is bound in the place of /sys is read-only with all that lies
// below it; a plan that says so of the top alone leaves the cgroups writable.
func TestWithWritableMountsBelow(t *testing.T) {
	writable := func(m plan.Mount) bool {
		root := tree(t, "sys/", "sys/cgroup/", "bound/")
		m.Source, m.At, m.Flags = root+"/sys", "/bound", plan.FlagRecursive
		b := newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/sys/cgroup"}), plan.MountBind(m), plan.RootPivot("f")).look()
		if !strings.Contains(","+b.mount("/bound").opts+",", ",ro,") {
			t.Errorf("what is bound is %s", b.mount("/bound").opts)
		}
		return os.Mkdir(b.at("/bound/cgroup/evil"), 0o755) == nil
	}
	readonly := plan.Attr(plan.AttrReadonly, 0)
	equal(t, "a directory can be made below", writable(plan.Mount{Attr: readonly, Rattr: readonly}), false)
	equal(t, "a directory can be made below, if only the top is read-only", writable(plan.Mount{Attr: readonly}), true)
}

// What is copied into a new tmpfs is what was looked at: a file that is exchanged for
// another one (a terminal, a disk) before it is opened is not read. The exchange is made
// by the init itself, between the two, so that it always comes in time.
func TestWithAnExchangedFile(t *testing.T) {
	const look = `		owned_fd sf = sys_openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY_, 0);
`
	const exchange = `		(void)sys5(__NR_renameat2, c->slots[SLOT_ROOT], "other", from, "file", 2 /* RENAME_EXCHANGE */);
` + look
	const check = `if (r < 0 || opened.st_dev != st.st_dev || opened.st_ino != st.st_ino)`
	copied := func(weak string) *box {
		b := newBox(t)
		b.weak = weak
		return b.in(tree(t, "v/", "v/file = file", "other = other")).
			add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp}))
	}
	equal(t, "what is copied", readFile(t, copied("").add(plan.RootPivot("f")).look().at("/v/file")), "file")
	copied(weakened(t, "op_copyup.c", look, exchange)).fails("identity", unix.EXDEV, "copying file")
	unchecked := copied(weakened(t, "op_copyup.c", look, exchange, check, `if (r < 0)`)).add(plan.RootPivot("f")).look()
	equal(t, "what is copied of an exchanged file without a second look", readFile(t, unchecked.at("/v/file"))[:4], "othe")
}
