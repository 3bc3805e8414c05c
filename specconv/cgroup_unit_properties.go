//go:build !tare_front

package specconv

import (
	"math"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/gvariant"
)

// properties are those of a unit, in their order; of two of one name the last
// one counts.
type properties struct{ list []property }

type property struct {
	name, value string // the value in GVariant's text format
}

func (p *properties) set(name, value string) {
	for i := range p.list {
		if p.list[i].name == name {
			p.list[i].value = value
			return
		}
	}
	p.list = append(p.list, property{name, value})
}

func (p *properties) setUint(name string, n uint64) {
	p.set(name, "uint64 "+strconv.FormatUint(n, 10))
}

func (p *properties) text() []string {
	out := make([]string, len(p.list))
	for i := range p.list {
		out[i] = p.list[i].name + "=" + p.list[i].value
	}
	return out
}

// infinity is systemd's "no limit" and "not set".
const infinity = uint64(math.MaxUint64)

// unitProperties says all that systemd is told of the unit, but for the process.
func (c *compiler) unitProperties(u *unit, writes []resourceWrite) []string {
	sd := c.Facts.Systemd
	var p properties
	p.set("Description", gvariant.Quote("container "+c.ID))
	if !u.isSlice() {
		p.set("Slice", gvariant.Quote(u.slice))
		p.set("Delegate", "true")
	}
	p.set("DefaultDependencies", "false")
	accounting := []string{"CPUAccounting", "MemoryAccounting", "TasksAccounting", "IOAccounting"}
	if k := c.Facts.Cgroup.With("blkio"); k >= 0 {
		accounting[3] = "BlockIOAccounting"
	}
	for _, name := range accounting {
		p.set(name, "true")
	}
	p.resources(writes, &c.Facts.Cgroup, sd)
	if !sd.User { // whose manager may not attach the programs that it takes
		p.devices(deviceRules(c.linux().Resources))
	}
	c.unitAnnotations(&p)
	return p.text()
}

// UnitChanges are the properties that an update of the cgroups means for the
// container's unit, "Name=value": what systemd is not told it takes back the next
// time that it writes a limit.
func UnitChanges(changes []Change, cg *facts.Cgroup, sd *facts.Systemd) []string {
	writes := make([]resourceWrite, len(changes))
	for i, w := range changes {
		writes[i] = resourceWrite{hierarchy: w.Dir, file: w.File, value: w.Value, field: w.Field}
	}
	var p properties
	p.resources(writes, cg, sd)
	return p.text()
}

// resources translates what is written to cgroup files into the properties that
// make systemd write the same; what has none is written to the files alone. The
// files have the last word in any case, because a property can be coarser.
func (p *properties) resources(writes []resourceWrite, cg *facts.Cgroup, sd *facts.Systemd) {
	var quota, period string // as cgroup v1 keeps them, in two files
	for i := range writes {
		w := &writes[i]
		if w.hierarchy < 0 || w.hierarchy >= len(cg.Hierarchies) {
			continue
		}
		v2 := cg.Hierarchies[w.hierarchy].V2
		file, value := fileAndValue(w.file, w.value, v2)
		switch file {
		case "cpu.max":
			quota, period, _ = strings.Cut(value, " ")
		case "cpu.cfs_quota_us":
			quota = value
		case "cpu.cfs_period_us":
			period = value
		case "cpu.idle":
			if v2 && sd.Since(252) {
				p.setUint("CPUWeight", map[bool]uint64{true: 0, false: infinity}[value == "1"])
			}
		case "cpuset.cpus", "cpuset.mems":
			name := map[string]string{"cpuset.cpus": "AllowedCPUs", "cpuset.mems": "AllowedMemoryNodes"}[file]
			if mask, ok := bitmask(value); ok && v2 && sd.Since(244) {
				p.set(name, mask)
			}
		default:
			if name := simpleProperty(file, v2, sd); name != "" {
				if n, ok := amount(value); ok {
					p.setUint(name, n)
				}
			}
		}
	}
	p.bandwidth(quota, period, sd)
}

// fileAndValue chooses one of the alternatives of a write: the one that systemd
// has a property for.
func fileAndValue(file, value string, v2 bool) (string, string) {
	first, rest, more := strings.Cut(file, "|")
	v, values, several := value, value, false
	if more {
		v, values, several = strings.Cut(value, "|")
	}
	if v2 && first == "io.bfq.weight" && rest == "io.weight" && several {
		return rest, values
	}
	return first, v
}

// simpleProperty is the property for a file that holds one number.
func simpleProperty(file string, v2 bool, sd *facts.Systemd) string {
	if file == "pids.max" {
		return "TasksMax"
	}
	if !v2 {
		return map[string]string{"cpu.shares": "CPUShares", "memory.limit_in_bytes": "MemoryLimit", "blkio.weight": "BlockIOWeight"}[file]
	}
	switch file {
	case "memory.min", "memory.swap.max":
		return map[string]string{"memory.min": "MemoryMin", "memory.swap.max": "MemorySwapMax"}[file]
	case "memory.zswap.max":
		if sd.Since(253) {
			return "MemoryZSwapMax"
		}
		return ""
	}
	return map[string]string{"memory.max": "MemoryMax", "memory.high": "MemoryHigh", "memory.low": "MemoryLow",
		"cpu.weight": "CPUWeight", "io.weight": "IOWeight"}[file]
}

