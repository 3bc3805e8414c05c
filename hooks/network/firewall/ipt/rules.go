package ipt

import (
	"encoding/hex"
	"fmt"
	"golang.org/x/crypto/blake2s"
	"net/netip"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
)

// chainOf is the name of a network's chain: TARE-, eight digits, and a letter for
// G(uard), D(oor), P(ost), E(nter), L(eave), H(ost).
func chainOf(network, part string) string {
	sum := blake2s.Sum256([]byte(network))
	return "TARE-" + hex.EncodeToString(sum[:4]) + "-" + part
}

// bases are the chains that all networks share, and how they are entered.
var bases = []struct{ table, chain, from string }{
	{"mangle", "TARE-GUARD", "PREROUTING"},
	{"mangle", "TARE-CLOSED", ""}, // drops what does not come from a bridge of ours
	{"mangle", "TARE-CLASS", "POSTROUTING"},
	{"nat", "TARE-PUB", "PREROUTING -m addrtype --dst-type LOCAL"},
	{"nat", "TARE-PUB", "OUTPUT -m addrtype --dst-type LOCAL"},
	{"nat", "TARE-POST", "POSTROUTING"},
	{"filter", "TARE-FWD", "FORWARD"},
	{"filter", "TARE-ANY", ""}, // accepts what comes from a bridge of ours
	{"filter", "TARE-IN", "INPUT"},
}

func declared(have []string, chain string) bool {
	return slices.ContainsFunc(have, func(l string) bool { return strings.HasPrefix(l, ":"+chain+" ") })
}

func base(b *batch, p iptables.Protocol, have rulesOf) {
	seen := map[string]bool{}
	for _, c := range bases {
		if !seen[c.chain] && !declared(have[c.table], c.chain) {
			b.add(c.table, ":"+c.chain, "-", "[0:0]")
		}
		seen[c.chain] = true
	}
	for _, c := range bases {
		if c.from == "" {
			continue
		}
		hook, rest, _ := strings.Cut(c.from, " ")
		jump := strings.Join(strings.Fields("-A "+hook+" "+rest+" -j "+c.chain), " ")
		if slices.Contains(have[c.table], jump) {
			continue
		}
		// First: another filter's chain may end the walk.
		b.add(c.table, strings.Replace(jump, "-A "+hook, "-I "+hook+" 1", 1))
	}
	place := 1
	for _, r := range guards(p) {
		if !slices.Contains(have["mangle"], "-A TARE-GUARD "+r) {
			b.add("mangle", fmt.Sprintf("-I TARE-GUARD %d %s", place, r))
		}
		place++
	}
	if !slices.Contains(have["mangle"], closedEnd) {
		b.add("mangle", closedEnd)
	}
}

// guards begin the chain TARE-GUARD, as iptables-save prints them. A flush by somebody
// else leaves the chain and takes them.
func guards(p iptables.Protocol) []string {
	established := "-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
	if p == iptables.ProtocolIPv6 {
		return []string{established}
	}
	return []string{"-d 127.0.0.0/8 ! -i lo -j DROP", established}
}

// closedEnd ends the chain TARE-CLOSED.
const closedEnd = "-A TARE-CLOSED -j DROP"

// unguarded lists what is missing of these.
func unguarded(p iptables.Protocol, have rulesOf) (missing []string) {
	all := []string{closedEnd}
	for _, r := range guards(p) {
		all = append(all, "-A TARE-GUARD "+r)
	}
	for _, r := range all {
		if !slices.Contains(have["mangle"], r) {
			missing = append(missing, r)
		}
	}
	return missing
}

func network(b *batch, p iptables.Protocol, n firewall.Network, have rulesOf) {
	c := chains{b: b, n: n, have: have, six: p == iptables.ProtocolIPv6}
	for _, s := range n.Subnets {
		if s.Addr().Is6() == c.six {
			c.sub = s
		}
	}
	if n.Routed {
		c.routed()
	} else {
		c.bridged()
	}
}

// chain is the name of a chain of the network, which is made, or emptied.
func (c chains) chain(table, part string) string {
	name := chainOf(c.n.Name, part)
	c.b.add(table, ":"+name, "-", "[0:0]")
	return name
}

