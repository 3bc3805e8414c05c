package integration

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// sh runs a script of busybox' shell; its tools stand in PATH.
func sh(script string) func(*specs.Spec) { return args("/bin/sh", "-c", script) }

// withShell puts busybox into the rootfs.
func (b *box) withShell() *box {
	b.t.Helper()
	if _, err := os.Stat("/bin/busybox"); err != nil {
		b.t.Skip("this host lacks busybox-static:", err)
	}
	b.copyFile("/bin/busybox", "bin/busybox", 0o755)
	for _, tool := range []string{"sh", "cat", "ls", "sleep", "stty", "tty", "seq", "setsid"} {
		b.must(os.Symlink("busybox", b.rootfs+"/bin/"+tool))
	}
	return b
}

func terminalConfig(s *specs.Spec) { s.Process.Terminal = true }

// shellBox is a container of a shell on a terminal.
func shellBox(t *testing.T, script string, edits ...func(*specs.Spec)) *box {
	t.Helper()
	return newBox(t, append([]func(*specs.Spec){sh(script), terminalConfig}, edits...)...).withShell()
}

// TestTerminalOfRun: process.terminal in the foreground.
func TestTerminalOfRun(t *testing.T) {
	b := shellBox(t, `tty; stty size; for i in 0 1 2; do test -t $i && echo tty $i; done; echo shown > /dev/console; echo also > /dev/tty;
		ls -l /dev/console /dev/pts; read x; echo "read: $x"; exit 5`, func(s *specs.Spec) { s.Process.User.UID = 7; s.Process.User.GID = 8 })
	b.writeConfig()
	x := b.callOn("run", "--bundle", b.bundle, b.id)
	before := x.modes()
	for _, text := range []string{"/dev/pts/0\r\n", "30 90\r\n", "tty 0", "tty 1", "tty 2", "shown\r\n", "also\r\n", "crw--w----    1 7        5         136,   0", "ptmx"} {
		x.expect(text)
	}
	if raw := x.modes(); raw.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG) != 0 {
		t.Errorf("the terminal is not raw: %#x", raw.Lflag)
	}
	x.enter("typed\r")
	x.expect("read: typed\r\n")
	expect(t, "exit code", x.wait(), 5)
	expect(t, "modes after the run", x.modes(), before)
	b.nothingLeft()
}

// TestConsoleSize: process.consoleSize counts more than the size of the caller's
// own terminal until that changes.
func TestConsoleSize(t *testing.T) {
	b := shellBox(t, `stty size`, func(s *specs.Spec) { s.Process.ConsoleSize = &specs.Box{Height: 11, Width: 22} })
	s := b.socket("tty")
	b.create("--console-socket", s.path)
	_, x := s.terminal()
	size, err := unix.IoctlGetWinsize(x.master, unix.TIOCGWINSZ)
	b.must(err)
	expect(t, "size", fmt.Sprint(size.Row, size.Col), "11 22")
	b.start()
	x.expect("11 22\r\n")
	b.wait()
	b.remove()
	p := &specs.Process{Args: []string{"/bin/stty", "size"}, Cwd: "/", Terminal: true, ConsoleSize: &specs.Box{Height: 33, Width: 44}}
	b = newBox(t, prober("pause")).withShell().begin()
	pidFile := b.dir + "/io/exec-pid"
	b.ok("exec", "--detach", "--pid-file", pidFile, "--console-socket", s.path, "--process", b.processFile(p), b.id)
	_, x = s.terminal()
	x.expect("33 44\r\n")
	b.reapFrom(pidFile)
	b.remove("--force")
}

// reapFrom waits for a detached process that has ended, or will soon. Until it
// is reaped it keeps the pid namespace, and so the container's process, from
// ending.
func (b *box) reapFrom(pidFile string) {
	b.t.Helper()
	pid, err := strconv.Atoi(readText(b.t, pidFile))
	b.must(err)
	_, err = unix.Wait4(pid, nil, 0, nil)
	b.must(err)
}

