package ops

import (
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// home runs home-find with this passwd file and returns HOME.
func home(t *testing.T, root string, uid uint32) string {
	t.Helper()
	b := newBox(t).in(root).add(plan.HomeFind("f", uid))
	for _, e := range b.program("FIRST=1").Env {
		if v, ok := strings.CutPrefix(e, "HOME="); ok {
			return v
		}
	}
	return "(unset)"
}

func homeFindEffect(t *testing.T) {
	for _, c := range []struct {
		name, passwd string
		uid          uint32
		want         string
	}{
		{"plain", "root:x:0:0:root:/root:/bin/sh\nme:x:1000:1000::/home/me:/bin/sh\n", 1000, "/home/me"},
		{"not there", "root:x:0:0:root:/root:/bin/sh\n", 7, "/"},
		{"no newline at the end", "a:x:5:5::/a:/bin/sh", 5, "/a"},
		{"no shell", "a:x:5:5::/a\n", 5, "/a"},
		{"no shell and no newline", "a:x:5:5::/a", 5, "/a"},
		{"missing fields", "a:x:5\nb:x:5:5\nc::::\n:::\nd:x:5:5::/d:/x\n", 5, "/d"},
		{"empty home", "a:x:5:5:::/bin/sh\n", 5, "/"},
		{"relative home", "a:x:5:5::home:/bin/sh\n", 5, "/"},
		{"first wins", "a:x:5:5::/first:/x\nb:x:5:5::/second:/x\n", 5, "/first"},
		{"uid overflow", "a:x:4294967301:5::/wrong:/x\nb:x:18446744073709551621:5::/wrong:/x\n", 5, "/"},
		{"largest uid", "a:x:4294967294:5::/big:/x\n", 4294967294, "/big"},
		{"negative uid", "a:x:-5:5::/wrong:/x\na:x:+5:5::/wrong:/x\na:x: 5:5::/wrong:/x\n", 5, "/"},
		{"CRLF", "a:x:5:5::/a:/bin/sh\r\nb:x:6:6::/b\r\n", 6, "/b"},
		{"NULs", "a\x00:x:5:5::/wi\x00th:/x\n", 5, "/wi?th"},
		{"long line before", strings.Repeat("l", 5000) + ":x:5:5::/wrong:/x\na:x:5:5::/right:/x\n", 5, "/right"},
		{"long line without end", "a:x:6:5::/a:/x\n" + strings.Repeat("l", 5000), 5, "/"},
		{"only newlines", strings.Repeat("\n", 3000) + "a:x:5:5::/a:/x\n", 5, "/a"},
		{"empty", "", 5, "/"},
		{"comments", "# comment\n+::::::\na:x:5:5::/a:/x\n", 5, "/a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			root := tree(t, "etc/", "etc/passwd = "+c.passwd)
			equal(t, "HOME", home(t, root, c.uid), c.want)
		})
	}
}

// A passwd file that is none: HOME is / and nothing waits for ever.
func TestHomeFindOddFiles(t *testing.T) {
	root := tree(t, "etc/", "dev/", "etc/passwd -> ../dev/zero")
	if err := unix.Mknod(root+"/dev/zero", unix.S_IFCHR|0o666, int(unix.Mkdev(1, 5))); err != nil {
		t.Fatal(err)
	}
	equal(t, "HOME from an endless device", home(t, root, 0), "/")
	root = tree(t, "etc/")
	if err := unix.Mkfifo(root+"/etc/passwd", 0o644); err != nil {
		t.Fatal(err)
	}
	equal(t, "HOME from a fifo", home(t, root, 0), "/")
	equal(t, "HOME from a directory", home(t, tree(t, "etc/passwd/"), 0), "/")
	equal(t, "HOME without a file", home(t, tree(t), 0), "/")
	// A link is taken inside the root: the host's passwd file knows root.
	equal(t, "HOME through a link out of the root", home(t, tree(t, "etc/", "etc/passwd -> ../../../../../../../../etc/passwd"), 0), "/")
}

