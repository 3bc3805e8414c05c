package cli

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/catch"
	"github.com/tare-oci/tare/libcontainer"
)

// updateFlags are the limits that have a flag of their own.
var updateFlags = []*Flag{
	{Name: "resources", Aliases: []string{"r"}, Kind: Text, Arg: "FILE", Usage: "read the limits from FILE, a linux.resources object as JSON; - for the standard input"},
	{Name: "blkio-weight", Kind: Text, Arg: "N", Usage: "weight for block devices, 10 to 1000"},
	{Name: "cpu-period", Kind: Text, Arg: "MICROSECONDS", Usage: "period of the CPU quota, 1000 to 1000000"},
	{Name: "cpu-quota", Kind: Text, Arg: "MICROSECONDS", Usage: "CPU time of all processes in each period; -1 for no limit"},
	{Name: "cpu-burst", Kind: Text, Arg: "MICROSECONDS", Usage: "unused CPU time that may be saved up for later periods"},
	{Name: "cpu-share", Kind: Text, Arg: "N", Usage: "share of the CPU beside other cgroups, 2 to 262144"},
	{Name: "cpu-rt-period", Kind: Text, Arg: "MICROSECONDS", Usage: "period for real-time scheduling"},
	{Name: "cpu-rt-runtime", Kind: Text, Arg: "MICROSECONDS", Usage: "real-time CPU time in each period"},
	{Name: "cpuset-cpus", Kind: Text, Arg: "LIST", Usage: "CPUs to use: 0-3,7"},
	{Name: "cpuset-mems", Kind: Text, Arg: "LIST", Usage: "memory nodes to use"},
	{Name: "cpu-idle", Kind: Text, Arg: "0|1", Usage: "1 to run only when nothing else wants the CPU"},
	{Name: "memory", Kind: Text, Arg: "BYTES", Usage: "memory limit, with a suffix k, m, g or t; -1 for none"},
	{Name: "memory-reservation", Kind: Text, Arg: "BYTES", Usage: "memory to leave when it is scarce"},
	{Name: "memory-swap", Kind: Text, Arg: "BYTES", Usage: "limit of memory plus swap; -1 for none"},
	{Name: "pids-limit", Kind: Text, Arg: "N", Usage: "number of processes and threads; 0 counts as 1, -1 for no limit"},
	{Name: "l3-cache-schema", Kind: Text, Arg: "LINE", Usage: "part of the L3 cache, a resctrl line: L3:0=f;1=f0"},
	{Name: "mem-bw-schema", Kind: Text, Arg: "LINE", Usage: "part of the memory bandwidth, a resctrl line: MB:0=20;1=70"},
	{Name: "kernel-memory", Kind: Text, Arg: "BYTES", Usage: "accepted, and without effect: Linux has no such limit any more", Hidden: true},
	{Name: "kernel-memory-tcp", Kind: Text, Arg: "BYTES", Usage: "memory for TCP buffers; cgroup v1 only", Hidden: true},
}

// maxResources bounds the JSON of --resources.
const maxResources = 4 << 20

func runUpdate(c *call) error {
	// Before the standard input is read, which cannot be done again.
	if ctr, err := c.container(); err == nil {
		if err := ctr.Manageable(); err != nil {
			return err
		}
	}
	o := libcontainer.UpdateOptions{L3CacheSchema: c.flags.str("l3-cache-schema"), MemBwSchema: c.flags.str("mem-bw-schema")}
	var err error
	if c.flags.isSet("resources") {
		if o.Resources, err = c.resourcesFile(c.flags.str("resources")); err != nil {
			return err
		}
	} else if o.Resources, err = resourcesFlags(&c.flags); err != nil {
		return err
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	// All of the limits change, or none: what would end tare comes after that.
	if err := catch.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP); err != nil {
		return err
	}
	return ctr.Update(o)
}

// resourcesFile reads --resources. Other limits on the command line would be
// left out, so they are refused.
func (c *call) resourcesFile(path string) (*specs.LinuxResources, error) {
	for _, f := range updateFlags[1:] {
		if c.flags.isSet(f.Name) && f.Name != "l3-cache-schema" && f.Name != "mem-bw-schema" {
			return nil, fmt.Errorf("--%s: cannot be used together with --resources; put the limit into the file", f.Name)
		}
	}
	in := os.Stdin
	if path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--resources: %w", err)
		}
		defer f.Close()
		in = f
	}
	data, err := io.ReadAll(io.LimitReader(in, maxResources+1))
	if err != nil {
		return nil, fmt.Errorf("--resources %q: %w", path, err)
	}
	if len(data) > maxResources {
		return nil, fmt.Errorf("--resources %q: is longer than %d bytes", path, maxResources)
	}
	r, unknown, err := libcontainer.DecodeResources(data)
	if err != nil {
		return nil, fmt.Errorf("--resources %q: %w", path, err)
	}
	for i, u := range unknown {
		unknown[i] = "--resources " + strconv.Quote(path) + ": the specification does not define " + u + "; it is ignored"
	}
	c.warn(unknown)
	return r, nil
}

