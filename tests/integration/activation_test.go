package integration

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// withPid runs a command of the runtime with LISTEN_PID set to its own pid, which
// only a shell that executes it can know.
func (b *box) withPid(cmd *exec.Cmd) {
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, cmd.Args...)
	cmd.Path = "/bin/sh"
}

// TestListenFDs: sockets of a service manager come first, and the program is told
// of them; the others that are to be kept come behind.
func TestListenFDs(t *testing.T) {
	b := newBox(t, prober())
	b.writeConfig()
	var files []*os.File
	for _, n := range []string{"a", "b", "c", "d"} {
		f, err := os.Create(b.dir + "/io/" + n)
		b.must(err)
		defer f.Close()
		files = append(files, f)
	}
	run := func(own bool, env []string, flags ...string) result {
		b.env = append(os.Environ(), env...)
		cmd, done := b.command(append(append([]string{"run", "--bundle", b.bundle}, flags...), b.id)...)
		cmd.ExtraFiles = files
		if own {
			b.withPid(cmd)
		}
		_ = cmd.Run()
		return done()
	}
	names := func(r *report) (out []string) {
		for _, f := range r.Fds {
			if f.Fd > 2 {
				out = append(out, fmt.Sprint(f.Fd, f.Target[strings.LastIndexByte(f.Target, '/')+1:]))
			}
		}
		slices.Sort(out)
		return out
	}
	r := b.parse(run(true, []string{"LISTEN_FDS=2", "LISTEN_FDNAMES=x:y"}, "--preserve-fds", "1").Stdout)
	expectList(t, "descriptors", names(r), []string{"3a", "4b", "5c"})
	for _, e := range []string{"LISTEN_FDS=2", "LISTEN_PID=1", "LISTEN_FDNAMES=x:y"} {
		if !slices.Contains(r.Env, e) {
			t.Errorf("the program's environment lacks %s: %q", e, r.Env)
		}
	}
	// What was meant for another process.
	r = b.parse(run(false, []string{"LISTEN_FDS=2", "LISTEN_PID=1"}).Stdout)
	expectList(t, "descriptors", names(r), nil)
	if slices.ContainsFunc(r.Env, func(e string) bool { return strings.HasPrefix(e, "LISTEN_") }) {
		t.Errorf("environment %q", r.Env)
	}
	b.mustSay(run(true, []string{"LISTEN_FDS=90"}), "run", "LISTEN_FDS 90: descriptor", "is not open")
	b.mustSay(run(true, []string{"LISTEN_FDS=many"}), "run", `LISTEN_FDS "many"`)
	b.nothingLeft()
}

// manager is a service manager's socket.
type manager struct {
	b    *box
	fd   int
	path string
	held int // the end of a pipe that came with a barrier
}

func (b *box) manager() *manager {
	b.t.Helper()
	m := &manager{b: b, path: b.dir + "/io/notify", held: -1}
	var err error
	m.fd, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	b.must(err)
	b.t.Cleanup(func() { unix.Close(m.fd) })
	b.must(unix.Bind(m.fd, &unix.SockaddrUnix{Name: m.path}))
	tv := unix.NsecToTimeval(patience.Nanoseconds())
	b.must(unix.SetsockoptTimeval(m.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv))
	b.env = append(os.Environ(), "NOTIFY_SOCKET="+m.path)
	return m
}

func (m *manager) next() string {
	m.b.t.Helper()
	data, oob := make([]byte, 256), make([]byte, 64)
	n, oobn, _, _, err := unix.Recvmsg(m.fd, data, oob, unix.MSG_CMSG_CLOEXEC)
	for err == unix.EINTR { // with SO_RCVTIMEO the kernel does not go on by itself
		n, oobn, _, _, err = unix.Recvmsg(m.fd, data, oob, unix.MSG_CMSG_CLOEXEC)
	}
	m.b.must(err)
	if msgs, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(msgs) == 1 {
		if fds, err := unix.ParseUnixRights(&msgs[0]); err == nil && len(fds) == 1 {
			m.held = fds[0]
		}
	}
	return string(data[:n])
}

