package specconv

import (
	"sort"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/plan"
)

// netDevice is one entry of linux.netDevices, checked.
type netDevice struct {
	field    string
	name, to string
}

// readNetDevices reads the entries in the order of their names: a map has none.
func (c *compiler) readNetDevices() []netDevice {
	entries := c.linux().NetDevices
	if len(entries) == 0 {
		return nil
	}
	if !c.ns.own(plan.NewNet) {
		c.errs.Add("linux.netDevices", "", "needs a network namespace in linux.namespaces to move devices into")
	}
	if bit, _ := plan.CapBit("CAP_NET_ADMIN"); c.Facts.Caps>>bit&1 == 0 {
		c.errs.AddHost("linux.netDevices", "", "needs CAP_NET_ADMIN over the runtime's network namespace, from which devices are moved")
	}
	names := make([]string, 0, len(entries))
	for name := range entries {
		names = append(names, name)
	}
	sort.Strings(names)
	out := make([]netDevice, 0, len(names))
	taken := map[string]string{}
	for _, name := range names {
		d := netDevice{field: "linux.netDevices[" + strconv.Quote(name) + "]", name: name, to: entries[name].Name}
		if why := badDeviceName(name); why != "" {
			c.errs.Add(d.field, name, why)
		} else if strings.Contains(name, "%") {
			c.errs.Add(d.field, name, "has a %, which the name of no device has; the new name may end in %d")
		}
		if d.to == "" {
			d.to = name
		} else {
			why := badDeviceName(d.to)
			if stem, template := strings.CutSuffix(d.to, "%d"); why == "" && strings.Contains(stem, "%") {
				why = "may have a % only in %d at its end (config-linux.md, Network Devices)"
			} else if why == "" && template && stem == "" {
				why = "must have more than %d"
			}
			if why != "" {
				c.errs.Add(d.field+".name", d.to, why)
			}
		}
		if other, ok := taken[d.to]; ok && !strings.HasSuffix(d.to, "%d") {
			c.errs.Add(d.field+".name", d.to, "is also the new name of "+strconv.Quote(other))
		}
		taken[d.to] = name
		out = append(out, d)
	}
	return out
}

// maxDeviceName is IFNAMSIZ without the NUL.
const maxDeviceName = 15

// badDeviceName says why the kernel would refuse a device name (dev_valid_name).
func badDeviceName(name string) string {
	switch {
	case name == "":
		return "is empty, and must name a network device"
	case len(name) > maxDeviceName:
		return "is longer than 15 bytes, the most that a network device's name can have"
	case name == "." || name == "..":
		return "cannot be the name of a network device"
	}
	for i := 0; i < len(name); i++ {
		switch b := name[i]; {
		case b == '/' || b == ':':
			return "has a " + string(rune(b)) + ", which no network device's name can have"
		case b == ' ' || b >= 9 && b <= 13 || b == 0xa0:
			return "has white space, which no network device's name can have"
		case b == 0:
			return "has a NUL byte"
		}
	}
	return ""
}

// emitHostPart is what the host does for the process once it is in all its
// namespaces, and before any hook looks at them.
func (c *compiler) emitHostPart() {
	devices := c.readNetDevices()
	if len(devices)+len(c.rdtGroups) == 0 {
		return
	}
	c.add(plan.SyncArrive("namespaces-entered"))
	for _, g := range c.rdtGroups {
		c.add(plan.RdtJoin(g.field, g.path))
	}
	for _, d := range devices {
		c.add(plan.NetdevMove(d.field, d.name, d.to))
	}
	c.add(plan.SyncAwait("host-part-done"))
}
