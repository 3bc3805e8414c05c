package config

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Protocols of published ports, with their numbers (IANA).
var Protocols = map[string]uint8{"tcp": 6, "udp": 17, "sctp": 132}

// Port is a published port or range: what reaches Host on the host goes to
// Container in the container, Count ports in a row.
type Port struct {
	IP        netip.Addr `json:"ip,omitzero"` // one address of the host; none for all
	Host      uint16     `json:"host"`
	Container uint16     `json:"container"`
	Count     uint16     `json:"count"`
	Proto     string     `json:"proto"`
	// Until, if above Host, is the last of the host's ports from which the first
	// free one is taken for a single container port.
	Until uint16 `json:"until,omitempty"`
}

// ParsePorts reads a list as -p of other tools has it, separated by commas:
//
//	[IP:]HOST[-HOST]:CONTAINER[-CONTAINER][/tcp|udp|sctp]
//
// An IPv6 address stands in brackets. A range of the host for one port of the
// container takes the first that is free.
func ParsePorts(s string) ([]Port, error) {
	var out []Port
	for _, word := range strings.Split(s, ",") {
		word = strings.TrimSpace(word)
		if word == "" {
			continue
		}
		p, err := parsePort(word)
		if err != nil {
			return nil, fmt.Errorf("port %q: %w", word, err)
		}
		for _, o := range out {
			if o.Overlaps(p) {
				return nil, fmt.Errorf("port %q: is published twice", word)
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func parsePort(s string) (Port, error) {
	p := Port{Proto: "tcp"}
	rest := s
	if before, proto, ok := strings.Cut(s, "/"); ok {
		if Protocols[proto] == 0 {
			return p, fmt.Errorf("protocol %q: is none of tcp, udp, sctp", proto)
		}
		p.Proto, rest = proto, before
	}
	i := strings.LastIndexByte(rest, ':')
	if i < 0 {
		return p, fmt.Errorf("has no ':' between the port of the host and that of the container")
	}
	host, container := rest[:i], rest[i+1:]
	if j := strings.LastIndexByte(host, ':'); j >= 0 {
		text := host[:j]
		host = host[j+1:]
		if bracketed, ok := strings.CutPrefix(text, "["); ok {
			if text, ok = strings.CutSuffix(bracketed, "]"); !ok {
				return p, fmt.Errorf("address %q: lacks a bracket", host)
			}
		} else if strings.Contains(text, ":") {
			return p, fmt.Errorf("address %q: an IPv6 address stands in brackets", text)
		}
		ip, err := netip.ParseAddr(text)
		if err != nil || ip.Zone() != "" || ip.Is4In6() {
			return p, fmt.Errorf("address %q: is no IP address", text)
		}
		if !ip.IsUnspecified() {
			p.IP = ip
		}
	}
	h0, h1, err := portRange(host)
	if err != nil {
		return p, err
	}
	c0, c1, err := portRange(container)
	if err != nil {
		return p, err
	}
	p.Host, p.Container, p.Count = h0, c0, c1-c0+1
	switch {
	case h1-h0 == c1-c0:
	case c0 == c1 && h1 > h0:
		p.Until = h1
	default:
		return p, fmt.Errorf("%d ports of the host for %d of the container", h1-h0+1, c1-c0+1)
	}
	return p, nil
}

func portRange(s string) (first, last uint16, err error) {
	a, b, ranged := strings.Cut(s, "-")
	read := func(t string) uint16 {
		v, e := strconv.ParseUint(t, 10, 16)
		if e != nil || v == 0 {
			err = fmt.Errorf("%q is no port from 1 to 65535", t)
		}
		return uint16(v)
	}
	first = read(a)
	last = first
	if ranged {
		last = read(b)
	}
	if err == nil && last < first {
		err = fmt.Errorf("range %q: ends before it begins", s)
	}
	return first, last, err
}

// Overlaps says whether two ports cannot both be published.
func (p Port) Overlaps(o Port) bool {
	if p.Proto != o.Proto || p.Until != 0 || o.Until != 0 {
		return false
	}
	if p.IP.IsValid() && o.IP.IsValid() && p.IP != o.IP {
		return false
	}
	return int(p.Host) < int(o.Host)+int(o.Count) && int(o.Host) < int(p.Host)+int(p.Count)
}

// String writes the port as it is read.
func (p Port) String() string {
	s := ""
	if p.IP.IsValid() {
		s = p.IP.String() + ":"
		if p.IP.Is6() {
			s = "[" + p.IP.String() + "]:"
		}
	}
	span := func(first uint16) string {
		if p.Count <= 1 {
			return strconv.Itoa(int(first))
		}
		return fmt.Sprintf("%d-%d", first, int(first)+int(p.Count)-1)
	}
	return s + span(p.Host) + ":" + span(p.Container) + "/" + p.Proto
}