// once appends a line that is not there yet.
func (c chains) once(table, line string) {
	if !slices.Contains(c.have[table], line) {
		c.b.add(table, line)
	}
}

// first puts it before all others: RETURN and -I, for the shared chains end with
// what is for none of ours.
func (c chains) first(table, line string) {
	if !slices.Contains(c.have[table], line) {
		chain := strings.Fields(line)[1]
		c.b.add(table, strings.Replace(line, "-A "+chain, "-I "+chain+" 1", 1))
	}
}

// nobody lists the senders that have no address of the network yet.
func (c chains) nobody() []string {
	if c.six {
		return []string{"fe80::/10", "::/128"}
	}
	return []string{"0.0.0.0/32"}
}

// closed is where what comes from elsewhere goes.
func (c chains) closed() string {
	if c.n.Isolate {
		return "DROP"
	}
	return "TARE-CLOSED"
}

// bridged makes the chains of a network with a bridge.
func (c chains) bridged() {
	b, n, br, sub := c.b, c.n, c.n.Bridge, c.sub.String()
	guard := c.chain("mangle", "G")
	for _, s := range append(c.nobody(), sub) {
		b.add("mangle", "-A", guard, "-i", br, "-s", s, "-j RETURN")
	}
	b.add("mangle", "-A", guard, "-i", br, "-j DROP")
	if !n.DirectRouting {
		b.add("mangle", "-A", guard, "-d", sub, "!", "-i", br, "-j", c.closed())
	}
	c.first("mangle", "-A TARE-CLOSED -i "+br+" -j RETURN")
	c.once("mangle", "-A TARE-GUARD -j "+guard)

	post := c.chain("nat", "P")
	b.add("nat", "-A", post, "-s", sub, "-o", br, "-m conntrack --ctstate DNAT -j MASQUERADE")
	if !c.six {
		b.add("nat", "-A", post, "-s 127.0.0.0/8 -o", br, "-j MASQUERADE")
	}
	if n.Masquerade {
		b.add("nat", "-A", post, "-s", sub, "!", "-o", br, "-j MASQUERADE")
	}
	c.once("nat", "-A TARE-POST -j "+post)
	if !n.Isolate {
		// Other networks of ours meet the containers of this one by their addresses.
		c.first("nat", "-A TARE-POST -o "+br+" -m conntrack ! --ctstate DNAT -m comment --comment tare-net:open:"+br+" -j RETURN")
	}

	enter, leave := c.filters("-i " + br)
	if n.Internal {
		b.add("filter", "-A", leave, "!", "-o", br, "-j DROP")
	}
	c.once("filter", "-A TARE-FWD -i "+br+" -j "+leave)
	c.once("filter", "-A TARE-FWD -o "+br+" -j "+enter)
	c.once("filter", "-A TARE-ANY -i "+br+" -j ACCEPT")
	c.once("filter", "-A TARE-IN -i "+br+" -j "+chainOf(n.Name, "H"))
}

