package cgroup

import (
	"strings"

	"golang.org/x/sys/unix"
)

// kernelNeeds says what a file of cgroup v1 or v2 needs that its controller alone
// does not bring. The first prefix that fits counts.
var kernelNeeds = [...]struct{ prefix, need string }{
	{"blkio.bfq.", "weights of block devices need the I/O scheduler BFQ: modprobe bfq"},
	{"blkio.leaf_weight", "leaf weights went with the I/O scheduler CFQ in Linux 5.0"},
	{"blkio.weight", "weights of block devices need the I/O scheduler BFQ: modprobe bfq"},
	{"blkio.throttle.", "the kernel lacks CONFIG_BLK_DEV_THROTTLING"},
	{"io.bfq.", "weights of block devices need the I/O scheduler BFQ or the I/O cost model (CONFIG_BLK_CGROUP_IOCOST)"},
	{"io.weight", "weights of block devices need the I/O scheduler BFQ or the I/O cost model (CONFIG_BLK_CGROUP_IOCOST)"},
	{"io.max", "the kernel lacks CONFIG_BLK_DEV_THROTTLING"},
	{"memory.memsw.", "the kernel does not count swap: boot it with swapaccount=1"},
	{"memory.swap.", "the kernel does not count swap: boot it with swapaccount=1"},
	{"memory.kmem.tcp.", "the kernel has no limit for TCP buffers"},
	{"cpu.rt_", "the kernel lacks CONFIG_RT_GROUP_SCHED"},
	{"cpu.cfs_burst_us", "needs Linux 5.14 and CONFIG_CFS_BANDWIDTH"},
	{"cpu.max.burst", "needs Linux 5.14 and CONFIG_CFS_BANDWIDTH"},
	{"cpu.cfs_", "the kernel lacks CONFIG_CFS_BANDWIDTH"},
	{"cpu.max", "the kernel lacks CONFIG_CFS_BANDWIDTH"},
	{"cpu.idle", "needs Linux 5.15"},
	{"io.latency", "the kernel lacks CONFIG_BLK_CGROUP_IOLATENCY"},
	{"hugetlb.", "the kernel has no huge pages of this size"},
}

// absentHint says why a file is not there: in v2 most often because the parent
// could not pass the controller on.
func absentHint(dir, name string, err error) string {
	if err != unix.ENOENT {
		return ""
	}
	controller, _, _ := strings.Cut(name, ".")
	list, readErr := readFile(dir, "cgroup.controllers")
	if readErr == nil {
		on := false
		enabled := strings.Fields(list)
		for _, c := range enabled {
			on = on || c == controller
		}
		if !on {
			return "the controller " + controller + " is not enabled here; enabled: " + strings.Join(enabled, " ")
		}
	}
	if _, err := readFile(dir, "cgroup.procs"); err != nil && err != unix.EOPNOTSUPP {
		return "" // the cgroup itself is gone
	}
	for _, k := range kernelNeeds {
		if strings.HasPrefix(name, k.prefix) {
			return k.need
		}
	}
	if readErr == nil {
		return "this kernel has no such file"
	}
	return ""
}

