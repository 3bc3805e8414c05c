//go:build !tare_front

package cli

import (
	"errors"
	"fmt"

	"github.com/tare-oci/tare/libcontainer"
	"github.com/tare-oci/tare/specconv"
)

func runPlan(c *call) error {
	format := c.flags.str("format")
	if format != "text" && format != "json" {
		return fmt.Errorf("--format %q: use text or json", format)
	}
	r, err := c.runtime()
	if err != nil {
		return err
	}
	id := "container"
	if len(c.args) > 0 {
		id = c.args[0]
	}
	var res *specconv.Result
	if c.flags.isSet("process") {
		res, err = c.execPlan(r)
	} else {
		var o libcontainer.CreateOptions
		if o, err = c.planOptions(id); err == nil {
			res, err = r.Plan(o, true)
		}
	}
	if err != nil {
		return err
	}
	if format == "json" {
		data, err := res.Plan.JSON()
		if err != nil {
			return err
		}
		c.print(string(data) + "\n")
	} else {
		c.print(res.Plan.Format())
	}
	c.warn(res.Warnings)
	return nil
}

// execPlan is the plan of an exec in the container of the first argument.
func (c *call) execPlan(r *libcontainer.Runtime) (*specconv.Result, error) {
	if len(c.args) == 0 {
		return nil, errors.New("--process: needs the id of a container")
	}
	p, err := libcontainer.LoadProcess(c.flags.str("process"))
	if err != nil {
		return nil, err
	}
	ctr, err := r.Load(c.args[0])
	if err != nil {
		return nil, err
	}
	return ctr.ExecPlan(libcontainer.ExecOptions{SeccompCompiler: c.global.str("seccomp-compiler"), Process: p, PreserveFDs: c.flags.int("preserve-fds")})
}
