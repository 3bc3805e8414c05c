package ops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

const make1 = plan.FlagMakeDir | plan.FlagMakeFile

func mountPropagationEffect(t *testing.T) {
	for _, c := range []struct {
		to   uint64
		want string
	}{{plan.PropPrivate, ""}, {plan.PropShared, "shared:"}, {plan.PropUnbindable, "unbindable"}} {
		b := newBox(t).add(plan.MountPropagation("f", c.to|plan.PropRec)).look()
		for _, m := range b.mounts() {
			if c.want == "" && m.optional != "" || !strings.HasPrefix(m.optional, c.want) {
				t.Errorf("propagation %#x: %s is %q", c.to, m.at, m.optional)
			}
		}
	}
}

func mountPropagationFailure(t *testing.T) {
	newBox(t).add(plan.MountPropagation("f", plan.PropPrivate|plan.PropShared)).fails("mount", unix.EINVAL, "")
}

func rootBindEffect(t *testing.T) {
	root := tree(t, "a = 1")
	b := newBox(t).in(root).look()
	m := b.mount(root)
	equal(t, "propagation", m.optional, "")
	equal(t, "owner of the file below", stat(t, b.at(root)+"/a").Size, 1)
}

func rootBindFailure(t *testing.T) {
	dir := t.TempDir()
	newBox(t).add(plan.RootBind("f", dir+"/none", plan.NoSlot, plan.FlagRecursive)).fails("open", unix.ENOENT, "")
	fill(t, dir, "file = x")
	newBox(t).add(plan.RootBind("f", dir+"/file", plan.NoSlot, plan.FlagRecursive)).fails("open", unix.ENOTDIR, "")
	newBox(t).add(plan.MountPropagation("f", plan.PropUnbindable|plan.PropRec),
		plan.RootBind("f", dir, plan.NoSlot, plan.FlagRecursive)).fails("open_tree", unix.EINVAL, "")
}

// A shared tree stays shared, but for the mount that holds the root: what is
// mounted below the root must not show outside.
func TestRootBindParentPrivate(t *testing.T) {
	root := tree(t, "deep/er/")
	b := newBox(t).add(plan.MountPropagation("f", plan.PropShared|plan.PropRec),
		plan.RootBind("f", root+"/deep/er", plan.NoSlot, plan.FlagRecursive|plan.FlagParentPriv), plan.RootPivot("f")).look()
	b.mount("/")
}

// A root from a tree that the host opened: the process, root of a user namespace
// only, could not reach it. Its mounts are no peers of the host's any more, and a
// shared root has peers of its own below.
func TestRootBindTree(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, "closed/", "closed/root/", "closed/root/in/", "closed/root/mark = host")
	if err := os.Chmod(dir+"/closed", 0o700); err != nil {
		t.Fatal(err)
	}
	root := dir + "/closed/root"
	const ns = plan.NewNS
	newBox(t).userns().add(plan.Unshare("f", ns), plan.MountPropagation("f", plan.PropSlave|plan.PropRec)).
		add(plan.RootBind("f", root, plan.NoSlot, plan.FlagRecursive)).startMapped(100000).failed("open", unix.EACCES, "")
	for _, flags := range []uint32{0, plan.FlagParentPriv} {
		b := newBox(t)
		slot := b.plan.NewSlot("tree")
		inherit := uint64(plan.PropSlave | plan.PropRec)
		if flags != 0 {
			inherit = plan.PropShared | plan.PropRec
		}
		b.add(plan.TreeOpen("f", root, slot, plan.FlagRecursive)).userns()
		b.add(plan.Unshare("f", ns), plan.MountPropagation("f", inherit), plan.RootBind("f", root, slot, flags),
			plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/in"}), plan.RootPivot("f"), plan.SyncArrive("look"), plan.SyncAwait("looked"))
		b.startMapped(100000).arrive(len(b.plan.Ops) - 2)
		equal(t, "file in the root", stat(t, b.at("/mark")).Size, 4)
		equal(t, "mounts", len(b.mounts()), 2)
		if m := b.mount("/"); strings.Contains(m.optional, "shared") {
			t.Errorf("the root is %s", m.optional)
		}
		entries, err := os.ReadFile("/proc/self/mountinfo")
		b.must("mountinfo", err)
		if strings.Contains(string(entries), root+"/in ") {
			t.Error("what is mounted below the root shows on the host")
		}
	}
}

