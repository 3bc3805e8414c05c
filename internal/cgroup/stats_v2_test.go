package cgroup

import (
	"os"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// Files in the form that Documentation/admin-guide/cgroup-v2.rst gives them, with
// numbers made up so that none is another's: the reading, not the kernel, is what
// is tested. What a kernel really shows is read in TestV2Stats of the integration
// tests.
func TestReadingOfV2(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cgroup.controllers":    "cpuset cpu io memory hugetlb pids\n",
		"cpu.stat":              "usage_usec 2000\nuser_usec 1500\nsystem_usec 500\nnr_periods 10\nnr_throttled 3\nthrottled_usec 70\n",
		"cpu.pressure":          "some avg10=1.50 avg60=0.25 avg300=0.00 total=12345\nfull avg10=0.00 avg60=0.00 avg300=0.10 total=6\n",
		"cpuset.cpus.effective": "0-1,4\n",
		"cpuset.mems.effective": "0\n",
		"memory.stat":           "anon 100\nfile 4096\nkernel 300\ninactive_file 20\n",
		"memory.current":        "8192\n",
		"memory.peak":           "9000\n",
		"memory.max":            "16384\n",
		"memory.events":         "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n",
		"memory.swap.current":   "1000\n",
		"memory.swap.max":       "max\n",
		"pids.current":          "4\n",
		"pids.max":              "max\n",
		"io.stat":               "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n7:0 \n253:1 rbytes=9 cost.usage=3\n",
		"hugetlb.2MB.current":   "4194304\n",
		"hugetlb.2MB.max":       "max\n",
		"hugetlb.2MB.events":    "max 5\n",
		"hugetlb.1GB.current":   "0\n",
	} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	var s Stats
	r := reader{fd: fd, buf: make([]byte, 8)} // to be outgrown
	r.v2(&s, true)
	if r.err != nil {
		t.Fatal(r.err)
	}
	if c := s.CPU; c.Total != 2000000 || c.User != 1500000 || c.Kernel != 500000 || c.Periods != 10 || c.Throttled != 3 || c.ThrottledTime != 70000 {
		t.Errorf("%+v", c)
	}
	if p := s.CPU.Pressure; p == nil || p.Some != (Stall{1.5, 0.25, 0, 12345}) || p.Full != (Stall{0, 0, 0.1, 6}) || s.Memory.Pressure != nil {
		t.Errorf("%+v", p)
	}
	if !slices.Equal(s.CPUSet.CPUs, []uint16{0, 1, 4}) || !slices.Equal(s.CPUSet.Mems, []uint16{0}) {
		t.Errorf("%+v", s.CPUSet)
	}
	m := s.Memory
	if m.Cache != 4096 || m.Usage != (Counter{16384, 8192, 9000, 7}) || m.Swap.Usage != 9192 || m.Swap.Limit != ^uint64(0) || m.Kernel.Usage != 300 || len(m.Raw) != 4 {
		t.Errorf("%+v", m)
	}
	if s.Pids != (PidsStats{Current: 4}) {
		t.Errorf("%+v", s.Pids)
	}
	if !slices.Equal(s.IO.Bytes, []IOEntry{{8, 0, "Read", 1}, {8, 0, "Write", 2}, {8, 0, "Discard", 5}, {253, 1, "Read", 9}}) ||
		!slices.Equal(s.IO.Operations, []IOEntry{{8, 0, "Read", 3}, {8, 0, "Write", 4}, {8, 0, "Discard", 6}}) {
		t.Errorf("%+v", s.IO)
	}
	if !slices.Equal(s.Huge, []HugeStats{{Size: "1GB"}, {"2MB", 4194304, 0, 5}}) {
		t.Errorf("%+v", s.Huge)
	}
	s = Stats{}
	r.v2(&s, false)
	if s.CPU.Total != 0 || s.CPU.Pressure == nil {
		t.Errorf("on a hybrid host: %+v", s.CPU)
	}
}
