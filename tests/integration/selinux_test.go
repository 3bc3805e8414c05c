//go:build vm

package integration

import (
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The labels of testdata/selinux.cil, whose words are those of every distribution's
// policy.
const (
	hostLabel    = "system_u:system_r:host_t:s0-s0:c1.c4"
	hostFile     = "system_u:object_r:host_file_t:s0"
	oneLabel     = "system_u:system_r:container_t:s0:c1,c2"
	oneFile      = "system_u:object_r:container_file_t:s0:c1,c2"
	anotherLabel = "system_u:system_r:container_t:s0:c3,c4"
	anotherFile  = "system_u:object_r:container_file_t:s0:c3,c4"
)

// TestSELinux: on a kernel that runs SELinux, and with a policy that is enforced,
// containers have the labels of their configs, and the policy decides by them.
func TestSELinux(t *testing.T) {
	if _, err := os.Stat("/sys/fs/selinux/load"); err != nil {
		t.Skip("needs a kernel that runs SELinux (the machine that tests/vm boots for it):", err)
	}
	policy, err := os.ReadFile("/payload/policy")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []struct{ path, data string }{{"/sys/fs/selinux/load", string(policy)}, {"/sys/fs/selinux/enforce", "1"}} {
		if err := os.WriteFile(f.path, []byte(f.data), 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"process", selinuxProcess}, {"files", selinuxFiles}, {"volumes", selinuxVolumes}, {"exec", selinuxExec}, {"refused", selinuxRefused},
		{"spied", selinuxSpied}, {"posture", selinuxPosture}, {"proc_volume", selinuxProcVolume}, {"restore", selinuxRestore},
	} {
		t.Run(c.name, c.test)
	}
}

func labelOf(t *testing.T, path string) string {
	t.Helper()
	b := make([]byte, 256)
	n, err := unix.Lgetxattr(path, "security.selinux", b)
	if err != nil {
		t.Fatalf("label of %s: %v", path, err)
	}
	return strings.TrimRight(string(b[:n]), "\x00")
}

// relabel gives a tree a label, as engines do (`:z`, `:Z`).
func relabel(t *testing.T, dir, label string) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(p string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return unix.Lsetxattr(p, "security.selinux", []byte(label), 0)
	}); err != nil {
		t.Fatal(err)
	}
}

// confined is a box with the labels that an engine gives to a container.
func confined(t *testing.T, process, files string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	b := newBox(t, edits...)
	relabel(t, b.rootfs, files)
	b.spec.Process.SelinuxLabel, b.spec.Linux.MountLabel = process, files
	return b
}

// label is a label as attr/current has it.
func label(text string) string { return strings.TrimRight(text, "\n\x00\b") } // the prober's word for a NUL

// selinuxProcess: the label is that of the process, from inside and outside, and of
// its session keyring; without one in the config nothing changes.
func selinuxProcess(t *testing.T) {
	b := newBox(t)
	expect(t, "label without one in the config", label(b.probe().Attr), hostLabel)
	for _, noNewPrivs := range []bool{false, true} {
		b := confined(t, oneLabel, oneFile, prober("pause"))
		b.spec.Process.NoNewPrivileges = noNewPrivs
		r := b.create()
		// It may do what is left to be done, until the execve.
		expect(t, "label of the waiting init", label(readText(t, procPath(b.pid, "attr/current"))), hostLabel)
		expect(t, "label of its next program", label(readText(t, procPath(b.pid, "attr/exec"))), oneLabel)
		b.start()
		rep := b.parse(b.output(r))
		expect(t, "label, from inside", label(rep.Attr), oneLabel)
		expect(t, "label, from outside", label(readText(t, procPath(b.pid, "attr/current"))), oneLabel)
		expect(t, "label of the session keyring", rep.KeyringLabel, oneLabel)
		for _, file := range []string{"exec", "keycreate", "fscreate", "sockcreate"} {
			expect(t, "attr/"+file, label(readText(t, procPath(b.pid, "attr/"+file))), "")
		}
		b.kill("KILL")
		b.remove()
	}
}

