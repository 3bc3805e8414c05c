package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withoutDev has the image's own /dev, which an attacker can change.
func withoutDev(s *specs.Spec) {
	var out []specs.Mount
	for _, m := range s.Mounts {
		if !strings.HasPrefix(m.Destination, "/dev") {
			out = append(out, m)
		}
	}
	s.Mounts = out
}

// TestCVE2025_31133: the image's /dev/null, a link to a file of the image or of the
// kernel, is exchanged for a device while containers are made. What is masked reads
// as nothing, and what the link leads to appears nowhere. The kernel's file is one of
// the container's own, lest a runtime that falls for it harm the host.
func TestCVE2025_31133(t *testing.T) {
	for name, to := range map[string]string{"file": "/secret", "kernel": "/proc/sys/kernel/hostname", "directory": "/"} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, withoutDev, prober("stat:/hidden", "read:/hidden", "stat:/proc/version", "write:/hidden=x", "write:/proc/version=x"))
			b.put("hidden", "to be masked", 0o666)
			b.put("secret", "secret", 0o666)
			b.must(unix.Mknod(b.rootfs+"/dev/null", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))))
			b.must(os.Symlink(to, b.rootfs+"/dev/evil"))
			b.allow = []string{"dev"}
			b.spec.Linux.MaskedPaths = []string{"/hidden", "/proc/version"}
			b.writeConfig()
			stop := swap(t, b.rootfs+"/dev/null", b.rootfs+"/dev/evil", 50)
			made := 0
			for range 16 {
				r := b.call("run", "--bundle", b.bundle, b.id)
				if r.Code != 0 || r.Stdout == "" && !isTare { // runc's output goes into the image's /dev/null
					continue
				}
				made++
				rep := b.parse(r.Stdout)
				for _, op := range []string{"stat:/hidden", "stat:/proc/version"} {
					st := rep.result(op)
					if st.Type != typeChar || st.Major != 1 || st.Minor != 3 {
						t.Fatalf("%s is of type %d, device %d:%d", op, st.Type, st.Major, st.Minor)
					}
				}
				if data := rep.result("read:/hidden").Data; data != "" {
					t.Fatalf("the masked file holds %q", data)
				}
			}
			stop()
			if made == 0 && isTare {
				t.Error("not one container was made")
			}
			expect(t, "the masked file on the host", readText(t, b.rootfs+"/hidden"), "to be masked")
			expect(t, "the secret on the host", readText(t, b.rootfs+"/secret"), "secret")
			b.nothingLeft()
		})
	}
}

// TestCVE2025_52565: the image's /dev/pts, /dev/ptmx, /dev/console and /dev/mqueue are
// links out of the container; nothing is mounted, made or written where they lead.
func TestCVE2025_52565(t *testing.T) {
	for _, name := range []string{"pts", "ptmx", "console", "shm", "mqueue", "fd", "stdin"} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, prober("quiet"))
			outside := b.dir + "/outside"
			b.must(os.MkdirAll(outside, 0o755))
			b.must(os.WriteFile(outside+"/file", []byte("host"), 0o666))
			to := outside
			if name == "ptmx" || name == "console" || name == "stdin" {
				to += "/file"
			}
			_ = os.RemoveAll(b.rootfs + "/dev/" + name)
			b.must(os.Symlink(to, b.rootfs+"/dev/"+name))
			b.spec.Mounts = append(b.spec.Mounts[:1], b.spec.Mounts[2:]...) // the image's /dev
			b.allow = []string{"dev", strings.Split(workDir, "/")[1]}
			before := tree(outside)
			r := b.run()
			if r.Code != 0 && r.Code != 1 {
				t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
			}
			for _, l := range before.compare(tree(outside)) {
				t.Error("outside of the rootfs: " + l)
			}
			expect(t, "the file outside", readText(t, outside+"/file"), "host")
			for _, m := range parseMounts(readText(t, "/proc/self/mountinfo")) {
				if strings.HasPrefix(m.at, outside) {
					t.Errorf("mounted outside: %s", m.at)
				}
			}
			b.nothingLeft()
		})
	}
}

// TestDeviceRace: a directory below which devices are made is exchanged for a link out
// of the container. No device appears on the host, and none changes its owner.
func TestDeviceRace(t *testing.T) {
	b := newBox(t, withoutDev, prober("quiet"))
	outside := sharedDir(b, "outside", map[string]string{"null": "host", "fuse": "host"})
	b.must(os.Mkdir(b.rootfs+"/dev/sub", 0o755))
	b.must(os.Symlink(outside, b.rootfs+"/dev/evil"))
	b.allow = []string{"dev", strings.Split(workDir, "/")[1]}
	b.spec.Linux.Devices = []specs.LinuxDevice{
		{Path: "/dev/sub/null", Type: "c", Major: 1, Minor: 3, FileMode: ptr(os.FileMode(0o600)), UID: ptr(uint32(4711)), GID: ptr(uint32(4711))},
		{Path: "/dev/sub/fuse", Type: "c", Major: 10, Minor: 229, FileMode: ptr(os.FileMode(0o666)), UID: ptr(uint32(4711))},
		{Path: "/dev/sub/new/pipe", Type: "p", FileMode: ptr(os.FileMode(0o666))},
	}
	b.writeConfig()
	before := tree(outside)
	stop := swap(t, b.rootfs+"/dev/sub", b.rootfs+"/dev/evil", 50)
	for range 25 {
		if r := b.call("run", "--bundle", b.bundle, b.id); r.Code > 1 || strings.Contains(r.Stderr, "goroutine") {
			t.Errorf("exit code %d\n%s", r.Code, r.Stderr)
		}
	}
	stop()
	for _, l := range before.compare(tree(outside)) {
		t.Error("outside of the rootfs: " + l)
	}
	b.nothingLeft()
}

