package specconv

import (
	"github.com/tare-oci/tare/internal/seccomp"
)

// readSeccomp compiles linux.seccomp. A profile that cannot be honoured is an
// error, never a container without a filter.
func (c *compiler) readSeccomp() {
	s := c.linux().Seccomp
	if s == nil {
		return
	}
	p := seccomp.Compile(s, c.Facts.Arch, &c.errs)
	if p == nil || len(p.Filter) == 0 {
		return
	}
	for _, name := range p.Unknown {
		c.warn("linux.seccomp.syscalls", name, "is not a system call that tare knows: left out")
	}
	if p.Listener {
		c.errs.Add("linux.seccomp.listenerPath", s.ListenerPath, "seccomp listeners are not supported by this version of tare")
		return
	}
	c.filter = p
}
