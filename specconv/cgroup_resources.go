package specconv

import (
	"path"
	"sort"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
)

// resourceWrite is one value for one cgroup file.
//
// file may name alternatives, first choice first, because which of them exists
// is known only to the kernel: "blkio.weight|blkio.bfq.weight". The value is
// then either one for all, or has as many parts, "500|4950", one per file. An
// empty last alternative ("hugetlb.2MB.rsvd.max|") means that no file at all is
// fine too. internal/cgroup.Write resolves them.
type resourceWrite struct {
	hierarchy int // index in facts.Cgroup.Hierarchies
	file      string
	value     string // what is written; "" clears the file
	field     string // "linux.resources.memory.limit"
	ignore    bool   // a failure is expected and harmless
}

const resourcesField = "linux.resources"

// resourceWrites turns linux.resources into the ordered list of writes for a
// new cgroup; every mistake goes to errs with its field path. r may be nil:
// device access is restricted even then, see deviceRules.
//
// A zero stands for "not set" in every limit that engines send as a plain
// number (memory, cpu, weights); it does not in pids, rdma, hugepage limits
// and throttle rates, where it is a limit.
func resourceWrites(r *specs.LinuxResources, cg *facts.Cgroup, errs *field.List) []resourceWrite {
	c := resourceCompiler{cg: cg, errs: errs}
	c.all(r)
	c.devices(r)
	if r != nil {
		c.unified(r.Unified)
	}
	return c.writes
}

// resourceCompiler collects the writes of one linux.resources.
type resourceCompiler struct {
	cg     *facts.Cgroup
	errs   *field.List
	update bool
	now    map[string]string // in an update, what files say now; see UpdateReads
	writes []resourceWrite
	absent string // the field whose missing controller was reported last
}

// controller is where one controller's files are.
type controller struct {
	name string // the v1 name; also what is mounted when it is missing
	at   int    // index of the hierarchy, -1 when none has it
	v2   bool   // the files are those of cgroup v2
}

// find looks for a controller under its v1 and its v2 name.
func (c *resourceCompiler) find(v1, v2 string) controller {
	at := c.cg.With(v1)
	if at < 0 && v2 != v1 {
		at = c.cg.With(v2)
	}
	if at < 0 {
		return controller{name: v1, at: -1, v2: c.cg.Unified}
	}
	return controller{name: v1, at: at, v2: c.cg.Hierarchies[at].V2}
}

// write records one write. A controller that no hierarchy has is an error of
// the host, told once per field: a limit is never skipped in silence.
func (c *resourceCompiler) write(k controller, field, file, value string) {
	if k.at < 0 {
		c.missing(k, field, value)
		return
	}
	c.writes = append(c.writes, resourceWrite{hierarchy: k.at, file: file, value: value, field: field})
}

// attempt records a write that may fail.
func (c *resourceCompiler) attempt(k controller, field, file, value string) {
	if k.at >= 0 {
		c.writes = append(c.writes, resourceWrite{hierarchy: k.at, file: file, value: value, field: field, ignore: true})
	}
}

func (c *resourceCompiler) missing(k controller, field, value string) {
	if c.absent == field {
		return
	}
	c.absent = field
	value, _, _ = strings.Cut(value, "|") // the config's own form is the first
	c.errs.AddHost(field, value, missingWhy(c.cg, k.name))
}

// missingWhy says how a host comes by a controller.
func missingWhy(cg *facts.Cgroup, name string) string {
	v1only := name == "net_cls" || name == "net_prio" || name == "devices"
	if cg.Unified && !v1only {
		if name == "blkio" {
			name = "io"
		}
		return "the cgroup v2 tree does not offer the controller " + name +
			" (cgroup.controllers): the kernel lacks it, cgroup_disable= turned it off, or it was not delegated"
	}
	dir := "/sys/fs/cgroup"
	for i := range cg.Hierarchies {
		if !cg.Hierarchies[i].V2 {
			dir = path.Dir(cg.Hierarchies[i].Mount)
			break
		}
	}
	why := "the cgroup controller " + name + " is not mounted"
	if cg.Unified {
		// A directory made inside cgroup2 would be a cgroup.
		why = "the controller " + name + " exists only in cgroup v1 and is not mounted"
		dir = "/run"
	}
	dir = path.Join(dir, name)
	return why + "; mount it with: mkdir -p " + dir + " && mount -t cgroup -o " + name + " " + name + " " + dir
}

// all handles what has the same meaning at creation and at update, but for the
// unified map, which comes last because it has the last word.
func (c *resourceCompiler) all(r *specs.LinuxResources) {
	if r == nil {
		return
	}
	if r.CPU != nil {
		c.cpuset(r.CPU)
		if k := c.find("cpu", "cpu"); k.v2 {
			c.cpu2(k, r.CPU)
		} else {
			c.cpu1(k, r.CPU)
		}
	}
	if r.Memory != nil {
		if k := c.find("memory", "memory"); k.v2 {
			c.memory2(k, r.Memory)
		} else {
			c.memory1(k, r.Memory)
		}
	}
	if r.Pids != nil && r.Pids.Limit != nil {
		c.pids(*r.Pids.Limit)
	}
	if r.BlockIO != nil {
		if k := c.find("blkio", "io"); k.v2 {
			c.io2(k, r.BlockIO)
		} else {
			c.blkio1(k, r.BlockIO)
		}
	}
	c.hugepages(r.HugepageLimits)
	if r.Network != nil {
		c.network(r.Network)
	}
	c.rdma(r.Rdma)
}