// TestConsoleSocket: the terminals of create, run --detach and exec --detach go
// to an engine, whose message has the terminal's name and one descriptor.
func TestConsoleSocket(t *testing.T) {
	script := `tty; read x; echo "read: $x"; exit 6`
	long := strings.Repeat("d", 90) + "/" + strings.Repeat("s", 40)
	for _, name := range []string{"tty", long} {
		b := shellBox(t, script)
		s := b.socket(name)
		b.create("--console-socket", s.path)
		text, x := s.terminal()
		expect(t, "message", text, "/dev/pts/0")
		b.start()
		x.expect("/dev/pts/0\r\n")
		x.enter("typed\r")
		x.expect("read: typed\r\n")
		expect(t, "exit code", b.wait(), 6)
		b.remove()
	}
	b := shellBox(t, script)
	s := b.socket("tty")
	b.writeConfig()
	b.ok("run", "--detach", "--bundle", b.bundle, "--console-socket", s.path, "--pid-file", b.dir+"/io/pid", b.id)
	_, x := s.terminal()
	x.expect("/dev/pts/0\r\n")
	b.pid, _ = strconv.Atoi(readText(t, b.dir+"/io/pid"))
	pidFile := b.dir + "/io/exec-pid"
	b.ok("exec", "--detach", "--tty", "--pid-file", pidFile, "--console-socket", s.path, b.id, "/bin/sh", "-c", "tty; read x; echo second: $x; test -e /dev/console && echo console")
	text, y := s.terminal()
	expect(t, "message", text, "/dev/pts/1")
	y.enter("other\r")
	y.expect("/dev/pts/1\r\n")
	y.expect("second: other\r\nconsole\r\n")
	b.reapFrom(pidFile)
	x.enter("typed\r")
	x.expect("read: typed\r\n")
	b.wait()
	b.remove()
}

// TestTerminalRefusals: a terminal needs somebody at its other end.
func TestTerminalRefusals(t *testing.T) {
	need, needless := "cannot allocate tty if tare will detach without setting console socket", "cannot use console socket if tare will not detach or allocate tty"
	b := shellBox(t, "exit 0")
	s := b.socket("tty")
	b.createFails(need)
	b.refused([]string{need}, "run", "--detach", "--bundle", b.bundle, b.id)
	b.refused([]string{needless}, "run", "--bundle", b.bundle, "--console-socket", s.path, b.id)
	b.refused([]string{"process.terminal", "connect"}, "create", "--bundle", b.bundle, "--console-socket", b.dir+"/none", b.id)
	b.refused([]string{"--console-socket must not be empty"}, "create", "--bundle", b.bundle, "--console-socket", "", b.id)
	b.edit(func(s *specs.Spec) { s.Process.Terminal = false })
	b.writeConfig()
	b.refused([]string{needless}, "create", "--bundle", b.bundle, "--console-socket", s.path, b.id)
	b.nothingLeft()
	// A container without devpts has no terminals.
	b = shellBox(t, "exit 0", func(s *specs.Spec) { s.Mounts = append(s.Mounts[:2:2], s.Mounts[3:]...) })
	b.runFails("process.terminal: openat2: no such file or directory: /dev/pts/ptmx")

	b = running(t)
	b.execFails([]string{"exec failed: " + need}, "--detach", "--tty", b.id, "/prober")
	b.execFails([]string{"exec failed: " + needless}, "--console-socket", s.path, b.id, "/prober")
	b.execFails([]string{"exec failed: " + needless}, "--tty", "--console-socket", s.path, b.id, "/prober")
	b.remove("--force")
}

// TestTerminalProgramName: the name that the caller knows stands in the message.
func TestTerminalProgramName(t *testing.T) {
	b := shellBox(t, "exit 0")
	link := b.dir + "/io/runc"
	b.must(os.Symlink(binary, link))
	b.writeConfig()
	cmd, done := b.command("create", "--bundle", b.bundle, b.id)
	cmd.Path, cmd.Args[0] = link, link
	_ = cmd.Run()
	if r := done(); !strings.HasPrefix(r.Stderr, "runc: ") || !strings.Contains(r.Stderr, "if runc will detach") {
		t.Errorf("message %q", r.Stderr)
	}
}

