package specconv

import (
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// named is a name of the spec with the kernel's number for it.
type named struct {
	name string
	n    uint64
}

func lookup(table []named, name string) (uint64, bool) {
	for _, t := range table {
		if t.name == name {
			return t.n, true
		}
	}
	return 0, false
}

func names(table []named) string {
	out := make([]string, len(table))
	for i, t := range table {
		out[i] = t.name
	}
	return strings.Join(out, ", ")
}

var schedPolicies = []named{
	{"SCHED_OTHER", 0}, {"SCHED_FIFO", 1}, {"SCHED_RR", 2}, {"SCHED_BATCH", 3}, {"SCHED_ISO", 4}, {"SCHED_IDLE", 5}, {"SCHED_DEADLINE", 6},
}

var schedFlags = []named{
	{"SCHED_FLAG_RESET_ON_FORK", 0x01}, {"SCHED_FLAG_RECLAIM", 0x02}, {"SCHED_FLAG_DL_OVERRUN", 0x04}, {"SCHED_FLAG_KEEP_POLICY", 0x08},
	{"SCHED_FLAG_KEEP_PARAMS", 0x10}, {"SCHED_FLAG_UTIL_CLAMP_MIN", 0x20}, {"SCHED_FLAG_UTIL_CLAMP_MAX", 0x40},
}

// emitScheduler sets process.scheduler by sched_setattr(2), whose struct
// sched_attr is encoded here: size, policy, flags, nice, priority, runtime,
// deadline, period, 48 bytes.
func (c *compiler) emitScheduler() {
	s := c.Spec.Process.Scheduler
	if s == nil {
		return
	}
	const f = "process.scheduler"
	before := c.errs.Len()
	policy, ok := lookup(schedPolicies, string(s.Policy))
	switch {
	case s.Policy == "":
		c.errs.Add(f+".policy", "", "is required")
	case !ok:
		c.errs.Add(f+".policy", string(s.Policy), "is not a scheduling policy; use "+names(schedPolicies))
	case policy == 4:
		c.errs.AddHost(f+".policy", string(s.Policy), "is reserved by Linux and was never implemented (sched(7))")
	}
	other := policy == 0 || policy == 3
	realtime := policy == 1 || policy == 2
	if ok {
		if s.Nice != 0 && !other {
			c.errs.Add(f+".nice", strconv.Itoa(int(s.Nice)), "is for SCHED_OTHER and SCHED_BATCH, not "+string(s.Policy))
		}
		if s.Nice < -20 || s.Nice > 19 {
			c.errs.Add(f+".nice", strconv.Itoa(int(s.Nice)), "must be between -20 and 19")
		}
		if realtime && (s.Priority < 1 || s.Priority > 99) {
			c.errs.Add(f+".priority", strconv.Itoa(int(s.Priority)), "must be between 1 and 99 for "+string(s.Policy))
		}
		if !realtime && s.Priority != 0 {
			c.errs.Add(f+".priority", strconv.Itoa(int(s.Priority)), "is for SCHED_FIFO and SCHED_RR, not "+string(s.Policy))
		}
		c.checkDeadline(f, s, policy == 6)
	}
	var flags uint64
	for i, name := range s.Flags {
		bit, ok := lookup(schedFlags, string(name))
		if !ok {
			c.errs.Add(field.Index(f+".flags", i), string(name), "is not a scheduling flag; use "+names(schedFlags))
		}
		flags |= bit
	}
	if c.errs.Len() > before {
		return
	}
	le := binary.LittleEndian
	attr := le.AppendUint32(make([]byte, 0, 48), 48)
	attr = le.AppendUint32(attr, uint32(policy))
	attr = le.AppendUint64(attr, flags)
	attr = le.AppendUint32(attr, uint32(s.Nice))
	attr = le.AppendUint32(attr, uint32(s.Priority))
	attr = le.AppendUint64(attr, s.Runtime)
	attr = le.AppendUint64(attr, s.Deadline)
	attr = le.AppendUint64(attr, s.Period)
	c.add(plan.Scheduler(f, string(s.Policy), attr))
}

// checkDeadline holds the rule of sched(7): runtime <= deadline <= period.
func (c *compiler) checkDeadline(f string, s *specs.Scheduler, deadline bool) {
	u := func(n uint64) string { return strconv.FormatUint(n, 10) }
	if !deadline {
		for _, v := range []named{{".runtime", s.Runtime}, {".deadline", s.Deadline}, {".period", s.Period}} {
			if v.n != 0 {
				c.errs.Add(f+v.name, u(v.n), "is for SCHED_DEADLINE, not "+string(s.Policy))
			}
		}
		return
	}
	if s.Runtime < 1024 {
		c.errs.Add(f+".runtime", u(s.Runtime), "must be at least 1024 ns (sched(7))")
	}
	if s.Deadline < s.Runtime {
		c.errs.Add(f+".deadline", u(s.Deadline), "must not be below runtime, "+u(s.Runtime))
	}
	if s.Period != 0 && s.Period < s.Deadline {
		c.errs.Add(f+".period", u(s.Period), "must not be below deadline, "+u(s.Deadline))
	}
}

var ioClasses = []named{{"IOPRIO_CLASS_RT", 1}, {"IOPRIO_CLASS_BE", 2}, {"IOPRIO_CLASS_IDLE", 3}}

func (c *compiler) emitIOPriority() {
	p := c.Spec.Process.IOPriority
	if p == nil {
		return
	}
	const f = "process.ioPriority"
	class, ok := lookup(ioClasses, string(p.Class))
	if !ok {
		c.errs.Add(f+".class", string(p.Class), "is not an I/O class; use "+names(ioClasses))
	}
	if p.Priority < 0 || p.Priority > 7 {
		c.errs.Add(f+".priority", strconv.Itoa(p.Priority), "must be between 0 and 7")
		return
	}
	c.add(plan.IOPriority(f, class<<13|uint64(p.Priority)))
}

var personalities = []named{{"LINUX", 0x0000}, {"LINUX32", 0x0008}}

func (c *compiler) emitPersonality() {
	p := c.linux().Personality
	if p == nil {
		return
	}
	persona, ok := lookup(personalities, string(p.Domain))
	if !ok {
		c.errs.Add("linux.personality.domain", string(p.Domain), "is not an execution domain; use "+names(personalities))
	}
	for i, name := range p.Flags {
		c.errs.Add(field.Index("linux.personality.flags", i), string(name), "no flags are defined (config-linux.md, Personality)")
	}
	c.add(plan.Personality("linux.personality", persona))
}

var memoryModes = []named{
	{"MPOL_DEFAULT", 0}, {"MPOL_PREFERRED", 1}, {"MPOL_BIND", 2}, {"MPOL_INTERLEAVE", 3}, {"MPOL_LOCAL", 4}, {"MPOL_PREFERRED_MANY", 5},
	{"MPOL_WEIGHTED_INTERLEAVE", 6},
}

var memoryFlags = []named{{"MPOL_F_STATIC_NODES", 1 << 15}, {"MPOL_F_RELATIVE_NODES", 1 << 14}, {"MPOL_F_NUMA_BALANCING", 1 << 13}}

// maxNode bounds node numbers: the kernel's MAX_NUMNODES is at most 1024.
const maxNode = 1023

func (c *compiler) emitMemoryPolicy() {
	p := c.linux().MemoryPolicy
	if p == nil {
		return
	}
	const f = "linux.memoryPolicy"
	mode, ok := lookup(memoryModes, string(p.Mode))
	if !ok {
		c.errs.Add(f+".mode", string(p.Mode), "is not a memory policy; use "+names(memoryModes))
		return
	}
	value := mode
	for i, name := range p.Flags {
		bit, ok := lookup(memoryFlags, string(name))
		if !ok {
			c.errs.Add(field.Index(f+".flags", i), string(name), "is not a flag of set_mempolicy(2); use "+names(memoryFlags))
		}
		value |= bit
	}
	nodes, ok := c.bitList(f+".nodes", p.Nodes, maxNode)
	if !ok {
		return
	}
	switch {
	case (mode == 0 || mode == 4) && len(nodes) > 0:
		c.errs.Add(f+".nodes", p.Nodes, "must be empty for "+string(p.Mode)+" (set_mempolicy(2))")
	case (mode == 2 || mode == 3 || mode == 5 || mode == 6) && len(nodes) == 0:
		c.errs.Add(f+".nodes", "", "must list at least one node for "+string(p.Mode)+" (set_mempolicy(2))")
	}
	c.add(plan.MemoryPolicy(f, string(p.Mode), value, nodes))
}

// bitList reads "0-3,7" as a bit mask, lowest first, in whole 64-bit words.
func (c *compiler) bitList(path, list string, highest uint64) ([]byte, bool) {
	if list == "" {
		return nil, true
	}
	var mask []byte
	for _, part := range strings.Split(list, ",") {
		lo, hi, isRange := strings.Cut(strings.TrimSpace(part), "-")
		if !isRange {
			hi = lo
		}
		a, err1 := strconv.ParseUint(lo, 10, 32)
		b, err2 := strconv.ParseUint(hi, 10, 32)
		switch {
		case err1 != nil || err2 != nil:
			c.errs.Add(path, list, strconv.Quote(part)+" is not a number or a range")
			return nil, false
		case a > b:
			c.errs.Add(path, list, strconv.Quote(part)+" is a range that goes backwards")
			return nil, false
		case b > highest:
			c.errs.Add(path, list, strconv.Quote(part)+" is above the highest possible, "+strconv.FormatUint(highest, 10))
			return nil, false
		}
		for len(mask) <= int(b/64)*8+7 {
			mask = append(mask, 0)
		}
		for ; a <= b; a++ {
			mask[a/8] |= 1 << (a % 8)
		}
	}
	return mask, true
}

// emitAffinity gives the process every CPU of its cpuset. Since Linux 6.2 a
// process keeps the affinity that it inherits when it joins a cgroup, and the
// runtime's caller may have been pinned. execCPUAffinity is for exec alone
// (config.md, Process), so here it is only checked.
func (c *compiler) emitAffinity() {
	if a := c.Spec.Process.ExecCPUAffinity; a != nil {
		c.bitList("process.execCPUAffinity.initial", a.Initial, maxCPU)
		c.bitList("process.execCPUAffinity.final", a.Final, maxCPU)
	}
	c.add(plan.Affinity("linux.resources.cpu.cpus", "all", everyCPU(), plan.FlagIgnore))
}

// maxCPU is the highest number of a CPU: CONFIG_NR_CPUS is at most 8192.
const maxCPU = 8191

// everyCPU asks for all of them; the kernel gives those of the cpuset.
func everyCPU() []byte {
	mask := make([]byte, (maxCPU+1)/8)
	for i := range mask {
		mask[i] = 0xff
	}
	return mask
}