// pids limits the number of tasks. The kernel takes 0, but nothing can be
// cloned into such a cgroup, so 0 becomes 1: the container's process may not
// fork either way. Every negative number is "no limit".
func (c *resourceCompiler) pids(limit int64) {
	value := "max"
	switch {
	case limit > 0:
		value = strconv.FormatInt(limit, 10)
	case limit == 0:
		value = "1"
	}
	c.write(c.find("pids", "pids"), resourcesField+".pids.limit", "pids.max", value)
}

// cpuset has the same files in v1 and v2.
func (c *resourceCompiler) cpuset(cpu *specs.LinuxCPU) {
	k := c.find("cpuset", "cpuset")
	for _, f := range []struct{ name, list string }{{"cpus", cpu.Cpus}, {"mems", cpu.Mems}} {
		if f.list == "" {
			continue
		}
		path := resourcesField + ".cpu." + f.name
		if !isNumberList(f.list) {
			c.errs.Add(path, f.list, "is not a list of numbers and ranges like 0-3,7")
			continue
		}
		c.write(k, path, "cpuset."+f.name, f.list)
	}
}

// isNumberList accepts "0-3,7", with blanks after the commas.
func isNumberList(s string) bool {
	for s != "" {
		item, rest, more := strings.Cut(s, ",")
		lo, hi, ranged := strings.Cut(strings.Trim(item, " "), "-")
		a, err := strconv.ParseUint(lo, 10, 31)
		if err != nil {
			return false
		}
		if ranged {
			b, err := strconv.ParseUint(hi, 10, 31)
			if err != nil || b < a {
				return false
			}
		}
		if more && rest == "" {
			return false
		}
		s = rest
	}
	return true
}

// hugepages sets the usage limit and, where the kernel accounts for
// reservations (5.7 and later), the reservation limit.
func (c *resourceCompiler) hugepages(limits []specs.LinuxHugepageLimit) {
	k := c.find("hugetlb", "hugetlb")
	usage := ".limit_in_bytes"
	if k.v2 {
		usage = ".max"
	}
	for i := range limits {
		path := field.Index(resourcesField+".hugepageLimits", i)
		size := limits[i].Pagesize
		if !isPageSize(size) {
			c.errs.Add(path+".pageSize", size, "is not a page size like 64KB, 2MB or 1GB")
			continue
		}
		value := strconv.FormatUint(limits[i].Limit, 10)
		c.write(k, path, "hugetlb."+size+usage, value)
		c.write(k, path, "hugetlb."+size+".rsvd"+usage+"|", value)
	}
}

// isPageSize accepts only what cannot lead out of the cgroup, because the page
// size becomes a part of a file name.
func isPageSize(s string) bool {
	if len(s) < 3 || len(s) > 10 || s[0] == '0' {
		return false
	}
	n := len(s) - 2
	for i := 0; i < n; i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s[n:] == "KB" || s[n:] == "MB" || s[n:] == "GB"
}

// network exists in v1 only; a host with cgroup v2 can mount the two
// hierarchies beside it.
func (c *resourceCompiler) network(n *specs.LinuxNetwork) {
	// Class 0 is "no class", what a new cgroup has: not worth an error where
	// net_cls is not mounted.
	if k := c.find("net_cls", "net_cls"); n.ClassID != nil && (*n.ClassID != 0 || k.at >= 0) {
		c.write(k, resourcesField+".network.classID", "net_cls.classid", strconv.FormatUint(uint64(*n.ClassID), 10))
	}
	k := c.find("net_prio", "net_prio")
	for i := range n.Priorities {
		path := field.Index(resourcesField+".network.priorities", i)
		name := n.Priorities[i].Name
		if !isInterface(name) {
			c.errs.Add(path+".name", name, "is not the name of a network interface")
			continue
		}
		c.write(k, path, "net_prio.ifpriomap", name+" "+strconv.FormatUint(uint64(n.Priorities[i].Priority), 10))
	}
}

// isInterface follows the kernel's dev_valid_name: at most 15 bytes, no slash,
// colon or blank.
func isInterface(s string) bool {
	return len(s) < 16 && s != "." && s != ".." && isWord(s) && !strings.ContainsAny(s, "/:")
}

// isWord reports whether s can stand as one word in a cgroup file.
func isWord(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// rdma has the same file in v1 and v2.
func (c *resourceCompiler) rdma(devices map[string]specs.LinuxRdma) {
	k := c.find("rdma", "rdma")
	for _, name := range sortedKeys(devices) {
		path := field.Key(resourcesField+".rdma", name)
		d := devices[name]
		if !isWord(name) {
			c.errs.Add(path, name, "is not the name of an RDMA device")
			continue
		}
		if d.HcaHandles == nil && d.HcaObjects == nil {
			c.errs.Add(path, "", "needs hcaHandles or hcaObjects")
			continue
		}
		value := name
		if d.HcaHandles != nil {
			value += " hca_handle=" + strconv.FormatUint(uint64(*d.HcaHandles), 10)
		}
		if d.HcaObjects != nil {
			value += " hca_object=" + strconv.FormatUint(uint64(*d.HcaObjects), 10)
		}
		c.write(k, path, "rdma.max", value)
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}