// TestCVE2025_24965: an image has links to the host at all the names that runtimes and
// engines are known to write. The runtime writes none of them.
func TestCVE2025_24965(t *testing.T) {
	b := newBox(t, prober("quiet"))
	outside := sharedDir(b, "outside", map[string]string{"file": "host"})
	for _, name := range []string{".krun_config.json", "krun_config.json", "run/.containerenv", "run/notify", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/passwd",
		"etc/group", "etc/mtab", ".dockerenv", "init", "sbin/init", "exec.fifo", "dev/init", "tmp/.X11-unix", "var/run", "root"} {
		b.must(os.MkdirAll(filepath.Dir(b.rootfs+"/"+name), 0o755))
		_ = os.Remove(b.rootfs + "/" + name)
		b.must(os.Symlink(outside+"/file", b.rootfs+"/"+name))
	}
	before, rootfs := tree(outside), tree(b.rootfs)
	b.spec.Process.Env = append(b.spec.Process.Env, "HOME=")
	for _, annotations := range []map[string]string{nil, {"run.oci.handler": "krun", "run.oci.systemd.force_cgroup_v1": "/sys/fs/cgroup"}} {
		b.spec.Annotations = annotations
		_ = b.run()
		for _, l := range append(before.compare(tree(outside)), rootfs.compare(tree(b.rootfs))...) {
			t.Error(l)
		}
		expect(t, "the file of the host", readText(t, outside+"/file"), "host")
		b.nothingLeft()
	}
}

// TestCVE2024_45310 (and CVE-2018-15664): the directories in which mount targets and
// the working directory have to be made are links out of the container, one after
// the other at every depth.
func TestCVE2024_45310(t *testing.T) {
	for depth := range 4 {
		b := newBox(t, prober("quiet"))
		outside := sharedDir(b, "outside", map[string]string{"file": "host"})
		at := "/deep"
		for i := range depth {
			b.must(os.Mkdir(b.rootfs+at, 0o755))
			at = fmt.Sprintf("%s/%d", at, i)
		}
		b.must(os.Symlink(strings.Repeat("../", 12)+outside[1:], b.rootfs+at))
		source := sharedDir(b, "source", map[string]string{"f": "x"})
		b.edit(mount(at+"/one/two", "tmpfs", "tmpfs"), bind(source, at+"/three/four"), bind(source+"/f", at+"/five/six"))
		b.spec.Process.Cwd = at + "/cwd/made"
		b.allow = []string{"deep", strings.Split(workDir, "/")[1]}
		before := tree(outside)
		_ = b.run()
		for _, l := range before.compare(tree(outside)) {
			t.Errorf("depth %d, outside of the rootfs: %s", depth, l)
		}
		b.nothingLeft()
	}
}

// TestCgroupPaths: a container cannot be put outside of the cgroups it asks for by
// dots, by a name that is a link elsewhere, or by one that a limit's file has.
func TestCgroupPaths(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 takes some of these, cut to what is left of them")
	}
	b := newBox(t, prober("quiet"))
	for _, path := range []string{"..", "/..", "/a/..", "../" + b.id, "/../" + b.id, "/a/../../" + b.id, "/" + b.id + "/../../..", ".", "/.", "/\x00", "/" + b.id + "/\x00x",
		"/" + b.id + "\n/x"} {
		b.spec.Linux.CgroupsPath = path
		if r := b.createFails(); !strings.Contains(r.Stderr, "linux.cgroupsPath") {
			t.Errorf("%q: the error does not name the field: %s", path, r.Stderr)
		}
	}
	// A limit is the name of a file in the cgroup, never of one elsewhere.
	b.spec.Linux.CgroupsPath = ""
	for _, key := range []string{"../cgroup.procs", "/etc/passwd", "a/b", "..", "memory.max/../../x", "\x00"} {
		b.spec.Linux.Resources.Unified = map[string]string{key: "1"}
		b.createFails("linux.resources.unified")
	}
	b.spec.Linux.Resources.Unified = nil
	for _, size := range []string{"2MB/../../x", "../2MB", "/2MB", "2MB\x00", ""} {
		b.spec.Linux.Resources.HugepageLimits = []specs.LinuxHugepageLimit{{Pagesize: size, Limit: 1}}
		b.createFails("linux.resources.hugepageLimits[0]")
	}
}
