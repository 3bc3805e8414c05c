package ops

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// Linux 5.10 and 5.11 have no mount_setattr(2); a filter stands for them.
func oldKernel(t *testing.T) *box {
	return newBox(t).inject(unix.SYS_MOUNT_SETATTR, unix.ENOSYS)
}

func TestMountAttributesWithoutMountSetattr(t *testing.T) {
	src := tree(t, "d/sub/", "file = text")
	root := tree(t, "t/", "keep/", "ro/", "rofile = x", "masked/")
	b := oldKernel(t).add(plan.NullOpen("f")).in(root).add(
		// New flags are merged with those that a mount has.
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/t", Attr: plan.AttrNosuid | plan.AttrNodev | plan.AttrNoatime | plan.AttrNodiratime | plan.AttrNosymfollow}),
		plan.MountRemount(plan.Mount{At: "/t", Attr: plan.Attr(plan.AttrReadonly, plan.AttrNodev)}),
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/strict", Attr: plan.AttrStrictatime, Flags: plan.FlagMakeDir}),
		plan.MountRemount(plan.Mount{At: "/strict", Attr: plan.Attr(plan.AttrNoexec, 0)}),
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/relaxed", Attr: plan.AttrNoatime, Flags: plan.FlagMakeDir}),
		plan.MountRemount(plan.Mount{At: "/relaxed", Attr: plan.Attr(plan.AttrStrictatime, plan.AttrAtimeMask)}),
		plan.MountBind(plan.Mount{Source: src + "/d", At: "/bind", Flags: make1, Attr: plan.Attr(plan.AttrReadonly|plan.AttrNosuid, 0), Propagation: plan.PropShared}),
		plan.MountBind(plan.Mount{Source: src + "/file", At: "/bindfile", Flags: make1, Attr: plan.Attr(plan.AttrReadonly|plan.AttrNoexec, 0), Propagation: plan.PropShared}),
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/prop", Flags: plan.FlagMakeDir, Propagation: plan.PropShared | plan.PropRec}),
		plan.RootPivot("f"),
		plan.MountReadonly("f", "/strict"),
		plan.RootAttr("f", plan.Attr(plan.AttrReadonly, 0), plan.PropShared),
		plan.MaskPrepare("f"), plan.PathReadonly("f", "/ro"), plan.PathReadonly("f", "/rofile"), plan.PathMask("f", "/masked")).look()
	for at, want := range map[string]string{
		"/t": "ro,nosuid,noatime,nodiratime,nosymfollow", "/strict": "ro,noexec", "/relaxed": "rw", "/bind": "ro,nosuid", "/bindfile": "ro,noexec",
		"/prop": "rw", "/": "ro", "/ro": "ro", "/rofile": "ro", "/masked": "ro,nosuid,nodev,noexec",
	} {
		m := b.mount(at)
		wantOpts(t, at, m.opts, want)
		strict := at == "/strict" || at == "/relaxed"
		if strings.Contains(m.opts, "relatime") == strict && !strings.Contains(m.opts, "noatime") {
			t.Errorf("%s: %s", at, m.opts)
		}
	}
	for _, at := range []string{"/bind", "/bindfile", "/prop", "/"} {
		if m := b.mount(at); !strings.HasPrefix(m.optional, "shared:") {
			t.Errorf("%s has propagation %q", at, m.optional)
		}
	}
	equal(t, "working directory", b.link("cwd"), "/")
	// The filter does what it is there for.
	oldKernel(t).inject(unix.SYS_MOUNT, unix.EACCES).add(plan.FdSeal(3)).rootOf(root).fails("mount", unix.EACCES, "")
}

func TestRecursiveAttributesNeedMountSetattr(t *testing.T) {
	src, root := tree(t, "d/"), tree(t, "t/")
	const why = "recursive mount options need mount_setattr(2) of Linux 5.12"
	oldKernel(t).in(root).add(plan.MountBind(plan.Mount{Source: src, At: "/t", Rattr: plan.Attr(plan.AttrReadonly, 0), Flags: plan.FlagRecursive})).
		fails("mount_setattr", unix.ENOSYS, why)
	oldKernel(t).in(root).add(plan.MountRemount(plan.Mount{At: "/", Rattr: plan.Attr(plan.AttrReadonly, 0)})).fails("mount_setattr", unix.ENOSYS, why)
}

