package ops

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

func dirMakeEffect(t *testing.T) {
	root := tree(t, "have/", "abs -> /have", "rel -> have", "up -> ../../../../have")
	newBox(t).in(root).add(plan.DirMake("f", "/a//b/./c/", 0o711), plan.DirMake("f", "/have", 0o700), plan.DirMake("f", "/abs/x", 0o755),
		plan.DirMake("f", "/rel/y", 0o755), plan.DirMake("f", "/up/z", 0o755)).look()
	for _, d := range []string{"/a", "/a/b", "/a/b/c"} {
		equal(t, "mode of "+d, stat(t, root+d).Mode&0o7777, 0o711)
	}
	equal(t, "mode of what was there", stat(t, root+"/have").Mode&0o7777, 0o755)
	for _, d := range []string{"x", "y", "z"} {
		equal(t, d, stat(t, root+"/have/"+d).Mode&unix.S_IFMT, unix.S_IFDIR)
	}
}

func dirMakeFailure(t *testing.T) {
	root := tree(t, "file = x", "loop -> loop", "loop1 -> loop2", "loop2 -> loop1", "d/")
	for _, c := range []struct {
		at    string
		errno unix.Errno
	}{
		{"/file/x", unix.ENOTDIR}, {"/file", unix.ENOTDIR}, {"/loop/x", unix.ELOOP}, {"/loop1", unix.ELOOP},
		{"/none/../x", unix.ENOENT}, {"/" + strings.Repeat("n", 256), unix.ENAMETOOLONG}, {"/" + strings.Repeat("d/", 2047) + "d", unix.ENAMETOOLONG},
	} {
		newBox(t).in(root).add(plan.DirMake("f", c.at, 0o755)).fails("mkdir", c.errno, "")
	}
}

func symlinkMakeEffect(t *testing.T) {
	root := tree(t, "taken = x", "dir/", "link -> dir", "dangling -> nowhere")
	newBox(t).in(root).add(plan.SymlinkMake("f", "/new/fd", "/proc/self/fd"), plan.SymlinkMake("f", "/taken", "y"),
		plan.SymlinkMake("f", "/link/in", "../x"), plan.SymlinkMake("f", "/dangling", "elsewhere"), plan.SymlinkMake("f", "/dangling/below", "z")).look()
	for name, want := range map[string]string{"/new/fd": "/proc/self/fd", "/dir/in": "../x", "/dangling": "nowhere", "/nowhere/below": "z"} {
		to, err := os.Readlink(root + name)
		if err != nil || to != want {
			t.Errorf("%s leads to %q, %v, want %q", name, to, err, want)
		}
	}
	equal(t, "the file that was there", stat(t, root+"/taken").Size, 1)
}

func symlinkMakeFailure(t *testing.T) {
	root := tree(t, "file = x", "loop -> loop")
	for _, c := range []struct {
		at, to, step string
		errno        unix.Errno
	}{
		{"/file/x", "y", "mkdir", unix.ENOTDIR}, {"/loop/x", "y", "mkdir", unix.ELOOP}, {"/..", "y", "mkdir", unix.EINVAL},
		{"/", "y", "mkdir", unix.EINVAL}, {"/" + strings.Repeat("n", 256), "y", "mkdir", unix.ENAMETOOLONG},
		{"/x", strings.Repeat("t", 4096), "symlink", unix.ENAMETOOLONG},
	} {
		newBox(t).in(root).add(plan.SymlinkMake("f", c.at, c.to)).fails(c.step, c.errno, "")
	}
}