func mountFsEffect(t *testing.T) {
	root := tree(t, "tmp/")
	b := newBox(t).in(root).add(
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "here", At: "/tmp", Options: []string{"mode=1777", "size=64k", "noswap"}[:2],
			Attr: plan.AttrNosuid | plan.AttrNodev | plan.AttrNoexec | plan.AttrNodiratime, Propagation: plan.PropShared}),
		plan.MountFs(plan.Mount{Type: "proc", Source: "proc", At: "/new/deep/proc", Flags: plan.FlagMakeDir | plan.FlagRealDir}),
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/ro", Attr: plan.AttrReadonly | plan.AttrNoatime | plan.AttrNosymfollow, Flags: plan.FlagMakeDir}),
		plan.MountFs(plan.Mount{Type: "mqueue", Source: "mqueue", At: "/mqueue", Flags: plan.FlagMakeDir}),
	).look()
	m := b.mount(root + "/tmp")
	wantOpts(t, "/tmp", m.opts, "rw,nosuid,nodev,noexec,nodiratime")
	equal(t, "source", m.source, "here")
	equal(t, "shared", strings.HasPrefix(m.optional, "shared:"), true)
	equal(t, "size", strings.Contains(m.super, "size=64k"), true)
	equal(t, "mode", stat(t, b.at(root)+"/tmp").Mode&0o7777, 0o1777)
	equal(t, "type", b.mount(root+"/new/deep/proc").fstype, "proc")
	wantOpts(t, "/ro", b.mount(root+"/ro").opts, "ro,noatime,nosymfollow")
	equal(t, "type", b.mount(root+"/mqueue").fstype, "mqueue")
}

func mountFsFailure(t *testing.T) {
	root := tree(t, "tmp/", "file = x", "link -> tmp")
	for _, c := range []struct {
		m      plan.Mount
		step   string
		errno  unix.Errno
		detail string
	}{
		{plan.Mount{Type: "nosuchfs", At: "/tmp"}, "fsopen", unix.ENODEV, ""},
		{plan.Mount{Type: "tmpfs", At: "/tmp", Options: []string{"size=lots"}}, "fsconfig", unix.EINVAL, "tmpfs: Bad value for 'size'; option size=lots"},
		{plan.Mount{Type: "tmpfs", At: "/tmp", Options: []string{"color=red"}}, "fsconfig", unix.EINVAL, "tmpfs: Unknown parameter 'color'; option color=red"},
		{plan.Mount{Type: "tmpfs", At: "/tmp", Options: []string{"=x"}}, "fsconfig", unix.EINVAL, "option =x"},
		{plan.Mount{Type: "tmpfs", At: "/tmp", Options: []string{strings.Repeat("k", 300)}}, "fsconfig", unix.EINVAL, "option kkk"},
		{plan.Mount{Type: "ext4", Source: "/dev/null", At: "/tmp"}, "fsconfig", unix.ENOTBLK, "/dev/null: Can't lookup blockdev"},
		{plan.Mount{Type: "tmpfs", At: "/tmp", Attr: 0x8000}, "fsmount", unix.EINVAL, ""},
		{plan.Mount{Type: "tmpfs", At: "/none"}, "openat2", unix.ENOENT, ""},
		{plan.Mount{Type: "tmpfs", At: "/file"}, "not-a-directory", unix.ENOTDIR, ""},
		{plan.Mount{Type: "tmpfs", At: "/file/x", Flags: plan.FlagMakeDir}, "openat2", unix.ENOTDIR, ""},
		{plan.Mount{Type: "proc", At: "/link", Flags: plan.FlagRealDir | plan.FlagMakeDir}, "symlink-refused", unix.ELOOP, ""},
		{plan.Mount{Type: "proc", At: "/link/x", Flags: plan.FlagRealDir | plan.FlagMakeDir}, "symlink-refused", unix.ELOOP, ""},
		{plan.Mount{Type: "proc", At: "/file", Flags: plan.FlagRealDir}, "not-a-directory", unix.ENOTDIR, ""},
	} {
		newBox(t).in(root).add(plan.MountFs(c.m)).fails(c.step, c.errno, c.detail)
	}
}

