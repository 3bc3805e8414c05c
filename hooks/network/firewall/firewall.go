// Package firewall says what the packet filter has to do for networks and their
// containers. The rooms below it do it, by nf_tables or by iptables.
package firewall

import (
	"net"
	"net/netip"

	"github.com/tare-oci/tare/hooks/network/config"
)

// Network is a network as its rules need it.
type Network struct {
	Name    string
	Bridge  string // the host's link by which its containers are reached
	Subnets []netip.Prefix

	Masquerade, ICC, Isolate, Internal, HostAccess, DirectRouting bool
	Routed                                                        bool // no bridge: containers meet at the host (ptp)

	Links string // what the names of containers' links on the host begin with
}

// Of is the network of a configuration.
func Of(n *config.Network, bridge string) Network {
	f := Network{Name: n.Name, Bridge: bridge, Masquerade: n.Masquerade && !n.Internal, ICC: n.ICC, Isolate: n.Isolate,
		Internal: n.Internal, HostAccess: n.HostAccess, DirectRouting: n.DirectRouting, Routed: n.Driver == config.PTP}
	for _, s := range n.Subnets {
		f.Subnets = append(f.Subnets, s.Subnet)
	}
	return f
}

// Endpoint is one container's link.
type Endpoint struct {
	Owner    string // comment of its elements and rules: the key of its record
	Veth     string
	MAC      net.HardwareAddr
	IPs      []netip.Addr
	Ports    []config.Port
	Spoof    bool // only these addresses may come from it
	Floating netip.Addr
	Class    uint32 // of packets of it as they leave the host; 0 for none
}

// IP4 and IP6 are the endpoint's address of a family.
func (e *Endpoint) IP4() netip.Addr { return e.ip(false) }

// IP6 is the IPv6 address, or invalid.
func (e *Endpoint) IP6() netip.Addr { return e.ip(true) }

func (e *Endpoint) ip(six bool) netip.Addr {
	for _, a := range e.IPs {
		if a.Is6() == six {
			return a
		}
	}
	return netip.Addr{}
}

// Filter is one way to do it. All methods may be repeated.
type Filter interface {
	// Name is that of the configuration: nftables or iptables.
	Name() string
	// EnsureNetwork makes the rules that do not depend on containers.
	EnsureNetwork(Network) error
	// Attach adds the rules of a container. A missing network is made first.
	Attach(Network, Endpoint) error
	// Detach removes them.
	Detach(Network, Endpoint) error
	// RemoveNetwork removes what EnsureNetwork has made; the last network takes
	// the rest with it.
	RemoveNetwork(Network, bool) error
	// Check lists what is missing.
	Check(Network, Endpoint) []string
	// Owners lists whose rules there are, by their comment.
	Owners() (map[string]int, error)
	// Sweep removes the rules of an owner without a record.
	Sweep(owners []string) error
}
