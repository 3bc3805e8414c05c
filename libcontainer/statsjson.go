package libcontainer

import (
	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/internal/rdt"
)

// Write writes the counters in the form that engines decode: names, order, and
// which members are left out when they are zero, are those of runc's events.
func (s *Stats) Write(w *ojson.Writer) {
	w.Object()
	writeCPU(w.Key("cpu"), &s.CPU)
	writeCPUSet(w.Key("cpuset"), &s.CPUSet)
	writeMemory(w.Key("memory"), &s.Memory)
	w.Key("pids").Object()
	some(w, "current", s.Pids.Current)
	some(w, "limit", s.Pids.Limit)
	w.End()
	writeIO(w.Key("blkio"), &s.IO)
	w.Key("hugetlb").Object()
	for _, h := range s.Huge {
		w.Key(h.Size).Object()
		some(w, "usage", h.Usage)
		some(w, "max", h.Max)
		w.Key("failcnt").Uint(h.Failures)
		w.End()
	}
	w.End()
	writeRdt(w.Key("intel_rdt"), s.Rdt)
	writeInterfaces(w.Key("network_interfaces"), s.Interfaces)
	w.End()
}

// some writes a number that is left out when it is zero.
func some(w *ojson.Writer, key string, n uint64) {
	if n != 0 {
		w.Key(key).Uint(n)
	}
}

func someText(w *ojson.Writer, key, s string) {
	if s != "" {
		w.Key(key).String(s)
	}
}

func numbers[T uint16 | uint64](w *ojson.Writer, key string, list []T) {
	if len(list) == 0 {
		return
	}
	w.Key(key).Array()
	for _, n := range list {
		w.Uint(uint64(n))
	}
	w.End()
}

func writeCPU(w *ojson.Writer, c *cgroup.CPUStats) {
	w.Object()
	w.Key("usage").Object()
	some(w, "total", c.Total)
	numbers(w, "percpu", c.PerCPU)
	numbers(w, "percpu_kernel", c.PerCPUKernel)
	numbers(w, "percpu_user", c.PerCPUUser)
	w.Key("kernel").Uint(c.Kernel)
	w.Key("user").Uint(c.User)
	w.End()
	w.Key("throttling").Object()
	some(w, "periods", c.Periods)
	some(w, "throttledPeriods", c.Throttled)
	some(w, "throttledTime", c.ThrottledTime)
	w.End()
	writePressure(w, c.Pressure)
	w.End()
}

func writePressure(w *ojson.Writer, p *cgroup.Pressure) {
	if p == nil {
		return
	}
	w.Key("psi").Object()
	for _, part := range [...]struct {
		name  string
		stall *cgroup.Stall
	}{{"some", &p.Some}, {"full", &p.Full}} {
		w.Key(part.name).Object()
		w.Key("avg10").Float(part.stall.Avg10)
		w.Key("avg60").Float(part.stall.Avg60)
		w.Key("avg300").Float(part.stall.Avg300)
		w.Key("total").Uint(part.stall.Total)
		w.End()
	}
	w.End()
}

func writeCPUSet(w *ojson.Writer, c *cgroup.CPUSetStats) {
	w.Object()
	numbers(w, "cpus", c.CPUs)
	w.Key("cpu_exclusive").Uint(c.CPUExclusive)
	numbers(w, "mems", c.Mems)
	w.Key("mem_hardwall").Uint(c.MemHardwall)
	w.Key("mem_exclusive").Uint(c.MemExclusive)
	w.Key("memory_migrate").Uint(c.MemoryMigrate)
	w.Key("memory_spread_page").Uint(c.MemorySpreadPage)
	w.Key("memory_spread_slab").Uint(c.MemorySpreadSlab)
	w.Key("memory_pressure").Uint(c.MemoryPressure)
	w.Key("sched_load_balance").Uint(c.SchedLoadBalance)
	w.Key("sched_relax_domain_level").Int(c.SchedRelaxDomainLevel)
	w.End()
}

