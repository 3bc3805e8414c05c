package cli

import (
	"errors"
	"io/fs"
	"path/filepath"
	"regexp"
	"testing"

	"golang.org/x/sys/unix"
)

// logDaemon listens in the place of a daemon and returns what comes.
func logDaemon(t *testing.T, c *call) (receive func() string) {
	t.Helper()
	if c.log.daemon.socket == "" {
		t.Fatal("--log is not for a daemon")
	}
	c.log.daemon.socket = filepath.Join(t.TempDir(), "log")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: c.log.daemon.socket}); err != nil {
		t.Fatal(err)
	}
	return func() string {
		buf := make([]byte, 4096)
		n, _, err := unix.Recvfrom(fd, buf, unix.MSG_DONTWAIT)
		if err != nil {
			return ""
		}
		return string(buf[:n])
	}
}

func TestLogJournal(t *testing.T) {
	c, stderr := testCall(t, "--log", "journald:web", "--log-format", "json")
	receive := logDaemon(t, c)
	c.fail(errors.New("one line"))
	if got, want := receive(), "MESSAGE=one line\nPRIORITY=3\nSYSLOG_IDENTIFIER=web\nID=web\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	c.fail(errors.New("two\nlines"))
	if got, want := receive(), "MESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\nPRIORITY=3\nSYSLOG_IDENTIFIER=web\nID=web\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := receive(); got != "" {
		t.Errorf("a second record for one failure: %q", got)
	}
	c.warn([]string{"beware"})
	if got, want := receive(), "MESSAGE=beware\nPRIORITY=4\nSYSLOG_IDENTIFIER=web\nID=web\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := stderr(), "tare: one line\ntare: two\nlines\n"; got != want {
		t.Errorf("stderr %q, want %q", got, want)
	}
}

func TestLogSyslog(t *testing.T) {
	c, _ := testCall(t, "--log", "syslog:")
	receive := logDaemon(t, c)
	c.fail(errors.New("two\nlines"))
	if got, want := receive(), `^<11>[A-Z][a-z]{2} [ 1-3][0-9] [0-9]{2}:[0-9]{2}:[0-9]{2} tare\[[0-9]+\]: two lines$`; !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got %q, want %s", got, want)
	}
}

// A daemon that is not there is told of once, and fails no command.
func TestLogWithoutDaemon(t *testing.T) {
	for _, target := range []string{"journald:x", "syslog:x"} {
		c, stderr := testCall(t, "--log", target)
		c.log.daemon.socket = filepath.Join(t.TempDir(), "none")
		c.fail(errors.New("failed"))
		if got, want := stderr(), "tare: failed\ntare: --log: "+c.log.daemon.socket+": no such file or directory\n"; got != want {
			t.Errorf("stderr %q, want %q", got, want)
		}
		if err := c.log.write(levelError, "x"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v", err)
		}
	}
	for target, socket := range map[string]string{"journald:x": "/run/systemd/journal/socket", "syslog:x": "/dev/log"} {
		if c, _ := testCall(t, "--log", target); c.log.daemon.socket != socket || c.log.path != "" || c.log.identifier != "x" {
			t.Errorf("--log %s: %+v", target, c.log)
		}
	}
}
