//go:build !tare_front

package cli

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/tare-oci/tare/libcontainer"
)

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