// selinuxFiles: file systems of the container's own have the mount label, those whose
// labels the policy fixes have the policy's.
func selinuxFiles(t *testing.T) {
	b := confined(t, oneLabel, oneFile, prober("create:/dev/shm/new", "create:/tmp/new", "pause"), mount("/tmp", "tmpfs", "tmpfs", "size=1m"))
	r := b.launch()
	rep := b.parse(b.output(r))
	for _, file := range []string{"/dev/shm/new", "/tmp/new"} {
		expect(t, "errno of making "+file, rep.result("create:"+file).Err, 0)
	}
	root := procPath(b.pid, "root")
	for _, file := range []string{"/tmp", "/tmp/new", "/dev", "/dev/null", "/dev/shm", "/dev/shm/new", "/dev/pts", "/prober"} {
		expect(t, "label of "+file, labelOf(t, root+file), oneFile)
	}
	expect(t, "label of /proc", labelOf(t, root+"/proc"), "system_u:object_r:proc_t:s0")
	expect(t, "label of /sys", labelOf(t, root+"/sys"), "system_u:object_r:proc_t:s0")
	b.kill("KILL")
	b.remove()
}

// selinuxVolumes: of files that are bound into a container, the policy lets it open
// its own, and neither the host's nor another container's. Without a label it may.
func selinuxVolumes(t *testing.T) {
	volumes := map[string]string{"own": oneFile, "others": anotherFile, "shared": "system_u:object_r:container_file_t:s0", "hosts": hostFile}
	ops := []string{}
	for _, confinedBy := range []string{"", oneLabel} {
		b := newBox(t)
		for name, l := range volumes {
			dir := sharedDir(b, name, map[string]string{"file": name})
			b.must(os.Mkdir(b.rootfs+"/"+name, 0o755))
			relabel(t, dir, l)
			b.edit(bind(dir, "/"+name, "rw"))
			ops = append(ops, "read:/"+name+"/file", "write:/"+name+"/file=x")
		}
		relabel(t, b.rootfs, oneFile)
		b.spec.Process.SelinuxLabel = confinedBy
		r := b.probe(ops...)
		for name := range volumes {
			want := 0
			if confinedBy != "" && name != "own" && name != "shared" {
				want = int(unix.EACCES)
			}
			expect(t, "as "+confinedBy+", errno of reading "+name, r.result("read:/"+name+"/file").Err, want)
			expect(t, "as "+confinedBy+", errno of writing "+name, r.result("write:/"+name+"/file=x").Err, want)
		}
	}
}

// selinuxExec: a process that is executed has the container's label, or its own.
func selinuxExec(t *testing.T) {
	b := confined(t, oneLabel, oneFile, prober("pause"))
	b.launch()
	expect(t, "label", label(b.parse(b.ok("exec", b.id, "/prober").Stdout).Attr), oneLabel)
	const shared = "system_u:system_r:container_t:s0:c1.c4"
	r := b.parse(b.ok("exec", "--process-label", shared, b.id, "/prober").Stdout)
	expect(t, "label of its own", label(r.Attr), shared)
	expect(t, "label of its session keyring", r.KeyringLabel, oneLabel) // the container's, which it joins
	// The other container's categories do not reach this one's files, not even its program.
	b.execFails([]string{"permission denied"}, "--process-label", anotherLabel, b.id, "/prober")
	b.execFails([]string{`process.selinuxLabel "not:a:label"`, "policy knows no such label"}, "--process-label", "not:a:label", b.id, "/prober")
	b.remove("--force")
}

// selinuxSpied: a process that is executed with a label is out of reach of the container's
// own, which have the host's, until the label holds.
func selinuxSpied(t *testing.T) {
	b := newBox(t)
	relabel(t, b.rootfs, oneFile)
	b.execUnderEyes(30, "--process-label", oneLabel)
}

