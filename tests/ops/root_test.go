package ops

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

func rootPivotEffect(t *testing.T) {
	root := tree(t, "mark = inside")
	b := newBox(t).in(root).add(plan.RootPivot("f")).look()
	equal(t, "root", b.mount("/").root != "/", true)
	equal(t, "mounts", len(b.mounts()), 1) // the old root is gone with all that it held
	equal(t, "file", stat(t, b.at("/mark")).Size, 6)
	equal(t, "working directory", b.link("cwd"), "/")
}

func rootPivotFailure(t *testing.T) {
	root := tree(t)
	newBox(t).add(plan.RootPivot("f")).fails("fchdir", unix.EBADF, "")
	newBox(t).add(plan.MountPropagation("f", plan.PropShared|plan.PropRec), plan.RootBind("f", root, plan.NoSlot, plan.FlagRecursive),
		plan.RootPivot("f")).fails("pivot_root", unix.EINVAL, "")
}

func rootMoveEffect(t *testing.T) {
	root := tree(t, "mark = inside")
	b := newBox(t).in(root).add(plan.RootMove("f")).look()
	equal(t, "file", stat(t, b.at("/mark")).Size, 6)
	equal(t, "working directory", b.link("cwd"), "/")
	equal(t, "mount point", b.mount("/").root != "/", true)
}

func rootMoveFailure(t *testing.T) {
	newBox(t).add(plan.RootMove("f")).fails("fchdir", unix.EBADF, "")
	newBox(t).add(plan.MountPropagation("f", plan.PropShared|plan.PropRec), plan.RootBind("f", tree(t), plan.NoSlot, plan.FlagRecursive),
		plan.RootMove("f")).fails("mount", unix.EINVAL, "")
}

func rootChrootEffect(t *testing.T) {
	root := tree(t, "mark = inside")
	b := newBox(t).in(root).add(plan.RootChroot("f")).look()
	equal(t, "file", stat(t, b.at("/mark")).Size, 6)
	equal(t, "root", b.link("root"), root)
	equal(t, "working directory", b.link("cwd"), root)
}

func rootChrootFailure(t *testing.T) {
	newBox(t).add(plan.RootChroot("f")).fails("fchdir", unix.EBADF, "")
}

func rootAttrEffect(t *testing.T) {
	b := newBox(t).in(tree(t)).add(plan.RootPivot("f"),
		plan.RootAttr("f", plan.Attr(plan.AttrReadonly|plan.AttrNodev, 0), plan.PropShared)).look()
	m := b.mount("/")
	wantOpts(t, "/", m.opts, "ro,nodev")
	equal(t, "shared", strings.HasPrefix(m.optional, "shared:"), true)
}

func rootAttrFailure(t *testing.T) {
	newBox(t).add(plan.RootAttr("f", plan.Attr(plan.AttrReadonly, 0), 0)).fails("mount_setattr", unix.EBADF, "")
	newBox(t).in(tree(t)).add(plan.RootPivot("f"), plan.RootAttr("f", plan.Attr(0x8000, 0), 0)).fails("mount_setattr", unix.EINVAL, "")
}

func maskPrepareEffect(t *testing.T) {
	b := newBox(t).in(tree(t, "secret/", "secret/key = x")).add(plan.RootPivot("f"), plan.MaskPrepare("f"), plan.PathMask("f", "/secret")).look()
	m := b.mount("/secret")
	equal(t, "type", m.fstype, "tmpfs")
	wantOpts(t, "/secret", m.opts, "ro,nosuid,nodev,noexec")
	equal(t, "read-only file system", strings.HasPrefix(m.super, "ro"), true)
	entries, err := os.ReadDir(b.at("/secret"))
	if err != nil || len(entries) != 0 {
		t.Errorf("masked directory holds %v, %v", entries, err)
	}
	// Not even a remount by the container's root gives room for a file.
	equal(t, "nr_inodes", strings.Contains(m.super, "nr_inodes=1,") || strings.HasSuffix(m.super, "nr_inodes=1"), true)
}

func maskPrepareFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_FSOPEN, unix.ENOMEM).add(plan.MaskPrepare("f")).fails("fsopen", unix.ENOMEM, "")
	newBox(t).inject(unix.SYS_FSCONFIG, unix.EINVAL).add(plan.MaskPrepare("f")).fails("fsconfig", unix.EINVAL, "")
	newBox(t).inject(unix.SYS_FSMOUNT, unix.EPERM).add(plan.MaskPrepare("f")).fails("fsmount", unix.EPERM, "")
}

