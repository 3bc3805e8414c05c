package cli

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/libcontainer"
)

// Exit codes of tare's own. A foreground run exits with its program's.
const (
	exitFailure = 1
	exitUnknown = 3 // no such command
	exitExec    = 255
)

// exitCode is the error of a command that is done and has an exit code of its
// own; there is nothing to print.
type exitCode int

func (exitCode) Error() string { return "" }

// unknownCommand is the name of a command that there is not.
type unknownCommand string

func (u unknownCommand) Error() string { return "No help topic for '" + string(u) + "'" }

// handOver says that the command is one for the whole, and that nothing of it
// has been done.
type handOver struct{}

func (handOver) Error() string { return "this is the front" }

// end reports how the command ended. It returns the exit code, and help where
// that belongs to the answer.
func (c *call) end(err error) (int, *Help) {
	if c.systemd == nil && errors.Is(err, libcontainer.ErrNoSystemd) {
		return 0, &Help{Systemd: true}
	}
	help := &Help{Program: c.self, Command: c.cmd}
	if front {
		switch err.(type) { //nolint:errorlint // these are made here and never wrapped
		case handOver, helpWanted, usageError, argCount:
			return 0, help // the whole begins again
		}
	}
	switch e := err.(type) { //nolint:errorlint // these are made here and never wrapped
	case exitCode:
		return int(e), nil
	case helpWanted:
		return 0, help
	case usageError:
		help.Why = "Incorrect Usage: " + string(e)
		c.fail(err)
		return exitFailure, help
	case argCount:
		help.Why = "Incorrect Usage."
		c.fail(err)
		return exitFailure, help
	case unknownCommand:
		c.fail(err)
		return exitUnknown, nil
	}
	return c.report(err), nil
}

// report tells an error, or what is only a warning, and returns the exit code.
func (c *call) report(err error) int {
	if err == nil {
		return 0
	}
	var hooks *libcontainer.HookWarnings
	if errors.As(err, &hooks) {
		c.warn(texts(hooks.Errs))
		return 0
	}
	c.fail(err)
	if c.cmd != nil && c.cmd.Name == "exec" {
		return exitExec // so that it is not taken for the command's
	}
	return exitFailure
}

// fail reports an error: on stderr, one line for each field of a config, and
// as exactly one record in the log.
func (c *call) fail(err error) {
	text := err.Error()
	prefix := c.program + ": "
	out := prefix + text + "\n"
	var invalid *field.Invalid
	if errors.As(err, &invalid) {
		out = prefix + strings.Join(strings.Split(text, "\n"), "\n"+prefix) + "\n"
	}
	if logErr := c.log.write(levelError, text); logErr != nil {
		out += prefix + logErr.Error() + "\n"
	}
	_, _ = c.stderr.WriteString(out)
}

// warn logs what went wrong without keeping the command from its work. Engines
// read stderr together with stdout, so warnings stand there only for a person:
// on a terminal, or when --debug asks for them.
func (c *call) warn(warnings []string) {
	if len(warnings) == 0 {
		return
	}
	show := c.global.bool("debug") || c.stderrIsTerminal()
	for _, w := range warnings {
		err := c.log.write(levelWarning, w)
		if show {
			_, _ = c.stderr.WriteString(c.program + ": warning: " + w + "\n")
			if err != nil {
				_, _ = c.stderr.WriteString(c.program + ": warning: " + err.Error() + "\n")
			}
		}
	}
}

func (c *call) stderrIsTerminal() bool {
	_, err := unix.IoctlGetTermios(int(c.stderr.Fd()), unix.TCGETS)
	return err == nil
}

func texts(errs []error) []string {
	out := make([]string, len(errs))
	for i, err := range errs {
		out[i] = err.Error()
	}
	return out
}
