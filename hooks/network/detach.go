package network

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/ipam"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Detach takes a container's networks away. What is not there is no error: it
// may run after a crash, after gc, or twice.
func (e *Engine) Detach(id string) error {
	if err := record.ValidID(id); err != nil {
		return err
	}
	// Whoever attaches it, perhaps for a runtime that was killed, is waited for.
	turn, err := e.takeTurn(id, e.LockWait)
	if err != nil {
		return &Problem{"detach", id, "", "", err}
	}
	defer turn.End()
	var errs []error
	if err := e.leave(id); err != nil {
		errs = append(errs, &Problem{"detach", id, "", "shared namespace", err})
	}
	for _, a := range e.store.Of(id) {
		if err := e.detachOne(a, nil); err != nil {
			p := &Problem{"detach", id, a.Network, "", err}
			e.store.Log(map[string]any{"op": "detach", "id": id, "network": a.Network, "error": p.Error()})
			errs = append(errs, p)
		}
	}
	return errors.Join(errs...)
}

// detachOne takes the network's lock for the parts that need it. The caller has
// the container's turn.
func (e *Engine) detachOne(a *record.Attachment, still func(*record.Attachment) bool) error {
	lock, err := e.store.Lock("net-"+a.Network, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	// It may have changed while we waited.
	now, err := e.store.Load(a.ID, a.IfName)
	if err != nil || now.Key != a.Key || still != nil && !still(now) {
		return nil
	}
	if kept, err := e.handOver(now); kept || err != nil {
		return err
	}
	rest, err := e.release(now)
	if err != nil {
		return err
	}
	lock.Unlock()
	// The kernel waits for a grace period (RCU) to remove a link; only a container
	// of the same id has to wait with it.
	return rest()
}

// detachLocked is for callers that hold the network's lock as well.
func (e *Engine) detachLocked(a *record.Attachment) error {
	rest, err := e.release(a)
	if err != nil {
		return err
	}
	return rest()
}

// release removes rules, leases, reservations and the record, and returns what
// is left to do without a lock.
func (e *Engine) release(a *record.Attachment) (func() error, error) {
	if err := fault("detach-begin"); err != nil {
		return nil, err
	}
	var errs []error
	m := e.readMade(a.Network)
	if m == nil {
		m = &made{}
	}
	if a.Driver == config.CNI {
		if err := e.disconnectCNI(a); err != nil {
			return nil, err
		}
	}
	e.stopProxy(a)
	if a.Firewall != "" && a.Boot == e.boot {
		f, err := e.removing(a.Firewall)
		if err == nil {
			p := endpoint(a)
			p.Ports = e.book().Mine(a.Key, a.Ports)
			err = f.Detach(m.Network, p)
		}
		errs = append(errs, err)
	}
	if err := fault("detach-rules"); err != nil {
		return nil, err
	}
	if err := e.releasePorts(a); err != nil {
		return nil, err
	}
	errs = append(errs, e.unlinkNamespace(a), e.forgetNames(a), e.unshape(a))
	e.forgetSpace(a)
	if err := fault("detach-lease"); err != nil {
		return nil, err
	}
	// Only now may another container have the link's name or the addresses.
	links := func() error { return e.removeLinks(a) }
	if a.Driver == config.Device || a.Driver == config.Macvlan {
		errs = append(errs, e.takeBack(a))
	}
	for _, p := range a.IPs {
		s := config.Subnet{Subnet: p.Masked()}
		pool := ipam.Pool{Dir: e.store.NetDir(a.Network), Subnet: s}
		errs = append(errs, pool.Release(p.Addr(), a.Key, a.Keep))
	}
	if a.Floating.IsValid() && a.Uplink != "" {
		errs = append(errs, e.links.DelAddress(a.Uplink, netip.PrefixFrom(a.Floating, 32)))
	}
	if err := errors.Join(errs...); err != nil {
		// The record stays, so that it can be tried again.
		return nil, err
	}
	if err := e.store.Remove(a); err != nil {
		return nil, err
	}
	if err := e.tellPeers(a.Network, a.ID); err != nil {
		e.store.Log(map[string]any{"op": "detach", "id": a.ID, "network": a.Network, "warning": err.Error()})
	}
	e.store.Log(map[string]any{"op": "detach", "id": a.ID, "network": a.Network})
	return links, nil
}

// removeLinks deletes the links, while the packet filter's socket is closed
// beside it: both wait for the kernel.
func (e *Engine) removeLinks(a *record.Attachment) error {
	var wg sync.WaitGroup
	if e.nft != nil {
		f := e.nft
		e.nft = nil
		wg.Add(1)
		go func() { defer wg.Done(); f.Close() }()
	}
	var errs []error
	for _, name := range []string{a.Link, a.IFB} {
		if name == "" {
			continue
		}
		// A container of the same id has a link of the same name.
		k, err := e.links.ByName(name)
		if k == nil || err != nil {
			errs = append(errs, err)
			continue
		}
		if now, err := e.store.Load(a.ID, a.IfName); err == nil && now.Init != a.Init {
			continue
		}
		errs = append(errs, e.links.DeleteOurs(name))
	}
	if len(a.Ports) > 0 && a.Boot == e.boot {
		errs = append(errs, e.forgetFlows(a))
	}
	wg.Wait()
	return errors.Join(errs...)
}

// forgetUDP removes what conntrack remembers of UDP packets to ports of the
// host: a client that has asked before would be answered by nobody, for as long
// as it goes on asking.
func (e *Engine) forgetUDP(ports []config.Port) error {
	var udp []link.Ports
	for _, p := range ports {
		if p.Proto == "udp" {
			udp = append(udp, link.Ports{First: p.Host, Count: p.Count})
		}
	}
	if err := link.ForgetUDP(udp); err != nil {
		return fmt.Errorf("conntrack: %w", err)
	}
	return nil
}

// forgetFlows does the same for a container that has gone.
func (e *Engine) forgetFlows(a *record.Attachment) error { return e.forgetUDP(a.Ports) }

var _ firewall.Filter = nothing{}
