package network

import (
	"errors"
	"net"
	"time"

	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/netns"
	"github.com/tare-oci/tare/hooks/network/record"
)

// connectMacvlan puts the container into the LAN of a link of the host.
func (w *work) connectMacvlan() error {
	if err := w.at("link"); err != nil {
		return err
	}
	for _, p := range w.a.IPs {
		// On a shared LAN no lease of ours binds the others (RFC 5227).
		if owner, err := link.ProbeARP(w.n.Parent, p.Addr(), 300*time.Millisecond); err != nil {
			return err
		} else if owner != nil {
			return errors.New("address " + p.Addr().String() + ": is in use on the network by " + owner.String())
		}
	}
	var mac net.HardwareAddr
	if w.a.MAC != "" {
		mac, _ = net.ParseMAC(w.a.MAC) // checked or made by us
	}
	if err := w.links.AddMacvlan(w.n.Parent, w.a.IfName, mac, mtu(w.n, w.req), w.ns); err != nil {
		return err // a link of that name is somebody else's
	}
	w.later(func() error { return link.DeleteMacvlan(w.ns, w.a.IfName, mac) })
	if err := w.at("inside"); err != nil {
		return err
	}
	return link.Configure(w.ns, w.inside())
}

// connectDevice moves a link of the host.
func (w *work) connectDevice() error {
	if err := w.at("link"); err != nil {
		return err
	}
	w.a.Moved = w.n.Parent
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	had, err := w.links.MoveIn(w.n.Parent, w.a.IfName, w.ns)
	if err != nil {
		return err
	}
	w.later(func() error { return link.MoveOut(w.ns, w.a.IfName, w.n.Parent) })
	in := w.inside()
	for _, p := range had {
		if !p.Addr().IsLinkLocalUnicast() {
			in.Addresses = append(in.Addresses, p)
		}
	}
	if len(w.a.IPs) == 0 {
		for _, r := range w.n.Routes {
			in.Routes = append(in.Routes, link.Hop{Dst: r.Dst, Via: r.Via})
		}
	}
	return link.Configure(w.ns, in)
}

// takeBack removes or returns the link of a container whose namespace still
// exists; with the namespace a macvlan goes and a physical link returns by itself.
func (e *Engine) takeBack(a *record.Attachment) error {
	if !a.Init.Alive() {
		return nil
	}
	ns, err := netns.OfProcess(a.Init.Pid)
	if err != nil {
		return nil // it has ended meanwhile
	}
	defer ns.Close()
	if ns.ID != a.NetNS {
		return nil
	}
	if a.Moved != "" {
		return link.MoveOut(ns, a.IfName, a.Moved)
	}
	mac, _ := net.ParseMAC(a.MAC) // written by us; none where the kernel has chosen it
	return link.DeleteMacvlan(ns, a.IfName, mac)
}
