package cgroup

import (
	"bytes"
	"slices"
)

// v2 reads what a v2 cgroup counts. On a hybrid host most controllers are v1's,
// and what every v2 cgroup counts without one, as CPU time, is left to them.
func (r *reader) v2(s *Stats, unified bool) {
	have := bytes.Fields(r.text("cgroup.controllers"))
	names := make([]string, len(have))
	for i, h := range have {
		names[i] = string(h)
	}
	if unified {
		r.cpuStat(&s.CPU)
	}
	s.CPU.Pressure = r.pressure("cpu.pressure")
	s.Memory.Pressure = r.pressure("memory.pressure")
	s.IO.Pressure = r.pressure("io.pressure")
	if slices.Contains(names, "cpuset") {
		s.CPUSet.CPUs, s.CPUSet.Mems = r.list("cpuset.cpus.effective"), r.list("cpuset.mems.effective")
	}
	if slices.Contains(names, "memory") {
		r.memory2(&s.Memory)
	}
	if slices.Contains(names, "pids") {
		s.Pids.Current = r.number("pids.current")
		s.Pids.Limit = r.pidsLimit()
	}
	if slices.Contains(names, "io") {
		r.ioStat(&s.IO)
	}
	if slices.Contains(names, "hugetlb") {
		s.Huge = r.huge(".current", "", ".events")
	}
}

const microsecond = 1000

func (r *reader) cpuStat(c *CPUStats) {
	r.eachValue("cpu.stat", func(name []byte, n uint64) {
		switch string(name) {
		case "usage_usec":
			c.Total = n * microsecond
		case "user_usec":
			c.User = n * microsecond
		case "system_usec":
			c.Kernel = n * microsecond
		case "nr_periods":
			c.Periods = n
		case "nr_throttled":
			c.Throttled = n
		case "throttled_usec":
			c.ThrottledTime = n * microsecond
		}
	})
}

// memory2 converts to what v1 counts: swap includes memory there.
func (r *reader) memory2(m *MemoryStats) {
	m.Raw = r.values("memory.stat")
	m.Cache = valueOf(m.Raw, "file")
	m.Usage = Counter{Limit: r.number("memory.max"), Usage: r.number("memory.current"), Max: r.number("memory.peak")}
	r.eachValue("memory.events", func(name []byte, n uint64) {
		if string(name) == "max" {
			m.Usage.Failures = n
		}
	})
	if len(r.text("memory.swap.current")) == 0 {
		return // no swap accounting
	}
	m.Swap = Counter{Limit: plus(r.number("memory.swap.max"), m.Usage.Limit), Usage: plus(r.number("memory.swap.current"), m.Usage.Usage),
		Max: plus(r.number("memory.swap.peak"), m.Usage.Max)}
	r.eachValue("memory.swap.events", func(name []byte, n uint64) {
		if string(name) == "max" {
			m.Swap.Failures = n
		}
	})
	m.Kernel.Usage = valueOf(m.Raw, "kernel")
}

// plus adds limits, of which either may be none.
func plus(a, b uint64) uint64 {
	if a == ^uint64(0) || b == ^uint64(0) {
		return ^uint64(0)
	}
	return a + b
}

// ioStat reads lines like "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0".
func (r *reader) ioStat(s *IOStats) {
	for line := range bytes.Lines(r.text("io.stat")) {
		fields := bytes.Fields(line)
		if len(fields) < 2 {
			continue
		}
		dev, ok := device(fields[0])
		if !ok {
			continue
		}
		for _, f := range fields[1:] {
			k, v, _ := bytes.Cut(f, []byte("="))
			e := dev
			if e.Value, ok = parseNumber(v); !ok {
				continue
			}
			to := &s.Bytes
			switch string(k) {
			case "rbytes":
				e.Op = "Read"
			case "wbytes":
				e.Op = "Write"
			case "dbytes":
				e.Op = "Discard"
			case "rios":
				to, e.Op = &s.Operations, "Read"
			case "wios":
				to, e.Op = &s.Operations, "Write"
			case "dios":
				to, e.Op = &s.Operations, "Discard"
			default:
				continue
			}
			*to = append(*to, e)
		}
	}
}