func pathReadonlyEffect(t *testing.T) {
	root := tree(t, "dir/sub/", "file = x", "link -> dir")
	b := newBox(t).in(root).add(plan.MountFs(plan.Mount{Type: "tmpfs", Source: "t", At: "/dir/sub", Attr: plan.AttrNosuid}), plan.RootPivot("f"),
		plan.PathReadonly("f", "/dir"), plan.PathReadonly("f", "/file"), plan.PathReadonly("f", "/none/at/all"), plan.PathReadonly("f", "/file/below")).look()
	wantOpts(t, "/dir", b.mount("/dir").opts, "ro")
	wantOpts(t, "/file", b.mount("/file").opts, "ro")
	// What is mounted below comes along as it is.
	wantOpts(t, "/dir/sub", b.mount("/dir/sub").opts, "rw,nosuid")
}

func pathReadonlyFailure(t *testing.T) {
	root := tree(t, "loop -> loop")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.PathReadonly("f", "/loop")).fails("openat2", unix.ELOOP, "cannot be covered")
	newBox(t).inject(unix.SYS_OPEN_TREE, unix.EPERM).add(plan.MountPropagation("f", plan.PropPrivate|plan.PropRec)).rootOf(tree(t, "d/")).
		add(plan.PathReadonly("f", "/d")).fails("open_tree", unix.EPERM, "")
}

// rootOf is the root as a tree of the host, where open_tree(2) itself is to fail.
func (b *box) rootOf(dir string) *box {
	ops := b.plan.Ops
	b.plan.Ops = nil
	slot := b.plan.NewSlot("tree")
	b.add(plan.TreeOpen("f", dir, slot, plan.FlagRecursive))
	return b.add(ops...).add(plan.RootBind("f", dir, slot, 0))
}

func pathMaskEffect(t *testing.T) {
	entries := []string{"file = secret", "other = secret", "first = secret", "link -> file", "dir0/x/"}
	ops := []plan.Op{plan.RootPivot("f"), plan.MaskPrepare("f"), plan.PathMask("f", "/first"), plan.PathMask("f", "/none"), plan.PathMask("f", "/file/below")}
	for i := range 12 {
		entries = append(entries, fmt.Sprintf("dir%d/", i), fmt.Sprintf("dir%d/key = x", i))
		ops = append(ops, plan.PathMask("f", fmt.Sprintf("/dir%d", i)))
	}
	ops = append(ops, plan.PathMask("f", "/link"), plan.PathMask("f", "/other"))
	b := newBox(t).add(plan.NullOpen("f")).in(tree(t, entries...)).add(ops...).look()
	devs := map[string]bool{}
	for i := range 12 {
		m := b.mount(fmt.Sprintf("/dir%d", i))
		devs[m.dev] = true
		left, err := os.ReadDir(b.at(m.at))
		if err != nil || len(left) != 0 || m.fstype != "tmpfs" {
			t.Errorf("%s: %s holding %v, %v", m.at, m.fstype, left, err)
		}
	}
	equal(t, "number of superblocks that cover directories", len(devs), 1)
	for _, name := range []string{"/first", "/file", "/other"} {
		st := stat(t, b.at(name))
		if st.Mode&unix.S_IFMT != unix.S_IFCHR || st.Rdev != unix.Mkdev(1, 3) {
			t.Errorf("%s has mode %o and device %#x, want the null device", name, st.Mode, st.Rdev)
		}
	}
}

func pathMaskFailure(t *testing.T) {
	root := tree(t, "dir/", "file = x", "loop -> loop")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.PathMask("f", "/dir")).fails("move_mount", unix.EBADF, "")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.PathMask("f", "/file")).fails("move_mount", unix.EBADF, "")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.PathMask("f", "/loop")).fails("openat2", unix.ELOOP, "cannot be covered")
	newBox(t).in(tree(t, "proc/")).add(plan.MountFs(plan.Mount{Type: "proc", Source: "proc", At: "/proc"}), plan.RootPivot("f"),
		plan.PathMask("f", "/proc/self/exe")).fails("openat2", unix.ELOOP, "is a magic link")
}
