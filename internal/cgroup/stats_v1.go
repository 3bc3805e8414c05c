package cgroup

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// userHz is the unit of cpuacct.stat, sysconf(_SC_CLK_TCK), which Linux has fixed
// at 100 for programs.
const userHz = 100

const second = 1e9

// v1 reads the files of one controller.
func (r *reader) v1(s *Stats, controller string) {
	switch controller {
	case "cpuacct":
		r.cpuacct(&s.CPU)
	case "cpu":
		r.eachValue("cpu.stat", func(name []byte, n uint64) {
			switch string(name) {
			case "nr_periods":
				s.CPU.Periods = n
			case "nr_throttled":
				s.CPU.Throttled = n
			case "throttled_time":
				s.CPU.ThrottledTime = n
			}
		})
	case "cpuset":
		r.cpuset(&s.CPUSet)
	case "memory":
		m := &s.Memory
		m.Raw = r.values("memory.stat")
		m.Cache = valueOf(m.Raw, "cache")
		r.counter(&m.Usage, "memory.")
		r.counter(&m.Swap, "memory.memsw.")
		r.counter(&m.Kernel, "memory.kmem.")
		r.counter(&m.KernelTCP, "memory.kmem.tcp.")
	case "pids":
		s.Pids.Current = r.number("pids.current")
		s.Pids.Limit = r.pidsLimit()
	case "blkio":
		r.blkio(&s.IO)
	case "hugetlb":
		s.Huge = r.huge(".usage_in_bytes", ".max_usage_in_bytes", ".failcnt")
	}
}

func (r *reader) pidsLimit() uint64 {
	if n := r.number("pids.max"); n != ^uint64(0) {
		return n
	}
	return 0
}

// cpuacct reads the CPU times. The parts by CPU come from ticks, so their sum is
// not the total, which the scheduler counts; cpuacct.stat is scaled to it.
func (r *reader) cpuacct(c *CPUStats) {
	for _, f := range bytes.Fields(r.text("cpuacct.usage_percpu")) {
		n, _ := parseNumber(f)
		c.PerCPU = append(c.PerCPU, n)
		c.Total += n
	}
	for line := range bytes.Lines(r.text("cpuacct.usage_all")) {
		f := bytes.Fields(line) // "cpu user system", and then a line for each CPU
		if len(f) != 3 || string(f[0]) == "cpu" {
			continue
		}
		user, _ := parseNumber(f[1])
		kernel, _ := parseNumber(f[2])
		c.PerCPUUser = append(c.PerCPUUser, user)
		c.PerCPUKernel = append(c.PerCPUKernel, kernel)
	}
	r.eachValue("cpuacct.stat", func(name []byte, n uint64) {
		switch string(name) {
		case "user":
			c.User = n * (second / userHz)
		case "system":
			c.Kernel = n * (second / userHz)
		}
	})
}

func (r *reader) cpuset(c *CPUSetStats) {
	c.CPUs, c.Mems = r.list("cpuset.cpus"), r.list("cpuset.mems")
	for _, f := range []struct {
		name string
		to   *uint64
	}{
		{"cpu_exclusive", &c.CPUExclusive}, {"mem_hardwall", &c.MemHardwall}, {"mem_exclusive", &c.MemExclusive},
		{"memory_migrate", &c.MemoryMigrate}, {"memory_spread_page", &c.MemorySpreadPage}, {"memory_spread_slab", &c.MemorySpreadSlab},
		{"memory_pressure", &c.MemoryPressure}, {"sched_load_balance", &c.SchedLoadBalance},
	} {
		*f.to = r.number("cpuset." + f.name)
	}
	level := bytes.TrimSpace(r.text("cpuset.sched_relax_domain_level"))
	digits := bytes.TrimPrefix(level, []byte("-"))
	n, _ := parseNumber(digits)
	c.SchedRelaxDomainLevel = int64(n)
	if len(digits) < len(level) {
		c.SchedRelaxDomainLevel = -int64(n)
	}
}

