package ipt

import (
	"fmt"
	"net/netip"

	"github.com/coreos/go-iptables/iptables"

	"github.com/tare-oci/tare/hooks/network/firewall"
)

// A network without a bridge (ptp) has a link per container. Its chains tell its
// packets by their addresses; that nobody else has such addresses is what the
// guard sees to, which every container's link enters by a rule of its own.

// chains of one network for one family.
type chains struct {
	b    *batch
	n    firewall.Network
	have rulesOf
	six  bool
	sub  netip.Prefix
}

// routed makes the chains of a network without a bridge.
func (c chains) routed() {
	b, sub := c.b, c.sub.String()
	guard := c.chain("mangle", "G")
	for _, s := range append(c.nobody(), sub) {
		b.add("mangle", "-A", guard, "-s", s, "-d", sub, "-j ACCEPT")
		b.add("mangle", "-A", guard, "-s", s, "-j RETURN")
	}
	b.add("mangle", "-A", guard, "-j DROP")
	door := c.chain("mangle", "D")
	if !c.n.DirectRouting {
		b.add("mangle", "-A", door, "-d", sub, "-j", c.closed())
	}
	c.once("mangle", "-A TARE-GUARD -j "+door)

	post := c.chain("nat", "P")
	b.add("nat", "-A", post, "-s", sub, "-d", sub, "-m conntrack --ctstate DNAT -j MASQUERADE")
	if !c.six {
		b.add("nat", "-A", post, "-s 127.0.0.0/8 -d", sub, "-j MASQUERADE")
	}
	if c.n.Masquerade {
		b.add("nat", "-A", post, "-s", sub, "! -d", sub, "-j MASQUERADE")
	}
	c.once("nat", "-A TARE-POST -j "+post)
	if !c.n.Isolate {
		c.first("nat", "-A TARE-POST -d "+sub+" -m conntrack ! --ctstate DNAT -m comment --comment tare-net:open:"+c.n.Name+" -j RETURN")
	}

	enter, leave := c.filters("-s " + sub)
	if c.n.Internal {
		b.add("filter", "-A", leave, "! -d", sub, "-j DROP")
	}
	c.once("filter", "-A TARE-FWD -s "+sub+" -j "+leave)
	c.once("filter", "-A TARE-FWD -d "+sub+" -j "+enter)
	c.once("filter", "-A TARE-ANY -s "+sub+" -j ACCEPT")
}

// link is the rules of one container's link: through the guard, past what is
// closed for others, and to the host by the chain of the network.
func link(p iptables.Protocol, n firewall.Network, veth, note string) []line {
	return []line{
		{"mangle", fmt.Sprintf("-I TARE-GUARD %d -i ", len(guards(p))+1) + veth + " " + note + " -j " + chainOf(n.Name, "G")},
		{"mangle", "-I TARE-CLOSED 1 -i " + veth + " " + note + " -j RETURN"},
		{"filter", "-A TARE-IN -i " + veth + " " + note + " -j " + chainOf(n.Name, "H")},
	}
}
