package specconv

import "github.com/tare-oci/tare/internal/plan"

// emitDeviceFilter restricts access to devices where the v1 controller is not
// mounted and there is a v2 tree: by a program that the host attaches to the
// container's v2 cgroup. A list that allows everything needs none. In a user
// namespace the kernel lets nobody attach one, nor an ordinary user anywhere, and
// neither make a device node: what the container can open is what its file systems
// show it.
func (c *compiler) emitDeviceFilter() {
	if c.rootless() || c.Facts.Cgroup.With("devices") >= 0 {
		return
	}
	// Nor is an ordinary user allowed to, who can make no node and opens no device
	// that is not open to him anyway. Root without the capability gets an error.
	const sysAdmin, netAdmin, bpf = 1 << 21, 1 << 12, 1 << 39
	if caps := c.Facts.Caps; c.Facts.EUID != 0 && caps&sysAdmin == 0 && (caps&bpf == 0 || caps&netAdmin == 0) {
		return
	}
	for i := range c.cgroups {
		if !c.cgroups[i].V2 {
			continue
		}
		rules := deviceRules(c.linux().Resources)
		if len(rules) == 1 && rules[0].Allow {
			return
		}
		lines := make([]string, len(rules))
		for j := range rules {
			verb := "deny "
			if rules[j].Allow {
				verb = "allow "
			}
			lines[j] = verb + rules[j].String()
		}
		c.add(plan.DeviceFilter(devicesField, c.cgroups[i].Mount+c.cgroups[i].Path, lines))
	}
}
