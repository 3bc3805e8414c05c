package specconv

import (
	"path"
	"strings"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// rdtGroup is a resctrl group that the process joins.
type rdtGroup struct {
	field, path string
	own         bool // named after the container
}

// rdtReserved are names below the root of resctrl that are no groups.
var rdtReserved = [...]string{".", "..", "info", "mon_groups", "mon_data"}

// emitIntelRdt finds or makes the groups of config-linux.md, IntelRdt.
func (c *compiler) emitIntelRdt() {
	r := c.linux().IntelRdt
	if r == nil {
		return
	}
	root := c.Facts.Resctrl
	if root == "" {
		c.errs.AddHost("linux.intelRdt", "", "needs a mounted resctrl file system, on a CPU that has it: mount -t resctrl resctrl /sys/fs/resctrl")
		root = "/sys/fs/resctrl"
	}
	const f = "linux.intelRdt"
	c.checkSchemas()
	schemas := r.L3CacheSchema != "" || r.MemBwSchema != "" || len(r.Schemata) > 0

	named := f + ".closID"
	group, flags, match := root, uint32(0), uint32(0)
	switch r.ClosID {
	case "/": // the default class, which the file system's root is
	case "":
		named = f
		group = root + "/" + c.ID
		if reserved(c.ID) {
			c.errs.Add(f+".closID", "", "is required for a container with this ID, which resctrl has a file of its own for")
		}
	default:
		if strings.ContainsAny(r.ClosID, "/\n\x00") || reserved(r.ClosID) {
			c.errs.Add(f+".closID", r.ClosID, "is not the name of a directory of resctrl, nor / for the default class")
			return
		}
		group = root + "/" + r.ClosID
	}
	if r.ClosID != "" {
		match = plan.FlagMatch
		if !schemas {
			flags = plan.FlagExisting
		}
	}
	if r.ClosID != "/" {
		c.add(plan.RdtGroup(named, group, flags))
	}
	// In this order, each by itself: in one write the kernel refuses a cache that
	// is named twice.
	if r.L3CacheSchema != "" {
		c.add(plan.RdtSchema(f+".l3CacheSchema", group, r.L3CacheSchema, match))
	}
	if r.MemBwSchema != "" {
		c.add(plan.RdtSchema(f+".memBwSchema", group, r.MemBwSchema, match))
	}
	if len(r.Schemata) > 0 {
		c.add(plan.RdtSchema(f+".schemata", group, strings.Join(r.Schemata, "\n"), 0))
	}
	c.rdtGroups = append(c.rdtGroups, rdtGroup{named, group, r.ClosID == ""})
	if r.EnableMonitoring {
		mon := path.Join(group, "mon_groups", c.ID)
		c.add(plan.RdtGroup(f+".enableMonitoring", mon, plan.FlagNew))
		c.rdtGroups = append(c.rdtGroups, rdtGroup{f + ".enableMonitoring", mon, true})
	}
}

func reserved(name string) bool {
	for _, n := range rdtReserved {
		if n == name {
			return true
		}
	}
	return false
}

func (c *compiler) checkSchemas() {
	r := c.linux().IntelRdt
	const f = "linux.intelRdt"
	line := func(path, s string) {
		if c.noNUL(path, s) && strings.Contains(s, "\n") {
			c.errs.Add(path, s, "has a newline; each line is an element of schemata (config-linux.md, IntelRdt)")
		}
	}
	line(f+".l3CacheSchema", r.L3CacheSchema)
	line(f+".memBwSchema", r.MemBwSchema)
	if s := r.L3CacheSchema; s != "" && !strings.HasPrefix(s, "L3:") {
		c.warn(f+".l3CacheSchema", r.L3CacheSchema, "should begin with L3: (config-linux.md, IntelRdt)")
	}
	if s := r.MemBwSchema; s != "" && !strings.HasPrefix(s, "MB:") {
		c.errs.Add(f+".memBwSchema", s, "must begin with MB: (config-linux.md, IntelRdt)")
	}
	for i, s := range r.Schemata {
		p := field.Index(f+".schemata", i)
		if s == "" {
			c.errs.Add(p, "", "is an empty line")
		}
		line(p, s)
	}
}
