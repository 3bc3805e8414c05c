package cgroup

import (
	"bytes"
	"strconv"

	"golang.org/x/sys/unix"
)

// Stats is what the cgroups of one container have used. Times are in
// nanoseconds, sizes in bytes. What the host does not count is zero or empty.
type Stats struct {
	CPU    CPUStats
	CPUSet CPUSetStats
	Memory MemoryStats
	Pids   PidsStats
	IO     IOStats
	Huge   []HugeStats // by page size, in the order of their names
}

// CPUStats is CPU time.
type CPUStats struct {
	Total                            uint64
	PerCPU, PerCPUKernel, PerCPUUser []uint64 // cgroup v1 only
	Kernel, User                     uint64
	Periods, Throttled               uint64 // of the quota
	ThrottledTime                    uint64
	Pressure                         *Pressure
}

// CPUSetStats is where the processes may run, and the v1 switches of cpuset(7).
type CPUSetStats struct {
	CPUs, Mems                                        []uint16
	CPUExclusive, MemHardwall, MemExclusive           uint64
	MemoryMigrate, MemorySpreadPage, MemorySpreadSlab uint64
	MemoryPressure, SchedLoadBalance                  uint64
	SchedRelaxDomainLevel                             int64
}

// Counter is one kind of memory. Limit is 1<<64-1, or what v1 shows, when there
// is none; Failures counts how often it was hit.
type Counter struct{ Limit, Usage, Max, Failures uint64 }

// MemoryStats is memory. Swap counts memory plus swap, as v1 does.
type MemoryStats struct {
	Cache                          uint64
	Usage, Swap, Kernel, KernelTCP Counter
	Raw                            []Value // memory.stat, by name
	Pressure                       *Pressure
}

// Value is one line of a file with names and numbers.
type Value struct {
	Name  string
	Value uint64
}

// PidsStats is the number of tasks; Limit is 0 when there is none.
type PidsStats struct{ Current, Limit uint64 }

// IOStats is block I/O, in the tables of cgroup v1. v2 fills the first two.
type IOStats struct {
	Bytes, Operations, Queued, ServiceTime, WaitTime, Merged, Time, Sectors []IOEntry
	Pressure                                                                *Pressure
}

// IOEntry is one line: a device, "Read", "Write", … or nothing, and a number.
type IOEntry struct {
	Major, Minor uint64
	Op           string
	Value        uint64
}

// HugeStats is the use of huge pages of one size, "2MB".
type HugeStats struct {
	Size                 string
	Usage, Max, Failures uint64
}

// Pressure is what psi.rst of the kernel describes: percentages of time in which
// some, or all, tasks waited, over 10, 60 and 300 seconds, and the whole time in
// microseconds.
type Pressure struct{ Some, Full Stall }

// Stall is one line of a pressure file.
type Stall struct {
	Avg10, Avg60, Avg300 float64
	Total                uint64
}

// StatsDir is one of the container's cgroups.
type StatsDir struct {
	Dir
	Controllers []string // of a v1 hierarchy
	V2          bool
}

// ReadStats reads the counters of a container. A cgroup that is gone gives
// os.ErrNotExist or ENODEV: IsGone.
func ReadStats(dirs []StatsDir) (*Stats, error) {
	s := new(Stats)
	unified := true
	for _, d := range dirs {
		unified = unified && d.V2
	}
	r := reader{buf: make([]byte, 16<<10)}
	// v2 first: on a hybrid host v1 knows more about what both count.
	for _, v2 := range [...]bool{true, false} {
		for _, d := range dirs {
			if d.V2 != v2 {
				continue
			}
			o, err := d.open()
			if err != nil {
				return nil, err
			}
			r.fd = o.fd
			if v2 {
				r.v2(s, unified)
			} else {
				for _, c := range d.Controllers {
					r.v1(s, c)
				}
			}
			unix.Close(o.fd)
			if r.err != nil {
				return nil, &Error{Op: "read", Path: d.Path() + "/" + r.failed, Err: r.err}
			}
		}
	}
	return s, nil
}

