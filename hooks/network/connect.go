package network

import (
	"errors"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
)

// connect makes the link, whatever the driver.
func (w *work) connect() error {
	switch w.n.Driver {
	case config.None:
		return link.Configure(w.ns, link.Inside{Name: "lo", Sysctl: w.sysctls()})
	case config.CNI:
		return w.connectCNI()
	case config.Host:
		return w.connectHost()
	case config.Macvlan:
		return w.connectMacvlan()
	case config.Device:
		return w.connectDevice()
	}
	return w.connectVeth()
}

func (w *work) sysctls() map[string]string {
	out := map[string]string{}
	for k, v := range w.n.Sysctl {
		out[k] = v
	}
	for k, v := range w.req.Sysctl {
		out[k] = v
	}
	return out
}

func (w *work) connectVeth() error {
	if err := w.at("link"); err != nil {
		return err
	}
	mac, err := net.ParseMAC(w.a.MAC)
	if err != nil {
		return err
	}
	w.a.Link = record.LinkName(w.a.Key)
	w.later(func() error { return w.links.DeleteOurs(w.a.Link) })
	spec := link.VethSpec{Host: w.a.Link, Alias: record.Alias(w.a.ID, w.a.IfName), Master: w.m.Index, Hairpin: w.n.Hairpin && w.m.Index != 0,
		Isolated: !w.n.ICC && w.m.Index != 0, Peer: w.a.IfName, Namespace: w.ns, MAC: mac, MTU: mtu(w.n, w.req)}
	err = w.links.AddVeth(spec)
	if errors.Is(err, unix.EEXIST) {
		// Of a hook that was killed before it could say so.
		if err := w.links.DeleteOurs(w.a.Link); err != nil {
			return err
		}
		err = w.links.AddVeth(spec)
	}
	if err != nil {
		return err
	}
	if w.n.Driver == config.PTP {
		if err := w.links.HostSide(w.a.Link, w.a.Gateways, w.a.IPs); err != nil {
			return err
		}
	}
	if err := w.at("inside"); err != nil {
		return err
	}
	in := w.inside()
	in.Only4 = true
	if err := link.Configure(w.ns, in); err != nil {
		return err
	}
	if err := w.limit(); err != nil {
		return err
	}
	return w.rules()
}

// inside is the container's end: addresses, the default route of the first
// network that has one, and the others.
func (w *work) inside() link.Inside {
	in := link.Inside{Name: w.a.IfName, Sysctl: w.sysctls()}
	for i, p := range w.a.IPs {
		gw := w.a.Gateways[i]
		six := p.Addr().Is6()
		alone := netip.PrefixFrom(p.Addr(), p.Addr().BitLen())
		if w.n.Driver == config.PTP {
			// Alone on its link: everything goes to the gateway, the rest of the
			// subnet too.
			in.Addresses = append(in.Addresses, alone)
			in.Routes = append(in.Routes, link.Hop{Dst: netip.PrefixFrom(gw, gw.BitLen())})
		} else {
			in.Addresses = append(in.Addresses, p)
		}
		if w.n.DefaultRoute && !w.n.Internal && w.defaultLeg() {
			all := netip.PrefixFrom(netip.IPv4Unspecified(), 0)
			if six {
				all = netip.PrefixFrom(netip.IPv6Unspecified(), 0)
			}
			in.Routes = append(in.Routes, link.Hop{Dst: all, Via: gw})
		}
		routes := w.n.Routes
		if w.first {
			routes = append(routes[:len(routes):len(routes)], w.req.Routes...)
		}
		for _, r := range routes {
			if r.Dst.Addr().Is6() != six {
				continue
			}
			via := r.Via
			if !via.IsValid() {
				via = gw
			}
			in.Routes = append(in.Routes, link.Hop{Dst: r.Dst, Via: via})
		}
	}
	return in
}

// defaultLeg says whether this is the first of the container's networks that
// leads out.
func (w *work) defaultLeg() bool {
	for i := range w.req.Networks {
		l := &w.req.Networks[i]
		if l.Network == w.n.Name {
			return true
		}
		if n, err := w.network(l.Network); err == nil && n.DefaultRoute && !n.Internal && len(n.Subnets) > 0 {
			return false
		}
	}
	return true
}
