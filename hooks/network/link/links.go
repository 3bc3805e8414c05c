// Package link makes and removes the links, addresses and routes of containers
// by rtnetlink. It knows names and numbers, not containers.
package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// Links is one rtnetlink socket in one network namespace.
type Links struct {
	h    *netlink.Handle
	host string
}

// Here opens the namespace of the caller. What tells this host from others goes into
// the stations of the links that are made: two hosts may have networks and containers
// of the same names, and one LAN.
func Here(host string) (*Links, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return &Links{h, host}, nil
}

// In opens another namespace.
func In(n *netns.Namespace) (*Links, error) {
	h, err := netlink.NewHandleAt(n.Handle, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink of the container: %w", err)
	}
	return &Links{h: h}, nil
}

// Close closes the socket.
func (l *Links) Close() {
	if l != nil {
		l.h.Close()
	}
}

// ByName looks a link up; nil and no error when there is none.
func (l *Links) ByName(name string) (netlink.Link, error) {
	k, err := l.h.LinkByName(name)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("link %q: %w", name, err)
	}
	return k, nil
}

// dump repeats a dump that the kernel says was disturbed (NLM_F_DUMP_INTR).
func dump[T any](f func() ([]T, error)) ([]T, error) {
	for try := 0; ; try++ {
		out, err := f()
		if (errors.Is(err, netlink.ErrDumpInterrupted) || errors.Is(err, unix.EINTR)) && try < 20 {
			continue
		}
		return out, err
	}
}

// All lists all links.
func (l *Links) All() ([]netlink.Link, error) { return dump(l.h.LinkList) }

// Delete removes a link; one that is gone is no error.
func (l *Links) Delete(name string) error {
	k, err := l.ByName(name)
	if k == nil || err != nil {
		return err
	}
	return l.delete(k)
}

func (l *Links) delete(k netlink.Link) error {
	if err := l.h.LinkDel(k); err != nil && err != unix.ENODEV && err != unix.ENXIO {
		return fmt.Errorf("delete link %q: %w", k.Attrs().Name, err)
	}
	return nil
}

// Prefixes lists the addresses of a link.
func (l *Links) Prefixes(k netlink.Link) ([]netip.Prefix, error) {
	addrs, err := dump(func() ([]netlink.Addr, error) { return l.h.AddrList(k, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, err
	}
	var out []netip.Prefix
	for _, a := range addrs {
		if p, ok := fromIPNet(a.IPNet); ok {
			out = append(out, p)
		}
	}
	return out, nil
}

// AddAddress gives a link an address. IPv6 is used at once, without duplicate
// address detection: the lease has decided whose it is.
func (l *Links) AddAddress(k netlink.Link, p netip.Prefix) error {
	a := &netlink.Addr{IPNet: toIPNet(p), Scope: unix.RT_SCOPE_UNIVERSE}
	if p.Addr().Is6() {
		a.Flags = unix.IFA_F_NODAD
	} else if p.Bits() < 31 {
		a.Broadcast = broadcast(p)
	}
	if err := l.h.AddrAdd(k, a); err != nil && err != unix.EEXIST {
		return fmt.Errorf("address %s on %q: %w", p, k.Attrs().Name, err)
	}
	return nil
}

// DelAddress takes an address from a link by the link's name.
func (l *Links) DelAddress(name string, p netip.Prefix) error {
	k, err := l.ByName(name)
	if k == nil || err != nil {
		return err
	}
	err = l.h.AddrDel(k, &netlink.Addr{IPNet: toIPNet(p)})
	if err != nil && err != unix.EADDRNOTAVAIL {
		return fmt.Errorf("address %s on %q: %w", p, name, err)
	}
	return nil
}

// RouteLink is the link by which the host reaches an address.
func (l *Links) RouteLink(a netip.Addr) (netlink.Link, error) {
	routes, err := l.h.RouteGet(a.AsSlice())
	if err != nil || len(routes) == 0 {
		return nil, fmt.Errorf("route to %s: %w", a, err)
	}
	return l.h.LinkByIndex(routes[0].LinkIndex)
}

func toIPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

func fromIPNet(n *net.IPNet) (netip.Prefix, bool) {
	if n == nil {
		return netip.Prefix{}, false
	}
	a, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(a.Unmap(), ones), ok
}

func broadcast(p netip.Prefix) net.IP {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return b
}