// reader reads files of one cgroup. A file that is not there reads as empty; the
// first real failure is kept and ends all reading.
type reader struct {
	fd     int
	buf    []byte
	err    error
	failed string
}

// text is good until the next call.
func (r *reader) text(name string) []byte {
	if r.err != nil {
		return nil
	}
	data, err := readShort(r.fd, name, r.buf)
	switch err {
	case nil:
		return data
	case unix.ENOENT, unix.EOPNOTSUPP: // the latter of pressure files where PSI is off
		return nil
	}
	r.err, r.failed = err, name
	return nil
}

// shortFile is below what a file of counters gives in one read(2) if it is longer:
// the kernel shows it as a whole, or a page of it.
const shortFile = 2048

// readShort is readAt without the read that finds nothing more in a short file.
func readShort(dirfd int, name string, buf []byte) ([]byte, error) {
	fd, err := openAt(dirfd, name, unix.O_RDONLY)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	n, err := retry(func() (int, error) { return unix.Read(fd, buf) })
	if err != nil {
		return nil, err
	}
	if n < min(shortFile, len(buf)) {
		return buf[:n], nil
	}
	rest, err := readAll(fd, nil)
	return append(buf[:n:n], rest...), err
}

// number reads a file of one number; "max" is 1<<64-1.
func (r *reader) number(name string) uint64 {
	n, _ := parseNumber(bytes.TrimSpace(r.text(name)))
	return n
}

func parseNumber(b []byte) (uint64, bool) {
	if string(b) == "max" {
		return ^uint64(0), true
	}
	var n uint64
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, len(b) > 0
}

// counter fills a kind of memory of v1.
func (r *reader) counter(c *Counter, prefix string) {
	c.Usage = r.number(prefix + "usage_in_bytes")
	c.Max = r.number(prefix + "max_usage_in_bytes")
	c.Failures = r.number(prefix + "failcnt")
	c.Limit = r.number(prefix + "limit_in_bytes")
}

// eachValue calls f for the lines "name number" of a file.
func (r *reader) eachValue(name string, f func(name []byte, n uint64)) {
	for line := range bytes.Lines(r.text(name)) {
		k, v, _ := bytes.Cut(bytes.TrimSpace(line), []byte(" "))
		if n, ok := parseNumber(v); ok {
			f(k, n)
		}
	}
}

// list reads "0-3,7".
func (r *reader) list(name string) []uint16 {
	var out []uint16
	for _, item := range bytes.Split(bytes.TrimSpace(r.text(name)), []byte(",")) {
		lo, hi, ranged := bytes.Cut(item, []byte("-"))
		a, ok := parseNumber(lo)
		b := a
		if ranged {
			b, _ = parseNumber(hi)
		}
		for n := a; ok && n <= b && b < 1<<16; n++ {
			out = append(out, uint16(n))
		}
	}
	return out
}

// pressure reads lines like "some avg10=0.00 avg60=0.00 avg300=0.00 total=0".
func (r *reader) pressure(name string) *Pressure {
	text := r.text(name)
	if len(text) == 0 {
		return nil
	}
	p := new(Pressure)
	for line := range bytes.Lines(text) {
		fields := bytes.Fields(line)
		if len(fields) == 0 {
			continue
		}
		to := &p.Some
		if string(fields[0]) == "full" {
			to = &p.Full
		}
		for _, f := range fields[1:] {
			k, v, _ := bytes.Cut(f, []byte("="))
			switch string(k) {
			case "avg10":
				to.Avg10, _ = strconv.ParseFloat(string(v), 64)
			case "avg60":
				to.Avg60, _ = strconv.ParseFloat(string(v), 64)
			case "avg300":
				to.Avg300, _ = strconv.ParseFloat(string(v), 64)
			case "total":
				to.Total, _ = parseNumber(v)
			}
		}
	}
	return p
}