// A value of more than 255 bytes goes through mount(2).
func TestMountFsLegacy(t *testing.T) {
	var lower, entries []string
	base := t.TempDir()
	for i := range 10 {
		d := strings.Repeat(string(rune('a'+i)), 30)
		entries = append(entries, d+"/", d+"/in-"+d[:1]+" = "+d[:1])
		lower = append(lower, filepath.Join(base, d))
	}
	fill(t, base, entries...)
	root := tree(t, "o/")
	long := "lowerdir=" + strings.Join(lower, ":")
	b := newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "overlay", Source: "overlay", At: "/o", Options: []string{long}, Flags: plan.FlagLegacy,
		Attr:        plan.AttrReadonly | plan.AttrNosuid | plan.AttrNodev | plan.AttrNoexec | plan.AttrNoatime | plan.AttrNodiratime | plan.AttrNosymfollow,
		Propagation: plan.PropShared})).look()
	m := b.mount(root + "/o")
	wantOpts(t, "/o", m.opts, "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow")
	equal(t, "shared", strings.HasPrefix(m.optional, "shared:"), true)
	for i := range 10 {
		stat(t, b.at(root)+"/o/in-"+string(rune('a'+i)))
	}
	newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "overlay", Source: "overlay", At: "/o", Options: []string{"lowerdir=" + strings.Repeat("/x", 2100)},
		Flags: plan.FlagLegacy})).fails("mount", unix.E2BIG, "")
	newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "overlay", Source: "overlay", At: "/o", Options: []string{"lowerdir=/none"},
		Flags: plan.FlagLegacy})).fails("mount", unix.ENOENT, "")
}

func mountBindEffect(t *testing.T) {
	src := tree(t, "d/", "d/sub/", "d/file = text")
	root := tree(t, "there/")
	b := newBox(t)
	slot := b.plan.NewSlot("tree")
	b.add(plan.TreeOpen("f", src+"/d", slot, 0)).in(root).add(
		plan.MountBind(plan.Mount{Source: src + "/d", At: "/there", Attr: plan.Attr(plan.AttrReadonly|plan.AttrNosuid, 0)}),
		plan.MountBind(plan.Mount{Source: src + "/d/file", At: "/etc/made/file", Flags: make1, Attr: plan.Attr(plan.AttrNoexec, 0)}),
		plan.MountBind(plan.Mount{Source: src + "/d", At: "/new/dir", Flags: make1, Propagation: plan.PropShared}),
		plan.MountBind(plan.Mount{Tree: slot, At: "/tree", Flags: make1, Attr: plan.Attr(plan.AttrNoatime, plan.AttrAtimeMask)}),
		plan.MountBind(plan.Mount{Source: root + "/there", At: "/rec", Flags: make1 | plan.FlagRecursive, Rattr: plan.Attr(plan.AttrNodev, plan.AttrReadonly)}),
	).look()
	wantOpts(t, "/there", b.mount(root+"/there").opts, "ro,nosuid")
	wantOpts(t, "/etc/made/file", b.mount(root+"/etc/made/file").opts, "rw,noexec")
	equal(t, "the file's size", stat(t, b.at(root)+"/etc/made/file").Size, 4)
	equal(t, "shared", strings.HasPrefix(b.mount(root+"/new/dir").optional, "shared:"), true)
	wantOpts(t, "/tree", b.mount(root+"/tree").opts, "rw,noatime")
	wantOpts(t, "/rec", b.mount(root+"/rec").opts, "rw,nosuid,nodev")
	equal(t, "mode of the new directory", stat(t, root+"/new").Mode&0o7777, 0o755)
	equal(t, "mode of the new file", stat(t, root+"/etc/made/file").Mode&0o7777, 0o644)
}

