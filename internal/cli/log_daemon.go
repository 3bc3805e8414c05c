package cli

import (
	"encoding/binary"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// daemon takes records by a socket.
type daemon struct {
	socket string
	encode func(identifier string, severity int, msg string, now time.Time) []byte
}

// daemonOf is the daemon of a scheme of --log.
func daemonOf(scheme string) daemon {
	if scheme == "journald" {
		return daemon{"/run/systemd/journal/socket", journalRecord}
	}
	return daemon{"/dev/log", syslogRecord}
}

// severities are those of syslog(3).
var severities = [...]int{levelError: 3, levelWarning: 4, levelInfo: 6, levelDebug: 7}

// journalRecord is in the native protocol of the journal (systemd, "Native Journal
// Protocol"): a value with a newline has its length before it.
func journalRecord(identifier string, severity int, msg string, _ time.Time) []byte {
	var b []byte
	for _, f := range [...][2]string{{"MESSAGE", msg}, {"PRIORITY", strconv.Itoa(severity)}, {"SYSLOG_IDENTIFIER", identifier}, {"ID", identifier}} {
		if !strings.Contains(f[1], "\n") {
			b = append(b, f[0]+"="+f[1]+"\n"...)
			continue
		}
		b = append(b, f[0]+"\n"...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(f[1])))
		b = append(b, f[1]+"\n"...)
	}
	return b
}

// syslogRecord is in the form of RFC 3164 without the host, as syslog(3) sends it,
// with the facility "user".
func syslogRecord(identifier string, severity int, msg string, now time.Time) []byte {
	return []byte("<" + strconv.Itoa(1<<3|severity) + ">" + now.Format(time.Stamp) + " " + identifier + "[" + strconv.Itoa(os.Getpid()) + "]: " +
		strings.ReplaceAll(msg, "\n", " "))
}

// send gives one record to the daemon. The error says that it cannot.
func (l *logFile) send(at level, msg string, now time.Time) error {
	name := l.identifier
	if name == "" {
		name = "tare"
	}
	fail := func(err error) error { return fmt.Errorf("--log: %s: %w", l.daemon.socket, err) }
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fail(err)
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: l.daemon.socket}); err != nil {
		return fail(err)
	}
	if err := unix.Send(fd, l.daemon.encode(name, severities[at], msg, now), unix.MSG_NOSIGNAL); err != nil {
		return fail(err)
	}
	return nil
}
