package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// Prefix is that of every annotation of the hook.
const Prefix = "io.github.tare-oci.net."

// Decidable lists what a network can allow an annotation to decide.
var Decidable = []string{"ip", "mac", "ports", "bandwidth", "class", "dns", "mtu", "routes", "sysctl", "proxy", "floating-ip", "spoof-check"}

// defaultAllow leaves out what would open or widen something for the container.
var defaultAllow = []string{"ip", "mac", "ports", "bandwidth", "class", "dns", "mtu", "routes", "proxy"}

// Request is what the annotations of a container ask for.
type Request struct {
	Networks []Leg
	Ports    []Port
	Down, Up Rate // towards the container, from it
	Burst    uint32
	Class    uint32
	DNS      DNS
	Hosts    map[string]netip.Addr
	Aliases  []string
	Hostname string
	MTU      int
	Sysctl   map[string]string
	Proxy    string // "", on, off
	Floating netip.Addr
	Spoof    string // "", on, off
	Routes   []Route
	Files    string // "", off, mounts, rootfs
	Keep     bool   // keep the addresses for the next container of this id
}

// Leg is one network of a container.
type Leg struct {
	Network  string
	IP4, IP6 netip.Addr
	MAC      net.HardwareAddr
	IfName   string
}

// ParseAnnotations reads what is below Prefix. Without any it returns nil.
func ParseAnnotations(all map[string]string) (*Request, error) {
	keys := make([]string, 0, 8)
	for k := range all {
		if strings.HasPrefix(k, Prefix) {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, nil
	}
	sort.Strings(keys)
	r := &Request{Sysctl: map[string]string{}, Hosts: map[string]netip.Addr{}}
	networks, ok := all[Prefix+"networks"]
	if !ok {
		return nil, fmt.Errorf("annotation %snetworks: is missing beside %s", Prefix, keys[0])
	}
	for i, name := range list(networks) {
		if err := ValidName(name, 64); err != nil {
			return nil, fmt.Errorf("annotation %snetworks: %q %w", Prefix, name, err)
		}
		if slices.ContainsFunc(r.Networks, func(l Leg) bool { return l.Network == name }) {
			return nil, fmt.Errorf("annotation %snetworks: %q is there twice", Prefix, name)
		}
		r.Networks = append(r.Networks, Leg{Network: name, IfName: "eth" + strconv.Itoa(i)})
	}
	if len(r.Networks) == 0 {
		return nil, fmt.Errorf("annotation %snetworks: names no network", Prefix)
	}
	for _, k := range keys {
		if err := r.set(strings.TrimPrefix(k, Prefix), strings.TrimSpace(all[k])); err != nil {
			return nil, fmt.Errorf("annotation %s: %w", k, err)
		}
	}
	seen := map[string]string{}
	for _, l := range r.Networks {
		if other, ok := seen[l.IfName]; ok {
			return nil, fmt.Errorf("annotation %sifname.%s: %q is that of network %s", Prefix, l.Network, l.IfName, other)
		}
		seen[l.IfName] = l.Network
	}
	return r, nil
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(c rune) bool { return c == ',' || c == ' ' })
}

func (r *Request) set(key, v string) (err error) {
	if verb, name, ok := strings.Cut(key, "."); ok {
		if verb == "sysctl" {
			if !strings.HasPrefix(name, "net.") || strings.ContainsAny(name, "/ ") || strings.Contains(name, "..") {
				return fmt.Errorf("%q is no sysctl of the network", name)
			}
			r.Sysctl[name] = v
			return nil
		}
		return r.setLeg(verb, name, v)
	}
	switch key {
	case "networks":
	case "ip", "ip6", "mac", "ifname": // of the first network
		return r.setLeg(key, r.Networks[0].Network, v)
	case "ports":
		r.Ports, err = ParsePorts(v)
	case "bandwidth":
		err = r.setBandwidth(v)
	case "class":
		r.Class, err = ParseClass(v)
	case "dns":
		for _, w := range list(v) {
			a, e := netip.ParseAddr(w)
			if e != nil {
				return fmt.Errorf("%q is no IP address", w)
			}
			r.DNS.Servers = append(r.DNS.Servers, a)
		}
	case "search":
		r.DNS.Search, err = names(v)
	case "dns-options":
		r.DNS.Options = list(v)
	case "hosts":
		for _, w := range list(v) {
			name, ip, _ := strings.Cut(w, "=")
			a, e := netip.ParseAddr(ip)
			if e != nil || ValidName(name, 253) != nil {
				return fmt.Errorf("%q is not NAME=ADDRESS", w)
			}
			r.Hosts[name] = a
		}
	case "aliases":
		r.Aliases, err = names(v)
	case "hostname":
		if err = ValidName(v, 64); err == nil {
			r.Hostname = v
		}
	case "mtu":
		if r.MTU, err = strconv.Atoi(v); err != nil || r.MTU < 68 || r.MTU > 65535 {
			return fmt.Errorf("%q is not between 68 and 65535", v)
		}
	case "proxy":
		r.Proxy, err = word(v, "on", "off")
	case "spoof-check":
		r.Spoof, err = word(v, "on", "off")
	case "files":
		r.Files, err = word(v, "off", "mounts", "rootfs")
	case "keep-address":
		var w string
		w, err = word(v, "true", "false")
		r.Keep = w == "true"
	case "floating-ip":
		if r.Floating, err = netip.ParseAddr(v); err != nil || !r.Floating.Is4() {
			return fmt.Errorf("%q is no IPv4 address", v)
		}
	case "routes":
		return r.setRoutes(v)
	default:
		return errors.New("is not known")
	}
	return err
}

