package config

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Rate is a speed in bits per second. In text it is written as tc(8) does:
// "16mbit", "1gbit", "500kbit", "2mbps" (bytes), or a number of bits.
type Rate uint64

var rateUnits = []struct {
	suffix string
	bits   float64
}{
	// The longer first: "bit" ends them all.
	{"kibit", 1 << 10}, {"mibit", 1 << 20}, {"gibit", 1 << 30},
	{"kbit", 1e3}, {"mbit", 1e6}, {"gbit", 1e9}, {"tbit", 1e12}, {"bit", 1},
	{"kbps", 8e3}, {"mbps", 8e6}, {"gbps", 8e9}, {"bps", 8}, {"", 1},
}

// ParseRate reads a rate.
func ParseRate(s string) (Rate, error) {
	low := strings.ToLower(strings.TrimSpace(s))
	for _, u := range rateUnits {
		digits, ok := strings.CutSuffix(low, u.suffix)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(digits, 64)
		if err != nil || math.IsNaN(v) || v*u.bits < 8 || v*u.bits > 1e13 {
			return 0, fmt.Errorf("rate %q: is no speed from 8bit to 10tbit, such as 16mbit", s)
		}
		return Rate(v * u.bits), nil
	}
	return 0, fmt.Errorf("rate %q: is no speed", s)
}

// Bytes is the rate in bytes per second.
func (r Rate) Bytes() uint64 { return uint64(r) / 8 }

// UnmarshalJSON takes a number of bits or the text.
func (r *Rate) UnmarshalJSON(b []byte) error {
	s := string(b)
	if len(b) > 0 && b[0] == '"' {
		if err := json.Unmarshal(b, &s); err != nil {
			return err
		}
	}
	v, err := ParseRate(s)
	*r = v
	return err
}

// ParseSize reads a number of bytes: "64kb", "1mb", "32768".
func ParseSize(s string) (uint32, error) {
	low := strings.ToLower(s)
	factor := 1.0
	for _, u := range []struct {
		suffix string
		f      float64
	}{{"kb", 1 << 10}, {"mb", 1 << 20}, {"k", 1 << 10}, {"m", 1 << 20}, {"b", 1}} {
		if d, ok := strings.CutSuffix(low, u.suffix); ok {
			low, factor = d, u.f
			break
		}
	}
	v, err := strconv.ParseFloat(low, 64)
	if err != nil || math.IsNaN(v) || v*factor < 1 || v*factor > 1<<30 {
		return 0, fmt.Errorf("size %q: is no number of bytes from 1 to 1gb, such as 64kb", s)
	}
	return uint32(v * factor), nil
}

// ParseClass reads a class id as tc(8) writes it, two hexadecimal numbers
// ("1:10" is 0x00010010), or the number of net_cls.classid ("0x10010", "65552").
func ParseClass(s string) (uint32, error) {
	if major, minor, ok := strings.Cut(s, ":"); ok {
		a, errA := strconv.ParseUint(major, 16, 16)
		b, errB := strconv.ParseUint(minor, 16, 16)
		if errA != nil || errB != nil || a == 0 || a == 0xffff {
			return 0, fmt.Errorf("class %q: is not MAJOR:MINOR in hexadecimal, such as 1:10", s)
		}
		return uint32(a)<<16 | uint32(b), nil
	}
	v, err := strconv.ParseUint(s, 0, 32)
	if err != nil || v == 0 {
		return 0, fmt.Errorf("class %q: is neither MAJOR:MINOR nor a number above 0", s)
	}
	return uint32(v), nil
}

// ClassText writes a class id as tc(8) does.
func ClassText(id uint32) string { return fmt.Sprintf("%x:%x", id>>16, id&0xffff) }

func (s *Shape) check() error {
	if err := ValidName(s.Device, 15); err != nil {
		return fmt.Errorf("device %q %w", s.Device, err)
	}
	if s.Rate == 0 {
		return errors.New("rate: is missing")
	}
	for name, c := range s.Classes {
		if _, err := ParseClass(name); err != nil {
			return fmt.Errorf("classes: %w", err)
		}
		if c.Rate == 0 {
			return fmt.Errorf("classes[%q].rate: is missing", name)
		}
	}
	if s.Default != "" {
		if _, err := ParseClass(s.Default); err != nil {
			return fmt.Errorf("default: %w", err)
		}
	}
	for i, m := range s.Match {
		if _, err := ParseClass(m.Class); err != nil {
			return fmt.Errorf("match[%d].class: %w", i, err)
		}
	}
	switch s.Classifier {
	case "", "cgroup", "bpf", "nft", "iptables":
		return nil
	}
	return fmt.Errorf("classifier %q: is none of cgroup, bpf, nft, iptables", s.Classifier)
}
