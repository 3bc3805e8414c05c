// Package cli is tare's command line: it reads flags into plain option structs,
// calls libcontainer, prints, and chooses the exit code.
//
// One table (commands.go) says which commands and flags there are. A small
// parser of its own (parse.go) serves every command, because engines wait for
// it; urfave/cli is built from the same table by package usage, and only when
// there is help, a completion or a wrong usage to print.
package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/tare-oci/tare/internal/version"
	"github.com/tare-oci/tare/libcontainer"
)

// call is one command being run.
type call struct {
	program string // what the program calls itself
	self    string // how it was called: argv[0]'s last element
	cmd     *Command
	global  values
	flags   values
	args    []string
	log     logFile
	systemd libcontainer.DialSystemd // nil where the driver is not there yet

	stdout, stderr *os.File
}

// Help is what is left to be printed on stdout when a command line asked for
// help or was wrong; package usage prints it.
type Help struct {
	Program string   // as it was called, "tare"
	Command *Command // nil for the help of the program
	Why     string   // a line that goes before it
	// Complete is a command line to be completed instead.
	Complete []string
	// Systemd says that nothing has been done yet: the command needs the systemd
	// cgroup driver, and has to be run again with it.
	Systemd bool
}

// CompletionFlag is what a shell's completion appends to a command line
// (contrib/completions).
const CompletionFlag = "--generate-bash-completion"

// Run runs the command line argv, argv[0] being the program. It returns the
// exit code, and help if some is to be printed. Without systemd, which may be nil,
// a command that turns out to need it does nothing and says so.
func Run(argv []string, systemd libcontainer.DialSystemd) (int, *Help) {
	c := &call{systemd: systemd, self: "tare", stdout: os.Stdout, stderr: os.Stderr, global: newValues(GlobalFlags)}
	if len(argv) > 0 && argv[0] != "" {
		c.self = filepath.Base(argv[0])
		argv = argv[1:]
	}
	c.program = programName(c.self)
	if n := len(argv); n > 0 && argv[n-1] == CompletionFlag {
		return 0, &Help{Program: c.self, Complete: argv}
	}
	return c.end(c.dispatch(argv))
}

// programName is the name in messages and in the first line of --version. An
// engine that was given a link of another runtime's name parses that name.
func programName(self string) string {
	if self == "runc" || self == "crun" {
		return self
	}
	return "tare"
}

func (c *call) dispatch(argv []string) error {
	rest, err := c.global.parse(argv, true)
	if err != nil {
		return err
	}
	if c.global.bool("version") {
		c.print(c.versionText())
		return nil
	}
	if len(rest) == 0 {
		return helpWanted{}
	}
	if rest[0] == "help" || rest[0] == "h" {
		return c.help(rest[1:])
	}
	cmd := findCommand(rest[0])
	if cmd == nil {
		return unknownCommand(rest[0])
	}
	c.cmd = cmd
	if front && cmd.whole {
		return handOver{}
	}
	c.flags = newValues(cmd.Flags)
	if c.args, err = c.flags.parse(rest[1:], cmd.stop); err != nil {
		return err
	}
	if err := cmd.checkArgs(len(c.args)); err != nil {
		return err
	}
	if err := c.checkGlobals(); err != nil {
		return err
	}
	if c.systemd == nil { // or it would stand there twice
		// A log that cannot be written is told with the first error.
		_ = c.log.write(levelDebug, "tare "+version.Version()+": "+strings.Join(argv, " "))
	}
	return cmd.run(c)
}

// argCount says that there are too few or too many positional arguments.
type argCount string

func (e argCount) Error() string { return string(e) }

func (cmd *Command) checkArgs(n int) error {
	switch {
	case cmd.min == cmd.max && n != cmd.min:
		return argCount(fmt.Sprintf("%q requires exactly %d argument(s)", cmd.Name, cmd.min))
	case n < cmd.min:
		return argCount(fmt.Sprintf("%q requires a minimum of %d argument(s)", cmd.Name, cmd.min))
	case cmd.max >= 0 && n > cmd.max:
		return argCount(fmt.Sprintf("%q requires a maximum of %d argument(s)", cmd.Name, cmd.max))
	}
	return nil
}

// checkGlobals checks the global flags that are words out of a few, and opens
// nothing: a log that is never needed is never made.
func (c *call) checkGlobals() error {
	g := &c.global
	if err := c.log.configure(g); err != nil {
		return err
	}
	switch m := g.str("cgroup-manager"); m {
	case "cgroupfs", "systemd", "disabled":
	default:
		return fmt.Errorf("--cgroup-manager %q: use cgroupfs, systemd or disabled", m)
	}
	switch m := g.str("seccomp-compiler"); m {
	case libcontainer.CompilerTare, libcontainer.CompilerLibseccomp:
	default:
		return fmt.Errorf("--seccomp-compiler %q: use %s or %s", m, libcontainer.CompilerTare, libcontainer.CompilerLibseccomp)
	}
	switch r := strings.ToLower(g.str("rootless")); r {
	case "auto", "true", "false", "1", "0", "t", "f":
	default:
		return fmt.Errorf("--rootless %q: use true, false or auto", r)
	}
	return nil
}

// runtime is the set of containers that --root names.
func (c *call) runtime() (*libcontainer.Runtime, error) {
	root, err := stateRoot(&c.global)
	if err != nil {
		return nil, err
	}
	return libcontainer.New(root).WithSystemd(c.systemd), nil
}

// container is the one that the first argument names.
func (c *call) container() (*libcontainer.Container, error) {
	r, err := c.runtime()
	if err != nil {
		return nil, err
	}
	return r.Load(c.args[0])
}

func (c *call) versionText() string {
	return c.program + " version " + version.Version() + "\ncommit: " + version.Commit() +
		"\nspec: " + version.Spec() + "\ngo: " + version.Go() + "\n"
}

// print writes to stdout. That nobody reads it is the reader's business.
func (c *call) print(s string) { _, _ = c.stdout.WriteString(s) }

// ContainerIDs lists the ids below the directory that --root names, "" for the
// default. It is for completion, and knows of no errors.
func ContainerIDs(root string) []string {
	g := newValues(GlobalFlags)
	if root != "" {
		_ = g.put(g.find("root"), root)
	}
	dir, err := stateRoot(&g)
	if err != nil {
		return nil
	}
	ids, _ := libcontainer.New(dir).IDs()
	return ids
}

// help is the command help.
func (c *call) help(args []string) error {
	if len(args) > 0 {
		if c.cmd = findCommand(args[0]); c.cmd == nil {
			return unknownCommand(args[0])
		}
	}
	return helpWanted{}
}