func word(v string, allowed ...string) (string, error) {
	if slices.Contains(allowed, v) {
		return v, nil
	}
	return "", fmt.Errorf("%q is none of %s", v, strings.Join(allowed, ", "))
}

func names(v string) ([]string, error) {
	out := list(v)
	for _, w := range out {
		if err := ValidName(w, 253); err != nil {
			return nil, fmt.Errorf("%q %w", w, err)
		}
	}
	return out, nil
}

func (r *Request) setLeg(verb, name, v string) error {
	i := slices.IndexFunc(r.Networks, func(l Leg) bool { return l.Network == name })
	if i < 0 {
		return fmt.Errorf("%q is none of the container's networks", name)
	}
	l := &r.Networks[i]
	switch verb {
	case "ip", "ip6":
		a, err := netip.ParseAddr(v)
		if err != nil || a.Is4In6() || a.Zone() != "" || a.Is6() != (verb == "ip6") {
			return fmt.Errorf("%q is no address of that family", v)
		}
		if a.Is6() {
			l.IP6 = a
		} else {
			l.IP4 = a
		}
	case "mac":
		m, err := net.ParseMAC(v)
		if err != nil || len(m) != 6 || m[0]&1 != 0 || slices.Equal(m, make([]byte, 6)) {
			return fmt.Errorf("%q is no address of one Ethernet station", v)
		}
		l.MAC = m
	case "ifname":
		if err := ValidName(v, 15); err != nil || v == "lo" {
			return fmt.Errorf("%q is no name of a link", v)
		}
		l.IfName = v
	default:
		return errors.New("is not known")
	}
	return nil
}

func (r *Request) setBandwidth(v string) (err error) {
	for _, w := range list(v) {
		key, value, _ := strings.Cut(w, "=")
		switch key {
		case "down":
			r.Down, err = ParseRate(value)
		case "up":
			r.Up, err = ParseRate(value)
		case "burst":
			r.Burst, err = ParseSize(value)
		default:
			err = fmt.Errorf("%q is none of down, up, burst", key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *Request) setRoutes(v string) error {
	for _, w := range list(v) {
		dst, via, _ := strings.Cut(w, "=")
		p, err := netip.ParsePrefix(dst)
		if err != nil {
			return fmt.Errorf("%q is not NET/BITS or NET/BITS=GATEWAY", w)
		}
		route := Route{Dst: p.Masked()}
		if via != "" {
			if route.Via, err = netip.ParseAddr(via); err != nil || route.Via.Is6() != p.Addr().Is6() {
				return fmt.Errorf("%q: the gateway is no address of that family", w)
			}
		}
		r.Routes = append(r.Routes, route)
	}
	return nil
}

// Permit refuses what the network does not let an annotation decide.
func (n *Network) Permit(r *Request, l *Leg) error {
	allow := n.Allow
	if allow == nil {
		allow = defaultAllow
	}
	for _, c := range []struct {
		key   string
		asked bool
	}{
		{"ip", l.IP4.IsValid() || l.IP6.IsValid()}, {"mac", l.MAC != nil}, {"ports", len(r.Ports) > 0},
		{"bandwidth", r.Down != 0 || r.Up != 0}, {"class", r.Class != 0},
		{"dns", len(r.DNS.Servers) > 0}, {"mtu", r.MTU != 0}, {"routes", len(r.Routes) > 0}, {"sysctl", len(r.Sysctl) > 0},
		{"proxy", r.Proxy != ""}, {"floating-ip", r.Floating.IsValid()}, {"spoof-check", r.Spoof != ""},
	} {
		if c.asked && !slices.Contains(allow, c.key) {
			return fmt.Errorf("annotation %s%s: network %q does not allow it (\"allow\" in its file)", Prefix, c.key, n.Name)
		}
	}
	return nil
}