func envEffect(t *testing.T) {
	p := newBox(t).program("A=1", "B=", "C=x=y", "A=2")
	want := []string{probeEnv + "=1", "A=1", "B=", "C=x=y", "A=2"}
	if !slices.Equal(p.Env, want) {
		t.Errorf("environment %q, want %q", p.Env, want)
	}
}

func execFindEffect(t *testing.T) {
	root := tree(t, "bin/", "denied/", "denied/prog = no", "dir/", "dir/prog/")
	bin, err := os.ReadFile(self(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(root+"/bin/prog", bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ program, path, cwd string }{
		{"prog", "/none:/bin", "/"},
		{"prog", "/denied:/dir:/bin:/none", "/"},
		{"prog", ":/none", "/bin"},
		{"prog", "/none::/x", "/bin"},
		{"prog", "bin", "/"},
		{"./prog", "/none", "/bin"},
		{"bin/prog", "", "/"},
		{"/bin/prog", "", "/"},
		{"prog", strings.Repeat("x", 5000) + ":/bin", "/"},
	} {
		b := newBox(t).in(root).add(plan.RootPivot("f"), plan.Cwd("f", c.cwd), plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", c.program, c.path),
			plan.Exec("f", []string{"argv0"}))
		if p := b.ran(); p.Args[0] != "argv0" {
			t.Errorf("%+v: ran as %q", c, p.Args)
		}
	}
}

func execFindFailure(t *testing.T) {
	root := tree(t, "denied/", "denied/prog = no", "dir/", "dir/prog/", "loop -> loop", "link -> /none")
	for _, c := range []struct {
		program, path, step string
		errno               unix.Errno
	}{
		{"prog", "/none:/x", "not-found-in-path", unix.ENOENT},
		{"prog", "", "not-found-in-path", unix.ENOENT},
		{"prog", "/dir", "not-found-in-path", unix.ENOENT},
		{"prog", "/none:/denied:/dir", "execve", unix.EACCES},
		{"/none", "", "execve", unix.ENOENT},
		{"/denied/prog", "", "execve", unix.EACCES},
		{"/denied/prog/x", "", "execve", unix.ENOTDIR},
		{"/dir/prog", "", "is-directory", unix.EACCES},
		{"/link", "", "execve", unix.ENOENT},
		{"/loop", "", "execve", unix.ELOOP},
		{"/" + strings.Repeat("x", 4096), "", "execve", unix.ENAMETOOLONG},
		{strings.Repeat("x", 4096), "/bin", "not-found-in-path", unix.ENOENT},
	} {
		newBox(t).in(root).add(plan.RootPivot("f"), plan.ExecFind("f", c.program, c.path)).fails(c.step, c.errno, "")
	}
}

func gateEffect(t *testing.T) {
	b := newBox(t).add(plan.GateOpen("f"), plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", self(t), ""),
		plan.SyncArrive("at the gate"), plan.SyncAwait("recorded"), plan.Gate(), plan.Exec("f", []string{"probe"})).start()
	b.arrive(3)
	b.release(4)
	b.hangUp() // the creator is gone
	fifo, err := os.OpenFile(b.gate, os.O_RDWR, 0)
	b.must("open gate", err)
	defer fifo.Close()
	time.Sleep(50 * time.Millisecond) // long enough for one that does not wait
	equal(t, "the process at the gate", strings.TrimSpace(b.read("comm")), "tare:init")
	equal(t, "output at the gate", b.output(), "")
	if _, err := fifo.Write([]byte{'0'}); err != nil {
		t.Fatal(err)
	}
	equal(t, "exit status", b.wait(), 0)
	if !strings.Contains(b.output(), `"Args":["probe"]`) {
		t.Errorf("the program printed %q", b.output())
	}
}

// fifoReport is the record that a gated init has left in the fifo.
func (b *box) fifoReport() (initproto.Report, error) {
	b.t.Helper()
	fd, err := unix.Open(b.gate, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	b.must("open gate", err)
	defer unix.Close(fd)
	buf := make([]byte, initproto.Size+1)
	n, err := unix.Read(fd, buf)
	b.must("read gate", err)
	return initproto.Parse(buf[:n])
}

func gateFailure(t *testing.T) {
	b := newBox(t).inject(unix.SYS_READ, unix.EIO).add(plan.GateOpen("f"), plan.Gate())
	fifo := b.startGated()
	defer fifo.Close()
	equal(t, "exit status", b.wait(), 1)
	r, err := b.fifoReport()
	b.must("report", err)
	b.expect(&r, "read", unix.EIO, "")
}

// throughGate runs a plan whose gate stands before env, exec-find and a last sync.
func (b *box) throughGate(before ...plan.Op) {
	b.t.Helper()
	b.add(plan.GateOpen("f"), plan.FdSeal(3), plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", self(b.t), "")).add(before...)
	b.add(plan.SyncArrive("created"), plan.SyncAwait("recorded"), plan.Gate(), plan.Exec("f", []string{"probe"})).start()
	n := len(b.plan.Ops)
	b.arrive(n - 4)
	fifo, err := os.OpenFile(b.gate, os.O_RDWR, 0)
	b.must("open gate", err)
	defer fifo.Close()
	b.release(n - 3)
	if r, err := b.report(); err != errClosed { // the gate closes it
		b.t.Fatalf("got %s, %v", b.text(&r), err)
	}
	_, err = fifo.Write([]byte{'0'})
	b.must("write", err)
	equal(b.t, "exit status", b.wait(), 0)
	if !strings.Contains(b.output(), `"Args":["probe"]`) {
		b.t.Errorf("the program printed %q", b.output())
	}
}

// The program's own limit must not fail what comes after create has succeeded.
func TestGateWithoutRoomForDescriptors(t *testing.T) {
	newBox(t).throughGate(plan.Rlimit("f", "RLIMIT_NOFILE", unix.RLIMIT_NOFILE, 3, 3), plan.FdClose(3))
}

// A filter that allows none of what the gate can do without.
func TestGateBehindAFilter(t *testing.T) {
	prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS}}
	for _, call := range []uint32{unix.SYS_CLOSE_RANGE, unix.SYS_MADVISE, unix.SYS_SENDTO, unix.SYS_DUP3} {
		prog = append(prog, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: call},
			unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM)})
	}
	filter := bpf(append(prog, unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW})...)
	newBox(t).throughGate(plan.FdClose(3), plan.Seccomp("f", filter, 0), plan.CapsTrim("f", 0, 0, 0))
}

