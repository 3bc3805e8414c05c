package integration

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestMountAttributes sees each option of a mount in mountinfo.
func TestMountAttributes(t *testing.T) {
	for _, row := range []struct {
		options []string
		has     []string
		lacks   []string
	}{
		{nil, []string{"rw", "relatime"}, []string{"ro", "nosuid", "nodev", "noexec"}},
		{[]string{"ro"}, []string{"ro"}, []string{"rw"}},
		{[]string{"ro", "rw"}, []string{"rw"}, []string{"ro"}},
		{[]string{"nosuid", "nodev", "noexec"}, []string{"nosuid", "nodev", "noexec"}, nil},
		{[]string{"nosuid", "suid", "nodev", "dev", "noexec", "exec"}, nil, []string{"nosuid", "nodev", "noexec"}},
		{[]string{"noatime"}, []string{"noatime"}, []string{"relatime"}},
		{[]string{"strictatime"}, nil, []string{"noatime", "relatime"}},
		{[]string{"nodiratime"}, []string{"nodiratime"}, nil},
		{[]string{"nodiratime", "diratime"}, nil, []string{"nodiratime"}},
		{[]string{"noatime", "atime"}, []string{"relatime"}, []string{"noatime"}},
		{[]string{"relatime", "noatime"}, []string{"noatime"}, []string{"relatime"}},
		{[]string{"nosymfollow"}, []string{"nosymfollow"}, nil},
		{[]string{"nosymfollow", "symfollow"}, nil, []string{"nosymfollow"}},
		{[]string{"defaults", "silent", "loud"}, []string{"rw", "relatime"}, nil},
	} {
		for _, kind := range []string{"bind", "tmpfs"} {
			t.Run(kind+","+strings.Join(row.options, ","), func(t *testing.T) {
				if !isTare && (slices.Contains(row.options, "nosymfollow") || slices.Contains(row.options, "silent")) {
					t.Skip("runc 1.1 does not know them")
				}
				b := newBox(t)
				if kind == "bind" {
					b.must(os.Mkdir(b.dir+"/src", 0o755))
					b.edit(bind(b.dir+"/src", "/work", row.options...))
				} else {
					b.edit(mount("/work", "tmpfs", "tmpfs", row.options...))
				}
				m := b.probe().mount("/work")
				for _, o := range row.has {
					if !m.has(o) && (isTare || o != "relatime") {
						t.Errorf("options are %v, expected %s", m.options, o)
					}
				}
				for _, o := range row.lacks {
					if m.has(o) {
						t.Errorf("options are %v, expected no %s", m.options, o)
					}
				}
			})
		}
	}
}

// TestRecursiveAttributes binds a tree of two mounts, and changes both with the
// r-options and one with the others.
func TestRecursiveAttributes(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 knows rro and few others")
	}
	for _, row := range []struct {
		options     []string
		both, upper []string // options of both mounts, of the upper one only
	}{
		{[]string{"ro"}, nil, []string{"ro"}},
		{[]string{"rro"}, []string{"ro"}, nil},
		{[]string{"rw", "rro"}, []string{"ro"}, nil},
		{[]string{"dev", "suid", "exec", "rnosuid", "rnodev", "rnoexec"}, []string{"nosuid", "nodev", "noexec"}, nil},
		{[]string{"rnosuid", "rnodev", "rnoexec"}, []string{"nosuid", "nodev", "noexec"}, nil},
		{[]string{"nosuid", "nodev", "noexec"}, nil, []string{"nosuid", "nodev", "noexec"}},
		{[]string{"rnoatime"}, []string{"noatime"}, nil},
		{[]string{"rnodiratime"}, []string{"nodiratime"}, nil},
		{[]string{"rnosymfollow"}, []string{"nosymfollow"}, nil},
		{[]string{"rro", "rrw", "rnosuid", "rsuid", "rnodev", "rdev", "rnoexec", "rexec"}, []string{"rw"}, nil},
	} {
		t.Run(strings.Join(row.options, ","), func(t *testing.T) {
			b := newBox(t)
			b.nest("/src")
			b.edit(mount("/work", "none", b.dir+"/src", append([]string{"rbind"}, row.options...)...))
			r := b.probe("create:/work/in/f")
			upper, lower := r.mount("/work"), r.mount("/work/in")
			for _, o := range append(row.both, row.upper...) {
				if !upper.has(o) {
					t.Errorf("the upper mount has %v, expected %s", upper.options, o)
				}
			}
			for _, o := range row.both {
				if !lower.has(o) {
					t.Errorf("the lower mount has %v, expected %s", lower.options, o)
				}
			}
			for _, o := range row.upper {
				if lower.has(o) {
					t.Errorf("the lower mount has %v, expected no %s", lower.options, o)
				}
			}
			if e := r.result("create:/work/in/f").Err; (e == int(unix.EROFS)) != lower.has("ro") {
				t.Errorf("making a file in the lower mount: errno %d", e)
			}
		})
	}
}