// values reads a file of names and numbers, sorted by name.
func (r *reader) values(file string) []Value {
	var out []Value
	r.eachValue(file, func(name []byte, n uint64) { out = append(out, Value{string(name), n}) })
	slices.SortFunc(out, func(a, b Value) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func valueOf(sorted []Value, name string) uint64 {
	i, ok := slices.BinarySearchFunc(sorted, name, func(v Value, name string) int { return cmp.Compare(v.Name, name) })
	if !ok {
		return 0
	}
	return sorted[i].Value
}

// blkio reads the counters of the BFQ scheduler, and where that has not served
// the container's devices, those that every device has.
func (r *reader) blkio(s *IOStats) {
	const bfq = "blkio.bfq."
	if s.Operations = r.entries(bfq + "io_serviced_recursive"); len(s.Operations) == 0 {
		s.Operations = r.entries("blkio.throttle.io_serviced_recursive")
		s.Bytes = r.entries("blkio.throttle.io_service_bytes_recursive")
		return
	}
	s.Bytes = r.entries(bfq + "io_service_bytes_recursive")
	// With CONFIG_BFQ_CGROUP_DEBUG.
	if s.Sectors = r.entries(bfq + "sectors_recursive"); len(s.Sectors) == 0 {
		return
	}
	s.Queued = r.entries(bfq + "io_queued_recursive")
	s.ServiceTime = r.entries(bfq + "io_service_time_recursive")
	s.WaitTime = r.entries(bfq + "io_wait_time_recursive")
	s.Merged = r.entries(bfq + "io_merged_recursive")
	s.Time = r.entries(bfq + "time_recursive")
}

// entries reads lines like "8:0 Read 4096" and "8:0 4096"; the line "Total" of
// all devices is left out.
func (r *reader) entries(file string) []IOEntry {
	var out []IOEntry
	for line := range bytes.Lines(r.text(file)) {
		f := bytes.Fields(line)
		if len(f) < 2 {
			continue
		}
		e, ok := device(f[0])
		if !ok {
			continue
		}
		if len(f) > 2 {
			e.Op = string(f[1])
		}
		if e.Value, ok = parseNumber(f[len(f)-1]); ok {
			out = append(out, e)
		}
	}
	return out
}

func device(b []byte) (e IOEntry, ok bool) {
	major, minor, found := bytes.Cut(b, []byte(":"))
	var ok1, ok2 bool
	e.Major, ok1 = parseNumber(major)
	e.Minor, ok2 = parseNumber(minor)
	return e, found && ok1 && ok2
}

// huge reads the counters of every page size. Reservations are counted where the
// kernel does that (5.7), because they are what fails.
func (r *reader) huge(usage, most, failures string) []HugeStats {
	var out []HugeStats
	for _, size := range r.pageSizes(usage) {
		prefix := "hugetlb." + size
		if len(r.text(prefix+".rsvd"+usage)) > 0 {
			prefix += ".rsvd"
		}
		h := HugeStats{Size: size, Usage: r.number(prefix + usage)}
		if most != "" {
			h.Max = r.number(prefix + most)
		}
		if strings.HasSuffix(failures, ".events") {
			r.eachValue(prefix+failures, func(name []byte, n uint64) {
				if string(name) == "max" {
					h.Failures = n
				}
			})
		} else {
			h.Failures = r.number(prefix + failures)
		}
		out = append(out, h)
	}
	return out
}

// pageSizes finds the sizes by the files that the cgroup has, sorted.
func (r *reader) pageSizes(usage string) []string {
	var sizes []string
	if r.err != nil {
		return nil
	}
	names, err := fileNames(r.fd)
	if err != nil {
		r.err, r.failed = err, "."
		return nil
	}
	for _, n := range names {
		size, ok := strings.CutPrefix(n, "hugetlb.")
		if size, last := strings.CutSuffix(size, usage); ok && last && !strings.Contains(size, ".") {
			sizes = append(sizes, size)
		}
	}
	slices.Sort(sizes)
	return sizes
}
