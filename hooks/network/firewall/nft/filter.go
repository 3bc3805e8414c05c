// Package nft is the packet filter by nf_tables: one table of family inet with a
// constant number of rules and maps of constant lookup time, and one of family
// bridge that drops frames with foreign addresses. It talks to the kernel
// itself; no program is run.
package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
)

// Filter is one socket of nfnetlink.
type Filter struct {
	c *nftables.Conn
	l *layout
}

// New opens the socket in the network namespace of the caller.
func New() (*Filter, error) {
	c, err := nftables.New(nftables.AsLasting())
	f := &Filter{c: c, l: newLayout(TableName)}
	if err != nil {
		return nil, f.fail(err)
	}
	return f, nil
}

// Close closes the socket. After a deletion this waits for the kernel (an RCU
// grace period, 11 to 24 ms), so no lock should be held.
func (f *Filter) Close() { _ = f.c.CloseLasting() }

// Name is nftables.
func (f *Filter) Name() string { return "nftables" }

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }

// chainName makes a network's name one that nft(8) can read back.
func chainName(network, part string) string {
	return "net_" + strings.Map(func(c rune) rune {
		if c == '.' || c == '+' {
			return '/'
		}
		return c
	}, network) + "_" + part
}

func (f *Filter) fail(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("nf_tables: no permission (CAP_NET_ADMIN in this network namespace is needed): %w", err)
	case Lacking(err):
		return fmt.Errorf("nf_tables: the kernel lacks it (CONFIG_NF_TABLES, CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_FIB_INET): %w", err)
	}
	return fmt.Errorf("nf_tables: %w", err)
}

// EnsureNetwork makes the tables and the chains of a network.
func (f *Filter) EnsureNetwork(n firewall.Network) error {
	if err := f.l.base(f.c); err != nil {
		return f.fail(err)
	}
	if err := f.l.spoof(f.c); err != nil {
		return f.fail(err)
	}
	l, b, br := f.l, &builder{c: f.c}, n.Bridge
	// One after the other: a port of a bridge may be a router's for a while.
	guard := []rule{}
	for _, s := range n.Subnets {
		six := s.Addr().Is6()
		pass := []netip.Prefix{prefix("0.0.0.0/32")}
		if six {
			pass = []netip.Prefix{prefix("fe80::/10"), prefix("::/128")}
		}
		r := rules(family(six))
		for _, p := range append(pass, s) {
			r = r.and(source(six, r0), within(p, r0, true))
		}
		guard = append(guard, r.and(drop))
	}
	for _, s := range n.Subnets {
		guard = append(guard, rules(to(s, false), accept))
		if s.Addr().Is6() {
			guard = append(guard, rules(to(prefix("fe80::/10"), false), accept)) // never leaves the link
		}
	}
	b.chain(l.inet, chainName(n.Name, "guard"), guard...)

	post, hairpin := []rule{}, []rule{}
	for _, s := range n.Subnets {
		if n.Masquerade {
			// Not what goes to a network that is open to this one: its containers see
			// the real address, as those of the same bridge do (`! -o bridge`).
			outside := notOif(br)
			if n.Routed {
				outside = to(s, true)
			}
			post = append(post, rules(from(s, false), outside, meta(expr.MetaKeyOIFNAME, r0), notIn(l.open, r0), masq))
		}
		hairpin = append(hairpin, rules(wasDNAT, from(s, false), masq))
	}
	b.chain(l.inet, chainName(n.Name, "post"), post...)
	b.chain(l.inet, chainName(n.Name, "hairpin"), hairpin...)

	enter := []rule{rules(state(ctEstablished|ctRelated), accept), rules(state(ctInvalid), drop)}
	if n.ICC && !n.Routed {
		enter = append(enter, rules(iif(br), accept))
	}
	for _, s := range n.Subnets {
		if n.ICC && n.Routed {
			// The guard has checked that this is no foreign sender.
			enter = append(enter, rules(from(s, false), accept))
		}
	}
	if !n.Internal {
		enter = append(enter, rules(wasDNAT, accept))
	}
	if !n.Isolate {
		enter = append(enter, rules(meta(expr.MetaKeyIIFNAME, r0), in(l.bridges, r0), accept))
	}
	if n.DirectRouting {
		enter = append(enter, rules(meta(expr.MetaKeyIIFNAME, r0), notIn(l.bridges, r0), accept))
	}
	b.chain(l.inet, chainName(n.Name, "enter"), append(enter, drop)...)
	var leave []rule
	if n.Internal && !n.Routed {
		leave = append(leave, rules(notOif(br), drop))
	}
	for _, s := range n.Subnets {
		if n.Internal && n.Routed {
			leave = append(leave, rules(to(s, true), drop))
		}
	}
	b.chain(l.inet, chainName(n.Name, "leave"), leave...)
	var host []rule
	if !n.HostAccess {
		neighbours := rules(family(true), payload(expr.PayloadBaseNetworkHeader, 6, 1, r0), equal(r0, []byte{unix.IPPROTO_ICMPV6}), accept)
		host = []rule{rules(state(ctEstablished|ctRelated), accept), neighbours, drop}
	}
	b.chain(l.inet, chainName(n.Name, "host"), host...)
	if b.err != nil {
		return f.fail(b.err)
	}
	if !n.Routed {
		if err := f.c.Flush(); err != nil {
			return f.fail(err)
		}
		// The configuration may have changed since.
		if n.Isolate {
			f.notIn(l.open, br)
		}
		if n.DirectRouting {
			f.notIn(l.closed, br)
		}
	}
	f.networkElements(n)
	return f.fail(f.c.Flush())
}

