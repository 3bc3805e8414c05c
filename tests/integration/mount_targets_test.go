package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestBindTargets: targets that are missing are made, of the source's kind.
func TestBindTargets(t *testing.T) {
	b := newBox(t)
	b.must(os.MkdirAll(b.dir+"/src/d", 0o755))
	b.must(os.WriteFile(b.dir+"/src/f", []byte("file"), 0o644))
	b.must(os.WriteFile(b.bundle+"/rel", []byte("relative"), 0o644))
	b.allow = []string{"new", "newfile", "rel", "in"}
	b.edit(bind(b.dir+"/src/d", "/new/a/dir"), bind(b.dir+"/src/f", "/new/b/file"), bind(b.dir+"/src/f", "/newfile"), bind("rel", "/rel"))
	r := b.probe("stat:/new/a/dir", "read:/new/b/file", "read:/newfile", "read:/rel")
	expect(t, "type of the directory", r.result("stat:/new/a/dir").Type, typeDir)
	expect(t, "content", r.result("read:/new/b/file").Data, "file")
	expect(t, "content", r.result("read:/newfile").Data, "file")
	expect(t, "content of a relative source", r.result("read:/rel").Data, "relative")
	var st unix.Stat_t
	b.must(unix.Stat(b.rootfs+"/new/a", &st))
	expect(t, "mode of a made directory", st.Mode&0o7777, 0o755)
	b.edit(func(s *specs.Spec) { s.Mounts = s.Mounts[:6] }, bind(b.dir+"/src/none", "/in"))
	b.createFails("mounts[6]", "/src/none", "no such file or directory")
	b.edit(func(s *specs.Spec) { s.Mounts = s.Mounts[:6] }, bind(b.dir+"/src/d", "/prober"))
	b.createFails("mounts[6]", "/prober", "not a directory")
	b.edit(func(s *specs.Spec) { s.Mounts = s.Mounts[:6] }, bind(b.dir+"/src/f", "/work"))
	b.createFails("mounts[6]", "/work", "not a directory")
}

// TestLinkedTargets: links in the rootfs lead to places in the rootfs, dangling
// ones and absolute ones too (CVE-2019-18837, CVE-2021-30465).
func TestLinkedTargets(t *testing.T) {
	b := newBox(t)
	outside := b.dir + "/outside"
	b.must(os.Mkdir(outside, 0o755))
	b.must(os.Mkdir(b.dir+"/src", 0o755))
	b.must(os.WriteFile(b.dir+"/src/f", []byte("x"), 0o644))
	b.must(os.Symlink(outside, b.rootfs+"/absolute"))
	b.must(os.Symlink("../../../../../../"+outside, b.rootfs+"/climbing"))
	b.must(os.Symlink("/work/missing", b.rootfs+"/dangling"))
	b.allow = []string{strings.TrimPrefix(strings.Split(outside, "/")[1], "/"), "work"}
	b.edit(bind(b.dir+"/src", "/absolute/one"), bind(b.dir+"/src", "/climbing/two"), bind(b.dir+"/src/f", "/dangling"))
	r := b.run()
	_ = r // whether it works is the runtime's choice; where it ends is not
	entries, err := os.ReadDir(outside)
	b.must(err)
	if len(entries) != 0 {
		t.Errorf("made outside of the rootfs: %v", entries)
	}
	b.nothingLeft()
	if isTare {
		expect(t, "exit code", r.Code, 0)
		if r.Code != 0 {
			t.Log(r.Stderr)
		}
	}
}

func TestMountOrder(t *testing.T) {
	b := newBox(t)
	b.must(os.Mkdir(b.dir+"/src", 0o755))
	b.must(os.WriteFile(b.dir+"/src/f", []byte("below"), 0o644))
	// What is mounted later covers what was mounted before at and below its place.
	b.edit(mount("/work", "tmpfs", "first"), bind(b.dir+"/src/f", "/work/f"), mount("/tmp", "tmpfs", "one"), mount("/tmp", "tmpfs", "two"))
	r := b.probe("read:/work/f")
	expect(t, "content", r.result("read:/work/f").Data, "below")
	expect(t, "the topmost mount", r.mount("/tmp").source, "two")
}

