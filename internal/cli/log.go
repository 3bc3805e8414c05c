package cli

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tare-oci/tare/internal/ojson"
)

// level orders what is logged.
type level uint8

const (
	levelError level = iota
	levelWarning
	levelInfo
	levelDebug
)

var levelNames = [...]string{levelError: "error", levelWarning: "warning", levelInfo: "info", levelDebug: "debug"}

// logFile is what --log names. It is opened for each record: most commands
// have none to write.
type logFile struct {
	path string // "" for no file
	json bool
	upTo level

	daemon     daemon // instead of a file
	identifier string // what the daemon files the records under
}

func (l *logFile) configure(g *values) error {
	switch f := g.str("log-format"); f {
	case "text":
	case "json":
		l.json = true
	default:
		return fmt.Errorf("invalid log-format: %s", f)
	}
	path := g.str("log")
	if scheme, rest, ok := strings.Cut(path, ":"); ok {
		switch scheme {
		case "file":
			path = rest
		case "journald", "syslog":
			path, l.daemon, l.identifier = "", daemonOf(scheme), rest
		}
	}
	l.path = path
	if g.bool("debug") {
		l.upTo = levelDebug
		return nil
	}
	switch name := strings.ToLower(g.str("log-level")); name {
	case "warn":
		l.upTo = levelWarning
	default:
		for i, n := range levelNames {
			if n == name {
				l.upTo = level(i)
				return nil
			}
		}
		return fmt.Errorf("--log-level %q: use debug, info, warning or error", name)
	}
	return nil
}

// write appends one record. The error says that the log cannot be written.
func (l *logFile) write(at level, msg string) error {
	if at > l.upTo {
		return nil
	}
	if l.daemon.socket != "" {
		return l.send(at, msg, time.Now())
	}
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY|syscall.O_SYNC, 0o644)
	if err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	defer f.Close()
	// One write, so that records of commands that run at once do not mix.
	if _, err := f.Write(l.record(at, msg, time.Now())); err != nil {
		return fmt.Errorf("--log: %w", err)
	}
	return nil
}

func (l *logFile) record(at level, msg string, now time.Time) []byte {
	stamp := now.UTC().Format(time.RFC3339)
	if l.json {
		var w ojson.Writer
		w.Object()
		w.Key("level").String(levelNames[at])
		w.Key("msg").String(msg)
		w.Key("time").String(stamp)
		w.End()
		return append(w.Bytes(), '\n')
	}
	return []byte("time=" + strconv.Quote(stamp) + " level=" + levelNames[at] + " msg=" + strconv.Quote(msg) + "\n")
}
