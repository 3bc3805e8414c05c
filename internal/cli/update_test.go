package cli

import (
	"strings"
	"testing"
	"time"
)

func TestParseSize(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "4096": 4096, "-1": -1, "1b": 1, "1B": 1, "64k": 64 << 10, "64K": 64 << 10, "64kb": 64 << 10, "64KiB": 64 << 10, "64 k": 64 << 10, "1.5g": 3 << 29,
		"0.5m": 1 << 19, ".5k": 512, "2t": 2 << 40, "1p": 1 << 50, "8191p": 8191 << 50, "9223372036854775807": 1<<63 - 1,
	} {
		if n, ok := parseSize(text); !ok || n != want {
			t.Errorf("%q: %d, %v, want %d", text, n, ok, want)
		}
	}
	for _, text := range []string{"", "k", "-2", "-1k", "+1", "1e3", "1x", "1kk", "1kib2", "1 kilo", "0x10", "8192p", "9223372036854775808", "1..5", "١k", "1k ", "nan", "inf"} {
		if n, ok := parseSize(text); ok {
			t.Errorf("%q is taken for %d", text, n)
		}
	}
}

func TestParseInterval(t *testing.T) {
	for text, want := range map[string]time.Duration{"5s": 5 * time.Second, "500ms": 500 * time.Millisecond, "2": 2 * time.Second, "0.25": 250 * time.Millisecond, "1m30s": 90 * time.Second} {
		if d, err := parseInterval(text); err != nil || d != want {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
	for _, text := range []string{"", "0", "0s", "-1s", "-1", "soon", "1e99", "nan"} {
		if d, err := parseInterval(text); err == nil || !strings.Contains(err.Error(), "interval") {
			t.Errorf("%q: %v, %v", text, d, err)
		}
	}
}

func TestResourcesFlags(t *testing.T) {
	parse := func(args ...string) *values {
		v := newValues(updateFlags)
		if _, err := v.parse(args, false); err != nil {
			t.Fatal(err)
		}
		return &v
	}
	r, err := resourcesFlags(parse("--cpu-quota=-1", "--memory", "-1", "--memory-swap=", "--blkio-weight=300", "--pids-limit", "-1"))
	if err != nil || *r.CPU.Quota != -1 || *r.Memory.Limit != -1 || r.Memory.Swap != nil || *r.BlockIO.Weight != 300 || *r.Pids.Limit != -1 || r.CPU.Shares != nil {
		t.Errorf("%+v, %v", r, err)
	}
	if r, err = resourcesFlags(parse()); err != nil || r.Pids != nil || r.BlockIO != nil {
		t.Errorf("%+v, %v", r, err)
	}
	_, err = resourcesFlags(parse("--cpu-share=-1", "--cpu-idle=no", "--memory=x", "--blkio-weight=65536"))
	for _, word := range []string{"cpu-share", "cpu-idle", "memory", "blkio-weight"} {
		if err == nil || !strings.Contains(err.Error(), "invalid value for "+word) {
			t.Errorf("%v does not name %s", err, word)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 1536: "1.50K", 10 << 20: "10.0M", 123 << 30: "123G", 1 << 40: "1.00T", 1 << 62: "4096P"} {
		if got := size(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
