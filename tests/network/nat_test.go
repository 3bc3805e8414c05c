package network

import (
	"strings"
	"testing"
)

// filters runs a test with each packet filter: the network's member, and what
// iptables is to be.
func filters(t *testing.T, f func(t *testing.T, l *lab, member string)) {
	for _, c := range []struct{ name, member, flavour, program string }{
		{"nftables", `"firewall": "nftables"`, "", "nft"},
		{"iptables-nft", `"firewall": "iptables"`, "nft", "iptables-nft"},
		{"iptables-legacy", `"firewall": "iptables"`, "legacy", "iptables-legacy"},
	} {
		t.Run(c.name, func(t *testing.T) {
			need(t, c.program)
			l := newLab(t)
			if c.flavour != "" {
				l.env = []string{"TARE_NET_IPTABLES=" + c.flavour}
			}
			l.keepsTables(c.flavour)
			f(t, l, c.member)
		})
	}
}

// keepsTables lets the tables of iptables be there before the picture is taken:
// once used they stay, empty.
func (l *lab) keepsTables(flavour string) {
	if flavour != "" {
		l.touchTables(flavour)
		l.before = l.picture()
	}
}

func (l *lab) touchTables(flavour string) {
	for _, p := range []string{"iptables-" + flavour, "ip6tables-" + flavour} {
		for table, chains := range map[string][]string{"filter": {"INPUT", "FORWARD"}, "nat": {"PREROUTING", "OUTPUT", "POSTROUTING"}, "mangle": {"PREROUTING", "POSTROUTING"}} {
			for _, c := range chains {
				if r := l.in(l.h, p, "-t", table, "-A", c, "-j", "ACCEPT"); r.code != 0 {
					l.t.Skipf("%s: the kernel has no such table: %s", p, r.err)
				}
				l.in(l.h, p, "-t", table, "-D", c, "-j", "ACCEPT")
			}
		}
	}
}

// bridgeFilter lets iptables see frames of bridges, or not.
func (l *lab) bridgeFilter(on string) {
	for _, k := range []string{"iptables", "ip6tables", "arptables"} {
		l.in(l.h, "sysctl", "-w", "net.bridge.bridge-nf-call-"+k+"="+on)
	}
}

// N-20, N-21, N-22, N-24, N-29, N-30, N-31 and, for iptables, N-33.
func TestN20toN31Traffic(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		l.network("back", backSubnets+", "+filter)
		l.server(l.w, "80")
		c1 := l.box("c1", "networks=web", "ports=8080:80").up()
		c2 := l.box("c2", "networks=web").up()
		c3 := l.box("c3", "networks=back").up()
		expect := func(what, got, want string) {
			t.Helper()
			if got != want {
				t.Errorf("%s: peer is %q, want %q", what, got, want)
			}
		}
		for _, bridgeNF := range []string{"1", "0"} {
			l.bridgeFilter(bridgeNF)
			on := " (bridge-nf " + bridgeNF + ")"
			// N-20: what leaves has the host's address.
			expect("N-20 out tcp"+on, c1.ask("tcp", "203.0.113.2:80"), "203.0.113.1")
			expect("N-20 out udp"+on, c1.ask("udp", "203.0.113.2:80"), "203.0.113.1")
			expect("N-20 out tcp6"+on, c1.ask("tcp", "[2001:db8:1::2]:80"), "2001:db8:1::1")
			// N-21: what stays on the bridge has the container's.
			expect("N-21 same bridge"+on, c1.ask("tcp", c2.ip4()+":80"), c1.ip4())
			expect("N-21 same bridge 6"+on, c1.ask("tcp", "["+c2.ip6()+"]:80"), c1.ip6())
			// N-22: a published port shows the client.
			expect("N-22 published tcp"+on, l.ask(l.w, "tcp", "203.0.113.1:8080"), "203.0.113.2")
			expect("N-22 published tcp6"+on, l.ask(l.w, "tcp", "[2001:db8:1::1]:8080"), "2001:db8:1::2")
			// N-24: from the host itself.
			expect("N-24 localhost"+on, l.ask(l.h, "tcp", "127.0.0.1:8080"), "172.30.0.1")
			expect("N-24 own address"+on, l.ask(l.h, "tcp", "203.0.113.1:8080"), "203.0.113.1")
			// N-29: from the container itself, and from its neighbour.
			expect("N-29 itself"+on, c1.ask("tcp", "203.0.113.1:8080"), "172.30.0.1")
			expect("N-29 neighbour"+on, c2.ask("tcp", "203.0.113.1:8080"), "172.30.0.1")
			expect("N-29 itself 6"+on, c1.ask("tcp", "[2001:db8:1::1]:8080"), "fd00:30::1")
			// N-30: another network of the host may use what is published, and no more.
			expect("N-30 direct"+on, c3.ask("tcp", c1.ip4()+":80", shortly), "")
			expect("N-30 direct 6"+on, c3.ask("tcp", "["+c1.ip6()+"]:80", shortly), "")
			if p := c3.ask("tcp", "203.0.113.1:8080"); p == "" {
				t.Error("N-30 published, from another network: no answer" + on)
			}
		}
		// N-31: a route to the containers does not help the outside.
		l.ip("-n", l.w, "route", "add", "172.30.0.0/16", "via", "203.0.113.1")
		expect("N-31 routed from outside", l.ask(l.w, "tcp", c1.ip4()+":80", shortly), "")
	})
}