func TestRemount(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 remounts otherwise")
	}
	b := newBox(t, mount("/work", "tmpfs", "tmpfs", "size=64k"), mount("/work", "", "", "remount", "bind", "ro", "nosuid"))
	m := b.probe().mount("/work")
	if !m.has("ro") || !m.has("nosuid") || m.sbHas("ro") {
		t.Errorf("options are %v, of the file system %s", m.options, m.sb)
	}
	b = newBox(t, mount("/work", "tmpfs", "tmpfs", "size=64k"), mount("/work", "", "", "remount", "size=128k"))
	if m = b.probe().mount("/work"); !m.sbHas("size=128k") {
		t.Errorf("the file system's options are %s, expected size=128k", m.sb)
	}
}

// TestOverlayLong mounts an overlay whose options are longer than fsconfig(2) takes.
func TestOverlayLong(t *testing.T) {
	b := newBox(t)
	var lowers []string
	for i := range 12 {
		d := fmt.Sprintf("%s/layer-%02d-%s", b.dir, i, strings.Repeat("x", 40))
		b.must(os.Mkdir(d, 0o755))
		b.must(os.WriteFile(fmt.Sprintf("%s/f%02d", d, i), nil, 0o644))
		lowers = append(lowers, d)
	}
	for _, d := range []string{"/upper", "/owork"} {
		b.must(os.Mkdir(b.dir+d, 0o755))
	}
	lower := "lowerdir=" + strings.Join(lowers, ":")
	if len(lower) < 600 {
		t.Fatalf("the test's option has only %d bytes", len(lower))
	}
	b.edit(mount("/work", "overlay", "overlay", lower, "upperdir="+b.dir+"/upper", "workdir="+b.dir+"/owork", "nodev"))
	r := b.probe("ls:/work", "create:/work/new")
	expect(t, "number of files", len(r.result("ls:/work").Files), 12)
	expect(t, "errno of making a file", r.result("create:/work/new").Err, 0)
	expect(t, "nodev", r.mount("/work").has("nodev"), true)
	_, err := os.Stat(b.dir + "/upper/new")
	b.must(err)
	b.must(os.RemoveAll(b.dir + "/owork"))
}

func TestDevptsAndMqueue(t *testing.T) {
	r := newBox(t).probe("stat:/dev/pts/ptmx", "stat:/dev/ptmx", "stat:/dev/mqueue", "ls:/dev/pts")
	expect(t, "mode of ptmx", r.result("stat:/dev/pts/ptmx").Mode, 0o666)
	expect(t, "/dev/ptmx", r.result("stat:/dev/ptmx").Link, "pts/ptmx")
	expect(t, "number of terminals", len(r.result("ls:/dev/pts").Files), 1)
	m := r.mount("/dev/pts")
	for _, o := range []string{"gid=5", "mode=620", "ptmxmode=666"} {
		if !m.sbHas(o) {
			t.Errorf("devpts has %s, expected %s", m.sb, o)
		}
	}
	expect(t, "type of /dev/mqueue", r.mount("/dev/mqueue").fstype, "mqueue")
}