func mountBindFailure(t *testing.T) {
	src := tree(t, "d/", "file = x")
	root := tree(t, "d/", "file = x")
	for _, c := range []struct {
		m      plan.Mount
		step   string
		errno  unix.Errno
		detail string
	}{
		{plan.Mount{Source: src + "/none", At: "/d"}, "open_tree", unix.ENOENT, src + "/none"},
		{plan.Mount{Source: src + "/d", At: "/none"}, "openat2", unix.ENOENT, ""},
		{plan.Mount{Source: src + "/d", At: "/file"}, "not-a-directory", unix.ENOTDIR, ""},
		{plan.Mount{Source: src + "/file", At: "/d", Flags: make1}, "not-a-directory", unix.ENOTDIR, ""},
		{plan.Mount{Source: src + "/d", At: "/d", Attr: plan.Attr(0x8000, 0)}, "mount_setattr", unix.EINVAL, ""},
		{plan.Mount{Source: src + "/d", At: "/d", Propagation: plan.PropShared | plan.PropPrivate}, "mount_setattr", unix.EINVAL, ""},
	} {
		newBox(t).in(root).add(plan.MountBind(c.m)).fails(c.step, c.errno, c.detail)
	}
}

func mountRemountEffect(t *testing.T) {
	root := tree(t, "t/", "b/")
	b := newBox(t).in(root).add(
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/t", Attr: plan.AttrNosuid | plan.AttrNoatime}),
		plan.MountRemount(plan.Mount{At: "/t", Options: []string{"size=32k", "ro"}, Attr: plan.Attr(plan.AttrNoexec, plan.AttrNosuid), Flags: plan.FlagFlagsSet}),
		plan.MountBind(plan.Mount{Source: root + "/b", At: "/b"}),
		plan.MountRemount(plan.Mount{At: "/b", Attr: plan.Attr(plan.AttrReadonly, 0), Rattr: plan.Attr(plan.AttrNodev, 0), Propagation: plan.PropShared}),
	).look()
	m := b.mount(root + "/t")
	wantOpts(t, "/t", m.opts, "rw,noexec,noatime")
	equal(t, "super "+m.super, strings.Contains(m.super, "size=32k") && strings.HasPrefix(m.super, "ro,"), true)
	m = b.mount(root + "/b")
	wantOpts(t, "/b", m.opts, "ro,nodev")
	equal(t, "shared", strings.HasPrefix(m.optional, "shared:"), true)
}

func mountRemountFailure(t *testing.T) {
	root := tree(t, "t/", "plain/")
	tmp := plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/t"})
	newBox(t).in(root).add(tmp, plan.MountRemount(plan.Mount{At: "/t", Options: []string{"size=lots"}, Flags: plan.FlagFlagsSet})).
		fails("fsconfig", unix.EINVAL, "Bad value for 'size'; option size=lots")
	newBox(t).in(root).add(plan.MountRemount(plan.Mount{At: "/none"})).fails("openat2", unix.ENOENT, "")
	newBox(t).in(root).add(plan.MountRemount(plan.Mount{At: "/plain", Attr: plan.Attr(plan.AttrReadonly, 0)})).fails("not-mounted", unix.EINVAL, "")
	newBox(t).in(root).add(plan.MountRemount(plan.Mount{At: "/plain", Flags: plan.FlagFlagsSet})).fails("not-mounted", unix.EINVAL, "")
	newBox(t).in(root).add(plan.MountRemount(plan.Mount{At: "/plain"})).fails("not-mounted", unix.EINVAL, "") // with nothing to change, too
}

func mountReadonlyEffect(t *testing.T) {
	root := tree(t, "t/")
	b := newBox(t).in(root).add(
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/t", Attr: plan.AttrNosuid}),
		plan.SymlinkMake("f", "/t/made", "before"), plan.RootPivot("f"), plan.MountReadonly("f", "/t")).look()
	wantOpts(t, "/t", b.mount("/t").opts, "ro,nosuid")
	if err := os.Mkdir(b.at("/t/x"), 0o755); err != unix.EROFS && !strings.Contains(err.Error(), "read-only") {
		t.Errorf("mkdir below a read-only mount: %v", err)
	}
	equal(t, "the link made before", stat(t, b.at("/t/made")).Mode&unix.S_IFMT, unix.S_IFLNK)
}

