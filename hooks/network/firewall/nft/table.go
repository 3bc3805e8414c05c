package nft

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// TableName is that of both tables.
const TableName = "tare-net"

// layout is all sets and chains that do not depend on networks. Rules are
// constant in number; what comes and goes with containers are elements.
type layout struct {
	inet, bridge *nftables.Table

	pub4, pub6     *nftables.Set // protocol . port : address . port
	pub4ip, pub6ip *nftables.Set // host address . protocol . port : address . port
	floatIn        *nftables.Set // floating address : container
	floatOut       *nftables.Set // container : floating address
	prio4          *nftables.Set // container : class id

	bridges, open, closed                                 *nftables.Set // links by what may be routed to them
	guardIn, forwardIn, forwardOut, natIn, natOut, hostIn *nftables.Set // link : chain of its network

	guarded, okMAC, okIP4, okIP6 *nftables.Set // of the table of family bridge
}

func newLayout(bridge string) *layout {
	l := &layout{
		inet:   &nftables.Table{Name: TableName, Family: nftables.TableFamilyINet},
		bridge: &nftables.Table{Name: bridge, Family: nftables.TableFamilyBridge},
	}
	id := uint32(0)
	set := func(t *nftables.Table, name string, key nftables.SetDatatype, data *nftables.SetDatatype) *nftables.Set {
		id++
		s := &nftables.Set{Table: t, Name: name, ID: id, KeyType: key}
		if data != nil {
			s.IsMap, s.DataType = true, *data
		}
		if key == nftables.TypeIFName {
			s.KeyByteOrder = binaryutil.NativeEndian
		}
		return s
	}
	concat := nftables.MustConcatSetType
	ip4, ip6, proto, port, name := nftables.TypeIPAddr, nftables.TypeIP6Addr, nftables.TypeInetProto, nftables.TypeInetService, nftables.TypeIFName
	to4, to6, chain, class := concat(ip4, port), concat(ip6, port), nftables.TypeVerdict, nftables.TypeClassID
	l.pub4 = set(l.inet, "pub4", concat(proto, port), &to4)
	l.pub6 = set(l.inet, "pub6", concat(proto, port), &to6)
	l.pub4ip = set(l.inet, "pub4ip", concat(ip4, proto, port), &to4)
	l.pub6ip = set(l.inet, "pub6ip", concat(ip6, proto, port), &to6)
	l.floatIn = set(l.inet, "float_in", ip4, &ip4)
	l.floatOut = set(l.inet, "float_out", ip4, &ip4)
	l.prio4 = set(l.inet, "prio4", ip4, &class)
	l.bridges = set(l.inet, "bridges", name, nil)
	l.open = set(l.inet, "open", name, nil)
	l.closed = set(l.inet, "closed", name, nil)
	l.guardIn = set(l.inet, "guard_in", name, &chain)
	l.forwardIn = set(l.inet, "forward_in", name, &chain)
	l.forwardOut = set(l.inet, "forward_out", name, &chain)
	l.natIn = set(l.inet, "nat_in", name, &chain)
	l.natOut = set(l.inet, "nat_out", name, &chain)
	l.hostIn = set(l.inet, "host_in", name, &chain)
	l.guarded = set(l.bridge, "guarded", name, nil)
	l.okMAC = set(l.bridge, "ok_mac", concat(name, nftables.TypeEtherAddr), nil)
	l.okIP4 = set(l.bridge, "ok_ip4", concat(name, ip4), nil)
	l.okIP6 = set(l.bridge, "ok_ip6", concat(name, ip6), nil)
	return l
}

func (l *layout) inetSets() []*nftables.Set {
	return []*nftables.Set{l.pub4, l.pub6, l.pub4ip, l.pub6ip, l.floatIn, l.floatOut, l.prio4, l.bridges, l.open, l.closed,
		l.guardIn, l.forwardIn, l.forwardOut, l.natIn, l.natOut, l.hostIn}
}