// refusedHint says why the kernel refuses a value, where that is not plain from
// the errno.
func refusedHint(dir, name string, err error) string {
	switch {
	case err == unix.EBUSY && strings.HasPrefix(name, "memory."):
		return memoryHint(dir, name)
	case strings.HasPrefix(name, "cpuset."):
		return cpusetHint(dir, name, err)
	case err == unix.EINVAL && name == "pids.max":
		return "the most is 4194304, PID_MAX_LIMIT; max is no limit"
	case err == unix.EINVAL && (name == "cpu.weight" || name == "cpu.shares"):
		if idle, readErr := readFile(dir, "cpu.idle"); readErr == nil && idle == "1" {
			return "the cgroup is idle, and has no weight until cpu.idle is 0"
		}
	case err == unix.EINVAL && strings.HasPrefix(name, "cpu.rt_"):
		return "a cgroup gets real-time CPU time only out of that of the cgroup above, where nothing is given by itself"
	case err == unix.EINVAL && (strings.HasPrefix(name, "cpu.cfs_") || strings.HasPrefix(name, "cpu.max")):
		return quotaHint(dir)
	case err == unix.ENODEV && name == "net_prio.ifpriomap":
		return "there is no such interface in the host's first network namespace, the only one that net_prio looks at"
	case name == "rdma.max" && (err == unix.ENODEV || err == unix.EINVAL):
		return "there is no RDMA device of this name (rdma link), or it has no such resource"
	case name == "misc.max" && err == unix.EINVAL:
		return miscHint(dir)
	case err == unix.ENODEV && (strings.HasPrefix(name, "blkio.") || strings.HasPrefix(name, "io.")):
		return "there is no such device"
	case err == unix.EOPNOTSUPP && strings.Contains(name, "weight"):
		return "the device does not use the I/O scheduler that this file belongs to (/sys/block/NAME/queue/scheduler)"
	}
	return ""
}

// memoryHint says what is in use: the kernel cannot take that back.
func memoryHint(dir, name string) string {
	stem := "memory."
	if strings.HasPrefix(name, "memory.memsw.") {
		stem = "memory.memsw."
	}
	usage, err := readFile(dir, stem+"usage_in_bytes")
	if err != nil {
		return ""
	}
	hint := "in use: " + usage + " bytes"
	if peak, err := readFile(dir, stem+"max_usage_in_bytes"); err == nil {
		hint += ", at most so far: " + peak
	}
	return hint
}

// cpusetHint holds a set against the cgroups above and below it.
func cpusetHint(dir, name string, err error) string {
	above := dir[:strings.LastIndexByte(dir, '/')]
	switch err {
	case unix.EACCES: // v1: not a part of what the cgroup above has
		if has, err := readFile(above, name); err == nil {
			return "the cgroup above has only " + has
		}
	case unix.EBUSY:
		return "a cgroup that the container has made below its own uses more than that"
	case unix.ERANGE, unix.EINVAL, unix.ENODEV:
		for _, file := range [...]string{name + ".effective", "cpuset.effective_" + strings.TrimPrefix(name, "cpuset.")} {
			if has, err := readFile(above, file); err == nil {
				return "there are only " + has
			}
		}
	case unix.ENOSPC:
		return "processes need at least one of them"
	}
	return ""
}

// quotaHint shows what a quota is held against: a cgroup cannot have more than
// the one above, nor less than one below or its own burst.
func quotaHint(dir string) string {
	above := dir[:strings.LastIndexByte(dir, '/')]
	show := func(dir string) string {
		if limit, err := readFile(dir, "cpu.max"); err == nil {
			return limit
		}
		quota, _ := readFile(dir, "cpu.cfs_quota_us") // one that cannot be read shows nothing
		period, _ := readFile(dir, "cpu.cfs_period_us")
		return strings.TrimSpace(quota + " " + period)
	}
	hint := "quota and period are now " + show(dir)
	if limit := show(above); limit != "" {
		hint += ", in the cgroup above " + limit
	}
	return hint
}

// miscHint names what the misc controller counts on this machine, which only the
// top of the hierarchy knows.
func miscHint(dir string) string {
	for end := len(dir); end > 0; end = strings.LastIndexByte(dir[:end], '/') {
		if list, err := readFile(dir[:end], "misc.capacity"); err == nil {
			names := make([]string, 0, 4)
			for line := range strings.Lines(list) {
				name, _, _ := strings.Cut(line, " ")
				names = append(names, name)
			}
			if len(names) == 0 {
				return "misc.capacity is empty: this machine has nothing that misc counts"
			}
			return "misc.capacity has " + strings.Join(names, ", ")
		}
	}
	return ""
}
