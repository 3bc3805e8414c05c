package integration

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestPosture compares everything observable of an ordinary container's process
// with what the config says, so that nothing comes along unasked.
func TestPosture(t *testing.T) {
	leak, err := unix.Open("/", unix.O_RDONLY|unix.O_DIRECTORY, 0) // not close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(leak)
	b := newBox(t)
	b.env = append(os.Environ(), "SECRET=1")
	b.spec.Process.Args = []string{"/prober"}
	b.writeConfig()
	for name, rep := range map[string]*report{"run": b.probe(), "start": b.createdReport()} {
		t.Run(name, func(t *testing.T) {
			posture(t, b, rep)
			expect(t, "pid", rep.Pid, 1)
		})
	}
}

// TestPostureNotices changes one thing each: the comparison finds it, so that a
// leak of its kind would be found.
func TestPostureNotices(t *testing.T) {
	ordinary := ordinaryPosture(t)
	for name, c := range map[string]struct {
		edit func(*specs.Spec)
		want []string
	}{
		"a capability": {func(s *specs.Spec) {
			s.Process.Capabilities.Bounding = append(s.Process.Capabilities.Bounding, "CAP_SYS_PTRACE")
		}, []string{"capabilities", "status CapBnd", "status CapPrm", "status CapEff", "dumpable"}},
		"an inheritable capability": {func(s *specs.Spec) { s.Process.Capabilities.Inheritable = []string{"CAP_KILL"} }, []string{"capabilities", "status CapInh"}},
		"no_new_privs":              {noNewPrivs, []string{"no_new_privs", "status NoNewPrivs"}},
		"a filter":                  {seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer"), []string{"seccomp", "status Seccomp", "status Seccomp_filters"}},
		"a variable":                {func(s *specs.Spec) { s.Process.Env = append(s.Process.Env, "A=b") }, []string{"env"}},
		"a group":                   {func(s *specs.Spec) { s.Process.User.AdditionalGids = []uint32{7} }, []string{"groups", "status Groups"}},
		"the umask":                 {func(s *specs.Spec) { s.Process.User.Umask = ptr(uint32(0o77)) }, []string{"umask", "status Umask"}},
		"a limit":                   {func(s *specs.Spec) { s.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_CORE", Soft: 1, Hard: 2}} }, []string{"rlimit 4"}},
		"a host namespace":          {withoutNamespace(specs.IPCNamespace), []string{"namespace ipc"}},
		"a mount":                   {mount("/tmp", "tmpfs", "tmpfs"), []string{"mount /tmp"}},
		"a writable /sys":           {func(s *specs.Spec) { s.Mounts[5].Options = nil }, []string{"mount /sys"}},
		"a device": {func(s *specs.Spec) {
			s.Linux.Devices = []specs.LinuxDevice{{Path: "/dev/fuse", Type: "c", Major: 10, Minor: 229}}
		}, []string{"/dev/fuse"}},
		"the OOM score": {func(s *specs.Spec) { s.Process.OOMScoreAdj = ptr(100) }, []string{"oom_score_adj"}},
		"a scheduler": {func(s *specs.Spec) { s.Process.Scheduler = &specs.Scheduler{Policy: specs.SchedBatch} },
			[]string{"scheduler"}},
		"the personality": {func(s *specs.Spec) { s.Linux.Personality = &specs.LinuxPersonality{Domain: specs.PerLinux32} }, []string{"personality"}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, c.edit)
			got := postureOf(b, b.probe()).differences(ordinary)
			for _, ignored := range []string{"mount /", "rlimit 7"} {
				delete(got, ignored)
			}
			for _, w := range c.want {
				if got[w] == "" {
					t.Errorf("%s: no difference was found", w)
				}
				delete(got, w)
			}
			for _, other := range got {
				t.Error(other)
			}
		})
	}
	// A descriptor that comes along, and a signal that the caller ignores.
	b := newBox(t)
	b.writeConfig()
	cmd, done := b.command("run", "--bundle", b.bundle, "--preserve-fds", "1", b.id)
	dir, err := os.Open("/")
	b.must(err)
	defer dir.Close()
	cmd.ExtraFiles = []*os.File{dir}
	b.must(cmd.Run())
	if d := postureOf(b, b.parse(done().Stdout)).differences(ordinary); d["descriptor 3"] != "descriptor 3 came along: / flags=0" {
		t.Errorf("of a descriptor: %q", d["descriptor 3"])
	}
}

// TestPostureFromOutside looks at a running container's process from the host: what
// it does not show to itself.
func TestPostureFromOutside(t *testing.T) {
	b := newBox(t, prober("pause"))
	r := b.create()
	b.start()
	b.output(r)
	got := statusLines(readText(t, procPath(b.pid, "status")))
	for name, difference := range got.differences(ordinaryPosture(t)) {
		if strings.HasPrefix(name, "status ") {
			t.Error(difference)
		}
	}
	expect(t, "number of threads", len(mustGlob(t, procPath(b.pid, "task/*"))), 1)
	expect(t, "number of descriptors", len(mustGlob(t, procPath(b.pid, "fd/*"))), 3)
	expect(t, "children", strings.TrimSpace(readText(t, procPath(b.pid, "task/"+strconv.Itoa(b.pid)+"/children"))), "")
	expectList(t, "processes in its cgroups", slices.Compact(cgroupProcs(t, b.id)), []string{strconv.Itoa(b.pid)})
	for _, line := range strings.Split(readText(t, procPath(b.pid, "maps")), "\n") {
		if f := strings.Fields(line); len(f) > 5 && f[5] != "/prober" && f[5][0] != '[' && !strings.HasSuffix(f[5], b.rootfs+"/prober") {
			t.Errorf("%s is mapped", f[5])
		}
	}
	if !sameFile(procPath(b.pid, "root"), b.rootfs) || !sameFile(procPath(b.pid, "cwd"), b.rootfs) {
		t.Error("its root or its working directory is not the rootfs")
	}
	b.kill("KILL")
	b.remove()
}

// createdReport is the prober's report after create and start.
func (b *box) createdReport() *report {
	b.t.Helper()
	r := b.create()
	b.start()
	expect(b.t, "exit code", b.wait(), 0)
	rep := b.parse(readText(b.t, r.outFile))
	b.remove()
	return rep
}

// TestPreserveFDs: those that were asked for, and no others.
func TestPreserveFDs(t *testing.T) {
	b := newBox(t, prober())
	b.writeConfig()
	var files []*os.File
	for _, n := range []string{"a", "b", "c"} {
		f, err := os.Create(b.dir + "/io/" + n)
		b.must(err)
		defer f.Close()
		files = append(files, f)
	}
	cmd, done := b.command("run", "--bundle", b.bundle, "--preserve-fds", "2", b.id)
	cmd.ExtraFiles = files
	if err := cmd.Run(); err != nil {
		t.Fatal(err, done().Stderr)
	}
	r := b.parse(done().Stdout)
	expect(t, "number of descriptors", len(r.Fds), 5)
	for _, f := range r.Fds {
		if want := map[int]string{3: "/io/a", 4: "/io/b"}[f.Fd]; f.Fd > 2 && (want == "" || !strings.HasSuffix(f.Target, want)) {
			t.Errorf("descriptor %d is %s, expected %q", f.Fd, f.Target, want)
		}
		expect(t, "descriptor flags", f.DescriptorFlags, 0)
	}
	b.refused([]string{"--preserve-fds", "is not open"}, "run", "--bundle", b.bundle, "--preserve-fds", "90", b.id)
	b.nothingLeft()
}

// TestInitIsSealed (CVE-2019-5736): what runs in the container before the
// program is no file of the host, and cannot be written.
func TestInitIsSealed(t *testing.T) {
	if !isTare {
		t.Skip("asserts how tare protects itself")
	}
	b := newBox(t, prober("pause"))
	b.create()
	exe := procPath(b.pid, "exe")
	link, err := os.Readlink(exe)
	b.must(err)
	if !strings.Contains(link, "memfd:") {
		t.Errorf("the waiting init is %s, expected a memfd", link)
	}
	f, err := os.Open(exe)
	b.must(err)
	defer f.Close()
	seals, err := unix.FcntlInt(f.Fd(), unix.F_GET_SEALS, 0)
	b.must(err)
	if want := unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE; seals&want != want {
		t.Errorf("the init's seals are %#x, expected %#x", seals, want)
	}
	if w, err := unix.Open(exe, unix.O_WRONLY, 0); err == nil {
		unix.Close(w)
		t.Error("the init can be opened for writing")
	}
	// Nobody in the container may look into it (CVE-2016-9962): it is not dumpable,
	// which shows in the owner of its files only for other uids; the flag itself is
	// seen in what the waiting process keeps open.
	for _, fd := range mustGlob(t, procPath(b.pid, "fd/*")) {
		target, _ := os.Readlink(fd)
		if strings.HasPrefix(target, "/") && target != "/" && !strings.HasPrefix(target, b.dir) && target != "/dev/null" && !strings.HasPrefix(target, "/memfd:") {
			t.Errorf("the waiting init has %s open at %s", target, fd)
		}
		if isDir(fd) && !sameFile(fd, procPath(b.pid, "root")) {
			t.Errorf("the waiting init has the directory %s open", target)
		}
	}
}

func isDir(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.IsDir()
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return false
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}
