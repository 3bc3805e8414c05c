package cli

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/libcontainer"
)

func runStart(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	warnings, err := ctr.StartNotify(os.Getenv("NOTIFY_SOCKET"))
	if err == nil {
		c.warn(warnings)
	}
	return err
}

func runState(c *call) error {
	ctr, err := c.container()
	if err != nil {
		return err
	}
	w := ojson.Writer{Indent: "  "}
	v := ctr.View()
	v.Write(&w)
	_, err = c.stdout.Write(w.Bytes())
	return err
}

func runKill(c *call) error {
	sig := unix.SIGTERM
	if len(c.args) > 1 {
		var err error
		if sig, err = parseSignal(c.args[1]); err != nil {
			return err
		}
	}
	all := c.flags.bool("all")
	if c.flags.bool("regex") {
		return c.each(func(r *libcontainer.Runtime, id string) error {
			ctr, err := r.Load(id)
			if err != nil {
				return err
			}
			return ctr.Kill(sig, all)
		})
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	return ctr.Kill(sig, all)
}

func runDelete(c *call) error {
	o := libcontainer.DeleteOptions{Force: c.flags.bool("force")}
	if c.flags.bool("regex") {
		return c.each(func(r *libcontainer.Runtime, id string) error { return r.Delete(id, o) })
	}
	r, err := c.runtime()
	if err != nil {
		return err
	}
	return r.Delete(c.args[0], o)
}