func (m *manager) silent() bool {
	_, _, err := unix.Recvfrom(m.fd, make([]byte, 8), unix.MSG_DONTWAIT)
	return err == unix.EAGAIN
}

// TestNotify: readiness of the program reaches the service manager of the one who
// starts it, which is told the process as well.
func TestNotify(t *testing.T) {
	const say = "send:/run/notify/notify.sock=STATUS=x\nREADY=1\nMAINPID=77"
	b := newBox(t, prober("wait:/tmp/go", say, "create:/run/notify/x", "pause"), mount("/tmp", "tmpfs", "tmpfs"))
	b.edit(func(s *specs.Spec) { s.Process.User.UID = 9 })
	b.must(os.MkdirAll(b.rootfs+"/run/notify", 0o755))
	m := b.manager()
	r := b.create()
	expect(t, "entries of the state directory", len(mustGlob(t, b.root+"/*")), 3)
	cmd, done := b.command("start", b.id)
	b.must(cmd.Start())
	time.Sleep(150 * time.Millisecond)
	if !m.silent() || cmd.ProcessState != nil {
		t.Error("start did not wait for the program to be ready")
	}
	b.must(os.WriteFile(procPath(b.pid, "root")+"/tmp/go", nil, 0o644))
	expect(t, "message", m.next(), "READY=1\n")
	expect(t, "message", m.next(), fmt.Sprintf("MAINPID=%d", b.pid))
	expect(t, "message", m.next(), "BARRIER=1")
	if m.held < 0 {
		t.Fatal("the barrier has no descriptor")
	}
	time.Sleep(50 * time.Millisecond)
	unix.Close(m.held)
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 0)
	if !m.silent() {
		t.Error("another message came")
	}
	rep := b.parse(b.output(r))
	expect(t, "send", rep.result(say).Err, 0)
	if rep.result("create:/run/notify/x").Err == 0 {
		t.Error("the container can write beside the socket")
	}
	if !slices.Contains(rep.Env, "NOTIFY_SOCKET=/run/notify/notify.sock") {
		t.Errorf("environment %q", rep.Env)
	}
	b.remove("--force")
	expect(t, "entries of the state directory", len(mustGlob(t, b.root+"/*")), 0)
}

// TestNotifyOfRun: in the foreground tare stays the service's main process; run
// --detach waits; a container that ends without a word holds nobody up.
func TestNotifyOfRun(t *testing.T) {
	const say = "send:/run/notify/notify.sock=READY=1"
	b := newBox(t, prober(say, "wait:/tmp/go"), mount("/tmp", "tmpfs", "tmpfs"))
	b.must(os.MkdirAll(b.rootfs+"/run/notify", 0o755))
	m := b.manager()
	b.writeConfig()
	cmd, done := b.command("run", "--bundle", b.bundle, "--pid-file", b.dir+"/io/pid", b.id)
	b.must(cmd.Start())
	expect(t, "message", m.next(), "READY=1\n")
	pid, err := strconv.Atoi(readText(t, b.dir+"/io/pid"))
	b.must(err)
	b.must(os.WriteFile(procPath(pid, "root")+"/tmp/go", nil, 0o644))
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 0)
	if !m.silent() {
		t.Error("another message came")
	}
	b.nothingLeft()

	cmd, done = b.command("run", "--detach", "--bundle", b.bundle, "--pid-file", b.dir+"/io/pid", b.id)
	b.must(cmd.Start())
	expect(t, "message", m.next(), "READY=1\n")
	expect(t, "message", m.next(), "MAINPID="+readText(t, b.dir+"/io/pid"))
	expect(t, "message", m.next(), "BARRIER=1")
	unix.Close(m.held)
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 0)
	b.pid, _ = strconv.Atoi(readText(t, b.dir+"/io/pid"))
	b.remove("--force")

	b.edit(prober("exit:0"))
	b.create()
	start := time.Now()
	b.start()
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("start has waited %v for a container that is gone", took)
	}
	b.wait()
	b.remove()
	if !m.silent() {
		t.Error("a message came of a container that was never ready")
	}
}
