package specconv

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/plan"
)

// maxSize bounds the rows and columns of a terminal: struct winsize has 16 bits.
const maxSize = 1<<16 - 1

// consoleSize is process.consoleSize, which means something only with a terminal
// (config.md, Process).
func consoleSize(p *specs.Process) (rows, columns uint) {
	if !p.Terminal || p.ConsoleSize == nil {
		return 0, 0
	}
	return p.ConsoleSize.Height, p.ConsoleSize.Width
}

func (c *compiler) checkConsole() {
	rows, columns := consoleSize(c.Spec.Process)
	for _, s := range []struct {
		name string
		n    uint
	}{{"height", rows}, {"width", columns}} {
		if s.n > maxSize {
			c.errs.Add("process.consoleSize."+s.name, strconv.FormatUint(uint64(s.n), 10), "must be at most "+strconv.Itoa(maxSize))
		}
	}
}

// emitConsoleOpen has the socket opened while there is no process yet: it may be
// wrong, and its path is the host's.
func (c *compiler) emitConsoleOpen() {
	if !c.Spec.Process.Terminal {
		return
	}
	c.console = c.plan.NewSlot("console-socket")
	c.add(plan.ConsoleOpen("process.terminal", c.ConsoleSocket, c.console))
}

// emitConsole makes the terminal once the container's devpts is in its place. Of
// a container the terminal is /dev/console, too (config-linux.md, Default
// Devices); of an exec it is not.
func (c *compiler) emitConsole(flags uint32) {
	if !c.Spec.Process.Terminal {
		return
	}
	rows, columns := consoleSize(c.Spec.Process)
	c.add(plan.Console("process.terminal", c.console, rows, columns, flags))
}

func (c *compiler) emitPidfdSend(kind string) {
	if c.PidfdSocket != "" {
		c.add(plan.PidfdSend(c.PidfdSocket, kind))
	}
}

// emitStdioOwner lets the user open the standard streams again, as /dev/stdout.
func (c *compiler) emitStdioOwner() {
	var flags uint32
	if c.Spec.Process.Terminal {
		flags = plan.FlagTerminal
	}
	c.add(plan.StdioOwner("process.user.uid", c.Spec.Process.User.UID, flags))
}