// TestExecTerminal: exec in the foreground on a terminal, and with pipes.
func TestExecTerminal(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	x := b.callOn("exec", "-t", "-u", "9", b.id, "/bin/sh", "-c", `tty; stty size; ls -ln $(tty); read x; echo "read: $x"; exit 3`)
	before := x.modes()
	x.expect("/dev/pts/0\r\n")
	x.expect("30 90\r\n")
	x.expect("crw--w----    1 9        5")
	x.enter("typed\r")
	x.expect("read: typed\r\n")
	expect(t, "exit code", x.wait(), 3)
	expect(t, "modes", x.modes(), before)

	// -t=false takes it from a process file; crun's words, too.
	p := b.processFile(&specs.Process{Args: []string{"/bin/tty"}, Cwd: "/", Terminal: true})
	for _, flag := range []string{"-t=false", "--tty=no"} {
		if r := b.call("exec", "-p", p, flag, b.id); r.Code != 1 || r.Stdout != "not a tty\n" {
			t.Errorf("%s: exit code %d, %q, %q", flag, r.Code, r.Stdout, r.Stderr)
		}
	}
	// Without a terminal of the caller's, what it has is copied.
	r, w, err := os.Pipe()
	b.must(err)
	defer r.Close()
	cmd, done := b.command("exec", "-t", b.id, "/bin/sh", "-c", `tty; read x; echo "read: $x"`)
	cmd.Stdin = r
	b.must(cmd.Start())
	_, err = w.WriteString("piped\n")
	b.must(err)
	_ = cmd.Wait()
	w.Close()
	if got := done(); !strings.HasSuffix(got.Stdout, "read: piped\r\n") || got.Code != 0 {
		t.Errorf("exit code %d, %q, %q", got.Code, got.Stdout, got.Stderr)
	}
	b.remove("--force")
}

// TestTerminalKeys: job control as in a terminal of one's own: the keys reach the
// program and not tare; what is sent to tare does, too.
func TestTerminalKeys(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	script := `trap 'echo INT; exit 9' INT; trap 'echo QUIT' QUIT; trap 'echo TERM' TERM; trap 'stty size' WINCH; echo ready; while :; do sleep 0.02; done`
	x := b.callOn("exec", "-t", b.id, "/bin/sh", "-c", script)
	before := x.modes()
	x.expect("ready\r\n")
	x.enter("\x1c")
	x.expect("QUIT\r\n")
	b.must(unix.Kill(x.pid, unix.SIGTERM))
	x.expect("TERM\r\n")
	x.resize(40, 100)
	x.expect("40 100\r\n")
	x.enter("\x03")
	x.expect("INT\r\n")
	expect(t, "exit code", x.wait(), 9)
	expect(t, "modes", x.modes(), before)
	b.remove("--force")
}

// TestTerminalRestored: the caller's terminal is what it was, however it ends.
func TestTerminalRestored(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	for _, c := range []struct {
		program string
		code    int
		act     func(x *onTerminal)
	}{
		{"exit 0", 0, nil},
		{"kill -9 $$", 137, nil},
		{"echo ready; sleep 100", 143, func(x *onTerminal) { b.must(unix.Kill(x.pid, unix.SIGTERM)) }},
		{"echo ready; sleep 100", 129, func(x *onTerminal) { b.must(unix.Kill(x.pid, unix.SIGHUP)) }},
		{"exec /nothing", 127, nil},
	} {
		x := b.callOn("exec", "-t", b.id, "/bin/sh", "-c", c.program)
		before := x.modes()
		if c.act != nil {
			x.expect("ready\r\n")
			c.act(x)
		}
		expect(t, "exit code of "+c.program, x.wait(), c.code)
		expect(t, "modes after "+c.program, x.modes(), before)
	}
	x := b.callOn("exec", "-t", b.id, "nothing")
	before := x.modes()
	expect(t, "exit code", x.wait(), 255)
	expect(t, "modes", x.modes(), before)
	b.remove("--force")
}

// TestTerminalDrained: the last byte arrives, even when the reader is slow, the
// program is gone, and somebody in the container still holds the terminal.
func TestTerminalDrained(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	const lines = 20000
	for _, script := range []string{"seq 20000", "setsid sleep 60 & seq 20000"} {
		r, w, err := os.Pipe()
		b.must(err)
		cmd, _ := b.command("exec", "-t", b.id, "/bin/sh", "-c", script)
		cmd.Stdout = w
		start := time.Now()
		b.must(cmd.Start())
		w.Close()
		var all []byte
		buf := make([]byte, 777)
		time.Sleep(50 * time.Millisecond)
		for {
			n, err := r.Read(buf)
			all = append(all, buf[:n]...)
			if err != nil {
				break
			}
		}
		r.Close()
		b.must(cmd.Wait())
		if n := strings.Count(string(all), "\r\n"); n != lines || !strings.HasSuffix(string(all), "20000\r\n") {
			t.Errorf("%s: %d of %d lines arrived, the last is %q", script, n, lines, all[max(0, len(all)-20):])
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: waited %v for who held the terminal", script, took)
		}
	}
	b.remove("--force")
}

