package cli

import (
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// signalNames are the names without SIG. Aliases follow what they mean.
var signalNames = [...]struct {
	name string
	sig  unix.Signal
}{
	{"ABRT", unix.SIGABRT}, {"ALRM", unix.SIGALRM}, {"BUS", unix.SIGBUS}, {"CHLD", unix.SIGCHLD}, {"CLD", unix.SIGCHLD},
	{"CONT", unix.SIGCONT}, {"FPE", unix.SIGFPE}, {"HUP", unix.SIGHUP}, {"ILL", unix.SIGILL}, {"INT", unix.SIGINT},
	{"IO", unix.SIGIO}, {"IOT", unix.SIGIOT}, {"KILL", unix.SIGKILL}, {"PIPE", unix.SIGPIPE}, {"POLL", unix.SIGPOLL},
	{"PROF", unix.SIGPROF}, {"PWR", unix.SIGPWR}, {"QUIT", unix.SIGQUIT}, {"SEGV", unix.SIGSEGV}, {"STKFLT", unix.SIGSTKFLT},
	{"STOP", unix.SIGSTOP}, {"SYS", unix.SIGSYS}, {"TERM", unix.SIGTERM}, {"TRAP", unix.SIGTRAP}, {"TSTP", unix.SIGTSTP},
	{"TTIN", unix.SIGTTIN}, {"TTOU", unix.SIGTTOU}, {"URG", unix.SIGURG}, {"USR1", unix.SIGUSR1}, {"USR2", unix.SIGUSR2},
	{"VTALRM", unix.SIGVTALRM}, {"WINCH", unix.SIGWINCH}, {"XCPU", unix.SIGXCPU}, {"XFSZ", unix.SIGXFSZ},
}

// The real-time signals as programs know them: C libraries keep the kernel's
// first two for themselves.
const (
	rtMin = 34
	rtMax = 64
)

// parseSignal reads a signal: a number up to 64, a name in any case with or
// without SIG, RTMIN+n or RTMAX-n. Number 0 only asks whether one could signal.
func parseSignal(s string) (unix.Signal, error) {
	if n, err := strconv.ParseUint(s, 10, 8); err == nil && n <= rtMax {
		return unix.Signal(n), nil
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	for i := range signalNames {
		if signalNames[i].name == name {
			return signalNames[i].sig, nil
		}
	}
	if sig, ok := realTime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("unknown signal %q", s)
}

func realTime(name string) (unix.Signal, bool) {
	base, sign := 0, 0
	rest, ok := strings.CutPrefix(name, "RTMIN")
	if ok {
		base, sign = rtMin, '+'
	} else if rest, ok = strings.CutPrefix(name, "RTMAX"); ok {
		base, sign = rtMax, '-'
	} else {
		return 0, false
	}
	if rest == "" {
		return unix.Signal(base), true
	}
	n, err := strconv.ParseUint(rest[1:], 10, 8)
	if err != nil || int(rest[0]) != sign || n > rtMax-rtMin {
		return 0, false
	}
	if sign == '-' {
		return unix.Signal(base - int(n)), true
	}
	return unix.Signal(base + int(n)), true
}
