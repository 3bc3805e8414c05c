package network

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/ipam"
	"github.com/tare-oci/tare/hooks/network/link"
)

// addresses leases what the network's subnets have.
func (w *work) addresses() error {
	if err := w.at("address"); err != nil {
		return err
	}
	for i := range w.n.Subnets {
		s := w.n.Subnets[i]
		pool := ipam.Pool{Dir: w.store.NetDir(w.n.Name), Subnet: s}
		want := w.leg.IP4
		if s.Subnet.Addr().Is6() {
			want = w.leg.IP6
		}
		o := ipam.Owner{Key: w.a.Key, ID: w.a.ID, IfName: w.a.IfName}
		a, err := w.take(pool, o, want)
		if err != nil {
			return err
		}
		w.later(func() error { return pool.Release(a, w.a.Key, false) })
		w.a.IPs = append(w.a.IPs, netip.PrefixFrom(a, s.Subnet.Bits()))
		w.a.Gateways = append(w.a.Gateways, s.Gateway)
	}
	for _, want := range []netip.Addr{w.leg.IP4, w.leg.IP6} {
		if want.IsValid() && !hasIP(w.a.IPs, want) && w.n.Driver != config.CNI {
			return fmt.Errorf("address %s: network %q has no subnet of that family", want, w.n.Name)
		}
	}
	if len(w.a.IPs) > 0 {
		mac := w.leg.MAC
		if mac == nil {
			mac = link.StationOfIP(w.a.IPs[0].Addr())
		}
		w.a.MAC = mac.String()
	} else if w.leg.MAC != nil {
		w.a.MAC = w.leg.MAC.String()
	}
	return nil
}

// take leases an address. A container that died without its poststop hook may
// have it.
func (w *work) take(pool ipam.Pool, o ipam.Owner, want netip.Addr) (netip.Addr, error) {
	end := time.Now().Add(busyPatience)
	for {
		a, err := pool.Take(o, want)
		var full *ipam.Exhausted
		var taken *ipam.Taken
		if !errors.As(err, &full) && !errors.As(err, &taken) {
			return a, err
		}
		freed, busy := w.gcNetwork(w.n.Name)
		if freed > 0 {
			continue
		}
		if !busy || time.Now().After(end) {
			return a, err
		}
		w.lock.Unlock() // which the other one needs
		time.Sleep(5 * time.Millisecond)
		if w.lock, err = w.store.Lock("net-"+w.n.Name, w.LockWait); err != nil {
			return a, err
		}
		if err := w.retake(o); err != nil {
			return a, err
		}
	}
}

// retake makes sure of the addresses that this attachment has already, after the
// network's lock was somebody else's: without a record they may have been freed.
func (w *work) retake(o ipam.Owner) error {
	for i, p := range w.a.IPs {
		pool := ipam.Pool{Dir: w.store.NetDir(w.n.Name), Subnet: w.n.Subnets[i]}
		if _, err := pool.Take(o, p.Addr()); err != nil {
			return err
		}
	}
	return nil
}

func hasIP(ps []netip.Prefix, a netip.Addr) bool {
	for _, p := range ps {
		if p.Addr() == a {
			return true
		}
	}
	return false
}