// TestTerminalDoesNotSpin: a program that closes its terminal and opens it again
// costs tare no processor, and is heard again.
func TestTerminalDoesNotSpin(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	x := b.callOn("exec", "-t", b.id, "/bin/sh", "-c", `echo ready; T=$(tty); exec <&- >&- 2>&-; sleep 2; echo again > $T; exit 4`)
	x.expect("ready\r\n")
	used := func() int { // ticks of 10 ms
		f := strings.Fields(readText(t, procPath(x.pid, "stat")))
		user, _ := strconv.Atoi(f[13])
		system, _ := strconv.Atoi(f[14])
		return user + system
	}
	time.Sleep(300 * time.Millisecond)
	before := used()
	time.Sleep(time.Second)
	if ticks := used() - before; ticks > 20 {
		t.Errorf("tare uses %d0 ms of processor time in a second", ticks)
	}
	x.expect("again\r\n")
	expect(t, "exit code", x.wait(), 4)
	b.remove("--force")
}

// TestTerminalOfDeadReader: who stops reading does not hold the program's end up.
func TestTerminalOfDeadReader(t *testing.T) {
	b := newBox(t, prober("pause")).withShell().begin()
	r, w, err := os.Pipe()
	b.must(err)
	cmd, done := b.command("exec", "-t", b.id, "/bin/sh", "-c", "seq 20000; exit 2")
	cmd.Stdout = w
	b.must(cmd.Start())
	w.Close()
	r.Close()
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
	defer timer.Stop()
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 2)
	b.remove("--force")
}

// TestPidfdSocket: engines get a pidfd, with a word that says of what.
func TestPidfdSocket(t *testing.T) {
	b := newBox(t, prober("pause"))
	s := b.socket("pidfd")
	b.create("--pidfd-socket", s.path)
	pidOf := func(word string) int {
		text, fd := s.take()
		expect(t, "message", text, word)
		for _, line := range strings.Split(readText(t, fmt.Sprintf("/proc/self/fdinfo/%d", fd)), "\n") {
			if v, ok := strings.CutPrefix(line, "Pid:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(v))
				return n
			}
		}
		return 0
	}
	expect(t, "process", pidOf("standard"), b.pid)
	b.start()
	b.ok("exec", "-d", "--pid-file", b.dir+"/io/exec-pid", "--pidfd-socket", s.path, b.id, "/prober", "pause")
	pid, err := strconv.Atoi(readText(t, b.dir+"/io/exec-pid"))
	b.must(err)
	expect(t, "process", pidOf("setns"), pid)
	b.endOf(pid)
	b.execFails([]string{"--pidfd-socket", "connect"}, "--pidfd-socket", b.dir+"/none", b.id, "/prober")
	b.remove("--force")
}

// TestTerminalOfOthers: in a user namespace, for a user, with a read-only root,
// and where the root was moved instead of pivoted.
func TestTerminalOfOthers(t *testing.T) {
	for name, c := range map[string]struct {
		edit  func(*specs.Spec)
		flags []string
		owner int
	}{
		"user namespace": {func(s *specs.Spec) { userNamespace(100000)(s); s.Process.User.UID = 5 }, nil, 100000},
		"read-only root": {func(s *specs.Spec) { s.Root.Readonly = true; s.Mounts[1].Options = append(s.Mounts[1].Options, "ro") }, nil, 0},
		"no pivot":       {func(*specs.Spec) {}, []string{"--no-pivot"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			b := shellBox(t, "tty; ls -ln $(tty) /dev/console; echo to console > /dev/console; read x; exit 4", c.edit)
			if c.owner != 0 {
				b.own(c.owner)
			}
			s := b.socket("tty")
			b.create(append(c.flags, "--console-socket", s.path)...)
			_, x := s.terminal()
			b.start()
			x.expect("/dev/pts/0\r\n")
			x.expect("to console\r\n")
			y := b.execOn(s, "sh", "-c", "tty; exit 0")
			y.expect("/dev/pts/1\r\n")
			b.reapFrom(b.dir + "/io/exec-pid")
			x.enter("\r")
			expect(t, "exit code", b.wait(), 4)
			b.remove()
		})
	}
}

// execOn runs a command on a terminal that goes to a socket.
func (b *box) execOn(s *socket, args ...string) *terminal {
	b.t.Helper()
	b.ok(append([]string{"exec", "-d", "-t", "--pid-file", b.dir + "/io/exec-pid", "--console-socket", s.path, b.id}, args...)...)
	_, x := s.terminal()
	return x
}
