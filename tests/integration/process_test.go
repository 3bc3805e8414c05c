package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestArgsAndEnv(t *testing.T) {
	b := newBox(t)
	odd := "exit:0"
	b.spec.Process.Env = []string{"PATH=/bin", "A=1", "B=", "C=x=y", "D=line\nfeed", "HOME=/nowhere"}
	r := b.probe("stat:/a b", "stat:", "stat:\"'", odd)
	expectList(t, "args", r.Args, []string{"/prober", "stat:/a b", "stat:", "stat:\"'", odd})
	expectList(t, "env", r.Env, b.spec.Process.Env)
}

// A variable that is set twice has its last value, for the program as for the
// search of it.
func TestEnvSetTwice(t *testing.T) {
	b := newBox(t)
	b.spec.Process.Env = []string{"PATH=/missing", "A=1", "HOME=/a", "A=2", "PATH=/", "HOME=/b", "A=3"}
	b.spec.Process.Args = []string{"prober"}
	r := b.run()
	if r.Code != 0 {
		t.Fatalf("run: exit code %d\n%s", r.Code, r.Stderr)
	}
	expectList(t, "env", b.parse(r.Stdout).Env, []string{"PATH=/", "A=3", "HOME=/b"})
}

func TestLookup(t *testing.T) {
	b := newBox(t)
	b.must(os.MkdirAll(b.rootfs+"/bin", 0o755))
	b.must(os.MkdirAll(b.rootfs+"/first/prog", 0o755)) // a directory is no program
	b.copyFile(proberAt, "bin/prog", 0o755)
	b.put("noexec/prog", "", 0o644)
	b.spec.Process.Env = []string{"PATH=/first:/noexec:/bin"}
	b.edit(args("prog", "quiet", "exit:4"))
	expect(t, "exit code", b.run().Code, 4)
	b.edit(args("missing"))
	b.runFails(`exec: "missing": executable file not found in $PATH`)
	b.createFails(`exec: "missing": executable file not found in $PATH`)
	b.edit(args("/not/there"))
	b.createFails("no such file or directory", "/not/there")
	b.edit(args("/noexec/prog"))
	b.createFails("permission denied", "/noexec/prog")
	b.edit(args("/first"))
	b.createFails("is a directory")
	b.put("bin/text", "#!/missing/interpreter\n", 0o755)
	b.allow = []string{"bin/text", "bin/junk"}
	b.edit(args("/bin/text"))
	b.runFails("exec /bin/text: no such file or directory")
	b.put("bin/junk", "not a program", 0o755)
	b.edit(args("/bin/junk"))
	b.runFails("exec /bin/junk: exec format error")
}

// TestExecFailsAtStart: what execve(2) alone can tell, start reports.
func TestExecFailsAtStart(t *testing.T) {
	if !isTare {
		t.Skip("other runtimes print this on the container's stderr")
	}
	b := newBox(t, args("/text"))
	b.put("text", "#!/missing/interpreter\n", 0o755)
	b.create()
	b.refused([]string{"exec /text: no such file or directory"}, "start", b.id)
	b.until("the end of the process", func() bool { return b.status() == "stopped" })
}

func TestCwd(t *testing.T) {
	b := newBox(t)
	b.allow = []string{"made"}
	b.must(os.Mkdir(b.rootfs+"/work/in", 0o755))
	for _, cwd := range []string{"/", "/work/in", "/work/../work/in/", "/made/by/runtime"} {
		b.spec.Process.Cwd = cwd
		expect(t, "cwd", b.probe().Cwd, filepath.Clean(cwd))
	}
	b.spec.Process.Cwd = "/prober"
	b.runFails("process.cwd", "/prober", "not a directory")
	b.must(os.Symlink("/work/in", b.rootfs+"/link"))
	b.files = func() {}
	b.allow = append(b.allow, "link")
	b.spec.Process.Cwd = "/link"
	expect(t, "cwd through a link", b.probe().Cwd, "/work/in")
	b.spec.Process.Cwd = "work"
	b.createFails("process.cwd", `"work"`, "Cwd must be an absolute path")
	b.spec.Process.Cwd = ""
	b.createFails("process.cwd", "Cwd property must not be empty")
}

// TestCwdUnreachable: a directory that the user may not enter is entered as root.
func TestCwdUnreachable(t *testing.T) {
	b := newBox(t)
	b.must(os.Mkdir(b.rootfs+"/closed", 0o700))
	b.spec.Process.Cwd = "/closed"
	b.spec.Process.User = specs.User{UID: 1000, GID: 1000}
	r := b.run()
	// The spec leaves open whether that works; it may not end outside of the root.
	if r.Code == 0 {
		expect(t, "cwd", b.parse(r.Stdout).Cwd, "/closed")
	} else {
		b.mustSay(r, "run", "process.cwd", "permission denied")
	}
}

