package nft

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Registers of four bytes; the first four are the old register 1.
const (
	r0 = 8 // NFT_REG32_00
	r1 = 9
	r2 = 10
	r4 = 12
)

// rule is a list of expressions that is made by what follows.
type rule []expr.Any

func (r rule) and(more ...rule) rule {
	out := append(rule{}, r...)
	for _, m := range more {
		out = append(out, m...)
	}
	return out
}

func rules(parts ...rule) rule { return rule{}.and(parts...) }

func native(v uint32) []byte { return binaryutil.NativeEndian.PutUint32(v) }

// ifname is a link's name as the kernel compares it.
func ifname(s string) []byte {
	b := make([]byte, unix.IFNAMSIZ)
	copy(b, s)
	return b
}

func meta(key expr.MetaKey, to uint32) rule { return rule{&expr.Meta{Key: key, Register: to}} }

func equal(from uint32, data []byte) rule {
	return rule{&expr.Cmp{Op: expr.CmpOpEq, Register: from, Data: data}}
}

func unequal(from uint32, data []byte) rule {
	return rule{&expr.Cmp{Op: expr.CmpOpNeq, Register: from, Data: data}}
}

// payload loads bytes of a header.
func payload(base expr.PayloadBase, offset, n, to uint32) rule {
	return rule{&expr.Payload{Base: base, Offset: offset, Len: n, DestRegister: to}}
}

// family demands IPv4 or IPv6; in a table of family inet it has to stand before
// anything that looks into the header.
func family(six bool) rule {
	proto := byte(unix.NFPROTO_IPV4)
	if six {
		proto = unix.NFPROTO_IPV6
	}
	return rules(meta(expr.MetaKeyNFPROTO, r0), equal(r0, []byte{proto}))
}

// source and target load an address.
func source(six bool, to uint32) rule {
	if six {
		return payload(expr.PayloadBaseNetworkHeader, 8, 16, to)
	}
	return payload(expr.PayloadBaseNetworkHeader, 12, 4, to)
}

func target(six bool, to uint32) rule {
	if six {
		return payload(expr.PayloadBaseNetworkHeader, 24, 16, to)
	}
	return payload(expr.PayloadBaseNetworkHeader, 16, 4, to)
}

// within demands that the loaded address is in a prefix, or that it is not.
func within(p netip.Prefix, from uint32, not bool) rule {
	n := p.Addr().BitLen() / 8
	mask := make([]byte, n)
	for i := range p.Bits() {
		mask[i/8] |= 1 << (7 - i%8)
	}
	op := expr.CmpOpEq
	if not {
		op = expr.CmpOpNeq
	}
	return rule{
		&expr.Bitwise{SourceRegister: from, DestRegister: from, Len: uint32(n), Mask: mask, Xor: make([]byte, n)},
		&expr.Cmp{Op: op, Register: from, Data: p.Masked().Addr().AsSlice()},
	}
}

// from and to demand an address of a packet, or the contrary.
func from(p netip.Prefix, not bool) rule {
	six := p.Addr().Is6()
	return rules(family(six), source(six, r0), within(p, r0, not))
}

func to(p netip.Prefix, not bool) rule {
	six := p.Addr().Is6()
	return rules(family(six), target(six, r0), within(p, r0, not))
}

func iif(name string) rule { return rules(meta(expr.MetaKeyIIFNAME, r0), equal(r0, ifname(name))) }
func notIif(name string) rule {
	return rules(meta(expr.MetaKeyIIFNAME, r0), unequal(r0, ifname(name)))
}
func notOif(name string) rule {
	return rules(meta(expr.MetaKeyOIFNAME, r0), unequal(r0, ifname(name)))
}

// in demands that a register is in a set.
func in(s *nftables.Set, from uint32) rule {
	return rule{&expr.Lookup{SourceRegister: from, SetName: s.Name, SetID: s.ID}}
}

func notIn(s *nftables.Set, from uint32) rule {
	return rule{&expr.Lookup{SourceRegister: from, SetName: s.Name, SetID: s.ID, Invert: true}}
}

// mapped looks a register up and puts what is found into another one; without
// an element the rule ends.
func mapped(s *nftables.Set, from, to uint32) rule {
	return rule{&expr.Lookup{SourceRegister: from, SetName: s.Name, SetID: s.ID, DestRegister: to, IsDestRegSet: true}}
}

// vmap goes where the element of a register says.
func vmap(s *nftables.Set, from uint32) rule { return mapped(s, from, 0) }

func verdict(k expr.VerdictKind) rule { return rule{&expr.Verdict{Kind: k}} }

func jump(chain string) rule { return rule{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain}} }

var (
	accept = verdict(expr.VerdictAccept)
	drop   = rule{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
	goback = verdict(expr.VerdictReturn)
	masq   = rule{&expr.Masq{}}
)

// Bits of conntrack's state and status (linux/netfilter/nf_conntrack_common.h).
const (
	ctInvalid     = 1
	ctEstablished = 2
	ctRelated     = 4
	ctStatusDNAT  = 1 << 5
)

func bits(key expr.CtKey, mask uint32) rule {
	return rule{
		&expr.Ct{Key: key, Register: r0},
		&expr.Bitwise{SourceRegister: r0, DestRegister: r0, Len: 4, Mask: native(mask), Xor: native(0)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: r0, Data: native(0)},
	}
}

func state(mask uint32) rule { return bits(expr.CtKeySTATE, mask) }

var wasDNAT = bits(expr.CtKeySTATUS, ctStatusDNAT)

// local demands a destination that is an address of the host.
var local = rule{
	&expr.Fib{Register: r0, FlagDADDR: true, ResultADDRTYPE: true},
	&expr.Cmp{Op: expr.CmpOpEq, Register: r0, Data: native(unix.RTN_LOCAL)},
}

// towards loads the name of the link that a packet would leave by.
var towards = rule{&expr.Fib{Register: r0, FlagDADDR: true, ResultOIFNAME: true}}

// dnat translates to the address at r0 and the port at the given register.
func dnat(six bool, port uint32) rule {
	f := uint32(unix.NFPROTO_IPV4)
	if six {
		f = unix.NFPROTO_IPV6
	}
	return rule{&expr.NAT{Type: expr.NATTypeDestNAT, Family: f, RegAddrMin: r0, RegProtoMin: port, Specified: port != 0}}
}
