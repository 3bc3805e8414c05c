package specconv

import (
	"github.com/tare-oci/tare/internal/seccomp"
)

// readSeccomp compiles linux.seccomp. A profile that cannot be honoured is an
// error, never a container without a filter.
func (c *compiler) readSeccomp() *seccomp.Program {
	s := c.linux().Seccomp
	if s == nil {
		return nil
	}
	p := seccomp.Compile(s, c.Facts.Arch, &c.errs)
	if p == nil || len(p.Filter) == 0 {
		return nil
	}
	if p.Listener {
		c.errs.Add("linux.seccomp.listenerPath", s.ListenerPath, "seccomp listeners are not supported by this version of tare")
		return nil
	}
	c.filter = p
	return p
}