func TestUser(t *testing.T) {
	b := newBox(t)
	b.spec.Process.User = specs.User{UID: 1234, GID: 5678, AdditionalGids: []uint32{7, 99, 2147483647}, Umask: ptr(uint32(0o027))}
	b.must(os.Chmod(b.rootfs+"/tmp", 0o777))
	r := b.probe("create:/tmp/f", "stat:/tmp/f")
	b.allow = []string{"tmp/f"}
	expectList(t, "uid", r.UID, []uint32{1234, 1234, 1234})
	expectList(t, "gid", r.GID, []uint32{5678, 5678, 5678})
	expectList(t, "groups", r.Groups, []uint32{7, 99, 2147483647})
	expect(t, "umask", r.Umask, 0o027)
	expect(t, "mode of a new file", r.result("stat:/tmp/f").Mode, 0o640)
	expect(t, "fsuid", strings.Contains(r.Status, "\nUid:\t1234\t1234\t1234\t1234\n"), true)
	expect(t, "fsgid", strings.Contains(r.Status, "\nGid:\t5678\t5678\t5678\t5678\n"), true)
}

func TestUserDefaults(t *testing.T) {
	b := newBox(t)
	old := unix.Umask(0o077) // the caller's umask is not the container's
	defer unix.Umask(old)
	r := b.probe()
	expectList(t, "uid", r.UID, []uint32{0, 0, 0})
	expectList(t, "gid", r.GID, []uint32{0, 0, 0})
	expectList(t, "groups", r.Groups, nil)
	expect(t, "umask", r.Umask, 0o022)
}

func TestBigUser(t *testing.T) {
	if !isTare {
		t.Skip("runc takes ids up to 2147483647 only")
	}
	b := newBox(t)
	b.spec.Process.User = specs.User{UID: 4294967294, GID: 4294967294}
	r := b.probe()
	expectList(t, "uid", r.UID, []uint32{4294967294, 4294967294, 4294967294})
	b.spec.Process.User = specs.User{UID: 4294967295}
	b.createFails("process.user")
}

func TestHome(t *testing.T) {
	passwd := "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\nbroken\nlast:x:1002:1002::/home/last:/bin/sh"
	for _, row := range []struct {
		name, passwd string
		uid          uint32
		env          []string
		want         string
	}{
		{"root", passwd, 0, nil, "/root"},
		{"user", passwd, 1000, nil, "/home/u"},
		{"unknown", passwd, 1001, nil, "/"},
		{"last line without newline", passwd, 1002, nil, "/home/last"},
		{"given", passwd, 1000, []string{"HOME=/mine"}, "/mine"},
		{"empty", passwd, 1000, []string{"HOME="}, "/home/u"},
		{"no file", "", 1000, nil, "/"},
		{"CVE-2016-3697 numeric name", "1000:x:0:0:root:/evil:/bin/sh\n", 1000, nil, "/"},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "_"), func(t *testing.T) {
			b := newBox(t)
			if row.passwd != "" {
				b.put("etc/passwd", row.passwd, 0o644)
			}
			b.spec.Process.Env = append([]string{"PATH=/"}, row.env...)
			b.spec.Process.User.UID = row.uid
			r := b.probe()
			var homes []string
			for _, e := range r.Env {
				if h, ok := strings.CutPrefix(e, "HOME="); ok {
					homes = append(homes, h)
				}
			}
			if isTare {
				expectList(t, "HOME", homes, []string{row.want})
			} else {
				expect(t, "HOME", homes[len(homes)-1], row.want)
			}
			expectList(t, "uid", r.UID, []uint32{row.uid, row.uid, row.uid})
		})
	}
	t.Run("bound", func(t *testing.T) {
		b := newBox(t)
		b.must(os.WriteFile(b.dir+"/passwd", []byte("x:x:7:7::/bound:/\n"), 0o644))
		b.put("etc/passwd", "", 0o644)
		b.edit(bind(b.dir+"/passwd", "/etc/passwd"))
		b.spec.Process.User.UID = 7
		if r := b.probe(); !strings.Contains(strings.Join(r.Env, "\n"), "HOME=/bound") {
			t.Errorf("env is %q, expected HOME=/bound", r.Env)
		}
	})
}