// nest makes b.dir+name with a tmpfs mounted at its directory "in"; the test's end
// unmounts it.
func (b *box) nest(name string) {
	b.t.Helper()
	b.must(os.MkdirAll(b.dir+name+"/in", 0o755))
	at := b.dir + name + "/in"
	b.must(unix.Mount("tmpfs", at, "tmpfs", 0, ""))
	b.ownMounts = append(b.ownMounts, at)
	b.t.Cleanup(func() { b.must(unix.Unmount(at, unix.MNT_DETACH)) })
}

// TestBindIsNotRecursive: bind takes one mount, rbind the tree.
func TestBindIsNotRecursive(t *testing.T) {
	b := newBox(t)
	b.nest("/src")
	b.edit(bind(b.dir+"/src", "/work"))
	r := b.probe()
	for _, m := range parseMounts(r.Mountinfo) {
		if m.at == "/work/in" {
			t.Error("bind has brought the mount below along")
		}
	}
}

func TestMountPropagation(t *testing.T) {
	for option, want := range map[string]string{
		"": "private", "private": "private", "rprivate": "private", "shared": "shared", "rshared": "shared",
		"slave": "slave", "rslave": "slave", "unbindable": "unbindable", "runbindable": "unbindable",
	} {
		t.Run("bind_"+option, func(t *testing.T) {
			b := newBox(t)
			b.nest("/src")
			b.must(unix.Mount("", b.dir+"/src/in", "", unix.MS_SHARED, ""))
			options := []string{"rbind"}
			if option != "" {
				options = append(options, option)
			}
			b.edit(mount("/work", "none", b.dir+"/src", options...))
			r := b.probe()
			if option == "" {
				// Inherited from a slave tree, so it receives and does not send.
				want = "slave"
			}
			if got := r.mount("/work").propagation(); got != want && !(want == "shared" && got == "shared+slave") && isTare {
				t.Errorf("propagation of the upper mount is %s, expected %s", got, want)
			}
			lower := r.mount("/work/in").propagation()
			switch option {
			case "rprivate":
				expect(t, "propagation of the lower mount", lower, "private")
			case "rshared":
				expect(t, "the lower mount is shared", strings.HasPrefix(lower, "shared"), true)
			case "runbindable":
				expect(t, "propagation of the lower mount", lower, "unbindable")
			}
		})
	}
}

// TestPropagationReal mounts on one side and looks at the other.
func TestPropagationReal(t *testing.T) {
	for _, row := range []struct {
		option, root string // of the mount, of the rootfs
		in, out      bool   // host mounts come in, the container's go out
	}{
		{"rprivate", "", false, false},
		{"rslave", "rslave", true, false},
		{"rshared", "rshared", true, true},
	} {
		t.Run(row.option, func(t *testing.T) {
			b := newBox(t)
			src := b.dir + "/peer"
			b.must(os.Mkdir(src, 0o755))
			b.must(unix.Mount("tmpfs", src, "tmpfs", 0, ""))
			b.ownMounts = append(b.ownMounts, src, src+"/host", src+"/inside")
			t.Cleanup(func() {
				for _, at := range []string{src + "/host", src + "/inside"} {
					_ = unix.Unmount(at, unix.MNT_DETACH)
				}
				b.must(unix.Unmount(src, unix.MNT_DETACH))
			})
			b.must(unix.Mount("", src, "", unix.MS_SHARED, ""))
			for _, d := range []string{"/host", "/inside"} {
				b.must(os.Mkdir(src+d, 0o755))
			}
			b.spec.Linux.RootfsPropagation = row.root
			b.edit(mount("/work", "none", src, "rbind", row.option))
			caps := []string{"CAP_SYS_ADMIN"}
			b.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
			b.edit(prober("wait:/work/go", "mount:/work/inside", "create:/work/done", "pause"))
			out := b.create()
			b.start()
			b.must(unix.Mount("tmpfs", src+"/host", "tmpfs", 0, ""))
			b.must(os.WriteFile(src+"/go", nil, 0o644))
			r := b.parse(b.output(out))
			expect(t, "errno of mount", r.result("mount:/work/inside").Err, 0)
			seen := strings.Contains(r.Mountinfo, " /work/host ")
			expect(t, "a mount of the host seen in the container", seen, row.in)
			mine := strings.Contains(readText(t, "/proc/self/mountinfo"), src+"/inside ")
			expect(t, "a mount of the container seen on the host", mine, row.out)
			b.kill("KILL")
			b.remove()
		})
	}
}

func TestRootfsPropagation(t *testing.T) {
	for _, v := range []string{"", "private", "rprivate", "slave", "rslave", "shared", "rshared", "unbindable", "runbindable"} {
		t.Run(v, func(t *testing.T) {
			if !isTare && (strings.Contains(v, "shared") || strings.Contains(v, "unbindable")) {
				t.Skip("runc 1.1 ends with a private root, and cannot bind an unbindable one")
			}
			b := newBox(t)
			b.spec.Linux.RootfsPropagation = v
			want := strings.TrimPrefix(v, "r")
			if v == "" {
				want = "slave"
			}
			if got := b.probe().mount("/").propagation(); !strings.Contains(got, want) {
				t.Errorf("propagation of the root is %s, expected %s", got, want)
			}
		})
	}
	b := newBox(t)
	b.spec.Linux.RootfsPropagation = "sideways"
	b.createFails("linux.rootfsPropagation", "sideways")
}