// resourcesFlags makes the linux.resources that the flags stand for. An empty
// value is the same as none.
func resourcesFlags(v *values) (*specs.LinuxResources, error) {
	p := resourcesParser{v: v}
	cpu := &specs.LinuxCPU{
		Shares: p.unsigned("cpu-share"), Period: p.unsigned("cpu-period"), Quota: p.signed("cpu-quota"), Burst: p.unsigned("cpu-burst"),
		RealtimePeriod: p.unsigned("cpu-rt-period"), RealtimeRuntime: p.signed("cpu-rt-runtime"), Idle: p.signed("cpu-idle"),
		Cpus: v.str("cpuset-cpus"), Mems: v.str("cpuset-mems"),
	}
	memory := &specs.LinuxMemory{Limit: p.bytes("memory"), Reservation: p.bytes("memory-reservation"), Swap: p.bytes("memory-swap"),
		Kernel: p.bytes("kernel-memory"), KernelTCP: p.bytes("kernel-memory-tcp")} //nolint:staticcheck // given to whom the specification gives it
	r := &specs.LinuxResources{CPU: cpu, Memory: memory}
	if limit := p.signed("pids-limit"); limit != nil {
		r.Pids = &specs.LinuxPids{Limit: limit}
	}
	if w := p.unsigned("blkio-weight"); w != nil {
		if *w > math.MaxUint16 {
			p.fail("blkio-weight", "is not between 10 and 1000")
		} else {
			weight := uint16(*w)
			r.BlockIO = &specs.LinuxBlockIO{Weight: &weight}
		}
	}
	return r, errors.Join(p.errs...)
}

// resourcesParser reads values and collects what is wrong with them.
type resourcesParser struct {
	v    *values
	errs []error
}

func (p *resourcesParser) fail(name, why string) {
	p.errs = append(p.errs, fmt.Errorf("invalid value for %s: --%s %q: %s", name, name, p.v.str(name), why))
}

func (p *resourcesParser) unsigned(name string) *uint64 {
	s := p.v.str(name)
	if s == "" {
		return nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		p.fail(name, "is not a whole number from 0 on")
		return nil
	}
	return &n
}

func (p *resourcesParser) signed(name string) *int64 {
	s := p.v.str(name)
	if s == "" {
		return nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		p.fail(name, "is not a whole number")
		return nil
	}
	return &n
}

func (p *resourcesParser) bytes(name string) *int64 {
	s := p.v.str(name)
	if s == "" {
		return nil
	}
	n, ok := parseSize(s)
	if !ok {
		p.fail(name, "is neither a size like 4096, 64k, 1.5g or 10MiB, nor -1 for no limit")
		return nil
	}
	return &n
}

// parseSize reads a number of bytes with a suffix in any case: b, k, m, g, t or
// p, those but b in powers of 1024 and perhaps followed by b or ib. -1 is no
// limit.
func parseSize(s string) (int64, bool) {
	if s == "-1" {
		return -1, true
	}
	end := strings.LastIndexAny(s, "0123456789.") + 1
	number, suffix := s[:end], strings.ToLower(strings.TrimPrefix(s[end:], " "))
	shift := 0
	if suffix != "" && suffix != "b" {
		i := strings.IndexByte("kmgtp", suffix[0])
		if i < 0 || suffix[1:] != "" && suffix[1:] != "b" && suffix[1:] != "ib" {
			return 0, false
		}
		shift = 10 * (i + 1)
	}
	if n, err := strconv.ParseUint(number, 10, 63); err == nil {
		return int64(n << shift), n<<shift>>shift == n && n<<shift <= math.MaxInt64
	}
	if strings.Trim(number, "0123456789.") != "" {
		return 0, false // no exponents, no signs
	}
	f, err := strconv.ParseFloat(number, 64)
	f *= float64(uint64(1) << shift)
	return int64(f), err == nil && f < math.MaxInt64
}