// N-20, N-31: without masquerade and with direct routing the containers'
// addresses are seen.
func TestN20WithoutMasquerade(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter + `, "masquerade": false, "directRouting": true`)
		l.server(l.w, "80")
		c := l.box("c1", "networks=web").up()
		if p := c.ask("tcp", "203.0.113.2:80", shortly); p != "" {
			t.Errorf("the world answered %q without a route back", p)
		}
		l.ip("-n", l.w, "route", "add", "172.30.0.0/16", "via", "203.0.113.1")
		if p := c.ask("tcp", "203.0.113.2:80"); p != "172.30.0.2" {
			t.Errorf("with a route the world was asked by %q", p)
		}
		if p := l.ask(l.w, "tcp", "172.30.0.2:80"); p != "203.0.113.2" {
			t.Errorf("with direct routing the container was asked by %q", p)
		}
	})
}

// N-30: the other settings of isolation.
func TestN30Isolation(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter + `, "isolate": false`)
		l.network("back", backSubnets+", "+filter)
		l.network("lonely", `"bridge": "brlonely", "subnets": [{"subnet": "172.28.0.0/16"}], "icc": false, `+filter)
		l.network("inner", `"bridge": "brinner", "subnets": [{"subnet": "172.27.0.0/16"}], "internal": true, `+filter)
		l.server(l.w, "80")
		c1, c3 := l.box("c1", "networks=web").up(), l.box("c3", "networks=back").up()
		if p := c3.ask("tcp", c1.ip4()+":80"); p != c3.ip4() {
			t.Errorf("isolate false: asked by %q", p)
		}
		if p := c1.ask("tcp", c3.ip4()+":80", shortly); p != "" {
			t.Errorf("the isolated network answered %q", p)
		}
		l1, l2 := l.box("l1", "networks=lonely").up(), l.box("l2", "networks=lonely").up()
		for _, nf := range []string{"1", "0"} {
			l.bridgeFilter(nf)
			if p := l2.ask("tcp", l1.ip4()+":80", shortly); p != "" {
				t.Errorf("icc false: %q answered with bridge-nf %s", p, nf)
			}
		}
		if p := l2.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
			t.Errorf("icc false, outwards: asked by %q", p)
		}
		i1, i2 := l.box("i1", "networks=inner").up(), l.box("i2", "networks=inner").up()
		if p := i1.ask("tcp", i2.ip4()+":80"); p != i1.ip4() {
			t.Errorf("internal, between containers: asked by %q", p)
		}
		i1.in("ip", "route", "add", "default", "via", "172.27.0.1")
		if p := i1.ask("tcp", "203.0.113.2:80", shortly); p != "" {
			t.Errorf("internal: the world answered %q", p)
		}
		if r := l.box("i3", "networks=inner", "ports=8081:80").tryCreate(); r.code == 0 || !strings.Contains(r.err, "internal") {
			t.Errorf("a port published on an internal network: %d %s", r.code, r.err)
		}
	})
}