func TestTmpfs(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 sets the covered directory's mode over mode=")
	}
	b := newBox(t, mount("/work", "tmpfs", "scratch", "size=64k", "mode=1711", "uid=5", "gid=6", "nr_inodes=10"))
	r := b.probe("stat:/work", "ls:/work")
	m := r.mount("/work")
	expect(t, "source", m.source, "scratch")
	if !m.sbHas("size=64k") || !m.sbHas("nr_inodes=10") {
		t.Errorf("options of the file system are %s", m.sb)
	}
	st := r.result("stat:/work")
	expect(t, "mode", st.Mode, 0o1711)
	expect(t, "uid", st.UID, 5)
	expect(t, "gid", st.GID, 6)
	// Options may share a string.
	b = newBox(t, mount("/work", "tmpfs", "tmpfs", "size=64k,mode=700"))
	expect(t, "mode", b.probe("stat:/work").result("stat:/work").Mode, 0o700)
	// What the file system does not take is its error, with the field.
	b = newBox(t, mount("/work", "tmpfs", "tmpfs", "nonsense=1"))
	b.createFails(fmt.Sprintf("mounts[%d]", len(b.spec.Mounts)-1), "/work", "nonsense")
	b = newBox(t, mount("/work", "nofs", "nofs"))
	b.createFails("mounts[6]", "/work", "no such device")
}

// TestTmpfsKeepsMode: without mode= a tmpfs takes that of the directory it covers,
// as images expect of /run.
func TestTmpfsKeepsMode(t *testing.T) {
	b := newBox(t, mount("/work", "tmpfs", "tmpfs", "nosuid"))
	b.must(os.Chmod(b.rootfs+"/work", 0o751))
	expect(t, "mode", b.probe("stat:/work").result("stat:/work").Mode, 0o751)
}

// TestTmpfsReadonly: devices and mount points below a read-only tmpfs still exist.
func TestTmpfsReadonly(t *testing.T) {
	b := newBox(t)
	b.spec.Mounts[1].Options = append(b.spec.Mounts[1].Options, "ro")
	r := b.probe("create:/dev/f", "stat:/dev/null", "create:/dev/shm/f")
	expect(t, "errno of making a file", r.result("create:/dev/f").Err, int(unix.EROFS))
	expect(t, "type of /dev/null", r.result("stat:/dev/null").Type, typeChar)
	expect(t, "errno of making a file below", r.result("create:/dev/shm/f").Err, 0)
}

func TestCopyUp(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot copy a fifo up")
	}
	b := newBox(t)
	b.put("data/file", "content", 0o640)
	b.put("data/dir/deep/file", strings.Repeat("x", 100000), 0o755)
	b.must(unix.Chmod(b.rootfs+"/data/dir/deep/file", 0o4755))
	b.must(unix.Chmod(b.rootfs+"/data/dir", 0o1755))
	b.must(os.Chmod(b.rootfs+"/data", 0o711))
	b.must(os.Lchown(b.rootfs+"/data/file", 12, 34))
	b.must(os.Chmod(b.rootfs+"/data/file", 0o644))
	b.must(os.Symlink("/etc/../target", b.rootfs+"/data/link"))
	b.must(unix.Mkfifo(b.rootfs+"/data/fifo", 0o600))
	b.edit(mount("/data", "tmpfs", "tmpfs", "tmpcopyup"))
	r := b.probe("stat:/data", "stat:/data/file", "read:/data/file", "stat:/data/dir", "stat:/data/dir/deep/file", "stat:/data/link", "create:/data/new", "stat:/data/fifo")
	f := r.result("stat:/data/file")
	expect(t, "mode", f.Mode, 0o644)
	expect(t, "owner", f.UID, 12)
	expect(t, "group", f.GID, 34)
	expect(t, "content", r.result("read:/data/file").Data, "content")
	expect(t, "size", r.result("stat:/data/dir/deep/file").Size, 100000)
	expect(t, "set-uid mode", r.result("stat:/data/dir/deep/file").Mode, 0o4755)
	expect(t, "directory's mode", r.result("stat:/data/dir").Mode, 0o1755)
	expect(t, "link", r.result("stat:/data/link").Link, "/etc/../target")
	expect(t, "writable", r.result("create:/data/new").Err, 0)
	if isTare {
		expect(t, "top's mode", r.result("stat:/data").Mode, 0o711)
		expect(t, "type of the fifo", r.result("stat:/data/fifo").Type, typeFIFO)
	}
	b.edit(mount("/work", "proc", "proc", "tmpcopyup"))
	b.createFails("mounts[7].options", "tmpcopyup")
}
