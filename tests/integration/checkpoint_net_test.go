//go:build vm

package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// ncBox is a container in the test's network namespace, whose program is connected
// with the test and writes what it reads to a file, and then how its program ended.
func ncBox(t *testing.T) (b *box, conn net.Conn, got func() string) {
	t.Helper()
	b = countingBox(t, withoutNamespace(specs.NetworkNamespace))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	t.Cleanup(func() { l.Close() })
	b.must(l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)))
	_, port, _ := net.SplitHostPort(l.Addr().String())
	b.must(os.Symlink("busybox", b.rootfs+"/bin/nc"))
	b.shellOf("nc 127.0.0.1 " + port + " </data/pipe >/data/got; echo ended >>/data/got; sleep 1000")
	b.must(unix.Mkfifo(b.dir+"/data/pipe", 0o600))
	w, err := os.OpenFile(b.dir+"/data/pipe", os.O_RDWR, 0)
	b.must(err)
	t.Cleanup(func() { w.Close() })
	b.launch()
	conn, err = l.Accept()
	b.must(err)
	t.Cleanup(func() { conn.Close() })
	_, err = conn.Write([]byte("before\n"))
	b.must(err)
	got = func() string { return readText(t, filepath.Join(b.dir, "data/got")) }
	b.until("the first line", func() bool { return got() == "before\n" })
	return b, conn, got
}

// TestCheckpointNetworkLock: what keeps packets away while nobody is there: rules of
// iptables, gone after the restore, or a table of nftables. What Debian's CRIU does not
// know, or does not end well, is refused by name.
func TestCheckpointNetworkLock(t *testing.T) {
	hostRun(t, "ip", "link", "set", "lo", "up")
	b, conn, got := ncBox(t)
	flags := []string{"checkpoint", "--image-path", b.images(), "--tcp-established", "--network-lock"}
	b.refused([]string{"checkpoint failed: --network-lock skip: this CRIU does not know it: it is 3.17.1, and 3.18 does"}, append(flags, "skip", b.id)...)
	b.refused([]string{"checkpoint failed: --network-lock nftables: CRIU before 4.1 leaves connections locked after the restore (use iptables), and this one is 3.17.1"}, append(flags, "nftables", b.id)...)

	const mark = "0xc114" // of the packets that are CRIU's own
	b.checkpoint("--tcp-established", "--network-lock", "iptables")
	if rules := hostRun(t, "iptables-save"); !strings.Contains(rules, mark) {
		t.Errorf("no rule of iptables keeps packets away:\n%s", rules)
	}
	_, err := conn.Write([]byte("after\n"))
	b.must(err)
	b.restore("--tcp-established", "--network-lock", "iptables")
	b.until("the second line", func() bool { return got() == "before\nafter\n" })
	if rules := hostRun(t, "iptables-save"); strings.Contains(rules, mark) {
		t.Errorf("left:\n%s", rules)
	}

	monitor := exec.Command("nft", "monitor", "tables")
	x := newTerminal(t) // so that each line comes at once
	monitor.Stdout = x.slave
	b.must(monitor.Start())
	defer func() { _ = monitor.Process.Kill(); _ = monitor.Wait() }()
	b.until("the monitor to be told", func() bool { // it joins a group when its socket is there
		for line := range strings.Lines(readText(t, procPath(monitor.Process.Pid, "net/netlink"))) {
			if f := strings.Fields(line); len(f) > 3 && f[2] == strconv.Itoa(monitor.Process.Pid) && strings.Trim(f[3], "0") != "" {
				return true
			}
		}
		return false
	})
	b.must(os.RemoveAll(b.images()))
	b.ok("checkpoint", "--leave-running", "--tcp-established", "--network-lock", "nftables", "--image-path", b.images(), b.id)
	x.expect("create table inet CRIU-")
	x.expect("delete table inet CRIU-")
	_, err = conn.Write([]byte("still\n"))
	b.must(err)
	b.until("the third line", func() bool { return got() == "before\nafter\nstill\n" })
	b.kill("KILL")
	b.remove()
}

// TestRestoreTCPClose: the connection is there, and closed.
func TestRestoreTCPClose(t *testing.T) {
	hostRun(t, "ip", "link", "set", "lo", "up")
	b, conn, got := ncBox(t)
	b.checkpoint("--tcp-established")
	b.restore("--tcp-close")
	b.until("the program to see its connection closed", func() bool { return got() == "before\nended\n" })
	conn.Close()
	b.kill("KILL")
	b.remove()
}

