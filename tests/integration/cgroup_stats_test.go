package integration

import (
	"encoding/json"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestStats: lines for a program, a table for a person.
func TestStats(t *testing.T) {
	if !isTare {
		t.Skip("runc has no such command")
	}
	a := newShellBox(t, "while :; do :; done", memoryLimit(64<<20))
	a.launch()
	b := newBox(t, prober("pause"))
	b.root = a.root
	b.output(b.launch()) // it has printed, and only waits
	r := a.ok("stats", "--no-stream", a.id, b.id)
	var ids []string
	for l := range strings.Lines(r.Stdout) {
		var e struct {
			Type, ID string
			Time     time.Time
			Data     map[string]any
		}
		a.must(json.Unmarshal([]byte(l), &e))
		if e.Type != "stats" || time.Since(e.Time) > time.Minute || e.Data["memory"] == nil {
			t.Errorf("a line %s", l)
		}
		ids = append(ids, e.ID)
	}
	expectList(t, "containers", ids, []string{a.id, b.id})
	r = a.ok("stats", "--no-stream", "--format=table", "--interval=200ms")
	rows := strings.Split(strings.TrimSpace(r.Stdout), "\n")
	if len(rows) != 3 || !strings.HasPrefix(rows[0], "ID ") || !strings.HasPrefix(rows[1], a.id+" ") || !strings.HasPrefix(rows[2], b.id+" ") {
		t.Fatalf("table:\n%s", r.Stdout)
	}
	busy, idle := strings.Fields(rows[1]), strings.Fields(rows[2])
	if busy[1] == "0.0%" || idle[1] != "0.0%" || busy[3] != "64.0M" || idle[3] != "-" || busy[9] != "1" {
		t.Errorf("table:\n%s", r.Stdout)
	}
	b.remove("--force")
	a.refused([]string{"does not exist"}, "stats", a.id, b.id)
	// It ends with the last container.
	cmd, done := a.command("stats", "--interval=20ms")
	a.must(cmd.Start())
	a.kill("KILL")
	_ = cmd.Wait()
	expect(t, "exit code", done().Code, 0)
	a.remove()
}

// TestStatsOnTerminal: the table is drawn again and again in its place.
func TestStatsOnTerminal(t *testing.T) {
	if !isTare {
		t.Skip("runc has no such command")
	}
	b := newBox(t, prober("quiet", "pause"))
	b.launch()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	b.must(err)
	terminal := os.NewFile(uintptr(fd), "ptmx")
	defer terminal.Close()
	b.must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	b.must(err)
	other, err := os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	b.must(err)
	cmd, _ := b.command("stats", "--interval=20ms", b.id)
	cmd.Stdout = other
	b.must(cmd.Start())
	other.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	var text []byte
	buf := make([]byte, 4096)
	b.until("three tables", func() bool {
		n, _ := unix.Read(fd, buf)
		text = append(text, buf[:max(n, 0)]...)
		return strings.Count(string(text), "\x1b[H\x1b[JID ") >= 3 && strings.Count(string(text), "\n"+b.id+" ") >= 3
	})
	b.kill("KILL")
	_ = cmd.Wait()
	expect(t, "exit code", cmd.ProcessState.ExitCode(), 0)
}

// TestStatsTable: the columns of the network and of the pressure say what the
// kernel counts.
func TestStatsTable(t *testing.T) {
	if !isTare {
		t.Skip("runc has no such command")
	}
	ip, err := exec.LookPath("ip")
	need(t, "ip of iproute2", err)
	b := newShellBox(t, "while :; do :; done & while :; do :; done", func(s *specs.Spec) { s.Linux.Resources.CPU = &specs.LinuxCPU{Cpus: "0"} })
	b.launch()
	run := func(args ...string) {
		t.Helper()
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
		}
	}
	run(ip, "link", "add", "tare-s0", "type", "veth", "peer", "name", "eth0", "netns", strconv.Itoa(b.pid))
	run(ip, "addr", "add", "10.9.6.1/24", "dev", "tare-s0")
	run(ip, "link", "set", "tare-s0", "up")
	inside := []string{"nsenter", "--net=" + procPath(b.pid, "ns/net"), ip}
	run(append(inside, "link", "set", "eth0", "up")...)
	run(append(inside, "neigh", "add", "10.9.6.1", "lladdr", "02:00:00:00:00:01", "dev", "eth0")...)
	run(append(inside, "addr", "add", "10.9.6.2/24", "dev", "eth0")...)
	run("nsenter", "--net="+procPath(b.pid, "ns/net"), "busybox", "sh", "-c", "busybox ping -c 3 -s 1000 -i 0.01 -W 1 10.9.6.1; true")
	pressure := false
	for _, d := range cgroupDirs(b.id) {
		_, err := os.ReadFile(d + "/cpu.pressure")
		pressure = pressure || err == nil
	}
	var row []string
	b.until("the row", func() bool {
		rows := strings.Split(strings.TrimSpace(b.ok("stats", "--no-stream", "--format=table", "--interval=50ms").Stdout), "\n")
		if len(rows) != 2 || strings.Join(strings.Fields(rows[0]), " ") != "ID CPU MEMORY LIMIT USED NET IN NET OUT READ WRITTEN TASKS WAITS CPU MEMORY I/O" {
			t.Fatalf("table:\n%s", strings.Join(rows, "\n"))
		}
		row = strings.Fields(rows[1])
		waits, err := strconv.ParseFloat(strings.TrimSuffix(row[10], "%"), 64)
		return !pressure || err == nil && waits > 1
	})
	if !pressure && (row[10] != "-" || row[11] != "-" || row[12] != "-") {
		t.Errorf("pressure that nobody measures: %q", row)
	}
	var sent uint64
	for _, n := range b.stats().Data.Interfaces {
		if n.Name == "eth0" {
			sent = n.TxBytes
		}
	}
	// Three requests of 1000 bytes and their headers, and what IPv6 says of itself.
	out, err := strconv.ParseFloat(strings.TrimSuffix(row[6], "K"), 64)
	if sent < 3*1042 || err != nil || out < 3 || out*1024 > float64(sent)+10 {
		t.Errorf("%d bytes were sent, and the row is %q", sent, row)
	}
	b.remove("--force")
}