// Missing targets of mounts are made where the kernel would look for them in the
// final root: links are followed, dangling ones too, and none leads outside.
func TestTargetsAreMadeInsideTheRoot(t *testing.T) {
	long := "/" + strings.Repeat(strings.Repeat("p", 200)+"/", 19) + "end" // 3823 bytes
	for _, c := range []struct {
		name  string
		tree  []string
		at    string
		want  string // where it is made; "" for the errno below
		errno unix.Errno
	}{
		{"plain", nil, "/a/b/c", "/a/b/c", 0},
		{"absolute dangling link", []string{"etc/", "etc/resolv.conf -> /run/dir/resolv.conf"}, "/etc/resolv.conf", "/run/dir/resolv.conf", 0},
		{"relative dangling link", []string{"etc/", "etc/resolv.conf -> ../run/resolv.conf"}, "/etc/resolv.conf", "/run/resolv.conf", 0},
		{"dangling link that climbs out", []string{"etc/", "etc/x -> ../../../../../../tmp/escaped"}, "/etc/x", "/tmp/escaped", 0},
		{"dangling directory", []string{"var/", "var/run -> /run"}, "/var/run/a/b", "/run/a/b", 0},
		{"chain", []string{"a -> b", "b -> /c", "c -> d/e", "d/"}, "/a", "/d/e", 0},
		{"chain below a chain", []string{"a -> b", "b -> /deep/c"}, "/a/x/y", "/deep/c/x/y", 0},
		{"link below a linked directory", []string{"real/", "l -> real", "real/x -> ../made"}, "/l/x", "/made", 0},
		{"dots", []string{"have/"}, "/have/../new/./x", "/new/x", 0},
		{"dots at the top", nil, "/../../new", "/new", 0},
		{"long name", nil, long, long, 0},
		{"loop", []string{"l -> l"}, "/l", "", unix.ELOOP},
		{"loop of dangling links", []string{"a -> b/x", "b -> a/y"}, "/a", "", unix.ELOOP},
		{"too long", nil, "/" + strings.Repeat("x/", 2047) + "xx", "", unix.ENAMETOOLONG},
		{"long component", nil, "/a/" + strings.Repeat("x", 256), "", unix.ENAMETOOLONG},
		{"link that grows too long", []string{"l -> " + strings.Repeat("q/", 2000) + "q"}, "/l/" + strings.Repeat("r/", 100), "", unix.ENAMETOOLONG},
		{"file in the way", []string{"f = x"}, "/f/x", "", unix.ENOTDIR},
		{"dots in what does not exist", nil, "/none/../x", "", unix.ENOENT},
	} {
		for _, kind := range []string{"dir", "file"} {
			t.Run(c.name+"/"+kind, func(t *testing.T) {
				outside := t.TempDir()
				root := filepath.Join(outside, "a/b/root")
				fill(t, outside, "a/b/root/", "a/canary = x")
				fill(t, root, c.tree...)
				before := outsideOf(t, outside, root)
				src := tree(t, "dir/", "dir/mark = 1", "file = 12")
				b := newBox(t).in(root)
				b.add(plan.MountBind(plan.Mount{Source: src + "/" + kind, At: c.at, Flags: make1}))
				if c.want == "" {
					b.start()
					r, err := b.report()
					if err != nil || r.Errno != c.errno {
						t.Errorf("got %s, %v, want %v", b.text(&r), err, c.errno)
					}
				} else {
					b.look()
					m := b.mounts()
					equal(t, "mount point", m[len(m)-1].at, root+c.want)
					want := uint32(unix.S_IFDIR)
					if kind == "file" {
						want = unix.S_IFREG
					}
					equal(t, "type", stat(t, root+c.want).Mode&unix.S_IFMT, want)
				}
				if after := outsideOf(t, outside, root); after != before {
					t.Errorf("outside the root:\n%s\nbefore:\n%s", after, before)
				}
			})
		}
	}
}