// selinuxRefused: a label that the policy does not know is an error that names it, and
// never a container without one.
func selinuxRefused(t *testing.T) {
	for _, bad := range []string{"system_u:system_r:nobody_t:s0", "container_t", "system_u:system_r:container_t:s0:c9"} {
		b := newBox(t, prober("quiet"))
		b.spec.Process.SelinuxLabel = bad
		b.createFails("process.selinuxLabel", strconv.Quote(bad), "policy knows no such label")
		b = newBox(t, prober("quiet"), mount("/tmp", "tmpfs", "tmpfs"))
		b.spec.Linux.MountLabel = bad
		b.createFails("context", bad)
	}
}

// selinuxPosture: besides its label nothing of a confined process differs.
func selinuxPosture(t *testing.T) {
	b := confined(t, oneLabel, oneFile)
	want := ordinaryPosture(t)
	want["label"], want["keyring label"] = oneLabel, oneLabel
	check := func(r *report) { expectPosture(t, postureOf(b, r), want, "mount /", "rlimit 7") }
	check(b.probe())
	b.edit(prober("pause"))
	b.launch()
	want["args"], want["cmdline"] = "[/prober]", "/prober\x00"
	check(b.exec(nil))
	b.remove("--force")
}

// selinuxProcVolume (CVE-2019-16884, CVE-2025-52881): a volume over /proc with files,
// or links to a harmless one, where the label would be written. The process has its
// label all the same.
func selinuxProcVolume(t *testing.T) {
	for _, link := range []bool{false, true} {
		b := confined(t, oneLabel, oneFile)
		b.must(os.Mkdir(b.rootfs+"/realproc", 0o755))
		fakes := map[string]string{"self/attr/exec": "fake", "thread-self/attr/exec": "fake", "1/attr/exec": "fake", "1/task/1/attr/exec": "fake", "thread-self/attr/keycreate": "fake"}
		dir := sharedDir(b, "fake", fakes)
		if link {
			for file := range fakes {
				b.must(os.Remove(dir + "/" + file))
				b.must(os.Symlink("/realproc/self/sched", dir+"/"+file))
			}
		}
		relabel(t, dir, oneFile)
		relabel(t, b.rootfs, oneFile)
		b.edit(mount("/realproc", "proc", "proc"), bind(dir, "/proc", "rw"), prober("read:/realproc/self/attr/current"))
		r := b.run()
		if !strings.Contains(r.Stdout, `"read:/realproc/self/attr/current","err":0,"data":"`+oneLabel) {
			t.Errorf("links %t: the label is not in force: %d %s\n%s", link, r.Code, r.Stderr, r.Stdout)
		}
		if !link {
			for file := range fakes {
				expect(t, file+" of the volume", readText(t, dir+"/"+file), "fake")
			}
		}
	}
}

// selinuxRestore: mounts come back with the label of another container, as podman asks
// for it. Labels of processes are not what Debian's CRIU is built for, and it says so.
func selinuxRestore(t *testing.T) {
	hostRun(t, "ip", "link", "set", "lo", "up") // CRIU tries connections to itself
	b := confined(t, oneLabel, oneFile, mount("/tmp", "tmpfs", "tmpfs", "size=1m"))
	b.shellOf("exec /prober quiet pause >/dev/null") // a file that is restored has to have the size that it had
	relabel(t, b.rootfs, oneFile)
	context := func() (found string) {
		for line := range strings.Lines(readText(t, procPath(b.pid, "mountinfo"))) {
			if f := strings.Fields(line); f[4] == "/tmp" {
				_, rest, _ := strings.Cut(line, "context=\"")
				found, _, _ = strings.Cut(rest, "\"")
			}
		}
		return found
	}
	b.launch()
	expect(t, "label", label(readText(t, procPath(b.pid, "attr/current"))), oneLabel)
	expect(t, "context of the mount", context(), oneFile)
	b.checkpoint()
	b.refused([]string{"restore failed: criu restore: ", "selinux not supported"},
		"restore", "--detach", "--bundle", b.bundle, "--image-path", b.images(), "--lsm-profile", "selinux:"+anotherLabel, b.id)
	b.restore("--lsm-mount-context", anotherFile)
	expect(t, "context after the restore", context(), anotherFile)
	b.kill("KILL")
	b.remove()
	b.nothingLeft()
}