// notIn takes a link out of a set, in which it is not, mostly.
func (f *Filter) notIn(s *nftables.Set, link string) {
	_ = f.c.SetDeleteElements(s, []nftables.SetElement{{Key: ifname(link)}}) // fails for anonymous sets only
	_ = f.c.Flush()
}

// networkElements adds those of a bridge to the batch.
func (f *Filter) networkElements(n firewall.Network) {
	if n.Routed {
		return
	}
	for _, e := range f.linkElements(n, n.Bridge) {
		_ = f.c.SetAddElements(e.set, e.els) // fails for anonymous sets only
	}
}

// linkElements send what comes and goes by a link to the chains of its network.
func (f *Filter) linkElements(n firewall.Network, link string) []elements {
	var out []elements
	add := func(s *nftables.Set, part string) {
		e := nftables.SetElement{Key: ifname(link)}
		if part != "" {
			e.VerdictData = &expr.Verdict{Kind: expr.VerdictJump, Chain: chainName(n.Name, part)}
		}
		out = append(out, elements{s, []nftables.SetElement{e}})
	}
	add(f.l.bridges, "")
	if !n.Isolate {
		add(f.l.open, "")
	}
	if !n.DirectRouting {
		add(f.l.closed, "")
	}
	add(f.l.guardIn, "guard")
	add(f.l.forwardIn, "leave")
	add(f.l.forwardOut, "enter")
	add(f.l.natIn, "post")
	add(f.l.natOut, "hairpin")
	add(f.l.hostIn, "host")
	return out
}

// RemoveNetwork removes the chains of a network, and with the last one the
// tables.
func (f *Filter) RemoveNetwork(n firewall.Network, last bool) error {
	if last {
		for _, t := range []*nftables.Table{f.l.inet, f.l.bridge} {
			f.c.DelTable(t)
			if err := gone(f.c.Flush()); err != nil {
				return f.fail(err)
			}
		}
		return nil
	}
	for _, s := range []*nftables.Set{f.l.bridges, f.l.open, f.l.closed, f.l.guardIn, f.l.forwardIn, f.l.forwardOut, f.l.natIn, f.l.natOut, f.l.hostIn} {
		_ = f.c.SetDeleteElements(s, []nftables.SetElement{{Key: ifname(n.Bridge)}})
		if err := gone(f.c.Flush()); err != nil {
			return f.fail(err)
		}
	}
	for _, part := range []string{"guard", "post", "hairpin", "enter", "leave", "host"} {
		f.c.DelChain(&nftables.Chain{Name: chainName(n.Name, part), Table: f.l.inet})
		if err := gone(f.c.Flush()); err != nil {
			return f.fail(err)
		}
	}
	return nil
}

var _ firewall.Filter = (*Filter)(nil)

var protoNumber = config.Protocols