func mountReadonlyFailure(t *testing.T) {
	newBox(t).in(tree(t)).add(plan.RootPivot("f"), plan.MountReadonly("f", "/none")).fails("openat2", unix.ENOENT, "")
	newBox(t).in(tree(t, "d/")).add(plan.RootPivot("f"), plan.MountReadonly("f", "/d")).fails("mount_setattr", unix.EINVAL, "")
}

// A new tmpfs begins with what it covers.
func TestCopyUp(t *testing.T) {
	root := tree(t, "v/", "v/dir/", "v/dir/deep/", "v/file = text", "v/dir/link -> ../file", "v/abs -> /etc/none", "v/big = "+strings.Repeat("0123456789abcdef", 200000), "v/empty = ")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(unix.Mkfifo(root+"/v/fifo", 0o640))
	must(unix.Mknod(root+"/v/zero", unix.S_IFCHR|0o604, int(unix.Mkdev(1, 5))))
	must(os.Chown(root+"/v/file", 12, 34))
	must(unix.Chmod(root+"/v/file", 0o6751))
	must(os.Chown(root+"/v/dir", 56, 78))
	must(unix.Chmod(root+"/v/dir", 0o1700))
	must(os.Lchown(root+"/v/abs", 9, 10))
	must(os.Chown(root+"/v/fifo", 1, 2))
	must(os.Chown(root+"/v", 77, 88))
	must(unix.Chmod(root+"/v", 0o2750))
	b := newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp | plan.FlagMakeDir, Attr: plan.AttrNodev})).look()
	equal(t, "type", b.mount(root+"/v").fstype, "tmpfs")
	for _, name := range []string{"", "/file", "/dir", "/dir/deep", "/dir/link", "/abs", "/fifo", "/zero", "/big", "/empty"} {
		was, is := stat(t, root+"/v"+name), stat(t, b.at(root)+"/v"+name)
		if was.Dev == is.Dev {
			t.Errorf("%s: was not copied", name)
		}
		if was.Mode != is.Mode || was.Uid != is.Uid || was.Gid != is.Gid || was.Rdev != is.Rdev {
			t.Errorf("%s: mode %o owner %d:%d dev %d, want %o %d:%d %d", name, is.Mode, is.Uid, is.Gid, is.Rdev, was.Mode, was.Uid, was.Gid, was.Rdev)
		}
		if was.Mode&unix.S_IFMT == unix.S_IFREG {
			x, err1 := os.ReadFile(root + "/v" + name)
			y, err2 := os.ReadFile(b.at(root) + "/v" + name)
			if err1 != nil || err2 != nil || string(x) != string(y) {
				t.Errorf("%s: content differs: %v %v", name, err1, err2)
			}
		}
	}
	to, err := os.Readlink(b.at(root) + "/v/abs")
	if err != nil || to != "/etc/none" {
		t.Errorf("link to %q, %v", to, err)
	}
	// A mode in the options is the config's word.
	b = newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp, Options: []string{"mode=0711"}})).look()
	equal(t, "mode", stat(t, b.at(root)+"/v").Mode&0o7777, 0o711)
	// The way through mount(2) copies too.
	b = newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp | plan.FlagLegacy})).look()
	equal(t, "type", b.mount(root+"/v").fstype, "tmpfs")
	equal(t, "size of the copy", stat(t, b.at(root)+"/v/file").Size, 4)
}

func TestCopyUpFailures(t *testing.T) {
	root := tree(t, "v/sub/", "v/sub/big = "+strings.Repeat("x", 100000))
	newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp, Options: []string{"size=4k"}})).
		fails("write", unix.ENOSPC, "copying big in sub")
	deep := root + "/v"
	for range 70 {
		deep += "/d"
	}
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/v", Flags: plan.FlagCopyUp})).fails("getdents", unix.ELOOP, "copying d in d")
}