// N-22: datagrams; N-28: ranges; N-25: a floating address.
func TestN22N25N28Published(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter + `, "allow": ["ports", "floating-ip"]`)
		l.server(l.w, "80")
		rules := func() int {
			return strings.Count(l.in(l.h, "nft", "list", "chain", "inet", "tare-net", "publish").out, "dnat")
		}
		c := l.box("c1", "networks=web", "ports=8080:80/udp,127.0.0.1:8081:81,7000-7100:7000-7100,9000-9001:80-81", "floating-ip=203.0.113.103").up()
		for to, want := range map[string]string{"udp 203.0.113.1:8080": "203.0.113.2", "udp [2001:db8:1::1]:8080": "2001:db8:1::2",
			"tcp 203.0.113.1:9000": "203.0.113.2", "tcp 203.0.113.1:9001": "203.0.113.2", "tcp 203.0.113.103:80": "203.0.113.2", "tcp 203.0.113.103:81": "203.0.113.2"} {
			proto, addr, _ := strings.Cut(to, " ")
			if p := l.ask(l.w, proto, addr); p != want {
				t.Errorf("%s: peer is %q, want %q", to, p, want)
			}
		}
		if p := l.ask(l.h, "tcp", "127.0.0.1:8081"); p != "172.30.0.1" {
			t.Errorf("N-24 bound to localhost, from the host: %q", p)
		}
		if p := l.ask(l.w, "tcp", "203.0.113.1:8081", shortly); p != "" {
			t.Errorf("N-24 bound to localhost, from outside: %q", p)
		}
		if p := c.ask("tcp", "203.0.113.2:80"); p != "203.0.113.103" {
			t.Errorf("N-25: the world was asked by %q", p)
		}
		if strings.Contains(filter, "nftables") {
			before := rules()
			d := l.box("c2", "networks=web", "ports=6000-6100:6000-6100").up()
			if now := rules(); now != before || before == 0 {
				t.Errorf("N-28: %d rules with one range, %d with two", before, now)
			}
			d.down()
		}
		l.background(l.h, "nsenter", "-t", itoa(c.pid), "-n", peerAt, "serve", "7050")
		if p := l.ask(l.w, "tcp", "203.0.113.1:7050"); p != "203.0.113.2" {
			t.Errorf("N-28: a port in the middle of a range: %q", p)
		}
		if r := l.net("check"); r.code != 0 {
			t.Errorf("check: %s", r.err)
		}
		c.down()
		if out := l.in(l.h, "ip", "addr", "show", "up0").out; strings.Contains(out, "203.0.113.103") {
			t.Error("N-25: the floating address is still there")
		}
	})
}

// N-23: SCTP, by a raw packet where the kernel has no sockets of it.
func TestN23SCTP(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		c := l.box("c1", "networks=web", "ports=9999:80/sctp").up()
		out := make(chan result, 1)
		go func() { out <- c.in(peerAt, "sctp-wait", "5s") }()
		var r result
		l.waitFor("an INIT in the container", func() bool {
			l.in(l.w, peerAt, "sctp", "203.0.113.1", "9999")
			select {
			case r = <-out:
				return true
			default:
				return false
			}
		})
		if !strings.Contains(r.out, "peer=203.0.113.2 dport=80") {
			t.Errorf("in the container: %q %s", r.out, r.err)
		}
	})
}
