package cli

import (
	"fmt"

	"github.com/tare-oci/tare/libcontainer"
)

func runCreate(c *call) error {
	r, err := c.runtime()
	if err != nil {
		return err
	}
	o, err := c.createOptions(c.args[0])
	if err != nil {
		return err
	}
	if err := makeRoot(&c.global, r.Root()); err != nil {
		return err
	}
	ctr, err := r.Create(o)
	if err != nil {
		return err
	}
	c.warn(ctr.Warnings)
	return nil
}

// createOptions are the flags that create and run share. Paths are resolved
// before anything else happens.
func (c *call) createOptions(id string) (libcontainer.CreateOptions, error) {
	f := &c.flags
	o, err := c.planOptions(id)
	if err != nil {
		return o, err
	}
	for _, name := range [...]string{"console-socket", "pidfd-socket"} {
		if f.isSet(name) {
			return o, fmt.Errorf("--%s: is not supported by this version of tare", name)
		}
	}
	if f.isSet("pid-file") {
		if f.str("pid-file") == "" {
			return o, fmt.Errorf("--pid-file must not be empty")
		}
		if o.PidFile, err = absolute(f.str("pid-file")); err != nil {
			return o, err
		}
	}
	return o, nil
}

// planOptions are the flags that have a say in the plan.
func (c *call) planOptions(id string) (libcontainer.CreateOptions, error) {
	f := &c.flags
	o, err := c.bundleOptions(id)
	if err != nil {
		return o, err
	}
	o.NoPivot, o.NoNewKeyring, o.PreserveFDs = f.bool("no-pivot"), f.bool("no-new-keyring"), f.int("preserve-fds")
	if o.PreserveFDs < 0 {
		return o, fmt.Errorf("--preserve-fds %d: must not be negative", o.PreserveFDs)
	}
	return o, nil
}

// bundleOptions are the flags that say which config is meant, and the global
// ones that change its meaning.
func (c *call) bundleOptions(id string) (libcontainer.CreateOptions, error) {
	f := &c.flags
	o := libcontainer.CreateOptions{
		ID:            id,
		SystemdCgroup: c.global.bool("systemd-cgroup") || c.global.str("cgroup-manager") == "systemd",
		NoCgroup:      c.global.str("cgroup-manager") == "disabled",

		SeccompCompiler: c.global.str("seccomp-compiler"),
	}
	var err error
	if o.Bundle, err = absolute(f.str("bundle")); err != nil {
		return o, err
	}
	if config := f.str("config"); config != "" {
		if o.Config, err = absolute(config); err != nil {
			return o, err
		}
	}
	return o, nil
}