func TestNoNewPrivileges(t *testing.T) {
	for _, on := range []bool{true, false} {
		b := newBox(t)
		b.spec.Process.NoNewPrivileges = on
		want := 0
		if on {
			want = 1
		}
		expect(t, "no_new_privs", b.probe().NoNewPrivs, want)
	}
}

// lackCap is an error when this process may not use a capability.
func lackCap(n uint) error {
	set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, uintptr(n), 0, 0, 0)
	if err == nil && set == 0 {
		return fmt.Errorf("capability %d is not in the bounding set", n)
	}
	return err
}

func TestRlimits(t *testing.T) {
	b := newBox(t)
	limits := []specs.POSIXRlimit{
		{Type: "RLIMIT_CORE", Soft: 0, Hard: 4096}, {Type: "RLIMIT_CPU", Soft: 100, Hard: 200}, {Type: "RLIMIT_NPROC", Soft: 50, Hard: 60},
		{Type: "RLIMIT_FSIZE", Soft: 1 << 33, Hard: 1 << 40}, {Type: "RLIMIT_NOFILE", Soft: 40, Hard: 50},
		{Type: "RLIMIT_STACK", Soft: 1 << 20, Hard: 1 << 22}, {Type: "RLIMIT_AS", Soft: 1 << 30, Hard: 1 << 31},
		{Type: "RLIMIT_MEMLOCK", Soft: 0, Hard: 0}, {Type: "RLIMIT_SIGPENDING", Soft: 3, Hard: 4}, {Type: "RLIMIT_MSGQUEUE", Soft: 5, Hard: 6},
		{Type: "RLIMIT_NICE", Soft: 0, Hard: 0}, {Type: "RLIMIT_RTPRIO", Soft: 0, Hard: 0}, {Type: "RLIMIT_RTTIME", Soft: 7, Hard: 8},
		{Type: "RLIMIT_DATA", Soft: 1 << 28, Hard: 1 << 29}, {Type: "RLIMIT_RSS", Soft: 1, Hard: 2}, {Type: "RLIMIT_LOCKS", Soft: 1, Hard: 2},
	}
	numbers := map[string]int{"RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
		"RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10, "RLIMIT_SIGPENDING": 11,
		"RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15}
	b.spec.Process.Rlimits = limits
	r := b.probe()
	for _, l := range limits {
		n := numbers[l.Type]
		expect(t, l.Type+" soft", r.Rlimits[2*n], fmt.Sprint(l.Soft))
		expect(t, l.Type+" hard", r.Rlimits[2*n+1], fmt.Sprint(l.Hard))
	}
}

// TestRlimitsInherited: what the config does not name stays the caller's.
func TestRlimitsInherited(t *testing.T) {
	b := newBox(t)
	r := b.probe()
	for i := range 16 {
		var l unix.Rlimit
		b.must(unix.Getrlimit(i, &l))
		if i == unix.RLIMIT_NOFILE {
			continue // the test's own runtime raises it; the bound is the hard limit
		}
		expect(t, fmt.Sprintf("limit %d", i), r.Rlimits[2*i], fmt.Sprint(l.Cur))
	}
}

func TestTinyNofile(t *testing.T) {
	for _, n := range []uint64{0, 3, 4, 8} {
		b := newBox(t)
		b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: n, Hard: n}}
		b.edit(prober("quiet", "exit:5"))
		r := b.run()
		if isTare && r.Code != 5 {
			t.Errorf("with %d open files: exit code %d\n%s", n, r.Code, r.Stderr)
		}
	}
}

func TestRlimitRefused(t *testing.T) {
	b := newBox(t)
	b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOPE"}, {Type: "RLIMIT_CPU", Soft: 2, Hard: 1}, {Type: "RLIMIT_CORE"}, {Type: "RLIMIT_CORE"}}
	b.createFails("process.rlimits[0].type", "process.rlimits[1].soft", "process.rlimits[3].type")
	if lackCap(unix.CAP_SYS_RESOURCE) != nil { // then raising fails, by name
		var l unix.Rlimit
		b.must(unix.Getrlimit(unix.RLIMIT_NOFILE, &l))
		b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOFILE", Soft: l.Max + 1, Hard: l.Max + 1}}
		b.createFails("process.rlimits[0]", "RLIMIT_NOFILE", "operation not permitted")
	}
}