// startGated starts and holds the fifo open, so that what is written stays.
func (b *box) startGated() *os.File {
	b.t.Helper()
	b.holdGate = true // before the init could write its report and be gone
	b.start()
	return b.fifo
}

// A program that is gone by the time of start: start learns it from the fifo.
func TestFailureAfterTheGate(t *testing.T) {
	root := tree(t, "prog = not a program")
	if err := os.Chmod(root+"/prog", 0o755); err != nil {
		t.Fatal(err)
	}
	b := newBox(t).add(plan.GateOpen("f")).in(root).add(plan.RootPivot("f"), plan.ExecFind("f", "/prog", ""), plan.Gate(), plan.FdClose(3), plan.Exec("f", []string{"prog"}))
	b.failsBehindTheGate("execve", unix.ENOEXEC, "/prog")
}

// failsBehindTheGate starts the program, and reads in the fifo why that failed.
func (b *box) failsBehindTheGate(step string, errno syscall.Errno, detail string) {
	b.t.Helper()
	fifo := b.startGated()
	defer fifo.Close()
	if _, err := fifo.Write([]byte{'0'}); err != nil {
		b.t.Fatal(err)
	}
	equal(b.t, "exit status", b.wait(), 1)
	r, err := b.fifoReport()
	b.must("report", err)
	b.expect(&r, step, errno, detail)
}