func (l *layout) bridgeSets() []*nftables.Set {
	return []*nftables.Set{l.guarded, l.okMAC, l.okIP4, l.okIP6}
}

type builder struct {
	c   *nftables.Conn
	err error
}

func (b *builder) set(s *nftables.Set) {
	if err := b.c.AddSet(s, nil); err != nil && b.err == nil {
		b.err = err
	}
}

// chain adds a chain of a name, empties it, and fills it.
func (b *builder) chain(t *nftables.Table, name string, rs ...rule) {
	b.fill(&nftables.Chain{Name: name, Table: t}, rs)
}

func (b *builder) hook(t *nftables.Table, name string, typ nftables.ChainType, at *nftables.ChainHook, prio int32, rs ...rule) {
	b.fill(&nftables.Chain{Name: name, Table: t, Type: typ, Hooknum: at, Priority: nftables.ChainPriorityRef(nftables.ChainPriority(prio))}, rs)
}

func (b *builder) fill(c *nftables.Chain, rs []rule) {
	b.c.AddChain(c)
	b.c.FlushChain(c)
	for _, r := range rs {
		b.c.AddRule(&nftables.Rule{Table: c.Table, Chain: c, Exprs: r})
	}
}

// base makes both tables in one batch. Made again, it changes nothing but the
// counters.
func (l *layout) base(c *nftables.Conn) error {
	b := &builder{c: c}
	c.AddTable(l.inet)
	for _, s := range l.inetSets() {
		b.set(s)
	}
	filter, nat := nftables.ChainTypeFilter, nftables.ChainTypeNAT
	in := func(key expr.MetaKey, s *nftables.Set) rule { return rules(meta(key, r0), vmap(s, r0)) }

	b.chain(l.inet, "publish",
		rules(family(false), target(false, r0), meta(expr.MetaKeyL4PROTO, r1), payload(expr.PayloadBaseTransportHeader, 2, 2, r2),
			mapped(l.pub4ip, r0, r0), dnat(false, r1)),
		rules(family(false), meta(expr.MetaKeyL4PROTO, r0), payload(expr.PayloadBaseTransportHeader, 2, 2, r1),
			mapped(l.pub4, r0, r0), dnat(false, r1)),
		rules(family(false), target(false, r0), mapped(l.floatIn, r0, r0), dnat(false, 0)),
		rules(family(true), target(true, r0), meta(expr.MetaKeyL4PROTO, r4), payload(expr.PayloadBaseTransportHeader, 2, 2, r4+1),
			mapped(l.pub6ip, r0, r0), dnat(true, r4)),
		rules(family(true), meta(expr.MetaKeyL4PROTO, r0), payload(expr.PayloadBaseTransportHeader, 2, 2, r1),
			mapped(l.pub6, r0, r0), dnat(true, r4)),
	)
	loopback := prefix("127.0.0.0/8")
	// After conntrack, so that answers pass, and before NAT, so that what is
	// published still has the host's address.
	b.hook(l.inet, "guard", filter, nftables.ChainHookPrerouting, -150,
		rules(notIif("lo"), to(loopback, false), drop), // route_localnet opens this door
		rules(state(ctEstablished|ctRelated), accept),
		in(expr.MetaKeyIIFNAME, l.guardIn),
		rules(meta(expr.MetaKeyIIFNAME, r0), inSet(l.bridges), towards, inSet(l.open), accept),
		// Neighbours are asked by multicast, which has a way out by every link.
		rules(rule{&expr.Fib{Register: r0, FlagDADDR: true, ResultADDRTYPE: true}}, unequal(r0, native(unix.RTN_UNICAST)), accept),
		rules(towards, inSet(l.closed), drop),
	)
	b.hook(l.inet, "prerouting", nat, nftables.ChainHookPrerouting, -100, rules(local, jump("publish")))
	b.hook(l.inet, "output", nat, nftables.ChainHookOutput, -100,
		rules(to(prefix("::1/128"), false), goback), // cannot leave lo; only the proxy serves it
		rules(local, jump("publish")),
	)
	b.hook(l.inet, "postrouting", nat, nftables.ChainHookPostrouting, 100,
		rules(meta(expr.MetaKeyOIFNAME, r0), notIn(l.bridges, r0), family(false), source(false, r0), mapped(l.floatOut, r0, r0),
			rule{&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: r0}}),
		in(expr.MetaKeyIIFNAME, l.natIn),
		in(expr.MetaKeyOIFNAME, l.natOut),
		rules(meta(expr.MetaKeyOIFNAME, r0), inSet(l.bridges), from(loopback, false), masq),
	)
	b.hook(l.inet, "forward", filter, nftables.ChainHookForward, 0,
		in(expr.MetaKeyIIFNAME, l.forwardIn), in(expr.MetaKeyOIFNAME, l.forwardOut))
	b.hook(l.inet, "input", filter, nftables.ChainHookInput, 0, in(expr.MetaKeyIIFNAME, l.hostIn))
	b.hook(l.inet, "prio", filter, nftables.ChainHookPostrouting, -150,
		rules(family(false), source(false, r0), mapped(l.prio4, r0, r0), rule{&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: r0}}))
	if b.err != nil {
		return b.err
	}
	return c.Flush()
}