// filters makes the chains of table filter; own matches what the network's own
// containers send.
func (c chains) filters(own string) (enter, leave string) {
	b, n := c.b, c.n
	enter, leave = c.chain("filter", "E"), c.chain("filter", "L")
	host := c.chain("filter", "H")
	b.add("filter", "-A", enter, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	b.add("filter", "-A", enter, "-m conntrack --ctstate INVALID -j DROP")
	if n.ICC {
		b.add("filter", "-A", enter, own, "-j ACCEPT")
	}
	if !n.Internal {
		b.add("filter", "-A", enter, "-m conntrack --ctstate DNAT -j ACCEPT")
	}
	if !n.Isolate {
		b.add("filter", "-A", enter, "-j TARE-ANY")
	}
	if n.DirectRouting {
		b.add("filter", "-A", enter, "-m comment --comment tare-net:direct -j ACCEPT")
	}
	b.add("filter", "-A", enter, "-j DROP")
	if !n.HostAccess {
		b.add("filter", "-A", host, "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
		if c.six {
			b.add("filter", "-A", host, "-p ipv6-icmp -j ACCEPT")
		}
		b.add("filter", "-A", host, "-j DROP")
	}
	return enter, leave
}

type line struct{ table, line string }

// endpoint is the rules of a container for a family.
func endpoint(p iptables.Protocol, n firewall.Network, e firewall.Endpoint) []line {
	ip := e.IP4()
	six := p == iptables.ProtocolIPv6
	if six {
		ip = e.IP6()
	}
	if !ip.IsValid() {
		return nil
	}
	note := "-m comment --comment " + commentPrefix + e.Owner
	var out []line
	if n.Routed && e.Veth != "" {
		out = link(p, n, e.Veth, note)
	}
	for _, port := range e.Ports {
		if port.IP.IsValid() && port.IP.Is6() != six {
			continue
		}
		to := ""
		if six {
			to = "! -d ::1/128 " // cannot leave lo
		}
		if port.IP.IsValid() {
			to = "-d " + port.IP.String() + " "
		}
		if port.Host == port.Container && port.Count > 1 {
			out = append(out, line{"nat", fmt.Sprintf("-A TARE-PUB %s-p %s --dport %d:%d %s -j DNAT --to-destination %s",
				to, port.Proto, port.Host, port.Host+port.Count-1, note, ip)})
			continue
		}
		for i := range port.Count {
			out = append(out, line{"nat", fmt.Sprintf("-A TARE-PUB %s-p %s --dport %d %s -j DNAT --to-destination %s",
				to, port.Proto, port.Host+i, note, netip.AddrPortFrom(ip, port.Container+i))})
		}
	}
	if e.Floating.IsValid() && !six {
		out = append(out, line{"nat", fmt.Sprintf("-A TARE-PUB -d %s %s -j DNAT --to-destination %s", e.Floating, note, ip)},
			line{"nat", fmt.Sprintf("-I TARE-POST 1 -s %s -m conntrack ! --ctstate DNAT %s -j SNAT --to-source %s", ip, note, e.Floating)})
	}
	if e.Class != 0 {
		out = append(out, line{"mangle", fmt.Sprintf("-A TARE-CLASS -s %s %s -j CLASSIFY --set-class %s", ip, note, config.ClassText(e.Class))})
	}
	return out
}

// remove undoes network, and with last also base: references first.
func remove(b *batch, have rulesOf, n firewall.Network, last bool) {
	own := []string{}
	for _, part := range []string{"G", "D", "P", "E", "L", "H"} {
		own = append(own, chainOf(n.Name, part))
	}
	if last {
		for _, c := range bases {
			own = append(own, c.chain)
		}
	}
	for table, lines := range have {
		var chains []string
		for _, l := range lines {
			w := strings.Fields(l)
			if c, ok := strings.CutPrefix(w[0], ":"); ok {
				if slices.Contains(own, c) {
					chains = append(chains, c)
				}
				continue
			}
			target := ""
			if i := slices.Index(w, "-j"); i >= 0 && i+1 < len(w) {
				target = w[i+1]
			}
			of := func(word string) bool { return word != "" && slices.Contains(w, word) }
			ours := of(n.Bridge)
			for _, s := range n.Subnets {
				ours = ours || n.Routed && of(s.String())
			}
			ours = ours && strings.HasPrefix(w[1], "TARE-")
			if !slices.Contains(own, w[1]) && (slices.Contains(own, target) || ours) {
				b.add(table, "-D", strings.TrimPrefix(l, "-A "))
			}
		}
		for _, c := range chains {
			b.add(table, "-F", c)
		}
		for _, c := range chains {
			b.add(table, "-X", c)
		}
	}
}

// ClassByNetCls sorts what the sockets of a net_cls cgroup send (the cgroup match
// and the CLASSIFY target of iptables-extensions(8)).
func (f *Filter) ClassByNetCls(owner string, class uint32) error {
	rule := line{"mangle", fmt.Sprintf("-A TARE-CLASS -m cgroup --cgroup %d -m comment --comment %s -j CLASSIFY --set-class %s",
		class, commentPrefix+owner, config.ClassText(class))}
	return f.change(f.all(), func(p iptables.Protocol, b *batch, have rulesOf) {
		base(b, p, have)
		b.once(have, rule)
	})
}
