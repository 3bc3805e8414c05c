package specconv

import (
	"strconv"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// The limits of the CFS bandwidth controller, in microseconds.
const (
	minQuota  = 1000
	minPeriod = 1000
	maxPeriod = 1000000
)

// The limits of cpu.shares; the kernel silently clamps what lies outside.
const (
	minShares = 2
	maxShares = 262144
)

const maxSwappiness = 100

// unsetSwappiness is -1 as the uint64 that some engines send for "not set".
const unsetSwappiness = ^uint64(0)

// memoryBytes reads one limit in bytes: -1 is no limit, 0 and nil are not set.
func (c *resourceCompiler) memoryBytes(name string, p *int64) (int64, bool) {
	if p == nil || *p == 0 {
		return 0, false
	}
	if *p < -1 {
		c.errs.Add(resourcesField+".memory."+name, strconv.FormatInt(*p, 10), "is neither a number of bytes nor -1 for no limit")
		return 0, false
	}
	return *p, true
}

// memory1 writes memory limits of cgroup v1. m.Kernel is ignored, as the spec
// allows: Linux has no limit for kernel memory alone since 5.16.
func (c *resourceCompiler) memory1(k controller, m *specs.LinuxMemory) {
	const path = resourcesField + ".memory."
	if m.UseHierarchy != nil {
		// Before the limits: older kernels refuse it later. Linux 5.11 made every
		// cgroup hierarchical and refuses 0.
		if *m.UseHierarchy {
			c.write(k, path+"useHierarchy", "memory.use_hierarchy", "1")
		} else {
			c.attempt(k, path+"useHierarchy", "memory.use_hierarchy", "0")
		}
	}
	c.memoryAndSwap1(k, m)
	if v, ok := c.memoryBytes("reservation", m.Reservation); ok {
		c.write(k, path+"reservation", "memory.soft_limit_in_bytes", strconv.FormatInt(v, 10))
	}
	if v, ok := c.memoryBytes("kernelTCP", m.KernelTCP); ok {
		c.write(k, path+"kernelTCP", "memory.kmem.tcp.limit_in_bytes", strconv.FormatInt(v, 10))
	}
	if v, ok := c.swappiness(m); ok {
		c.write(k, path+"swappiness", "memory.swappiness", v)
	}
	if m.DisableOOMKiller != nil {
		switch {
		case *m.DisableOOMKiller:
			c.write(k, path+"disableOOMKiller", "memory.oom_control", "1")
		case c.update:
			c.write(k, path+"disableOOMKiller", "memory.oom_control", "0")
		}
	}
}

func (c *resourceCompiler) swappiness(m *specs.LinuxMemory) (string, bool) {
	if m.Swappiness == nil || *m.Swappiness == unsetSwappiness {
		return "", false
	}
	v := strconv.FormatUint(*m.Swappiness, 10)
	if *m.Swappiness > maxSwappiness {
		c.errs.Add(resourcesField+".memory.swappiness", v, "is not between 0 and 100")
		return "", false
	}
	return v, true
}

// memoryAndSwap1 writes limit and memory+swap limit. The kernel demands at
// every moment that the first is not above the second.
func (c *resourceCompiler) memoryAndSwap1(k controller, m *specs.LinuxMemory) {
	limit, hasLimit := c.memoryBytes("limit", m.Limit)
	swap, hasSwap := c.checkSwap(m)
	const (
		limitField, limitFile = resourcesField + ".memory.limit", "memory.limit_in_bytes"
		swapField, swapFile   = resourcesField + ".memory.swap", "memory.memsw.limit_in_bytes"
	)
	if c.update && !c.checkMemoryUpdate(m, limit, swap, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes") {
		return
	}
	// Without swap accounting the file is absent, and swap is unlimited anyway.
	if hasSwap && swap == -1 || !hasSwap && hasLimit && limit == -1 {
		f := swapField
		if !hasSwap {
			f = limitField
		}
		c.write(k, f, swapFile+"|", "-1")
		hasSwap = false
	}
	value := strconv.FormatInt(limit, 10)
	if now, known := c.bytesNow(swapFile); hasLimit && hasSwap && known && now != -1 && limit > now {
		c.write(k, swapField, swapFile, strconv.FormatInt(swap, 10)) // room first
		hasSwap = false
	} else if hasLimit && hasSwap && c.update && !known {
		c.attempt(k, limitField, limitFile, value) // right when falling, too early when rising
		c.write(k, swapField, swapFile, strconv.FormatInt(swap, 10))
		c.write(k, limitField, limitFile, value)
		return
	}
	if hasLimit {
		c.write(k, limitField, limitFile, value)
	}
	if hasSwap {
		c.write(k, swapField, swapFile, strconv.FormatInt(swap, 10))
	}
}

// checkSwap reads memory.swap, which is memory plus swap, and compares it with
// the limit; only an update may leave the limit out.
func (c *resourceCompiler) checkSwap(m *specs.LinuxMemory) (int64, bool) {
	const path = resourcesField + ".memory.swap"
	swap, ok := c.memoryBytes("swap", m.Swap)
	if !ok || swap == -1 {
		return swap, ok
	}
	var why string
	switch {
	case m.Limit == nil || *m.Limit == 0:
		if c.update {
			return swap, true
		}
		why = "is the limit of memory plus swap and needs memory.limit"
	case *m.Limit == -1:
		why = "is the limit of memory plus swap and cannot be below memory.limit, which is unlimited"
	case swap < *m.Limit:
		why = belowLimit(*m.Limit)
	default:
		return swap, true
	}
	c.errs.Add(path, strconv.FormatInt(swap, 10), why)
	return 0, false
}

// cpu1 writes the values of the v1 cpu controller.
func (c *resourceCompiler) cpu1(k controller, cpu *specs.LinuxCPU) {
	const path = resourcesField + ".cpu."
	shares := func() {
		if cpu.Shares == nil || *cpu.Shares == 0 {
			return
		}
		v := strconv.FormatUint(*cpu.Shares, 10)
		if *cpu.Shares < minShares || *cpu.Shares > maxShares {
			c.errs.Add(path+"shares", v, "is not between 2 and 262144")
			return
		}
		c.write(k, path+"shares", "cpu.shares", v)
	}
	c.sharesAndIdle(k, cpu, shares)

	b := c.bandwidth(cpu)
	if c.update && b.quota != "" {
		c.attemptSet(k, path+"burst", "cpu.cfs_burst_us", b.burst)
		c.attemptSet(k, path+"period", "cpu.cfs_period_us", b.period)
		c.write(k, path+"quota", "cpu.cfs_quota_us", b.quota)
		b.quota = ""
	}
	c.writeSet(k, path+"period", "cpu.cfs_period_us", b.period)
	c.writeSet(k, path+"quota", "cpu.cfs_quota_us", b.quota)
	c.writeSet(k, path+"burst", "cpu.cfs_burst_us", b.burst)

	var period, runtime string
	if cpu.RealtimePeriod != nil && *cpu.RealtimePeriod != 0 {
		period = strconv.FormatUint(*cpu.RealtimePeriod, 10)
	}
	if cpu.RealtimeRuntime != nil && *cpu.RealtimeRuntime != 0 {
		runtime = strconv.FormatInt(*cpu.RealtimeRuntime, 10)
	}
	if c.update && runtime != "" {
		c.attemptSet(k, path+"realtimePeriod", "cpu.rt_period_us", period)
		c.write(k, path+"realtimeRuntime", "cpu.rt_runtime_us", runtime)
		runtime = ""
	}
	c.writeSet(k, path+"realtimePeriod", "cpu.rt_period_us", period)
	c.writeSet(k, path+"realtimeRuntime", "cpu.rt_runtime_us", runtime)
}

// sharesAndIdle keeps an order that the kernel takes: an idle cgroup refuses a
// new weight, so the weight goes before idle 1 and after idle 0.
func (c *resourceCompiler) sharesAndIdle(k controller, cpu *specs.LinuxCPU, weight func()) {
	if cpu.Idle == nil {
		weight()
		return
	}
	const path = resourcesField + ".cpu.idle"
	switch *cpu.Idle {
	case 0:
		c.write(k, path, "cpu.idle", "0")
		weight()
	case 1:
		weight()
		c.write(k, path, "cpu.idle", "1")
	default:
		c.errs.Add(path, strconv.FormatInt(*cpu.Idle, 10), "is neither 0 nor 1")
		weight()
	}
}

// cpuBandwidth has what was set of the CFS limits, in microseconds.
type cpuBandwidth struct {
	quota, period, burst string // "" for not set; quota "-1" for no limit
}

func (c *resourceCompiler) bandwidth(cpu *specs.LinuxCPU) (b cpuBandwidth) {
	const path = resourcesField + ".cpu."
	if cpu.Period != nil && *cpu.Period != 0 {
		b.period = strconv.FormatUint(*cpu.Period, 10)
		if *cpu.Period < minPeriod || *cpu.Period > maxPeriod {
			c.errs.Add(path+"period", b.period, "is not between 1000 and 1000000 microseconds")
			b.period = ""
		}
	}
	if cpu.Quota != nil && *cpu.Quota != 0 {
		switch q := *cpu.Quota; {
		case q < 0:
			b.quota = "-1"
		case q < minQuota:
			c.errs.Add(path+"quota", strconv.FormatInt(q, 10), "is below the kernel's minimum of 1000 microseconds")
		default:
			b.quota = strconv.FormatInt(q, 10)
		}
	}
	if cpu.Burst != nil {
		b.burst = strconv.FormatUint(*cpu.Burst, 10)
		if cpu.Quota != nil && *cpu.Quota > 0 && *cpu.Burst > uint64(*cpu.Quota) {
			c.errs.Add(path+"burst", b.burst, "is above cpu.quota "+strconv.FormatInt(*cpu.Quota, 10))
			b.burst = ""
		}
	}
	return b
}

func (c *resourceCompiler) writeSet(k controller, field, file, value string) {
	if value != "" {
		c.write(k, field, file, value)
	}
}

func (c *resourceCompiler) attemptSet(k controller, field, file, value string) {
	if value != "" {
		c.attempt(k, field, file, value)
	}
}

// The range of block I/O weights in v1 and in the config.
const (
	minWeight = 10
	maxWeight = 1000
)

// weight reads one block I/O weight; nil and 0 are not set.
func (c *resourceCompiler) weight(path string, p *uint16) (uint64, bool) {
	if p == nil || *p == 0 {
		return 0, false
	}
	if *p < minWeight || *p > maxWeight {
		c.errs.Add(path, strconv.FormatUint(uint64(*p), 10), "is not between 10 and 1000")
		return 0, false
	}
	return uint64(*p), true
}

// deviceNumber returns "major:minor".
func (c *resourceCompiler) deviceNumber(path string, d specs.LinuxBlockIODevice) (string, bool) {
	n := strconv.FormatInt(d.Major, 10) + ":" + strconv.FormatInt(d.Minor, 10)
	if d.Major < 0 || d.Minor < 0 {
		c.errs.Add(path, n, "is not a device number")
		return "", false
	}
	return n, true
}

// blkio1 writes weights and rates. The weight files belong to the I/O scheduler:
// CFQ's up to Linux 4.20, BFQ's from 5.0 on.
func (c *resourceCompiler) blkio1(k controller, b *specs.LinuxBlockIO) {
	const path = resourcesField + ".blockIO."
	for _, w := range c.weights(path, b) {
		value := strconv.FormatUint(w.weight, 10)
		switch {
		case w.device == "" && w.leaf:
			c.write(k, w.field, "blkio.leaf_weight", value)
		case w.device == "":
			c.write(k, w.field, "blkio.weight|blkio.bfq.weight", value)
		case w.leaf:
			c.write(k, w.field, "blkio.leaf_weight_device", w.device+" "+value)
		default:
			c.write(k, w.field, "blkio.weight_device|blkio.bfq.weight_device", w.device+" "+value)
		}
	}
	for _, t := range throttles(b) {
		for i := range t.devices {
			p := field.Index(path+t.name, i)
			if dev, ok := c.deviceNumber(p, t.devices[i].LinuxBlockIODevice); ok {
				c.write(k, p, t.v1, dev+" "+strconv.FormatUint(t.devices[i].Rate, 10))
			}
		}
	}
}

// ioShare is one weight of linux.resources.blockIO.
type ioShare struct {
	field  string
	device string // "major:minor"; empty for all that have none of their own
	weight uint64
	leaf   bool
}

// weights reads the weights below path, those for everything first.
func (c *resourceCompiler) weights(path string, b *specs.LinuxBlockIO) (out []ioShare) {
	add := func(path, device string, weight, leaf *uint16) {
		if w, ok := c.weight(path+"weight", weight); ok {
			out = append(out, ioShare{path + "weight", device, w, false})
		}
		if w, ok := c.weight(path+"leafWeight", leaf); ok {
			out = append(out, ioShare{path + "leafWeight", device, w, true})
		}
	}
	add(path, "", b.Weight, b.LeafWeight)
	for i := range b.WeightDevice {
		d := &b.WeightDevice[i]
		p := field.Index(path+"weightDevice", i)
		if d.Weight == nil && d.LeafWeight == nil {
			c.errs.Add(p, "", "needs weight or leafWeight")
		} else if device, ok := c.deviceNumber(p, d.LinuxBlockIODevice); ok {
			add(p+".", device, d.Weight, d.LeafWeight)
		}
	}
	return out
}

// throttle is one of the four lists of rates.
type throttle struct {
	name    string // the field
	v1      string // the file of cgroup v1
	v2      string // the key in io.max
	devices []specs.LinuxThrottleDevice
}

func throttles(b *specs.LinuxBlockIO) [4]throttle {
	return [4]throttle{
		{"throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps", b.ThrottleReadBpsDevice},
		{"throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps", b.ThrottleWriteBpsDevice},
		{"throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops", b.ThrottleReadIOPSDevice},
		{"throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops", b.ThrottleWriteIOPSDevice},
	}
}
