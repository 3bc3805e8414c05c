package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall/ipt"
	"github.com/tare-oci/tare/hooks/network/firewall/nft"
	"github.com/tare-oci/tare/hooks/network/ipam"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/netns"
	"github.com/tare-oci/tare/hooks/network/publish"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Check compares what the records say with what is there, and names each
// difference. Without ids it looks at all containers and at the host too.
func (e *Engine) Check(ids ...string) []string {
	var out []string
	all := e.store.All()
	for _, a := range all {
		if len(ids) == 0 || slices.Contains(ids, a.ID) {
			for _, w := range e.checkOne(a) {
				out = append(out, fmt.Sprintf("%s/%s: %s", a.ID, a.IfName, w))
			}
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(all, func(a *record.Attachment) bool { return a.ID == id }) && e.readName(e.userFile(id)) == "" {
			out = append(out, fmt.Sprintf("%s: has no network of tare-net", id))
		}
	}
	if len(ids) == 0 {
		dirs, _ := os.ReadDir(e.StateDir + "/nets")
		for _, d := range dirs {
			for _, w := range e.checkNetwork(d.Name()) {
				out = append(out, fmt.Sprintf("network %s: %s", d.Name(), w))
			}
		}
	}
	return out
}

func (e *Engine) checkOne(a *record.Attachment) []string {
	if e.dead(a) {
		return []string{"its container is gone (tare-net gc)"}
	}
	if a.Phase != record.Done {
		return []string{fmt.Sprintf("pid %d is attaching it", a.Hook.Pid)}
	}
	if a.CNI != nil {
		if err := e.runner().Check(context.Background(), a.ID, a.IfName, a.CNI); err != nil {
			return []string{err.Error()}
		}
		return nil
	}
	var out []string
	if a.Link != "" {
		switch k, err := e.links.ByName(a.Link); {
		case err != nil:
			out = append(out, err.Error())
		case k == nil:
			return append(out, fmt.Sprintf("link %q is missing", a.Link))
		case k.Attrs().Flags&net.FlagUp == 0:
			out = append(out, fmt.Sprintf("link %q is down", a.Link))
		}
	}
	out = append(out, e.checkInside(a)...)
	if m := e.readMade(a.Network); m != nil && a.Firewall != "" && a.Firewall != "none" {
		f, err := e.filter(a.Firewall)
		if err != nil {
			return append(out, err.Error())
		}
		out = append(out, f.Check(m.Network, endpoint(a))...)
	}
	for _, p := range a.Ports {
		if len(e.book().Mine(a.Key, []config.Port{p})) == 0 {
			out = append(out, fmt.Sprintf("port %s: its reservation is gone", p))
		}
		if who := publish.Listener(p.Proto, p.Host); who != "" && !a.Proxy {
			out = append(out, fmt.Sprintf("port %d/%s is taken by %s on the host", p.Host, p.Proto, who))
		}
	}
	for _, p := range a.IPs {
		pool := ipam.Pool{Dir: e.store.NetDir(a.Network), Subnet: config.Subnet{Subnet: p.Masked()}}
		if o, ok := pool.Owner(p.Addr()); !ok || o.Key != a.Key {
			out = append(out, fmt.Sprintf("address %s: its lease is gone", p.Addr()))
		}
	}
	return out
}

// checkInside looks at the container's end.
func (e *Engine) checkInside(a *record.Attachment) (out []string) {
	if !a.Init.Alive() {
		return nil
	}
	ns, err := netns.OfProcess(a.Init.Pid)
	if err != nil {
		return []string{err.Error()}
	}
	defer ns.Close()
	l, err := link.In(ns)
	if err != nil {
		return []string{err.Error()}
	}
	defer l.Close()
	k, err := l.ByName(a.IfName)
	if err != nil || k == nil {
		return []string{fmt.Sprintf("link %q is missing in the container", a.IfName)}
	}
	if k.Attrs().Flags&net.FlagUp == 0 {
		out = append(out, fmt.Sprintf("link %q is down in the container", a.IfName))
	}
	have, err := l.Prefixes(k)
	if err != nil {
		return append(out, err.Error())
	}
	for _, p := range a.IPs {
		if !slices.ContainsFunc(have, func(h netip.Prefix) bool { return h.Addr() == p.Addr() }) {
			out = append(out, fmt.Sprintf("address %s is missing in the container", p.Addr()))
		}
	}
	return out
}

// checkNetwork looks at what all containers of a network need.
func (e *Engine) checkNetwork(name string) (out []string) {
	m := e.readMade(name)
	if m == nil || m.Network.Name == "" {
		return nil
	}
	if m.Bridge != "" {
		var there bool
		if out, there = e.checkBridge(name, m); !there {
			return out
		}
	}
	used, _ := e.links.Used()
	for _, s := range m.Network.Subnets {
		for _, u := range used {
			if u.Link != m.Bridge && u.Prefix.Overlaps(s) && !strings.HasPrefix(u.Link, record.LinkPrefix) {
				out = append(out, fmt.Sprintf("subnet %s overlaps %s of the host's link %q", s, u.Prefix, u.Link))
			}
		}
		key := "net.ipv4.ip_forward"
		if s.Addr().Is6() {
			key = "net.ipv6.conf.all.forwarding"
		}
		if v, err := link.Get(key); err == nil && v != "1" && !m.Network.Internal {
			out = append(out, fmt.Sprintf("%s is %s: the host does not route", key, v))
		}
	}
	if m.Firewall != "none" && !m.Network.Internal {
		out = append(out, ipt.Dropping(m.Network)...)
		if m.Bridge != "" && nft.FirewalldRejects(m.Bridge) {
			out = append(out, fmt.Sprintf("firewalld rejects what leaves %s: firewall-cmd --zone=trusted --add-interface=%[1]s, and again with --permanent", m.Bridge))
		}
	}
	return out
}

func (e *Engine) checkBridge(name string, m *made) (out []string, there bool) {
	k, err := e.links.ByName(m.Bridge)
	if err != nil || k == nil {
		return []string{fmt.Sprintf("bridge %q is missing", m.Bridge)}, false
	}
	if k.Attrs().Flags&net.FlagUp == 0 {
		out = append(out, fmt.Sprintf("bridge %q is down", m.Bridge))
	}
	if m.Index != k.Attrs().Index {
		out = append(out, fmt.Sprintf("bridge %q was made anew by somebody", m.Bridge))
	}
	n, err := config.Load(e.ConfigDir, name)
	if err != nil {
		return out, true // attach says what is wrong with it
	}
	have, _ := e.links.Prefixes(k)
	for _, s := range n.Subnets {
		if !slices.Contains(have, netip.PrefixFrom(s.Gateway, s.Subnet.Bits())) {
			out = append(out, fmt.Sprintf("bridge %q lacks the gateway's address %s", m.Bridge, s.Gateway))
		}
	}
	return out, true
}

// Reload makes the rules of all networks and containers again, after somebody
// has flushed them.
func (e *Engine) Reload() error {
	var errs []error
	dirs, _ := os.ReadDir(e.StateDir + "/nets")
	for _, d := range dirs {
		if err := e.reloadNetwork(d.Name()); err != nil {
			errs = append(errs, &Problem{"reload", "", d.Name(), "", err})
		}
	}
	for _, a := range e.store.All() {
		if err := e.inTurn(a.ID, e.LockWait, func() error { return e.reloadOne(a) }); err != nil {
			errs = append(errs, &Problem{"reload", a.ID, a.Network, "", err})
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) reloadNetwork(name string) error {
	lock, err := e.store.Lock("net-"+name, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	unlock, err := e.structure()
	if err != nil {
		return err
	}
	defer unlock()
	m := e.readMade(name)
	if m == nil || m.Firewall == "" || m.Firewall == "none" {
		return nil
	}
	f, err := e.filter(m.Firewall)
	if err == nil {
		err = f.EnsureNetwork(m.Network)
	}
	if err != nil || m.Network.Internal {
		return err
	}
	// A filter that drops may have come since; what it got is removed with the network.
	// So that it is after a kill, too, it is written down before.
	_, err = ipt.OpenForward(m.Network, func(places []string) error {
		m.Opened = union(m.Opened, places)
		return e.writeMade(name, m)
	})
	return errors.Join(err, fault("reload-forward"))
}

// reloadOne makes the rules of a container again, if it is still there.
func (e *Engine) reloadOne(a *record.Attachment) error {
	now, err := e.store.Load(a.ID, a.IfName)
	if err != nil || now.Key != a.Key || now.Firewall == "" || now.Phase != record.Done || e.dead(now) {
		return nil //nolint:nilerr // it has gone meanwhile
	}
	m := e.readMade(now.Network)
	if m == nil {
		return nil
	}
	f, err := e.filter(now.Firewall)
	if err != nil {
		return err
	}
	return f.Attach(m.Network, endpoint(now))
}

// Who finds the containers that an address, or a port of the host, belongs to.
func (e *Engine) Who(what string) ([]*record.Attachment, error) {
	var ip netip.Addr
	var port uint16
	if ap, err := netip.ParseAddrPort(what); err == nil {
		ip, port = ap.Addr(), ap.Port()
	} else if ip, err = netip.ParseAddr(what); err != nil {
		return nil, fmt.Errorf("%q: is neither ADDRESS nor ADDRESS:PORT", what)
	}
	var out []*record.Attachment
	for _, a := range e.store.All() {
		mine := slices.Contains(addrs(a), ip) || a.Floating == ip
		for _, p := range a.Ports {
			if port >= p.Host && port < p.Host+p.Count && port != 0 && (!p.IP.IsValid() || p.IP == ip) {
				mine = true
			}
		}
		if mine {
			out = append(out, a)
		}
	}
	return out, nil
}