func inSet(s *nftables.Set) rule { return in(s, r0) }

// EtherTypes, in network order.
var (
	etherIP4 = []byte{0x08, 0x00}
	etherARP = []byte{0x08, 0x06}
	etherIP6 = []byte{0x86, 0xdd}
)

// spoof makes the table that sees each frame as it enters a bridge port.
func (l *layout) spoof(c *nftables.Conn) error {
	b := &builder{c: c}
	c.AddTable(l.bridge)
	for _, s := range l.bridgeSets() {
		b.set(s)
	}
	port := meta(expr.MetaKeyIIFNAME, r0) // 16 bytes, r0 to r3
	ether := func(t []byte) rule { return rules(payload(expr.PayloadBaseLLHeader, 12, 2, r0), equal(r0, t)) }
	arp := func(offset, n uint32) rule { return payload(expr.PayloadBaseNetworkHeader, offset, n, r4) }
	// Routers and redirects come from the host's side only (RFC 6105).
	router := func(typ byte) rule {
		return rules(ether(etherIP6), payload(expr.PayloadBaseNetworkHeader, 6, 1, r0), equal(r0, []byte{unix.IPPROTO_ICMPV6}),
			payload(expr.PayloadBaseTransportHeader, 0, 1, r0), equal(r0, []byte{typ}), drop)
	}
	b.chain(l.bridge, "port",
		rules(port, payload(expr.PayloadBaseLLHeader, 6, 6, r4), notIn(l.okMAC, r0), drop),
		rules(ether(etherIP4), port, source(false, r4), notIn(l.okIP4, r0), drop),
		rules(ether(etherARP), port, arp(14, 4), notIn(l.okIP4, r0), drop),
		rules(ether(etherARP), port, arp(8, 6), notIn(l.okMAC, r0), drop),
		router(134), router(137),
		rules(ether(etherIP6), source(true, r0), within(prefix("fe80::/10"), r0, false), accept),
		// Duplicate address detection has no source.
		rules(ether(etherIP6), source(true, r0), equal(r0, make([]byte, 16)), accept),
		rules(ether(etherIP6), port, source(true, r4), notIn(l.okIP6, r0), drop),
	)
	b.hook(l.bridge, "pre", nftables.ChainTypeFilter, nftables.ChainHookPrerouting, -300,
		rules(port, in(l.guarded, r0), jump("port")))
	if b.err != nil {
		return b.err
	}
	return c.Flush()
}
