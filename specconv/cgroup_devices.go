package specconv

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// anyDevice stands for every major or minor number.
const anyDevice = -1

const devicesField = resourcesField + ".devices"

// DeviceRule is one line of a device access list. The last rule that matches
// an access decides about it.
type DeviceRule struct {
	Allow  bool
	Type   byte   // 'b', 'c', or 'a' for both
	Major  int64  // -1 for every one
	Minor  int64  // -1 for every one
	Access string // some of "rwm", in this order: read, write, mknod
	Field  string // where in the config it comes from
}

// whole reports whether the rule is about every access to every device.
func (r *DeviceRule) whole() bool {
	return r.Type == 'a' && r.Major == anyDevice && r.Minor == anyDevice && r.Access == "rwm"
}

// String is the rule as the files of cgroup v1 take it: "c 1:3 rwm", "a" for everything.
func (r *DeviceRule) String() string {
	if r.whole() {
		return "a"
	}
	return string(r.Type) + " " + deviceNumberOrStar(r.Major) + ":" + deviceNumberOrStar(r.Minor) + " " + r.Access
}

func deviceNumberOrStar(n int64) string {
	if n == anyDevice {
		return "*"
	}
	return strconv.FormatInt(n, 10)
}

// defaultDeviceRules is what every container may do, whatever its list says: make
// any node, and use the devices that the spec demands in /dev (config-linux,
// "Default Devices"), terminals and tun. The list is runc's, which engines have
// come to rely on; it comes after the config's own rules for the same reason.
var defaultDeviceRules = [...]DeviceRule{
	{true, 'c', anyDevice, anyDevice, "m", devicesField},
	{true, 'b', anyDevice, anyDevice, "m", devicesField},
	{true, 'c', 1, 3, "rwm", devicesField},           // null
	{true, 'c', 1, 8, "rwm", devicesField},           // random
	{true, 'c', 1, 7, "rwm", devicesField},           // full
	{true, 'c', 5, 0, "rwm", devicesField},           // tty
	{true, 'c', 1, 5, "rwm", devicesField},           // zero
	{true, 'c', 1, 9, "rwm", devicesField},           // urandom
	{true, 'c', 136, anyDevice, "rwm", devicesField}, // pts, and console, which is one of them
	{true, 'c', 5, 2, "rwm", devicesField},           // ptmx
	{true, 'c', 10, 200, "rwm", devicesField},        // net/tun
}

// deviceRules returns the access list of a container, in the order in which it
// applies: first a rule for every device, then the config's rules after the
// last one that settles everything, then the defaults. A config without
// resources or rules gets the defaults alone, as with runc: nothing is allowed
// that was not asked for. Rules with mistakes are left out; checkDeviceRules
// reports them.
func deviceRules(r *specs.LinuxResources) []DeviceRule {
	rules := make([]DeviceRule, 1, 1+2*len(defaultDeviceRules))
	rules[0] = DeviceRule{false, 'a', anyDevice, anyDevice, "rwm", devicesField}
	if r != nil {
		for i := range r.Devices {
			rule, why := deviceRule(&r.Devices[i], i)
			if why.text != "" {
				continue
			}
			if rule.whole() {
				rules = append(rules[:0], rule)
			} else {
				rules = append(rules, rule)
			}
		}
	}
	if len(rules) == 1 && rules[0].Allow {
		return rules // everything is allowed: nothing to add
	}
	return append(rules, defaultDeviceRules[:]...)
}

// checkDeviceRules records the mistakes in linux.resources.devices.
func checkDeviceRules(r *specs.LinuxResources, errs *field.List) {
	if r == nil {
		return
	}
	for i := range r.Devices {
		if _, why := deviceRule(&r.Devices[i], i); why.text != "" {
			errs.Add(field.Index(devicesField, i)+"."+why.name, why.value, why.text)
		}
	}
}

// deviceMistake is a field of a device rule, its value and the reason.
type deviceMistake struct{ name, value, text string }

