package link

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/netns"
)

// UplinkFree refuses to make a bridge port of a link that the host itself is
// reached by: its addresses would stop working, and with them the session of
// whoever typed it.
func (l *Links) UplinkFree(name string, allowed bool) error {
	k, err := l.ByName(name)
	if err != nil {
		return err
	}
	if k == nil {
		return fmt.Errorf("parent %q: there is no such link", name)
	}
	have, err := l.Prefixes(k)
	if err != nil || allowed {
		return err
	}
	for _, p := range have {
		if !p.Addr().IsLinkLocalUnicast() {
			return fmt.Errorf("parent %q: carries the host's address %s, which would be unreachable as a port of a bridge; \"uplinkOK\": true does it all the same", name, p)
		}
	}
	return nil
}

// AddPort makes a link a port of a bridge.
func (l *Links) AddPort(name string, bridge int) error {
	k, err := l.ByName(name)
	if k == nil || err != nil {
		return errors.Join(fmt.Errorf("parent %q: there is no such link", name), err)
	}
	if m := k.Attrs().MasterIndex; m != 0 && m != bridge {
		return fmt.Errorf("parent %q: is a port of another bridge", name)
	}
	if err := l.h.LinkSetMasterByIndex(k, bridge); err != nil {
		return fmt.Errorf("parent %q: %w", name, err)
	}
	return l.Up(name)
}

// HostSide gives the host's end of a pair without a bridge the gateways'
// addresses, and routes to the container.
func (l *Links) HostSide(name string, gateways []netip.Addr, ips []netip.Prefix) error {
	k, err := l.ByName(name)
	if k == nil || err != nil {
		return errors.Join(fmt.Errorf("link %q: is gone", name), err)
	}
	// For packets of the host itself to a published port on 127.0.0.1.
	if err := Set("net.ipv4.conf."+name+".route_localnet", "1"); err != nil {
		return err
	}
	b, err := newBatch()
	if err != nil {
		return err
	}
	defer b.close()
	for i, gw := range gateways {
		b.address(name, k.Attrs().Index, netip.PrefixFrom(gw, gw.BitLen()))
		a := ips[i].Addr()
		b.route(k.Attrs().Index, Hop{Dst: netip.PrefixFrom(a, a.BitLen())})
	}
	return b.send()
}

// VXLANName is the name of a bridge's port that leads to the other hosts.
func VXLANName(bridge string) string {
	if len(bridge) > 13 {
		bridge = bridge[:13]
	}
	return bridge + ".x"
}

// EnsureVXLAN makes the port of a bridge that sends to fixed other ends: one
// forwarding entry per end for what has no known station.
func (l *Links) EnsureVXLAN(bridge string, index int, parent string, t config.Tunnel, mtu int) error {
	name := VXLANName(bridge)
	k, err := l.ByName(name)
	if err != nil {
		return err
	}
	if k == nil {
		v := born{kind: "vxlan", name: name, mtu: mtu, master: index}
		below := 0
		if parent != "" {
			p, err := l.ByName(parent)
			if p == nil || err != nil {
				return errors.Join(fmt.Errorf("parent %q: there is no such link", parent), err)
			}
			below = p.Attrs().Index
		}
		v.data = func(d *nl.RtAttr) { tunnel(d, t, below) }
		if err := v.make(); err != nil && !errors.Is(err, unix.EEXIST) {
			return err
		}
		if k, err = l.ByName(name); k == nil || err != nil {
			return errors.Join(fmt.Errorf("vxlan %q: is gone", name), err)
		}
	}
	for _, r := range t.Remotes {
		n := &netlink.Neigh{LinkIndex: k.Attrs().Index, Family: unix.AF_BRIDGE, State: netlink.NUD_PERMANENT | netlink.NUD_NOARP, Flags: netlink.NTF_SELF,
			IP: r.AsSlice(), HardwareAddr: make(net.HardwareAddr, 6)}
		if err := l.h.NeighAppend(n); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("vxlan %q: remote %s: %w", name, r, err)
		}
	}
	return l.Up(name)
}