// outsideOf is the snapshot of a tree without what is below root.
func outsideOf(t testing.TB, dir, root string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		b.WriteString(path + " " + info.Mode().String() + "\n")
		if path == root {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// While the init makes targets, another process of the same root swaps their
// parents for links that lead out. Some runs must fail; none may touch anything
// outside (CVE-2021-30465, CVE-2024-45310).
func TestRaceWithSwappedLinks(t *testing.T) {
	outside := t.TempDir()
	root := filepath.Join(outside, "root")
	fill(t, outside, "root/", "host/", "host/canary = x")
	fill(t, root, "a/b/", "x/")
	before := outsideOf(t, outside, root)
	src := tree(t, "dir/", "dir/mark = 1", "file = 12")

	var stop atomic.Bool
	var wg sync.WaitGroup
	defer func() { stop.Store(true); wg.Wait() }()
	wg.Add(1)
	go func() { // the attacker: a directory and a link out of the root exchange names
		defer wg.Done()
		links := []string{"../../../../../../../../.." + outside + "/host", outside + "/host", "../../host"}
		for i := 0; !stop.Load(); i++ {
			link := filepath.Join(root, "swap")
			_ = os.Symlink(links[i%len(links)], link)
			for _, at := range []string{"a/b", "a/b/c", "a"} {
				_ = unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, filepath.Join(root, at), unix.RENAME_EXCHANGE)
				_ = unix.Renameat2(unix.AT_FDCWD, link, unix.AT_FDCWD, filepath.Join(root, at), unix.RENAME_EXCHANGE)
			}
			_ = os.Remove(link)
		}
	}()
	made, refused := 0, 0
	for range 60 {
		b := newBox(t).in(root)
		for range 20 {
			b.add(plan.MountBind(plan.Mount{Source: src + "/dir", At: "/a/b/c/d", Flags: make1}),
				plan.MountBind(plan.Mount{Source: src + "/file", At: "/a/b/c/e/f", Flags: make1}),
				plan.DirMake("f", "/a/b/c/g/h", 0o755), plan.SymlinkMake("f", "/a/b/c/link", "x"))
		}
		b.add(plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
		r, err := b.report()
		switch {
		case err != nil:
			t.Fatalf("%v; output %s", err, b.output())
		case r.Errno != 0:
			refused++
		default:
			made++
			for _, m := range b.mounts() {
				if strings.HasPrefix(m.at, outside+"/") && m.at != root && !strings.HasPrefix(m.at, root+"/") {
					t.Fatalf("mounted outside: %s", m.at)
				}
			}
		}
		b.end()
		if after := outsideOf(t, outside, root); after != before {
			t.Fatalf("outside the root:\n%s\nbefore:\n%s", after, before)
		}
	}
	t.Logf("%d plans went through, %d were refused", made, refused)
}

// procfs and sysfs go onto a real directory, also when a link appears after the
// look and before the mount.
func TestRealDirRace(t *testing.T) {
	root := tree(t, "elsewhere/")
	var stop atomic.Bool
	var wg sync.WaitGroup
	defer func() { stop.Store(true); wg.Wait() }()
	wg.Add(1)
	go func() {
		defer wg.Done()
		for !stop.Load() {
			_ = os.Symlink("elsewhere", root+"/proc")
			_ = os.Remove(root + "/proc")
		}
	}()
	for range 150 {
		b := newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "proc", Source: "proc", At: "/proc", Flags: plan.FlagRealDir | plan.FlagMakeDir}),
			plan.SyncArrive("look"), plan.SyncAwait("looked")).start()
		if _, err := b.report(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.ReadFile(b.proc("mountinfo")); err == nil && strings.Contains(string(info), root+"/elsewhere ") {
			t.Fatal("procfs was mounted through a link")
		}
		b.end()
	}
}

func deviceMakeEffect(t *testing.T) {
	root := tree(t, "dev/")
	if err := unix.Mknod(root+"/dev/there", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 7))); err != nil {
		t.Fatal(err)
	}
	newBox(t).in(root).add(
		plan.DeviceMake("f", "/dev/null", unix.S_IFCHR|0o666, plan.Dev(1, 3), 0, 0),
		plan.DeviceMake("f", "/dev/big", unix.S_IFCHR|0o640, plan.Dev(4095, 1048575), 5, 6),
		plan.DeviceMake("f", "/dev/sub/loop", unix.S_IFBLK|0o660, plan.Dev(7, 300), 0, 9),
		plan.DeviceMake("f", "/dev/fifo", unix.S_IFIFO|0o600, 0, 7, 8),
		plan.DeviceMake("f", "/dev/there", unix.S_IFCHR|0o666, plan.Dev(1, 7), 11, 12)).look()
	for name, want := range map[string]unix.Stat_t{
		"/dev/null":     {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 3)},
		"/dev/big":      {Mode: unix.S_IFCHR | 0o640, Rdev: unix.Mkdev(4095, 1048575), Uid: 5, Gid: 6},
		"/dev/sub/loop": {Mode: unix.S_IFBLK | 0o660, Rdev: unix.Mkdev(7, 300), Gid: 9},
		"/dev/fifo":     {Mode: unix.S_IFIFO | 0o600, Uid: 7, Gid: 8},
		"/dev/there":    {Mode: unix.S_IFCHR | 0o666, Rdev: unix.Mkdev(1, 7), Uid: 11, Gid: 12},
	} {
		st := stat(t, root+name)
		if st.Mode != want.Mode || st.Rdev != want.Rdev || st.Uid != want.Uid || st.Gid != want.Gid {
			t.Errorf("%s: mode %o dev %#x owner %d:%d, want %o %#x %d:%d", name, st.Mode, st.Rdev, st.Uid, st.Gid, want.Mode, want.Rdev, want.Uid, want.Gid)
		}
	}
}

