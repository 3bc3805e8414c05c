package cli

import (
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseSignal(t *testing.T) {
	for in, want := range map[string]unix.Signal{
		"9": 9, "0": 0, "64": 64, "KILL": 9, "kill": 9, "SIGKILL": 9, "sigKill": 9, "Term": 15, "HUP": 1, "USR1": unix.SIGUSR1,
		"winch": unix.SIGWINCH, "CLD": unix.SIGCHLD, "RTMIN": 34, "SIGRTMIN+3": 37, "rtmax-1": 63, "RTMAX": 64, "RTMIN+30": 64,
	} {
		if got, err := parseSignal(in); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", in, got, err, want)
		}
	}
	for _, in := range []string{"", "SIG", "NOPE", "65", "-9", "9x", "+9", "RTMIN-1", "RTMAX+1", "RTMIN+", "RTMIN+31", "RTMIN3", "SIGSIGKILL", "KILL "} {
		got, err := parseSignal(in)
		if err == nil {
			t.Errorf("%q is taken for %d", in, got)
			continue
		}
		if want := `unknown signal "` + in + `"`; err.Error() != want {
			t.Errorf("%q: %q, want %q", in, err, want)
		}
	}
}

// The table agrees with the system's own names.
func TestSignalNames(t *testing.T) {
	for _, s := range signalNames {
		if n := unix.SignalNum("SIG" + s.name); n != 0 && n != s.sig {
			t.Errorf("%s is %d, want %d", s.name, s.sig, n)
		}
	}
	for n := unix.Signal(1); n < 32; n++ {
		if got, err := parseSignal(unix.SignalName(n)); err != nil || got != n {
			t.Errorf("%s: %d, %v; want %d", unix.SignalName(n), got, err, n)
		}
	}
}
