package specconv

import (
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
)

// UpdateInput is everything that an update depends on.
type UpdateInput struct {
	// Resources has what is to change. What is nil or "not set" there stays.
	Resources *specs.LinuxResources
	// Cgroup has the hierarchies that the container is in, in the order of its
	// directories.
	Cgroup *facts.Cgroup
	// Now is what the files of UpdateReads say, without the line's end; one that
	// is not there is missing.
	Now map[string]string
}

// Change is one value for one file of a container's cgroup, in the form that
// internal/cgroup.Write takes: with alternatives after a |.
type Change struct {
	Dir         int    // index of UpdateInput.Cgroup.Hierarchies
	File, Value string // "memory.limit_in_bytes", "4194304"
	Field       string // "linux.resources.memory.limit"
	// Optional says that a failure is expected and harmless.
	Optional bool
}

// Update turns the part of linux.resources that is to change into the ordered
// list of writes to the cgroups of a container that exists. Values that the
// kernel compares with each other are in an order that works whether they rise
// or fall. The error is a *field.Invalid with one entry for every mistake; then
// there are no changes.
//
// Device rules are left alone: they cannot be replaced without a moment in which
// they are wrong, and engines send the whole of linux.resources to change one
// limit.
func Update(in UpdateInput) ([]Change, error) {
	var errs field.List
	writes := updateWrites(in.Resources, in.Cgroup, in.Now, &errs)
	if err := errs.Err(); err != nil {
		return nil, err
	}
	changes := make([]Change, len(writes))
	for i, w := range writes {
		changes[i] = Change{Dir: w.hierarchy, File: w.file, Value: w.value, Field: w.field, Optional: w.ignore}
	}
	return changes, nil
}

func updateWrites(r *specs.LinuxResources, cg *facts.Cgroup, now map[string]string, errs *field.List) []resourceWrite {
	c := resourceCompiler{cg: cg, errs: errs, update: true, now: now}
	c.all(r)
	if r != nil {
		c.unified(r.Unified)
	}
	return c.writes
}

// CgroupFile is a file in one of the container's cgroups.
type CgroupFile struct {
	Dir  int // index of facts.Cgroup.Hierarchies
	Name string
}

// UpdateReads lists the files whose present values an update depends on: a limit
// is held against what it stands beside and against what is in use.
func UpdateReads(r *specs.LinuxResources, cg *facts.Cgroup) []CgroupFile {
	if r == nil {
		return nil
	}
	var files []CgroupFile
	add := func(k controller, names ...string) {
		for _, n := range names {
			if k.at >= 0 {
				files = append(files, CgroupFile{k.at, n})
			}
		}
	}
	c := resourceCompiler{cg: cg}
	if r.Memory != nil {
		if k := c.find("memory", "memory"); k.v2 {
			add(k, "memory.max", "memory.swap.max", "memory.current")
		} else {
			add(k, "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.usage_in_bytes")
		}
	}
	if r.CPU != nil {
		if k := c.find("cpu", "cpu"); k.v2 {
			add(k, "cpu.max")
		}
	}
	return files
}

// noLimit is where v1 keeps an unlimited value, but for a page, and above.
const noLimit = 1 << 62

// bytesNow reads a size that the kernel has; -1 is no limit, and ok is false
// when the file is not there.
func (c *resourceCompiler) bytesNow(file string) (n int64, ok bool) {
	text, ok := c.now[file]
	if !ok {
		return 0, false
	}
	if text == "max" {
		return -1, true
	}
	u, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, false
	}
	if u >= noLimit {
		return -1, true
	}
	return int64(u), true
}

// belowLimit says why a limit of memory plus swap is refused, in the words that
// other runtimes have.
func belowLimit(limit int64) string {
	return "is the limit of memory plus swap and cannot be below memory.limit " + strconv.FormatInt(limit, 10) +
		" (memory+swap limit should be >= memory limit)"
}

// aboveTotal is the other way round: the limit of memory alone is refused.
func aboveTotal(total int64) string {
	return "is above the limit of memory plus swap, " + strconv.FormatInt(total, 10) +
		", which has to be raised with it (memory+swap limit should be >= memory limit)"
}

// checkMemoryUpdate holds new limits against the ones that stay and against the
// usage; limit and swap are 0 where they are not set. swapFile is "" where the
// two limits do not depend on each other.
func (c *resourceCompiler) checkMemoryUpdate(m *specs.LinuxMemory, limit, swap int64, limitFile, swapFile string) bool {
	const path = resourcesField + ".memory."
	ok := true
	if has, known := c.bytesNow(limitFile); known && has > 0 && swap > 0 && limit == 0 && swap < has {
		c.errs.Add(path+"swap", strconv.FormatInt(swap, 10), belowLimit(has))
		ok = false
	}
	if has, known := c.bytesNow(swapFile); known && has > 0 && limit > 0 && swap == 0 && limit > has {
		c.errs.Add(path+"limit", strconv.FormatInt(limit, 10), aboveTotal(has))
		ok = false
	}
	if m.CheckBeforeUpdate == nil || !*m.CheckBeforeUpdate {
		return ok
	}
	usage, known := c.bytesNow("memory.current")
	if !known {
		usage, known = c.bytesNow("memory.usage_in_bytes")
	}
	for _, l := range []struct {
		name, what string
		value      int64
	}{{"swap", "memory+swap limit", swap}, {"limit", "memory limit", limit}} {
		if known && l.value > 0 && l.value <= usage {
			v := strconv.FormatInt(l.value, 10)
			c.errs.Add(path+l.name, v, "rejecting "+l.what+" "+v+" <= usage "+strconv.FormatInt(usage, 10)+" (checkBeforeUpdate)")
			ok = false
		}
	}
	return ok
}
