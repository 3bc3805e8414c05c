package cli

import (
	"errors"
	"fmt"
	"os"
	"regexp"

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

// each does something to every container whose id the regular expression of
// the first argument matches. One failure does not keep it from the others;
// failed hooks are only warned about.
func (c *call) each(do func(*libcontainer.Runtime, string) error) error {
	re, err := regexp.Compile(c.args[0])
	if err != nil {
		return fmt.Errorf("--regex: %w", err)
	}
	r, err := c.runtime()
	if err != nil {
		return err
	}
	ids, err := r.IDs()
	if err != nil {
		return err
	}
	var errs []error
	for _, id := range ids {
		if !re.MatchString(id) {
			continue
		}
		err := do(r, id)
		var hooks *libcontainer.HookWarnings
		switch {
		case errors.As(err, &hooks):
			c.warn(texts(hooks.Errs))
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", id, err))
		}
	}
	return errors.Join(errs...)
}
