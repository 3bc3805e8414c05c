//go:build !tare_front

package cli

import "fmt"

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
	o, err := c.planOptions(id)
	if err != nil {
		return err
	}
	res, err := r.Plan(o, true)
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