// tunnel is the data of a vxlan link.
func tunnel(d *nl.RtAttr, t config.Tunnel, below int) {
	d.AddRtAttr(nl.IFLA_VXLAN_ID, nl.Uint32Attr(uint32(t.ID)))
	if below != 0 {
		d.AddRtAttr(nl.IFLA_VXLAN_LINK, nl.Uint32Attr(uint32(below)))
	}
	if t.Local.IsValid() {
		family := nl.IFLA_VXLAN_LOCAL
		if t.Local.Is6() {
			family = nl.IFLA_VXLAN_LOCAL6
		}
		d.AddRtAttr(family, t.Local.AsSlice())
	}
	port := uint16(t.Port)
	if port == 0 {
		port = 4789 // RFC 7348
	}
	d.AddRtAttr(nl.IFLA_VXLAN_PORT, binary.BigEndian.AppendUint16(nil, port))
	d.AddRtAttr(nl.IFLA_VXLAN_LEARNING, []byte{1})
}

// AddMacvlan makes a sub-interface of a link, born in the container under its
// name.
func (l *Links) AddMacvlan(parent, name string, mac net.HardwareAddr, mtu int, n *netns.Namespace) error {
	p, err := l.ByName(parent)
	if err != nil {
		return err
	}
	if p == nil {
		return fmt.Errorf("parent %q: there is no such link", parent)
	}
	m := born{kind: "macvlan", name: name, mtu: min(mtu, p.Attrs().MTU), mac: mac, parent: p.Attrs().Index, namespaceFD: int(n.Handle)}
	m.data = func(d *nl.RtAttr) { d.AddRtAttr(nl.IFLA_MACVLAN_MODE, nl.Uint32Attr(nl.MACVLAN_MODE_BRIDGE)) }
	if err := m.make(); err != nil {
		return fmt.Errorf("%w (on %q)", err, parent)
	}
	return nil
}

// DeleteMacvlan removes a sub-interface that AddMacvlan has made: by its station, or,
// since a container may change that, by its parent, which is in another namespace. A
// link of that name that is neither is not ours.
func DeleteMacvlan(n *netns.Namespace, name string, mac net.HardwareAddr) error {
	l, err := In(n)
	if err != nil {
		return err
	}
	defer l.Close()
	k, err := l.ByName(name)
	if k == nil || err != nil {
		return err
	}
	if k.Type() != "macvlan" || k.Attrs().NetNsID < 0 && !bytes.Equal(k.Attrs().HardwareAddr, mac) {
		return nil
	}
	return l.Delete(name)
}

// MoveIn moves a link of the host into a container, under another name, with the
// addresses it has.
func (l *Links) MoveIn(name, inside string, n *netns.Namespace) ([]netip.Prefix, error) {
	k, err := l.ByName(name)
	if err != nil {
		return nil, err
	}
	if k == nil {
		return nil, fmt.Errorf("device %q: there is no such link", name)
	}
	had, err := l.Prefixes(k)
	if err != nil {
		return nil, err
	}
	in, err := In(n)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if clash, err := in.ByName(inside); clash != nil || err != nil {
		return nil, errors.Join(fmt.Errorf("device %q: the container has a link %q", name, inside), err)
	}
	if err := l.h.LinkSetNsFd(k, int(n.Handle)); err != nil {
		return nil, fmt.Errorf("device %q: %w", name, err)
	}
	moved, err := in.ByName(name)
	if moved == nil || err != nil {
		return had, errors.Join(fmt.Errorf("device %q: is not in the container", name), err)
	}
	if name != inside {
		if err := in.h.LinkSetName(moved, inside); err != nil {
			err = fmt.Errorf("device %q: rename to %q: %w", name, inside, err)
			return nil, errors.Join(err, MoveOut(n, name, name))
		}
	}
	return had, nil
}

// MoveOut gives a link back to the namespace of this process.
func MoveOut(n *netns.Namespace, inside, name string) error {
	in, err := In(n)
	if err != nil {
		return err
	}
	defer in.Close()
	k, err := in.ByName(inside)
	if k == nil || err != nil {
		return err
	}
	own, err := netns.Own()
	if err != nil {
		return err
	}
	defer own.Close()
	if err := in.h.LinkSetDown(k); err != nil {
		return err
	}
	if inside != name {
		if err := in.h.LinkSetName(k, name); err != nil {
			return err
		}
	}
	return in.h.LinkSetNsFd(k, int(own.Handle))
}