func TestOomScoreAdj(t *testing.T) {
	for _, n := range []int{500, 1000} {
		b := newBox(t)
		b.spec.Process.OOMScoreAdj = ptr(n)
		expect(t, "oom_score_adj", b.probe().OomScoreAdj, fmt.Sprintln(n))
	}
	b := newBox(t)
	b.spec.Process.OOMScoreAdj = ptr(1001)
	b.createFails("process.oomScoreAdj", "1001")
	t.Run("lowered", func(t *testing.T) {
		need(t, "CAP_SYS_RESOURCE", lackCap(unix.CAP_SYS_RESOURCE))
		b := newBox(t)
		b.spec.Process.OOMScoreAdj = ptr(-500)
		expect(t, "oom_score_adj", b.probe().OomScoreAdj, "-500\n")
	})
}

func TestKeyring(t *testing.T) {
	b := newBox(t)
	r := b.probe()
	if !strings.HasSuffix(r.Keyring, ";_ses."+b.id) {
		t.Errorf("session keyring is %q, expected _ses.%s", r.Keyring, b.id)
	}
	mine, err := unix.KeyctlString(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING)
	b2 := newBox(t, prober())
	out := b2.run("--no-new-keyring")
	expect(t, "exit code", out.Code, 0)
	if got := b2.parse(out.Stdout).Keyring; err == nil && got != mine {
		t.Errorf("with --no-new-keyring the session keyring is %q, expected the caller's %q", got, mine)
	}
}

// TestSignalsReset: a caller that ignores and blocks signals does not pass that on.
func TestSignalsReset(t *testing.T) {
	b := newBox(t, prober())
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE, unix.SIGUSR1)
	defer signal.Reset(unix.SIGHUP, unix.SIGINT, unix.SIGPIPE, unix.SIGUSR1)
	b.writeConfig()
	r := b.call("run", "--bundle", b.bundle, b.id)
	if r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	rep := b.parse(r.Stdout)
	expect(t, "ignored signals", rep.Signals.Ignored, "0000000000000000")
	expect(t, "blocked signals", rep.Signals.Blocked, "0000000000000000")
	b.create()
	b.start()
	expect(t, "exit code", b.wait(), 0)
}

// TestBlockedSignalsReset has the runtime started by a program that blocks some.
func TestBlockedSignalsReset(t *testing.T) {
	python, err := exec.LookPath("python3")
	need(t, "python3, which blocks signals before an exec", err)
	b := newBox(t, prober())
	b.writeConfig()
	script := `import signal,os,sys
signal.pthread_sigmask(signal.SIG_BLOCK,[1,2,10,15,17])
signal.signal(12,signal.SIG_IGN)
os.execv(sys.argv[1],sys.argv[1:])`
	cmd := exec.Command(python, "-c", script, binary, "--root", b.root, "run", "--bundle", b.bundle, b.id)
	out, err := os.Create(b.dir + "/io/blocked")
	b.must(err)
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	rep := b.parse(readText(t, out.Name()))
	expect(t, "ignored signals", rep.Signals.Ignored, "0000000000000000")
	if isTare { // runc 1.1 leaves SIGUSR1 blocked
		expect(t, "blocked signals", rep.Signals.Blocked, "0000000000000000")
	}
}

// TestStdioOwner: the files of the standard streams become the user's, so that
// /dev/stdout can be opened again; a device is nobody's to give away.
func TestStdioOwner(t *testing.T) {
	var before, after unix.Stat_t
	b := newBox(t)
	b.must(unix.Stat("/dev/null", &before))
	b.spec.Process.User = specs.User{UID: 4321, GID: 4321}
	b.edit(prober("quiet"))
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	b.must(unix.Stat("/dev/null", &after))
	expect(t, "owner of the host's /dev/null", after.Uid, before.Uid)
	expect(t, "mode of the host's /dev/null", after.Mode, before.Mode)
	var st unix.Stat_t
	b.must(unix.Stat(r.outFile, &st))
	if isTare {
		expect(t, "owner of stdout's file", st.Uid, 4321)
	}
}

func TestSession(t *testing.T) {
	r := newBox(t).probe()
	expect(t, "pid", r.Pid, 1)
	expect(t, "ppid", r.Ppid, 0)
	expect(t, "sid", r.Sid, 1)
	expect(t, "pgid", r.Pgid, 1)
	expect(t, "pdeathsig", r.Pdeathsig, 0)
	expect(t, "subreaper", r.Subreaper, 0)
	expect(t, "dumpable", r.Dumpable, 1)
	expect(t, "securebits", r.Securebits, 0)
	expect(t, "personality", r.Personality, 0)
	expect(t, "nice", r.Nice, callersNice(t))
	expect(t, "policy", r.Policy, 0)
}