// Before Linux 6.6 no mode can be set through an O_PATH descriptor.
func TestDeviceModeWithoutFchmodat2(t *testing.T) {
	root := tree(t, "dev/")
	if err := unix.Mknod(root+"/dev/there", unix.S_IFCHR|0o600, int(unix.Mkdev(1, 7))); err != nil {
		t.Fatal(err)
	}
	newBox(t).inject(unix.SYS_FCHMODAT2, unix.ENOSYS).in(root).add(plan.DeviceMake("f", "/dev/there", unix.S_IFCHR|0o640, plan.Dev(1, 7), 11, 12)).look()
	st := stat(t, root+"/dev/there")
	equal(t, "mode", st.Mode, unix.S_IFCHR|0o640)
	equal(t, "owner", [2]uint32{st.Uid, st.Gid}, [2]uint32{11, 12})
}

func deviceMakeFailure(t *testing.T) {
	root := tree(t, "dev/", "dev/file = x", "dev/link -> /etc/none", "dev/dir/", "dev/sub = x")
	for _, name := range []string{"c1", "fifo"} {
		mode, dev := uint32(unix.S_IFCHR), int(unix.Mkdev(1, 5))
		if name == "fifo" {
			mode, dev = unix.S_IFIFO, 0
		}
		if err := unix.Mknod(root+"/dev/"+name, mode|0o666, dev); err != nil {
			t.Fatal(err)
		}
	}
	before := snapshot(t, root)
	for _, name := range []string{"file", "link", "dir", "c1", "fifo"} {
		newBox(t).in(root).add(plan.DeviceMake("f", "/dev/"+name, unix.S_IFCHR|0o666, plan.Dev(1, 3), 3, 3)).fails("identity", unix.EEXIST, "")
	}
	newBox(t).in(root).add(plan.DeviceMake("f", "/dev/sub/x", unix.S_IFCHR|0o666, plan.Dev(1, 3), 0, 0)).fails("mkdir", unix.ENOTDIR, "")
	newBox(t).in(root).inject(unix.SYS_MKNODAT, unix.EPERM).add(plan.DeviceMake("f", "/dev/x", unix.S_IFCHR|0o666, plan.Dev(1, 3), 0, 0)).fails("mknod", unix.EPERM, "")
	equal(t, "the tree afterwards", snapshot(t, root), before)
}

func deviceBindEffect(t *testing.T) {
	root := tree(t, "dev/", "dev/zero = ")
	b := newBox(t).in(root).add(plan.DeviceBind("f", "/dev/null", "/dev/null", unix.S_IFCHR|0o666, plan.Dev(1, 3)),
		plan.DeviceBind("f", "/dev/zero", "/dev/zero", unix.S_IFCHR|0o666, plan.Dev(1, 5))).look()
	equal(t, "null", stat(t, b.at(root)+"/dev/null").Rdev, unix.Mkdev(1, 3))
	equal(t, "zero", stat(t, b.at(root)+"/dev/zero").Rdev, unix.Mkdev(1, 5))
	b.mount(root + "/dev/null")
}

func deviceBindFailure(t *testing.T) {
	root := tree(t, "dev/", "dev/dir/")
	newBox(t).in(root).add(plan.DeviceBind("f", "/dev/null", "/dev/zero", unix.S_IFCHR|0o666, plan.Dev(1, 3))).fails("identity", unix.EEXIST, "")
	newBox(t).in(root).add(plan.DeviceBind("f", "/dev/null", "/dev/null", unix.S_IFBLK|0o666, plan.Dev(1, 3))).fails("identity", unix.EEXIST, "")
	newBox(t).in(root).add(plan.DeviceBind("f", "/dev/x", "/dev/tare-none", unix.S_IFCHR, plan.Dev(1, 3))).fails("open", unix.ENOENT, "/dev/tare-none")
	newBox(t).in(root).add(plan.DeviceBind("f", "/dev/dir", "/dev/null", unix.S_IFCHR, plan.Dev(1, 3))).fails("not-a-directory", unix.ENOTDIR, "")
}
