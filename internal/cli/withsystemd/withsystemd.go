// Package withsystemd runs a command line that needs the systemd cgroup driver,
// which package early has left alone.
//
// The driver's D-Bus library, and the net package that it needs, cost every
// command a fifth of its start if they were initialised before it runs. As the
// import path of this package comes before theirs, and that of early before all
// that only this package needs, a command that does without systemd ends before
// they are initialised, and one with systemd before urfave/cli is (package early
// says why the order is that). Only main imports this package.
package withsystemd

import (
	"os"

	"github.com/tare-oci/tare/internal/cli"
	"github.com/tare-oci/tare/internal/cli/early"
	"github.com/tare-oci/tare/libcontainer/systemd"
)

func init() {
	if !early.Help.Systemd {
		return
	}
	if early.Code, early.Help = cli.Run(os.Args, systemd.Dial); early.Help == nil {
		os.Exit(early.Code)
	}
}
