package link

import (
	"bytes"
	"errors"
	"fmt"
	"golang.org/x/crypto/blake2s"
	"net"
	"net/netip"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// BridgeSpec is a bridge as a network wants it.
type BridgeSpec struct {
	Name, Network string
	Gateways      []netip.Prefix // with the bits of the subnet
	MTU           int
	Snooping      bool // of IGMP and MLD; a new bridge sends multicast to every port otherwise
}

// networkAlias marks a bridge as one that the hook has made.
func networkAlias(network string) string { return "tare-net:network:" + network }

// EnsureBridge makes the bridge, or takes one that has the same addresses, or
// finishes one that a killed hook has begun. It returns its index, and whether
// it was missing.
func (l *Links) EnsureBridge(s BridgeSpec) (index int, made bool, err error) {
	k, err := l.ByName(s.Name)
	if err != nil {
		return 0, false, err
	}
	if k == nil {
		if err := l.conflict(s.Gateways); err != nil {
			return 0, false, fmt.Errorf("network %q: %w", s.Network, err)
		}
		if err := (born{kind: "bridge", name: s.Name, mtu: s.MTU, mac: l.stationOfBridge(s.Name), data: s.data}).make(); err != nil && !errors.Is(err, unix.EEXIST) {
			return 0, false, err
		}
		if k, err = l.ByName(s.Name); k == nil {
			return 0, false, errors.Join(fmt.Errorf("bridge %q: is gone", s.Name), err)
		}
		if err := l.h.LinkSetAlias(k, networkAlias(s.Network)); err != nil {
			return 0, false, fmt.Errorf("bridge %q: alias: %w", s.Name, err)
		}
		made = true
	}
	if k.Type() != "bridge" {
		return 0, false, fmt.Errorf("bridge %q: a link of that name exists, of type %s", s.Name, k.Type())
	}
	alias := k.Attrs().Alias
	if !made && alias == "" && bytes.Equal(k.Attrs().HardwareAddr, l.stationOfBridge(s.Name)) {
		// Of a hook that was killed before it could say for whom it was.
		if err := l.h.LinkSetAlias(k, networkAlias(s.Network)); err != nil {
			return 0, false, fmt.Errorf("bridge %q: alias: %w", s.Name, err)
		}
	}
	if other, ok := strings.CutPrefix(alias, networkAlias("")); ok && other != s.Network {
		return 0, false, fmt.Errorf("bridge %q: belongs to network %q", s.Name, other)
	}
	have, err := l.Prefixes(k)
	if err != nil {
		return 0, false, err
	}
	for _, g := range s.Gateways {
		if other, found := sameFamily(have, g); found {
			if other != g {
				return 0, false, fmt.Errorf("bridge %q: exists with the address %s, network %q wants %s", s.Name, other, s.Network, g)
			}
			continue
		}
		if !made {
			if err := l.conflict([]netip.Prefix{g}); err != nil {
				return 0, false, fmt.Errorf("network %q: %w", s.Network, err)
			}
		}
		if err := l.AddAddress(k, g); err != nil {
			return 0, false, err
		}
	}
	if k.Attrs().Flags&net.FlagUp == 0 {
		if err := l.h.LinkSetUp(k); err != nil {
			return 0, false, fmt.Errorf("bridge %q: up: %w", s.Name, err)
		}
	}
	return k.Attrs().Index, made, nil
}

// stationOfBridge is an address of its own, which stays when ports come and go,
// and by which a bridge is known as one of ours from its birth.
func (l *Links) stationOfBridge(name string) net.HardwareAddr {
	return l.stationOf("bridge\x00" + name)
}

// MadeFor says whether a link is a bridge that was made for a network.
func (l *Links) MadeFor(bridge, network string) (bool, error) {
	k, err := l.ByName(bridge)
	if k == nil || err != nil {
		return false, err
	}
	a := k.Attrs()
	born := a.Alias == "" && bytes.Equal(a.HardwareAddr, l.stationOfBridge(bridge))
	return k.Type() == "bridge" && (born || a.Alias == networkAlias(network)), nil
}

// data is what belongs to a bridge only. With snooping the kernel arms two timers
// of each port again whenever any port comes up (br_port_state_selection): with a
// thousand ports 0.3 ms, and their expiry later.
func (s BridgeSpec) data(to *nl.RtAttr) {
	if !s.Snooping {
		to.AddRtAttr(nl.IFLA_BR_MCAST_SNOOPING, []byte{0})
	}
}

func sameFamily(have []netip.Prefix, g netip.Prefix) (netip.Prefix, bool) {
	for _, p := range have {
		if p == g {
			return p, true
		}
	}
	for _, p := range have {
		if p.Addr().Is6() == g.Addr().Is6() && !p.Addr().IsLinkLocalUnicast() {
			return p, true
		}
	}
	return netip.Prefix{}, false
}

// conflict names the link of the host whose address or route overlaps.
func (l *Links) conflict(wanted []netip.Prefix) error {
	used, err := l.Used()
	if err != nil {
		return err
	}
	for _, w := range wanted {
		for _, u := range used {
			if w.Overlaps(u.Prefix) {
				return fmt.Errorf("subnet %s overlaps %s of the host's link %q", w.Masked(), u.Prefix, u.Link)
			}
		}
	}
	return nil
}

// InUse is a network that the host already reaches, and by which link.
type InUse struct {
	Prefix netip.Prefix
	Link   string
}

// Used lists the host's networks: its addresses and its routes but the defaults.
func (l *Links) Used() ([]InUse, error) {
	links, err := l.All()
	if err != nil {
		return nil, err
	}
	names := map[int]string{}
	for _, k := range links {
		names[k.Attrs().Index] = k.Attrs().Name
	}
	addrs, err := dump(func() ([]netlink.Addr, error) { return l.h.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var out []InUse
	add := func(p netip.Prefix, index int) {
		a := p.Addr()
		if p.Bits() == 0 || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsLoopback() {
			return
		}
		out = append(out, InUse{p.Masked(), names[index]})
	}
	for _, a := range addrs {
		if p, ok := fromIPNet(a.IPNet); ok {
			add(p, a.LinkIndex)
		}
	}
	routes, err := dump(func() ([]netlink.Route, error) { return l.h.RouteList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	for _, r := range routes {
		if p, ok := fromIPNet(r.Dst); ok {
			add(p, r.LinkIndex)
		}
	}
	return out, nil
}

// Free is the first of the candidates that overlaps nothing on the host.
func (l *Links) Free(candidates []netip.Prefix) (netip.Prefix, error) {
	used, err := l.Used()
	if err != nil {
		return netip.Prefix{}, err
	}
next:
	for _, c := range candidates {
		for _, u := range used {
			if c.Overlaps(u.Prefix) {
				continue next
			}
		}
		return c, nil
	}
	return netip.Prefix{}, errors.New("every range that a default network may have overlaps a network of the host")
}

// stationOf is a local Ethernet address made from a name, of this host.
func (l *Links) stationOf(name string) net.HardwareAddr {
	sum := blake2s.Sum256([]byte(name + "\x00" + l.host))
	return net.HardwareAddr{sum[0]&0xfc | 0x02, sum[1], sum[2], sum[3], sum[4], sum[5]}
}

// StationOfIP is the Ethernet address of a container: the same IP address has
// always the same one, so that no neighbour remembers a wrong one.
func StationOfIP(a netip.Addr) net.HardwareAddr {
	b := a.AsSlice()
	return append(net.HardwareAddr{0x0a, 0x58}, b[len(b)-4:]...)
}

// Up sets a link up.
func (l *Links) Up(name string) error {
	k, err := l.ByName(name)
	if err != nil {
		return err
	}
	if k == nil {
		return fmt.Errorf("link %q: there is none", name)
	}
	if k.Attrs().Flags&net.FlagUp != 0 {
		return nil
	}
	if err := l.h.LinkSetUp(k); err != nil {
		return fmt.Errorf("link %q: up: %w", name, err)
	}
	return nil
}
