package specconv

import (
	"slices"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/seccomp"
)

// readSeccomp compiles linux.seccomp. A profile that cannot be honoured is an
// error, never a container without a filter.
func (c *compiler) readSeccomp() {
	s := c.linux().Seccomp
	if s == nil {
		return
	}
	var p *seccomp.Program
	if c.Filter != nil {
		p = seccomp.Adopt(s, c.Facts.Arch, c.Filter, &c.errs)
	} else {
		p = seccomp.Compile(s, c.Facts.Arch, &c.errs)
	}
	if p == nil || len(p.Filter) == 0 {
		return
	}
	for _, name := range p.Unknown {
		c.warn("linux.seccomp.syscalls", name, "is not a system call that tare knows: left out")
	}
	if i := waitKillable(s); i >= 0 && !c.Facts.Kernel(5, 19) {
		c.errs.AddHost(field.Index("linux.seccomp.flags", i), string(s.Flags[i]), "needs Linux 5.19 (seccomp(2))")
	}
	if p.Listener {
		path := "linux.seccomp.listenerPath"
		if !strings.HasPrefix(p.ListenerPath, "/") {
			c.errs.Add(path, p.ListenerPath, "must be absolute")
		}
		if !c.noNUL(path, p.ListenerPath) || !c.noNUL("linux.seccomp.listenerMetadata", p.ListenerMetadata) {
			return
		}
	}
	c.filter = p
}

// waitKillable is the index of the one flag that not every supported kernel has,
// or -1.
func waitKillable(s *specs.LinuxSeccomp) int {
	return slices.Index(s.Flags, specs.LinuxSeccompFlagWaitKillableRecv)
}
