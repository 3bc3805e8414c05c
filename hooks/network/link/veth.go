package link

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// VethSpec is one pair.
type VethSpec struct {
	Host, Alias string // the host's end
	Master      int    // index of the bridge, 0 for none
	Hairpin     bool   // the bridge sends back through the port that a frame came by
	Isolated    bool   // isolated ports do not reach each other
	Peer        string // the container's end, born under that name in Namespace
	Namespace   *netns.Namespace
	MAC         net.HardwareAddr
	MTU         int
}

// AddVeth makes the pair with one request, so that no other process ever sees
// the container's end under another name or in another namespace.
func (l *Links) AddVeth(s VethSpec) error {
	v := netlink.NewVeth(netlink.NewLinkAttrs())
	v.Name, v.MTU, v.MasterIndex = s.Host, s.MTU, s.Master
	v.PeerName, v.PeerHardwareAddr = s.Peer, s.MAC
	v.PeerMTU = uint32(s.MTU)
	v.PeerNamespace = netlink.NsFd(int(s.Namespace.Handle))
	err := l.h.LinkAdd(v)
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("veth %q to %q: one of both exists already", s.Host, s.Peer)
	}
	if err != nil {
		return fmt.Errorf("veth %q: %w", s.Host, err)
	}
	if err := l.h.LinkSetAlias(v, s.Alias); err != nil {
		return fmt.Errorf("veth %q: alias: %w", s.Host, err)
	}
	// The host's end of a bridge port has no addresses of its own.
	if s.Master != 0 {
		if err := Set("net.ipv6.conf."+s.Host+".disable_ipv6", "1"); err != nil && !errors.Is(err, ErrNoSysctl) {
			return err
		}
	}
	if s.Hairpin {
		if err := l.h.LinkSetHairpin(v, true); err != nil {
			return fmt.Errorf("veth %q: hairpin: %w", s.Host, err)
		}
	}
	if s.Isolated {
		if err := l.h.LinkSetIsolated(v, true); err != nil {
			return fmt.Errorf("veth %q: isolated port (Linux 4.18): %w", s.Host, err)
		}
	}
	if err := l.h.LinkSetUp(v); err != nil {
		return fmt.Errorf("veth %q: up: %w", s.Host, err)
	}
	return nil
}
