package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/publish"
	"github.com/tare-oci/tare/hooks/network/record"
)

// endpoint is what the packet filter has to know of a record.
func endpoint(a *record.Attachment) firewall.Endpoint {
	p := firewall.Endpoint{Owner: a.Key, Veth: a.Link, Ports: a.Ports, Floating: a.Floating, Class: a.Class, Spoof: a.Spoof}
	p.MAC, _ = net.ParseMAC(a.MAC) // written by us
	for _, ip := range a.IPs {
		p.IPs = append(p.IPs, ip.Addr())
	}
	return p
}

// rules publishes ports and adds the other elements of the packet filter.
func (w *work) rules() error {
	w.a.Spoof = w.n.SpoofCheck && w.req.Spoof != "off" && w.m.Bridge != ""
	if w.first {
		w.a.Class, w.a.Floating = w.class(), w.req.Floating
	}
	if err := w.ports(); err != nil {
		return err
	}
	if err := w.at("record-rules"); err != nil {
		return err
	}
	// Before the rules: after a kill here gc knows which elements to remove.
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	if err := w.at("firewall"); err != nil {
		return err
	}
	f, err := w.filter(w.a.Firewall)
	if err != nil {
		return err
	}
	p := endpoint(w.a)
	w.later(func() error { return f.Detach(w.m.Network, p) })
	if err := f.Attach(w.m.Network, p); err != nil {
		return err
	}
	if err := w.floating(); err != nil {
		return err
	}
	return w.forgetUDP(w.a.Ports)
}

// ports reserves what is published, on the first network that can.
func (w *work) ports() error {
	if !w.first || len(w.req.Ports) == 0 {
		return nil
	}
	if err := w.at("ports"); err != nil {
		return err
	}
	if w.n.Internal {
		return fmt.Errorf("annotation %sports: network %q is internal, nothing is published", config.Prefix, w.n.Name)
	}
	got, err := w.reserve()
	if err != nil {
		return err
	}
	w.a.Ports = got
	w.later(func() error { return w.releasePorts(w.a) })
	return nil
}

// reserve takes the ports for this container. One that died without its poststop
// hook may have them.
func (w *work) reserve() ([]config.Port, error) {
	for end := time.Now().Add(busyPatience); ; {
		lock, err := w.store.Lock("ports", w.LockWait)
		if err != nil {
			return nil, err
		}
		got, err := w.book().Reserve(w.a.Key, w.a.ID, w.req.Ports)
		lock.Unlock()
		var taken *publish.Conflict
		if !errors.As(err, &taken) {
			return got, err
		}
		freed, busy := w.gcDead()
		if freed == 0 {
			if !busy || time.Now().After(end) {
				return nil, err
			}
			time.Sleep(5 * time.Millisecond) // another one is detaching it
		}
	}
}

// releasePorts gives the reservations of an attachment back.
func (e *Engine) releasePorts(a *record.Attachment) error {
	if len(a.Ports) == 0 {
		return nil
	}
	lock, err := e.store.Lock("ports", e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	e.book().Release(a.Key, a.Ports)
	return nil
}

// floating gives the host the address that stands for the container outside.
func (w *work) floating() error {
	if !w.a.Floating.IsValid() {
		return nil
	}
	if err := w.at("floating-ip"); err != nil {
		return err
	}
	k, err := w.links.RouteLink(w.a.Floating)
	if err != nil {
		return err
	}
	w.a.Uplink = k.Attrs().Name
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	host := netip.PrefixFrom(w.a.Floating, 32)
	w.later(func() error { return w.links.DelAddress(w.a.Uplink, host) })
	return w.links.AddAddress(k, host)
}