// amount reads what a file with one number takes: "max" and -1 are no limit.
func amount(s string) (uint64, bool) {
	s = strings.TrimPrefix(s, "default ") // of io.weight
	if s == "max" || s == "-1" {
		return infinity, true
	}
	shift := 0
	if n := len(s) - 1; n > 0 {
		switch s[n] | 0x20 { // as the kernel's memparse
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
		if shift > 0 {
			s = s[:n]
		}
	}
	n, err := strconv.ParseUint(s, 10, 64)
	return n << shift, err == nil && n<<shift>>shift == n
}

// bandwidth sets the CPU quota. systemd keeps it as microseconds for each second,
// and writes it in hundredths of a CPU: it is rounded up, so that what is then
// written to the file is never above it.
func (p *properties) bandwidth(quota, period string, sd *facts.Systemd) {
	const usual, hundredth = 100000, 10000 // microseconds
	every, err := strconv.ParseUint(period, 10, 64)
	if err != nil || every == 0 {
		every = usual
	} else if sd.Since(242) {
		p.setUint("CPUQuotaPeriodUSec", every)
	}
	if quota == "" {
		return
	}
	n, ok := amount(quota)
	if !ok {
		return
	}
	if n < infinity/1000000 {
		n = n * 1000000 / every
		if n%hundredth != 0 {
			n += hundredth - n%hundredth
		}
	} else {
		n = infinity
	}
	p.setUint("CPUQuotaPerSecUSec", n)
}

// bitmask turns "0-3,7" into an array of bytes, the lowest numbers first.
func bitmask(list string) (string, bool) {
	const most = 8192
	if list == "" {
		return "@ay []", true
	}
	if !isNumberList(list) {
		return "", false
	}
	var mask []byte
	for _, item := range strings.Split(list, ",") {
		lo, hi, ranged := strings.Cut(strings.Trim(item, " "), "-")
		a, _ := strconv.Atoi(lo)
		b := a
		if ranged {
			b, _ = strconv.Atoi(hi)
		}
		if b >= most {
			return "", false
		}
		for ; a <= b; a++ {
			for len(mask) <= a/8 {
				mask = append(mask, 0)
			}
			mask[a/8] |= 1 << (a % 8)
		}
	}
	words := make([]string, len(mask))
	for i, m := range mask {
		words[i] = "0x" + strconv.FormatUint(uint64(m), 16)
	}
	return "[byte " + strings.Join(words, ", ") + "]", true
}

// devices tells systemd who may use what, so that nothing is lost when it sets
// up its own filter again (daemon-reload). It knows no rule that denies: where the
// config needs one, systemd allows more, and tare's own rules do the rest.
func (p *properties) devices(rules []DeviceRule) {
	list := deviceList{errs: new(field.List)} // dropped: what cannot be said is left wider
	for _, r := range rules {
		list.apply(r)
	}
	if list.base.Allow {
		p.set("DevicePolicy", "'auto'")
		p.set("DeviceAllow", "@a(ss) []")
		return
	}
	var entries []string
	for _, r := range list.exceptions {
		kind := "char"
		if r.Type == 'b' {
			kind = "block"
		}
		node := "/dev/" + kind + "/" + deviceNumberOrStar(r.Major) + ":" + deviceNumberOrStar(r.Minor)
		switch {
		case r.Major == anyDevice: // one minor of all majors cannot be said
			node = kind + "-*"
		case r.Minor == anyDevice:
			node = kind + "-" + strconv.FormatInt(r.Major, 10)
		}
		entries = append(entries, "("+gvariant.Quote(node)+", "+gvariant.Quote(r.Access)+")")
	}
	p.set("DevicePolicy", "'strict'")
	if len(entries) == 0 {
		p.set("DeviceAllow", "@a(ss) []")
		return
	}
	p.set("DeviceAllow", "["+strings.Join(entries, ", ")+"]")
}

// unitAnnotations are properties that the config sets by itself.
func (c *compiler) unitAnnotations(p *properties) {
	for _, key := range sortedKeys(c.Spec.Annotations) {
		name, ok := strings.CutPrefix(key, propertyPrefix)
		if !ok {
			continue
		}
		value := c.Spec.Annotations[key]
		switch {
		case !isPropertyName(name):
			c.errs.Add(annotation(key), value, "is not about the name of a property of systemd")
			continue
		case name == "PIDs" || name == "Slice" || name == "ControlGroup":
			c.errs.Add(annotation(key), value, "cannot be set: it follows from linux.cgroupsPath and the process")
			continue
		}
		v, err := gvariant.Parse(value)
		if err != nil {
			c.errs.Add(annotation(key), value, "is not a value in GVariant's text format: it "+err.Error())
			continue
		}
		if stem, ok := strings.CutSuffix(name, "Sec"); ok && !strings.HasSuffix(name, "USec") {
			usec, ok := microseconds(&v)
			if !ok {
				c.errs.Add(annotation(key), value, "is not a number of seconds")
				continue
			}
			name, value = stem+"USec", "uint64 "+strconv.FormatUint(usec, 10)
		}
		p.set(name, value)
	}
}

// microseconds converts a number of seconds of any type.
func microseconds(v *gvariant.Value) (uint64, bool) {
	const most = float64(1 << 63)
	switch v.Type {
	case "d":
		if us := v.Float * 1e6; us >= 0 && us < most {
			return uint64(us), true
		}
	case "n", "i", "x":
		if s := int64(v.Bits); s >= 0 && s <= math.MaxInt64/1000000 {
			return uint64(s) * 1000000, true
		}
	case "y", "q", "u", "t":
		if v.Bits <= math.MaxUint64/1000000 {
			return v.Bits * 1000000, true
		}
	}
	return 0, false
}

func isPropertyName(s string) bool {
	for i := 0; i < len(s); i++ {
		if ch := s[i]; !(ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z') {
			return false
		}
	}
	return s != ""
}
