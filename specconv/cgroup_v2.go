package specconv

import (
	"math"
	"strconv"
	"strings"

	specs "github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// memory2 converts memory limits to cgroup v2. Spec, "Unified": what cannot be
// converted is an error; m.Kernel alone may be ignored (config-linux, Memory).
func (c *resourceCompiler) memory2(k controller, m *specs.LinuxMemory) {
	const path = resourcesField + ".memory."
	limit, hasLimit := c.memoryBytes("limit", m.Limit)
	swap, _ := c.checkSwap(m)
	if c.update && !c.checkMemoryUpdate(m, limit, swap, "memory.max", "") {
		return
	}
	if value, from := c.swap2(limit, swap); value != "" {
		file := "memory.swap.max"
		if value == "0" || value == "max" {
			file += "|" // without swap accounting nothing is swapped, or nothing limits it
		}
		c.write(k, from, file, value)
	}
	if hasLimit {
		c.write(k, path+"limit", "memory.max", orMax(limit))
	}
	if v, ok := c.memoryBytes("reservation", m.Reservation); ok {
		c.write(k, path+"reservation", "memory.low", orMax(v))
	}
	if v, ok := c.memoryBytes("kernelTCP", m.KernelTCP); ok && v != -1 {
		c.noV2(path+"kernelTCP", strconv.FormatInt(v, 10), "limit for TCP buffers")
	}
	if v, ok := c.swappiness(m); ok {
		c.noV2(path+"swappiness", v, "swappiness")
	}
	if m.DisableOOMKiller != nil && *m.DisableOOMKiller {
		c.noV2(path+"disableOOMKiller", "true", "switch for the OOM killer")
	}
	// useHierarchy: v2 is always hierarchical; nothing to write.
}

// swap2 is what memory.swap.max becomes, "" if it stays, and the field that asks
// for it. v2 counts swap alone, the config memory plus swap. So an update of one
// of them needs the other as it is now: a new memory limit keeps the total, and
// a new total the memory limit. Arguments are 0 where they are not set.
func (c *resourceCompiler) swap2(limit, swap int64) (value, from string) {
	const limitField, swapField = resourcesField + ".memory.limit", resourcesField + ".memory.swap"
	nowLimit, _ := c.bytesNow("memory.max")
	nowSwap, known := c.bytesNow("memory.swap.max")
	from = swapField
	switch {
	case swap == -1:
		return "max", swapField
	case swap == 0 && limit == -1:
		return "max", limitField
	case swap == 0:
		if limit == 0 || nowLimit <= 0 || !known || nowSwap < 0 {
			return "", ""
		}
		if swap = nowLimit + nowSwap; swap < limit {
			c.errs.Add(limitField, strconv.FormatInt(limit, 10), aboveTotal(swap))
			return "", ""
		}
		from = limitField
	case limit == 0 && nowLimit <= 0:
		c.errs.Add(swapField, strconv.FormatInt(swap, 10), "cannot be converted to cgroup v2 without memory.limit")
		return "", ""
	case limit == 0:
		limit = nowLimit
	}
	return strconv.FormatInt(swap-limit, 10), from
}

// noV2 records a value that cgroup v2 cannot hold.
func (c *resourceCompiler) noV2(path, value, what string) {
	c.errs.AddHost(path, value, "cgroup v2 has no "+what)
}

func orMax(v int64) string {
	if v == -1 {
		return "max"
	}
	return strconv.FormatInt(v, 10)
}

// cpu2 writes the values of the v2 cpu controller.
func (c *resourceCompiler) cpu2(k controller, cpu *specs.LinuxCPU) {
	const path = resourcesField + ".cpu."
	c.sharesAndIdle(k, cpu, func() {
		if cpu.Shares != nil && *cpu.Shares != 0 {
			c.write(k, path+"shares", "cpu.weight", strconv.FormatUint(cpuWeight(*cpu.Shares), 10))
		}
	})
	b := c.bandwidth(cpu)
	if b.quota != "" || b.period != "" {
		from, quota := path+"quota", b.quota
		if quota == "" {
			from, quota = path+"period", "max"
			if now := strings.Fields(c.now["cpu.max"]); len(now) > 0 {
				quota = now[0] // one file for both: a period alone keeps the quota
			}
		}
		if quota == "-1" {
			quota = "max"
		}
		if b.period != "" {
			quota += " " + b.period // else the kernel keeps the period it has
		}
		if c.update {
			c.attemptSet(k, path+"burst", "cpu.max.burst", b.burst)
		}
		c.write(k, from, "cpu.max", quota)
	}
	c.writeSet(k, path+"burst", "cpu.max.burst", b.burst)
	if cpu.RealtimePeriod != nil && *cpu.RealtimePeriod != 0 {
		c.noV2(path+"realtimePeriod", strconv.FormatUint(*cpu.RealtimePeriod, 10), "realtime scheduling limits")
	}
	if cpu.RealtimeRuntime != nil && *cpu.RealtimeRuntime != 0 {
		c.noV2(path+"realtimeRuntime", strconv.FormatInt(*cpu.RealtimeRuntime, 10), "realtime scheduling limits")
	}
}

// cpuWeight converts cpu.shares (2 to 262144, default 1024) to cpu.weight (1 to
// 10000, default 100). The curve is quadratic in the logarithms and meets all
// three points; runc since 1.3 and crun since 1.23 use it too. The older
// 1+((shares-2)*9999)/262142 was linear and gave 1024 shares a weight of 39.
func cpuWeight(shares uint64) uint64 {
	if shares <= minShares {
		return 1
	}
	if shares >= maxShares {
		return 10000
	}
	l := math.Log2(float64(shares))
	// The conversions keep the compiler from fusing operations, which would give
	// other last bits on other machines; the margin absorbs what is left.
	exponent := float64(float64(l*l)+float64(125*l))/612 - 7.0/34
	return uint64(math.Ceil(math.Pow(10, exponent) - 1e-9))
}

// ioWeight converts a block I/O weight (10 to 1000) to io.weight (1 to 10000).
func ioWeight(w uint64) uint64 { return 1 + (w-minWeight)*9999/(maxWeight-minWeight) }

// io2 writes weights and rates. BFQ's own file takes the weight as it is; the
// cost model's io.weight has another range.
func (c *resourceCompiler) io2(k controller, b *specs.LinuxBlockIO) {
	const path = resourcesField + ".blockIO."
	const weightFiles = "io.bfq.weight|io.weight"
	for _, w := range c.weights(path, b) {
		value, prefix := strconv.FormatUint(w.weight, 10), ""
		if w.leaf {
			c.noV2(w.field, value, "leaf weight")
			continue
		}
		if w.device != "" {
			prefix = w.device + " "
		}
		c.write(k, w.field, weightFiles, prefix+value+"|"+prefix+strconv.FormatUint(ioWeight(w.weight), 10))
	}
	for _, t := range throttles(b) {
		for i := range t.devices {
			p := field.Index(path+t.name, i)
			dev, ok := c.deviceNumber(p, t.devices[i].LinuxBlockIODevice)
			if !ok {
				continue
			}
			rate := "max" // v1 takes 0 for "no limit"
			if t.devices[i].Rate > 0 {
				rate = strconv.FormatUint(t.devices[i].Rate, 10)
			}
			c.write(k, p, "io.max", dev+" "+t.v2+"="+rate)
		}
	}
}

// unified writes linux.resources.unified: file names of cgroup v2, in sorted
// order. A value of several lines is several writes, because the kernel takes
// one line at a time. On a hybrid host the controllers of the v2 tree can be
// used, and no others.
func (c *resourceCompiler) unified(files map[string]string) {
	for _, name := range sortedKeys(files) {
		path := field.Key(resourcesField+".unified", name)
		value := files[name]
		if why := unifiedNameWhy(name); why != "" {
			c.errs.Add(path, value, why)
			continue
		}
		k := controller{at: c.v2Tree()}
		prefix, _, _ := strings.Cut(name, ".")
		if k.at < 0 {
			c.errs.AddHost(path, value, "needs cgroup v2, and this host has only cgroup v1 mounted")
			continue
		}
		if prefix != "cgroup" && !contains(c.cg.Hierarchies[k.at].Controllers, prefix) {
			c.errs.AddHost(path, value, "the cgroup v2 tree does not have the controller "+prefix)
			continue
		}
		if strings.IndexByte(value, 0) >= 0 {
			c.errs.Add(path, value, "must not contain a NUL byte")
			continue
		}
		lines := strings.Split(strings.TrimRight(value, "\n"), "\n")
		for _, line := range lines {
			if line != "" || len(lines) == 1 {
				c.write(k, path, name, line)
			}
		}
	}
}

// unifiedNameWhy returns what is wrong with a file name, "" for nothing.
func unifiedNameWhy(name string) string {
	prefix, rest, dot := strings.Cut(name, ".")
	switch {
	case strings.IndexByte(name, '/') >= 0:
		return "must be a file name without slashes"
	case !dot || prefix == "" || rest == "":
		return "must be the name of a cgroup v2 file: controller.name"
	case !isWord(name) || strings.IndexByte(name, '|') >= 0:
		return "is not the name of a cgroup v2 file"
	}
	switch name {
	case "cgroup.procs", "cgroup.threads", "cgroup.kill", "cgroup.freeze":
		return "would move, end or stop processes; it is not a limit"
	}
	return ""
}

// v2Tree returns the index of the v2 hierarchy, -1 when there is none.
func (c *resourceCompiler) v2Tree() int {
	for i := range c.cg.Hierarchies {
		if c.cg.Hierarchies[i].V2 {
			return i
		}
	}
	return -1
}

func contains(list []string, s string) bool {
	for _, v := range list {
		if v == s {
			return true
		}
	}
	return false
}
