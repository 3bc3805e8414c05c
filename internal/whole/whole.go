// Package whole holds tare once more, as a program with every command.
//
// The file that is installed begins with the front: the commands that engines
// call, and nothing else. What help, `spec` or `check` need (urfave/cli,
// text/template, encoding/json, regexp, D-Bus) would cost each command a tenth
// of its time and a quarter of its memory only by being linked, because of
// packages' initialisation and of how a kernel reads a program: in runs of
// pages. So the front carries the whole along as data, which costs nothing
// until it is read, and executes it for everything else.
//
// `make` builds the one before the other. `go build` without the tag tare_front
// makes the whole alone, which does the same, only slower.
package whole

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"github.com/tare-oci/tare/internal/entry"
	"github.com/tare-oci/tare/internal/sealed"
)

// SelfEnv is the environment variable that tells the whole where the file is that
// it came with: it has none of its own.
const SelfEnv = "TARE_SELF"

const prSetTimerslack = 29 // PR_SET_TIMERSLACK, prctl(2)

// Exec replaces this program by the whole, called by the same name with the same
// arguments. It returns only if that is not possible.
func Exec() error {
	f, err := files.Open("bin/" + runtime.GOARCH + "/tare")
	if err != nil {
		return errors.New("tare was built without its second half; build it with make")
	}
	fd, err := sealed.Open("tare", f)
	if err != nil {
		return err
	}
	// syscall.Exec also puts back the limit of open files that this process was
	// started with.
	_ = os.Unsetenv(SelfEnv) // of a tare that has started this one; the first of two would count
	env := os.Environ()
	if self, err := os.Executable(); err == nil {
		env = append(env, SelfEnv+"="+self)
	}
	// What executes it gives it its timer slack.
	runtime.LockOSThread()
	if slack, changed := entry.Slack(); changed {
		_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prSetTimerslack, uintptr(slack), 0)
	}
	err = syscall.Exec("/proc/self/fd/"+strconv.Itoa(fd), os.Args, env)
	return fmt.Errorf("execute the second half of tare: %w", err)
}