// TestCgroupMount: the container sees its own cgroups, with and without a
// namespace.
func TestCgroupMount(t *testing.T) {
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "namespace", false: "bind"}[own], func(t *testing.T) {
			b := newBox(t, mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid", "noexec", "nodev", "relatime", "ro"))
			if own {
				b.edit(withNamespace(specs.CgroupNamespace, ""))
			}
			r := b.probe("read:/sys/fs/cgroup/pids/cgroup.procs", "mkdir:/sys/fs/cgroup/pids/x", "mkdir:/sys/fs/cgroup/x", "ls:/sys/fs/cgroup")
			expect(t, "processes", r.result("read:/sys/fs/cgroup/pids/cgroup.procs").Data, "1\n")
			expect(t, "errno of making a cgroup", r.result("mkdir:/sys/fs/cgroup/pids/x").Err, int(unix.EROFS))
			if !isTare {
				return // runc 1.1 leaves the directory writable by its owner, and leaves cgroup2 out
			}
			expect(t, "errno of making a directory", r.result("mkdir:/sys/fs/cgroup/x").Err, int(unix.EROFS))
			if n := len(r.result("ls:/sys/fs/cgroup").Files); n < len(hierarchies()) {
				t.Errorf("%d hierarchies are mounted, the host has %d", n, len(hierarchies()))
			}
			for _, m := range parseMounts(r.Mountinfo) {
				if m.fstype == "cgroup" {
					want := "/"
					if !own || isTare {
						want = map[bool]string{true: "/", false: "/" + b.id}[own]
					}
					if !strings.HasSuffix(m.root, want) {
						t.Errorf("at %s the root is %s, expected %s", m.at, m.root, want)
					}
				}
			}
		})
	}
}

func TestIdmap(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no id-mapped mounts")
	}
	needIdmappedTmpfs(t)
	ids := func(container, host, size uint32) []specs.LinuxIDMapping {
		return []specs.LinuxIDMapping{{ContainerID: container, HostID: host, Size: size}}
	}
	b := newBox(t)
	b.nest("/src")
	b.must(os.WriteFile(b.dir+"/src/f", nil, 0o644))
	b.must(os.WriteFile(b.dir+"/src/in/g", nil, 0o644))
	for _, f := range []string{"/src/f", "/src/in/g"} {
		b.must(os.Lchown(b.dir+f, 10, 20))
	}
	for _, row := range []struct {
		option string
		lower  int64
	}{{"idmap", 10}, {"ridmap", 1010}} {
		b.spec.Mounts = append(b.spec.Mounts[:6:6], specs.Mount{Destination: "/work", Type: "bind", Source: b.dir + "/src",
			Options: []string{"rbind", row.option}, UIDMappings: ids(0, 1000, 100), GIDMappings: ids(0, 2000, 100)})
		r := b.probe("stat:/work/f", "stat:/work/in/g", "stat:/work")
		expect(t, row.option+": owner", r.result("stat:/work/f").UID, 1010)
		expect(t, row.option+": group", r.result("stat:/work/f").GID, 2020)
		expect(t, row.option+": owner below", r.result("stat:/work/in/g").UID, row.lower)
	}
	// In a user namespace the config's own maps serve, and owners look unchanged.
	u := newBox(t, userNamespace(100000))
	u.own(100000)
	u.must(os.Mkdir(u.dir+"/src", 0o755))
	u.must(os.WriteFile(u.dir+"/src/f", nil, 0o644))
	u.must(os.Lchown(u.dir+"/src/f", 7, 8))
	u.edit(bind(u.dir+"/src", "/work", "idmap"), bind(u.dir+"/src", "/tmp"))
	r := u.probe("stat:/work/f", "stat:/tmp/f")
	expect(t, "mapped owner", r.result("stat:/work/f").UID, 7)
	expect(t, "mapped group", r.result("stat:/work/f").GID, 8)
	expect(t, "owner without a map", r.result("stat:/tmp/f").UID, 65534)
	b.spec.Mounts = append(b.spec.Mounts[:6:6], specs.Mount{Destination: "/work", Type: "tmpfs", UIDMappings: ids(0, 0, 0)})
	b.createFails("mounts[6].uidMappings", "only bind mounts", "must be given together with gidMappings", "mounts[6].uidMappings[0].size")
	b.spec.Mounts = append(b.spec.Mounts[:6:6], specs.Mount{Destination: "/work", Type: "bind", Source: b.dir + "/src", Options: []string{"idmap"}})
	b.createFails("mounts[6].options", "idmap")
}

func TestMountRefusals(t *testing.T) {
	b := newBox(t)
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{}, specs.Mount{Destination: "/x"}, specs.Mount{Destination: "/y", Type: "bind"},
		specs.Mount{Destination: "/", Type: "tmpfs"})
	b.createFails("mounts[6].destination", "mounts[7].type", "mounts[8].source", "mounts[9].destination")
}