func writeMemory(w *ojson.Writer, m *cgroup.MemoryStats) {
	w.Object()
	some(w, "cache", m.Cache)
	for _, part := range [...]struct {
		name    string
		counter *cgroup.Counter
	}{{"usage", &m.Usage}, {"swap", &m.Swap}, {"kernel", &m.Kernel}, {"kernelTCP", &m.KernelTCP}} {
		w.Key(part.name).Object()
		w.Key("limit").Uint(part.counter.Limit)
		some(w, "usage", part.counter.Usage)
		some(w, "max", part.counter.Max)
		w.Key("failcnt").Uint(part.counter.Failures)
		w.End()
	}
	if len(m.Raw) > 0 {
		w.Key("raw").Object()
		for i := range m.Raw {
			w.Key(m.Raw[i].Name).Uint(m.Raw[i].Value)
		}
		w.End()
	}
	writePressure(w, m.Pressure)
	w.End()
}

func writeIO(w *ojson.Writer, s *cgroup.IOStats) {
	w.Object()
	for _, table := range [...]struct {
		name    string
		entries []cgroup.IOEntry
	}{
		{"ioServiceBytesRecursive", s.Bytes}, {"ioServicedRecursive", s.Operations}, {"ioQueueRecursive", s.Queued},
		{"ioServiceTimeRecursive", s.ServiceTime}, {"ioWaitTimeRecursive", s.WaitTime}, {"ioMergedRecursive", s.Merged},
		{"ioTimeRecursive", s.Time}, {"sectorsRecursive", s.Sectors},
	} {
		if len(table.entries) == 0 {
			continue
		}
		w.Key(table.name).Array()
		for i := range table.entries {
			e := &table.entries[i]
			w.Object()
			some(w, "major", e.Major)
			some(w, "minor", e.Minor)
			someText(w, "op", e.Op)
			some(w, "value", e.Value)
			w.End()
		}
		w.End()
	}
	writePressure(w, s.Pressure)
	w.End()
}

func writeRdt(w *ojson.Writer, s *rdt.Stats) {
	w.Object()
	defer w.End()
	if s == nil {
		return
	}
	if s.L3.CbmMask != "" {
		w.Key("l3_cache_info").Object()
		someText(w, "cbm_mask", s.L3.CbmMask)
		some(w, "min_cbm_bits", s.L3.MinCbmBits)
		some(w, "num_closids", s.L3.NumClosids)
		w.End()
	}
	someText(w, "l3_cache_schema_root", s.L3Root)
	someText(w, "l3_cache_schema", s.L3Schema)
	if s.MB.MinBandwidth != 0 || s.MB.NumClosids != 0 {
		w.Key("mem_bw_info").Object()
		some(w, "bandwidth_gran", s.MB.BandwidthGran)
		some(w, "delay_linear", s.MB.DelayLinear)
		some(w, "min_bandwidth", s.MB.MinBandwidth)
		some(w, "num_closids", s.MB.NumClosids)
		w.End()
	}
	someText(w, "mem_bw_schema_root", s.MBRoot)
	someText(w, "mem_bw_schema", s.MBSchema)
	someText(w, "schemata", s.Schemata)
	if len(s.Bandwidth) > 0 {
		w.Key("mbm_stats").Array()
		for _, b := range s.Bandwidth {
			w.Object()
			w.Key("mbm_total_bytes").Uint(b.Total)
			w.Key("mbm_local_bytes").Uint(b.Local)
			w.End()
		}
		w.End()
	}
	if len(s.Occupancy) > 0 {
		w.Key("cmt_stats").Array()
		for _, n := range s.Occupancy {
			w.Object()
			w.Key("llc_occupancy").Uint(n)
			w.End()
		}
		w.End()
	}
}

func writeInterfaces(w *ojson.Writer, list []Interface) {
	if list == nil {
		w.Null()
		return
	}
	w.Array()
	for i := range list {
		n := &list[i]
		w.Object()
		w.Key("Name").String(n.Name)
		w.Key("RxBytes").Uint(n.RxBytes)
		w.Key("RxPackets").Uint(n.RxPackets)
		w.Key("RxErrors").Uint(n.RxErrors)
		w.Key("RxDropped").Uint(n.RxDropped)
		w.Key("TxBytes").Uint(n.TxBytes)
		w.Key("TxPackets").Uint(n.TxPackets)
		w.Key("TxErrors").Uint(n.TxErrors)
		w.Key("TxDropped").Uint(n.TxDropped)
		w.End()
	}
	w.End()
}