func fdCloseEffect(t *testing.T) {
	b := newBox(t).leaky().add(plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", self(t), ""), plan.FdClose(4), plan.Exec("f", []string{"x"}))
	p := b.ran()
	for n, to := range p.Fds {
		leak := strings.Contains(filepath.Base(to), "leak")
		if leak != (n == "3") || strings.Contains(to, "plan") || strings.Contains(to, "socket") {
			t.Errorf("descriptor %s is %s", n, to)
		}
	}
	if len(p.Fds) == 0 || p.Fds["3"] == "" {
		t.Errorf("descriptors %v, want 3 to stay", p.Fds)
	}
}

// What the caller ignores, the program does not.
func TestFdCloseRestoresSignals(t *testing.T) {
	signal.Ignore(unix.SIGTSTP)
	// Reset would leave it ignored; a handler ends with the next execve.
	defer signal.Notify(make(chan os.Signal, 1), unix.SIGTSTP)
	// The test's own caller may have had others ignored (nohup).
	before := newBox(t).add(plan.FdSeal(3)).program().SigIgn
	if mask, err := strconv.ParseUint(before, 16, 64); err != nil || mask>>(unix.SIGTSTP-1)&1 == 0 {
		t.Fatalf("SigIgn of a child is %s, SIGTSTP is not in it", before)
	}
	equal(t, "SigIgn after fd-close", newBox(t).add(plan.FdSeal(3), plan.FdClose(3)).program().SigIgn, "0000000000000000")
}

func fdCloseFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_CLOSE_RANGE, unix.ENOMEM).add(plan.FdClose(3)).fails("close_range", unix.ENOMEM, "")
}

func execEffect(t *testing.T) {
	b := newBox(t).add(plan.FdSeal(3), plan.FdClose(3))
	p := b.program()
	if !slices.Equal(p.Args, []string{"probe", "two words"}) {
		t.Errorf("arguments %q", p.Args)
	}
	// The test itself runs with Go's signal mask; the program has none ignored or
	// blocked but what Go's runtime does in the probe itself.
	equal(t, "SigIgn", p.SigIgn, "0000000000000000")
	equal(t, "SigBlk", p.SigBlk, "0000000000000000")
	for n, to := range p.Fds {
		if n != "0" && n != "1" && n != "2" && !strings.HasPrefix(to, "/proc/") && !strings.Contains(to, "pidfd") {
			t.Errorf("descriptor %s is %s", n, to)
		}
	}
}

func execFailure(t *testing.T) {
	root := tree(t, "text = just text", "script = #!/none/interpreter\n")
	for _, name := range []string{"text", "script"} {
		if err := os.Chmod(root+"/"+name, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	newBox(t).in(root).add(plan.RootPivot("f"), plan.ExecFind("f", "/text", ""), plan.Exec("f", []string{"text"})).fails("execve", unix.ENOEXEC, "/text")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.ExecFind("f", "/script", ""), plan.Exec("f", []string{"script"})).fails("execve", unix.ENOENT, "/script")
	newBox(t).add(plan.ExecFind("f", self(t), ""), plan.Exec("f", []string{"x", strings.Repeat("a", 200<<10)})).fails("execve", unix.E2BIG, self(t))
}

// The bond lasts until the op, and not longer.
func outliveEffect(t *testing.T) {
	equal(t, "signal of a process that is bound", newBox(t).add(plan.Session()).program().Pdeath, int(unix.SIGKILL))
	equal(t, "signal after outlive", newBox(t).add(plan.Outlive()).program().Pdeath, 0)
}

func outliveFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_PRCTL, unix.EPERM).add(plan.Outlive()).fails("prctl", unix.EPERM, "")
}