// In a user namespace the flags of the host's mounts are locked, and stay.
func TestMountAttributesInUserNamespaceWithoutMountSetattr(t *testing.T) {
	src, root := tree(t, "d/"), tree(t, "t/", "f = x")
	for _, dir := range []string{filepath.Dir(src), filepath.Dir(root)} {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b := oldKernel(t)
	slot, file := b.plan.NewSlot("dir"), b.plan.NewSlot("file")
	b.add(plan.TreeOpen("f", src, slot, 0), plan.TreeOpen("f", root+"/f", file, 0)).userns().add(plan.Fork("f", plan.NewPID|plan.NewNS, plan.NoSlot)).in(root).
		add(plan.MountBind(plan.Mount{Tree: slot, At: "/t", Attr: plan.Attr(plan.AttrReadonly, 0)}),
			plan.MountBind(plan.Mount{Tree: file, At: "/f", Attr: plan.Attr(plan.AttrReadonly, 0)}),
			plan.SyncArrive("look"), plan.SyncAwait("looked")).start().mapped(100000)
	b.arrive(len(b.plan.Ops) - 2)
	for _, at := range []string{"/t", "/f"} {
		if m := b.mount(root + at); !strings.HasPrefix(m.opts, "ro") {
			t.Errorf("%s: %s", at, m.opts)
		}
	}
}

// Linux 5.10 knows close_range(2), but not CLOSE_RANGE_CLOEXEC: EINVAL. A filter
// on flags is the stand-in.
func TestDescriptorsWithoutCloseRangeCloexec(t *testing.T) {
	b := newBox(t).leaky()
	b.flagged = append(b.flagged, flaggedCall{unix.SYS_CLOSE_RANGE, 2, 4, uint32(unix.EINVAL)})
	b.add(plan.FdSeal(4))
	p := b.program()
	if len(p.Fds) == 0 || !strings.HasSuffix(p.Fds["3"], "leak0") {
		t.Errorf("descriptors %v, want 3 to stay", p.Fds)
	}
	for n, to := range p.Fds {
		if n != "3" && strings.Contains(to, "leak") || strings.Contains(to, "plan") || strings.Contains(to, "socket:") {
			t.Errorf("descriptor %s is %s", n, to)
		}
	}
	// The last word of the init still gets out.
	b = newBox(t)
	b.flagged = append(b.flagged, flaggedCall{unix.SYS_CLOSE_RANGE, 2, 4, uint32(unix.EINVAL)})
	b.add(plan.FdSeal(3), plan.ExecFind("f", self(t), ""), plan.FdClose(3), plan.Exec("f", []string{"x", strings.Repeat("a", 200<<10)})).fails("execve", unix.E2BIG, self(t))
	b = newBox(t)
	b.flagged = append(b.flagged, flaggedCall{unix.SYS_CLOSE_RANGE, 2, 4, uint32(unix.EINVAL)})
	b.add(plan.GateOpen("f"), plan.FdSeal(3), plan.ExecFind("f", self(t), ""), plan.Gate(), plan.FdClose(3), plan.Exec("f", []string{"x", strings.Repeat("a", 200<<10)}))
	b.failsBehindTheGate("execve", unix.E2BIG, self(t))
}

// Where the parent of the root is shared, what is made below the root must stay
// below it all the same.
func TestRootBindPrivateBelowASharedParent(t *testing.T) {
	root := tree(t, "t/")
	b := newBox(t).add(plan.MountPropagation("f", plan.PropShared|plan.PropRec), plan.RootBind("f", root, plan.NoSlot, plan.FlagRecursive|plan.FlagPrivate),
		plan.MountFs(plan.Mount{Type: "tmpfs", Source: "tmpfs", At: "/t"})).look()
	equal(t, "propagation of the root", b.mount(root).optional, "")
	equal(t, "propagation below", b.mount(root+"/t").optional, "")
}