func deviceRule(d *specs.LinuxDeviceCgroup, i int) (DeviceRule, deviceMistake) {
	rule := DeviceRule{Allow: d.Allow, Type: 'a', Major: anyDevice, Minor: anyDevice, Field: field.Index(devicesField, i)}
	switch d.Type {
	case "", "a":
	case "b", "c":
		rule.Type = d.Type[0]
	default:
		return rule, deviceMistake{"type", d.Type, "is none of a, b, c"}
	}
	for _, n := range []struct {
		name string
		from *int64
		to   *int64
	}{{"major", d.Major, &rule.Major}, {"minor", d.Minor, &rule.Minor}} {
		if n.from == nil {
			continue
		}
		if *n.from < anyDevice || *n.from > 1<<32-1 {
			return rule, deviceMistake{n.name, strconv.FormatInt(*n.from, 10), "is not a device number, nor -1 for every one"}
		}
		*n.to = *n.from
	}
	bits := accessBits(d.Access)
	if bits == 0 {
		return rule, deviceMistake{"access", d.Access, "must be made of r (read), w (write) and m (mknod)"}
	}
	rule.Access = accessString(bits)
	return rule, deviceMistake{}
}

// accessBits returns 0 for what is not made of r, w and m.
func accessBits(s string) (bits uint8) {
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case 'r':
			bits |= 1
		case 'w':
			bits |= 2
		case 'm':
			bits |= 4
		default:
			return 0
		}
	}
	return bits
}

func accessString(bits uint8) string {
	return [8]string{"", "r", "w", "rw", "m", "rm", "wm", "rwm"}[bits]
}

// devices writes the access list of cgroup v1. Where the controller is not
// mounted and there is a v2 tree, access is restricted by a BPF program from
// deviceRules, and nothing is written here.
func (c *resourceCompiler) devices(r *specs.LinuxResources) {
	checkDeviceRules(r, c.errs)
	k := c.find("devices", "devices")
	if k.at < 0 && (c.v2Tree() >= 0 || r == nil || len(r.Devices) == 0) {
		return
	}
	list := deviceList{errs: c.errs}
	for _, rule := range deviceRules(r) {
		list.apply(rule)
	}
	base, other := "devices.deny", "devices.allow"
	if list.base.Allow {
		base, other = other, base
	}
	c.write(k, list.base.Field, base, list.base.String())
	for i := range list.exceptions {
		c.write(k, list.exceptions[i].Field, other, list.exceptions[i].String())
	}
}

// deviceList is an access list in the shape of cgroup v1: one rule for
// everything and exceptions from it, none of which has exceptions of its own.
//
// The kernel cannot be given the config's rules one by one: it forgets an
// exception only when told to with exactly the same numbers, and takes any
// line that begins with "a" for a rule about everything.
type deviceList struct {
	errs       *field.List
	base       DeviceRule
	exceptions []DeviceRule
}

func (l *deviceList) apply(rule DeviceRule) {
	if rule.whole() {
		l.base, l.exceptions = rule, nil
		return
	}
	if rule.Type == 'a' {
		for _, t := range []byte("cb") {
			rule.Type = t
			l.apply(rule)
		}
		return
	}
	if rule.Allow == l.base.Allow {
		l.remove(rule)
		return
	}
	for i := range l.exceptions {
		e := &l.exceptions[i]
		if e.Type == rule.Type && e.Major == rule.Major && e.Minor == rule.Minor {
			e.Access = accessString(accessBits(e.Access) | accessBits(rule.Access))
			return
		}
	}
	l.exceptions = append(l.exceptions, rule)
}

// remove takes a rule of the base's kind out of the exceptions before it.
func (l *deviceList) remove(rule DeviceRule) {
	kept := l.exceptions[:0]
	for _, e := range l.exceptions {
		left := accessBits(e.Access) &^ accessBits(rule.Access)
		switch {
		case e.Type != rule.Type || !meets(e.Major, rule.Major) || !meets(e.Minor, rule.Minor), left == accessBits(e.Access):
			kept = append(kept, e)
		case covers(rule.Major, e.Major) && covers(rule.Minor, e.Minor):
			if left != 0 {
				e.Access = accessString(left)
				kept = append(kept, e)
			}
		default:
			kept = append(kept, e)
			// A default that the config has denied as part of something wider stays denied.
			if rule.Field != devicesField {
				l.errs.AddHost(rule.Field, rule.String(), "cgroup v1 cannot make an exception from the wider rule "+
					strconv.Quote(e.String())+" before it; cgroup v2 can")
			}
		}
	}
	l.exceptions = kept
}

func meets(a, b int64) bool { return a == b || a == anyDevice || b == anyDevice }

func covers(wide, n int64) bool { return wide == anyDevice || wide == n }