// TestCheckpointSkipInFlight: a connection that nobody has accepted is left out, and
// the listener goes on.
func TestCheckpointSkipInFlight(t *testing.T) {
	hostRun(t, "ip", "link", "set", "lo", "up")
	b := countingBox(t, withoutNamespace(specs.NetworkNamespace))
	for _, name := range []string{"httpd", "kill"} {
		b.must(os.Symlink("busybox", b.rootfs+"/bin/"+name))
	}
	b.must(os.WriteFile(b.dir+"/data/index.html", []byte("served"), 0o644))
	b.shellOf("exec httpd -f -p 127.0.0.1:27003 -h /data")
	b.launch()
	listening(b, "27003")
	b.must(unix.Kill(b.pid, unix.SIGSTOP)) // so that it does not accept
	b.until("the program to stand still", func() bool { return procState(b.pid) == "T" })
	conn, err := net.Dial("tcp", "127.0.0.1:27003")
	b.must(err)
	defer conn.Close()
	b.refused([]string{"checkpoint failed: criu dump", "skip-in-flight"}, "checkpoint", "--image-path", b.images(), b.id)
	b.checkpoint("--tcp-skip-in-flight")
	b.restore()
	b.must(unix.Kill(b.pid, unix.SIGCONT))
	again, err := net.Dial("tcp", "127.0.0.1:27003")
	b.must(err)
	defer again.Close()
	b.must(again.SetDeadline(time.Now().Add(patience)))
	_, err = again.Write([]byte("GET /index.html HTTP/1.0\r\n\r\n"))
	b.must(err)
	var text strings.Builder
	buf := make([]byte, 4096)
	for {
		n, err := again.Read(buf)
		text.Write(buf[:n])
		if err != nil {
			break
		}
	}
	if !strings.HasSuffix(text.String(), "served") {
		t.Errorf("it answers %q", text.String())
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointEmptyNetwork: devices whose other end is elsewhere are refused, or
// left out, and then the namespace is empty.
func TestCheckpointEmptyNetwork(t *testing.T) {
	b := countingBox(t)
	b.launch()
	n := b.counts(2)
	netns := procPath(b.pid, "ns/net")
	hostRun(t, "ip", "link", "add", "tarec0", "type", "veth", "peer", "name", "tarec1")
	t.Cleanup(func() { hostRun(t, "sh", "-c", "ip link del tarec0 2>/dev/null || :") })
	hostRun(t, "sh", "-c", "ip link set tarec1 netns "+strings.Split(netns, "/")[2])
	links := func() string { return hostRun(t, "nsenter", "--net="+procPath(b.pid, "ns/net"), "ip", "-o", "link") }
	b.ok("checkpoint", "--leave-running", "--image-path", b.dir+"/plain", b.id)
	n = b.counts(n)
	b.checkpoint("--empty-ns", "network")
	b.restore("--empty-ns", "network")
	b.counts(n)
	if now := links(); strings.Count(now, "\n") != 1 || !strings.Contains(now, " lo: ") || strings.Contains(now, ",UP") {
		t.Errorf("links afterwards:\n%s", now)
	}
	b.kill("KILL")
	b.remove()
	b.refused([]string{"restore failed: criu restore: "}, "restore", "--detach", "--bundle", b.bundle, "--image-path", b.dir+"/plain", b.id)
	b.nothingLeft()
}

// TestCheckpointExtUnix: a socket that is connected to one outside of the container.
func TestCheckpointExtUnix(t *testing.T) {
	b := countingBox(t, withoutNamespace(specs.NetworkNamespace))
	path := b.dir + "/data/socket"
	b.must(os.MkdirAll(b.rootfs+b.dir+"/data", 0o755))
	b.edit(bind(b.dir+"/data", b.dir+"/data", "bind", "rw"))
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	b.must(err)
	defer l.Close()
	fds, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	b.must(err)
	b.must(unix.Connect(fds, &unix.SockaddrUnix{Name: path}))
	theirs := os.NewFile(uintptr(fds), "socket")
	defer theirs.Close()
	b.shellOf("i=0; while :; do i=$((i+1)); echo $i >&3; echo $i >/data/count; sleep 0.2; done")
	b.writeConfig()
	pidFile := b.dir + "/io/pid"
	cmd, done := b.command("run", "--detach", "--bundle", b.bundle, "--preserve-fds", "1", "--pid-file", pidFile, b.id)
	cmd.ExtraFiles = []*os.File{theirs}
	b.must(cmd.Run())
	expect(t, "stderr", done().Stderr, "")
	b.pid, err = strconv.Atoi(readText(t, pidFile))
	b.must(err)
	b.reaped = false
	theirs.Close()
	said := func() (n int) {
		buf := make([]byte, 64)
		b.must(l.SetReadDeadline(time.Now().Add(patience)))
		size, err := l.Read(buf)
		b.must(err)
		n, err = strconv.Atoi(strings.TrimSpace(string(buf[:size])))
		b.must(err)
		return n
	}
	said()
	b.refused([]string{"checkpoint failed: criu dump", "--ext-unix-sk"}, "checkpoint", "--image-path", b.images(), b.id)
	b.checkpoint("--ext-unix-sk")
	n := b.count()
	b.restore("--ext-unix-sk")
	for said() <= n {
	}
	b.kill("KILL")
	b.remove()
}

// TestCheckpointShellJob: the terminal of who has called becomes that of who restores;
// without the flag nobody can say whose it is.
func TestCheckpointShellJob(t *testing.T) {
	b := countingBox(t)
	b.shellOf(`while read x; do echo "read: $x" >/data/said; done`)
	x := newTerminal(t)
	b.stdin = x.slave
	b.launch()
	said := func() string { text, _ := os.ReadFile(b.dir + "/data/said"); return string(text) }
	x.enter("one\r")
	b.until("the first line", func() bool { return said() == "read: one\n" })
	b.stdin = nil
	b.ok("checkpoint", "--leave-running", "--image-path", b.dir+"/plain", b.id)
	b.checkpoint("--shell-job")
	y := newTerminal(t)
	b.stdin = y.slave
	b.restore("--shell-job")
	y.enter("two\r")
	b.until("the second line", func() bool { return said() == "read: two\n" })
	b.kill("KILL")
	b.remove()
	b.refused([]string{"restore failed: criu restore: ", "tty"}, "restore", "--detach", "--bundle", b.bundle, "--image-path", b.dir+"/plain", b.id)
	b.nothingLeft()
}
