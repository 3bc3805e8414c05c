package cli

import (
	"syscall"

	"github.com/tare-oci/tare/libcontainer"
)

func runRun(c *call) error {
	r, o, err := c.toCreate()
	if err != nil {
		return err
	}
	return c.begin(&o, func() (*libcontainer.Container, error) { return r.Run(o) })
}

// begin has a container run, as o says by then, and unless it is to be left alone
// stands in for its program until that ends.
func (c *call) begin(o *libcontainer.CreateOptions, run func() (*libcontainer.Container, error)) error {
	if o.Detach = c.flags.bool("detach"); o.Detach {
		ctr, err := run()
		if err == nil {
			c.warn(ctr.Warnings)
		}
		return err
	}
	if !c.flags.bool("no-subreaper") {
		if err := libcontainer.BecomeSubreaper(); err != nil {
			return err
		}
	}
	k, err := newKeeper()
	if err != nil {
		return err
	}
	o.BeforeStart = k.begin
	o.ConsoleSize = ownSize
	ctr, err := run()
	if err != nil {
		return err
	}
	c.warn(ctr.Warnings)
	code, err := k.attend(c.stdout, ctr.Terminal(), func(s syscall.Signal) { _ = ctr.Kill(s, false) }, ctr.Ended)
	if err != nil {
		return err
	}
	if c.cmd.Name != "run" || !c.flags.bool("keep") {
		if err := ctr.Delete(libcontainer.DeleteOptions{Force: true}); err != nil {
			// The program's exit code is what the caller asked for; only a success
			// would hide that something is left behind.
			if end := c.report(err); code == 0 {
				code = end
			}
		}
	}
	return exitCode(code)
}
