package network

import (
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
)

// N-26: the userland proxy.
func TestN26Proxy(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080-8081:80-81,8090:80/udp", "proxy=on").up()
	if p := l.proxies(); len(p) != 1 {
		t.Fatalf("processes: %v", p)
	}
	for to, want := range map[string]string{"tcp [::1]:8080": "fd00:30::1", "tcp [::1]:8081": "fd00:30::1", "udp [::1]:8090": "fd00:30::1", "tcp 127.0.0.1:8080": "172.30.0.1"} {
		proto, addr, _ := strings.Cut(to, " ")
		if p := l.ask(l.h, proto, addr); p != want {
			t.Errorf("%s: peer is %q, want %q", to, p, want)
		}
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
		t.Errorf("from outside the packet filter is first: %q", p)
	}
	c.down()
	if p := l.proxies(); len(p) != 0 {
		t.Errorf("after delete: %v", p)
	}
	// Without the hook to end it, it ends with the container.
	d := l.box("c2", "networks=web", "ports=8080:80", "proxy=on").up()
	l.leaky = true
	_ = syscall.Kill(d.pid, syscall.SIGKILL)
	l.waitFor("the end of the proxy", func() bool { return len(l.proxies()) == 0 })
}

// proxies lists the userland proxies of H.
func (l *lab) proxies() (out []string) {
	dirs, _ := os.ReadDir("/proc")
	for _, d := range dirs {
		cmdline, _ := os.ReadFile("/proc/" + d.Name() + "/cmdline")
		if strings.HasPrefix(string(cmdline), l.hook+"\x00proxy") {
			if ns, _ := os.Readlink("/proc/" + d.Name() + "/ns/net"); ns == l.namespace(l.h) {
				out = append(out, d.Name())
			}
		}
	}
	return out
}

func (l *lab) namespace(name string) string {
	var st syscall.Stat_t
	l.must(syscall.Stat("/run/netns/"+name, &st))
	return fmt.Sprintf("net:[%d]", st.Ino)
}

// N-27: a port is taken, and by whom.
func TestN27PortTaken(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		c := l.box("c1", "networks=web", "ports=8080:80").up()
		for _, p := range []string{"8080:80", "127.0.0.1:8080:80", "8070-8090:70-90", "[2001:db8:1::1]:8080:80"} {
			l.box("c2", "networks=web", "ports="+p).createFails("8080/tcp", c.id)
		}
		l.server(l.h, "9090")
		said := l.box("c3", "networks=web", "ports=9090:80").createFails("9090/tcp", "peer[")
		if !strings.Contains(said, "in use") {
			t.Errorf("message: %s", said)
		}
		l.box("c4", "networks=web", "ports=203.0.113.77:80:80").createFails("203.0.113.77", "none of the host's")
		// Ranges meet ports, ranges and what listens; by address, only the same.
		r := l.box("r1", "networks=web", "ports=203.0.113.1:7000-7100:7000-7100").up()
		for p, says := range map[string]string{"7050:80": "7050/tcp", "203.0.113.1:7100:80": "7100/tcp", "6990-7000:90-100": "7000/tcp", "203.0.113.1:7090-7200:90-200": "7090/tcp"} {
			l.box("r2", "networks=web", "ports="+p).createFails(says, r.id)
		}
		l.box("r3", "networks=web", "ports=9080-9100:80-100").createFails("9090/tcp", "peer[")
		s := l.box("r4", "networks=web", "ports=127.0.0.1:7050:80,7101-7110:80-89,7050:80/udp").up()
		r.down()
		l.box("r5", "networks=web", "ports=7049-7051:80-82").createFails("7050/tcp", s.id)
		s.down()
		l.box("r6", "networks=web", "ports=7000-7110:80-190").up().down()
		d := l.box("c5", "networks=web", "ports=8079-8082:80").up()
		if ports := d.legs()[0].Ports; len(ports) != 1 || ports[0].Host != 8079 {
			t.Errorf("the first free of a range: %+v", ports)
		}
		e := l.box("c6", "networks=web", "ports=8079-8082:80").up()
		if ports := e.legs()[0].Ports; len(ports) != 1 || ports[0].Host != 8081 {
			t.Errorf("the next free of a range: %+v", ports)
		}
		if p := l.ask(l.w, "tcp", "203.0.113.1:8081"); p != "203.0.113.2" {
			t.Errorf("port 8081: %q", p)
		}
		if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
			t.Errorf("the first container after all that: %q", p)
		}
	})
}

// foreignForward makes the host's FORWARD chains drop by policy, as Docker's and
// ufw's do, and returns how one of them prints its rules.
func (l *lab) foreignForward(flavour, chain string) func() result {
	for _, p := range []string{"iptables-", "ip6tables-"} {
		l.in(l.h, p+flavour, "-P", "FORWARD", "DROP")
		if chain == "DOCKER-USER" {
			l.in(l.h, p+flavour, "-N", chain)
			l.in(l.h, p+flavour, "-A", chain, "-j", "RETURN")
			l.in(l.h, p+flavour, "-I", "FORWARD", "-j", chain)
		}
	}
	l.before = l.picture()
	return func() result { return l.in(l.h, "iptables-"+flavour, "-S") }
}

// N-34: a FORWARD chain that drops by policy, beside each of our filters, for
// networks with a bridge and without.
func TestN34ForeignForward(t *testing.T) {
	for _, c := range []struct{ flavour, chain, filter, driver, opened string }{
		{"nft", "FORWARD", "nftables", "bridge", "-i brweb"},
		{"nft", "DOCKER-USER", "nftables", "bridge", "-i brweb"},
		{"legacy", "FORWARD", "nftables", "bridge", "-i brweb"},
		{"legacy", "DOCKER-USER", "nftables", "bridge", "-i brweb"},
		{"nft", "FORWARD", "iptables", "bridge", "-i brweb"},
		{"nft", "FORWARD", "nftables", "ptp", "-s 172.30.0.0/16 -i tv+"},
		{"nft", "DOCKER-USER", "iptables", "ptp", "-s 172.30.0.0/16 -i tv+"},
		{"legacy", "DOCKER-USER", "nftables", "ptp", "-s 172.30.0.0/16 -i tv+"},
		{"legacy", "FORWARD", "iptables", "ptp", "-s 172.30.0.0/16 -i tv+"},
	} {
		t.Run(fmt.Sprint(c.flavour, " ", c.chain, " beside ", c.filter, ", ", c.driver), func(t *testing.T) {
			need(t, "iptables-"+c.flavour)
			l := newLab(t)
			l.env = []string{"TARE_NET_IPTABLES=" + c.flavour}
			l.keepsTables(c.flavour)
			rules := l.foreignForward(c.flavour, c.chain)
			before := rules().out
			subnets := webSubnets
			if c.driver == "ptp" {
				_, subnets, _ = strings.Cut(webSubnets, ", ")
				subnets = `"driver": "ptp", ` + subnets
			}
			l.network("web", subnets+`, "firewall": "`+c.filter+`"`)
			l.server(l.w, "80")
			a, b := l.box("c1", "networks=web", "ports=8080:80").up(), l.box("c2", "networks=web").up()
			for what, got := range map[string][2]string{
				"outwards":       {a.ask("tcp", "203.0.113.2:80"), "203.0.113.1"},
				"outwards, IPv6": {a.ask("tcp", "[2001:db8:1::2]:80"), "2001:db8:1::1"},
				"published":      {l.ask(l.w, "tcp", "203.0.113.1:8080"), "203.0.113.2"},
				"neighbour":      {b.ask("tcp", a.ip4()+":80"), b.ip4()},
				"neighbour 6":    {a.ask("tcp", "["+b.ip6()+"]:80"), a.ip6()},
			} {
				if got[0] != got[1] {
					t.Errorf("%s: peer is %q, want %q", what, got[0], got[1])
				}
			}
			if now := rules(); now.code != 0 || strings.Contains(now.err, "incompatible") || !strings.Contains(now.out, "-A "+c.chain+" "+c.opened) {
				t.Errorf("iptables -S: %s%s", now.out, now.err)
			}
			if r := l.net("check"); r.code != 0 {
				t.Errorf("check: %s", r.err)
			}
			// Who sends with an address of the network from elsewhere is no container.
			l.ip("-n", l.w, "route", "add", "172.30.0.0/16", "via", "203.0.113.1")
			if p := l.ask(l.w, "tcp", a.ip4()+":80", shortly); p != "" {
				t.Errorf("routed from outside: %q", p)
			}
			a.down()
			b.down()
			l.tn("net", "rm", "web")
			if after := difference(before, rules().out); after != "" {
				t.Errorf("left in the foreign chains:\n%s", after)
			}
		})
	}
}

// N-35: a client of UDP that was there first.
func TestN35OldFlow(t *testing.T) {
	within := itoa(full(2000, 1000)) + "ms"
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		l.box("first", "networks=web").up()
		if p := l.ask(l.w, "udp", "203.0.113.1:8080", "300ms", "4444"); p != "" {
			t.Fatalf("nobody is there, and %q answers", p)
		}
		c := l.box("c1", "networks=web", "ports=8080:80/udp").up()
		if p := l.ask(l.w, "udp", "203.0.113.1:8080", within, "4444"); p != "203.0.113.2" {
			t.Errorf("the same client after the port was published: %q", p)
		}
		c.down()
		d := l.box("c2", "networks=web", "ports=8080:81/udp").up()
		if p := l.ask(l.w, "udp", "203.0.113.1:8080", within, "4444"); p != "203.0.113.2" {
			t.Errorf("the same client after another container has the port: %q (%s)", p, d.ip4())
		}
	})
}

// N-36, N-70: what is gone is named, and made again.
func TestN36N70CheckAndReload(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	leg := c.legs()[0]
	says := func(words ...string) {
		t.Helper()
		r := l.net("check")
		for _, w := range words {
			if r.code != 1 || !strings.Contains(r.err, w) {
				t.Errorf("check: %d, lacks %q: %s", r.code, w, r.err)
			}
		}
	}
	if r := l.net("check"); r.code != 0 {
		t.Fatalf("check of what is sound: %s", r.err)
	}
	rules := func() string { return counters.ReplaceAllString(l.in(l.h, "nft", "list", "ruleset").out, "") }
	before := rules()
	l.in(l.h, "nft", "flush", "ruleset")
	says("set pub4 is missing")
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080", shortly); p != "" {
		t.Errorf("without rules: %q", p)
	}
	for range 2 {
		l.tn("reload")
		if now := rules(); sorted(now) != sorted(before) {
			t.Errorf("after reload:\n%s", difference(before, now))
		}
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
		t.Errorf("after reload: %q", p)
	}
	do := func(args ...string) {
		t.Helper()
		if r := l.in(l.h, args...); r.code != 0 {
			t.Fatalf("%v: %s", args, r.err)
		}
	}
	do("sysctl", "-w", "net.ipv4.ip_forward=0")
	says("net.ipv4.ip_forward is 0")
	do("sysctl", "-w", "net.ipv4.ip_forward=1")
	do("ip", "link", "set", "brweb", "down")
	says("bridge \"brweb\" is down")
	do("ip", "link", "set", "brweb", "up")
	do("ip", "addr", "del", "172.30.0.1/16", "dev", "brweb")
	says("lacks the gateway's address 172.30.0.1")
	do("ip", "addr", "add", "172.30.0.1/16", "brd", "+", "dev", "brweb")
	do("ip", "addr", "add", "172.30.77.1/24", "dev", "up0")
	says("172.30.0.0/16 overlaps 172.30.77.0/24", "up0")
	do("ip", "addr", "del", "172.30.77.1/24", "dev", "up0")
	c.in("ip", "addr", "flush", "dev", "eth0")
	says("address 172.30.0.2 is missing in the container")
	l.server(l.h, "8080")
	says("port 8080/tcp is taken by peer[")
	do("ip", "link", "del", leg.Link)
	says("link \"" + leg.Link + "\" is missing")
	l.in(l.h, "iptables-nft", "-P", "FORWARD", "DROP")
	says("policy DROP")
	l.in(l.h, "iptables-nft", "-P", "FORWARD", "ACCEPT")
	l.in(l.h, "nft", "delete", "table", "ip", "filter")
}

func sorted(s string) string { return difference("", s) }

// N-24: the door that route_localnet opens is watched.
func TestN24LocalnetGuard(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter + `, "spoofCheck": false`)
		l.server(l.h, "127.0.0.1:9")
		c := l.box("c1", "networks=web").up()
		mac := l.links()["brweb"].Address
		frame := udpFrame(t, mac, c.legs()[0].MAC, c.ip4(), "127.0.0.1", 9)
		heard := func() int {
			r := l.in(l.h, "cat", "/proc/thread-self/net/snmp")
			for _, line := range lines(r.out) {
				var in int
				if n, _ := fmt.Sscanf(line, "Udp: %d", &in); n == 1 {
					return in
				}
			}
			return -1
		}
		before := heard()
		if r := c.in(peerAt, "frame", "eth0", frame); r.code != 0 {
			t.Fatal(r.err)
		}
		if n := heard(); n != before {
			t.Errorf("a frame to 127.0.0.1 was delivered (%d, then %d)", before, n)
		}
		// Nor one from the world.
		from := linksOf(t, l.in(l.w, "ip", "-j", "addr"))["eth0"].Address
		if r := l.in(l.w, peerAt, "frame", "eth0", udpFrame(t, l.links()["up0"].Address, from, "203.0.113.2", "127.0.0.1", 9)); r.code != 0 {
			t.Fatal(r.err)
		}
		if n := heard(); n != before {
			t.Errorf("a frame of the world to 127.0.0.1 was delivered (%d, then %d)", before, n)
		}
		// The check bites: without the guard it is delivered.
		if strings.Contains(filter, "nftables") {
			l.in(l.h, "nft", "flush", "chain", "inet", "tare-net", "guard")
		} else {
			l.in(l.h, "iptables-"+strings.TrimPrefix(l.env[0], "TARE_NET_IPTABLES="), "-t", "mangle", "-F", "TARE-GUARD")
		}
		c.in(peerAt, "frame", "eth0", frame)
		if n := heard(); n != before+1 {
			t.Errorf("without the guard nothing was delivered either (%d, then %d)", before, n)
		}
	})
}

// udpFrame is an Ethernet frame with an empty datagram.
func udpFrame(t *testing.T, dstMAC, srcMAC, src, dst string, port uint16) string {
	t.Helper()
	h := func(mac string) []byte {
		b, err := hex.DecodeString(strings.ReplaceAll(mac, ":", ""))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	ip := append([]byte{0x45, 0, 0, 29, 0, 1, 0, 0, 64, 17, 0, 0}, append(s[:], d[:]...)...)
	sum := uint32(0)
	for i := 0; i < 20; i += 2 {
		sum += uint32(ip[i])<<8 | uint32(ip[i+1])
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	ip[10], ip[11] = byte(^sum>>8), byte(^sum)
	f := append(append(h(dstMAC), h(srcMAC)...), 8, 0)
	f = append(f, ip...)
	// Without a checksum, which UDP allows over IPv4.
	f = append(f, 0x30, 0x39, byte(port>>8), byte(port), 0, 9, 0, 0, 'x')
	return hex.EncodeToString(f)
}

// N-37: frames with foreign addresses.
func TestN37Spoofing(t *testing.T) {
	filters(t, spoofing)
}

func spoofing(t *testing.T, l *lab, filter string) {
	l.web(filter + `, "allow": ["spoof-check"]`)
	c1, c2 := l.box("c1", "networks=web").up(), l.box("c2", "networks=web").up()
	open := l.box("c3", "networks=web", "spoof-check=off").up()
	mac := func(b *box) string { return b.legs()[0].MAC }
	received := func() int {
		var n int
		r := c2.in("ip", "-s", "-j", "link", "show", "eth0")
		if _, rest, ok := strings.Cut(r.out, `"rx":{"bytes":`); ok {
			if _, rest, ok = strings.Cut(rest, `"packets":`); ok {
				_, _ = fmt.Sscanf(rest, "%d", &n)
			}
		}
		return n
	}
	arp := func(from *box, claim string) string {
		m := strings.ReplaceAll(mac(from), ":", "")
		ip := netip.MustParseAddr(claim).As4()
		return "ffffffffffff" + m + "0806" + "0001080006040002" + m + hex.EncodeToString(ip[:]) + strings.ReplaceAll(mac(c2), ":", "") + "ac1e0003"
	}
	// Neighbours are known from here on.
	if c1.ask("tcp", c2.ip4()+":80") == "" || open.ask("tcp", c2.ip4()+":80") == "" {
		t.Fatal("legal traffic does not pass")
	}
	for name, frames := range map[string]func(*box) string{
		"address":          func(b *box) string { return udpFrame(t, mac(c2), mac(b), "172.30.0.77", c2.ip4(), 80) },
		"station":          func(b *box) string { return udpFrame(t, mac(c2), "02:99:99:99:99:99", b.ip4(), c2.ip4(), 80) },
		"gateway's ARP":    func(b *box) string { return arp(b, "172.30.0.1") },
		"neighbour's ARP":  func(b *box) string { return arp(b, "172.30.0.200") },
		"router advertise": func(b *box) string { return routerAdvertisement(mac(b)) },
	} {
		send := func(b *box, wanted int) int {
			before := received()
			if r := b.in(append([]string{peerAt, "frame", "eth0"}, repeat(frames(b), 20)...)...); r.code != 0 {
				t.Fatal(r.err)
			}
			return within(func() int { return received() - before }, wanted)
		}
		if n := send(c1, 0); n >= 20 {
			t.Errorf("%s: %d of 20 frames arrived", name, n)
		}
		if name == "router advertise" {
			continue // dropped wherever it comes from, as long as the port is guarded
		}
		if n := send(open, 20); n < 20 {
			t.Errorf("%s, without the check: %d of 20 frames arrived", name, n)
		}
	}
	if p := c1.ask("tcp", "["+c2.ip6()+"]:80"); p != c1.ip6() {
		t.Errorf("legal traffic afterwards: %q", p)
	}
}

func repeat(s string, n int) (out []string) {
	for range n {
		out = append(out, s)
	}
	return out
}

// routerAdvertisement is one without options, from a link-local address.
func routerAdvertisement(mac string) string {
	m := strings.ReplaceAll(mac, ":", "")
	return "333300000001" + m + "86dd" + "6000000000103aff" + "fe80000000000000000000000000abcd" + "ff020000000000000000000000000001" + "86000000" + "40000708" + "0000000000000000"
}

// N-71: to whom an address belongs; N-72 in part: errors are one line each.
func TestN71Who(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	for _, q := range []string{"203.0.113.1:8080", c.ip4(), c.ip6()} {
		if out := l.tn("who", q); !strings.Contains(out, c.id) || !strings.Contains(out, itoa(c.pid)) || !strings.Contains(out, c.bundle) {
			t.Errorf("who %s: %s", q, out)
		}
	}
	if r := l.net("who", "192.0.2.1"); r.code != 1 || len(lines(r.err)) != 1 {
		t.Errorf("who of a stranger: %d %s", r.code, r.err)
	}
	if out := l.tn("list"); !strings.Contains(out, "8080:80/tcp") {
		t.Errorf("list: %s", out)
	}
}

// N-72: without permission it says so, in one line.
func TestN72NoPermission(t *testing.T) {
	l := newLab(t)
	l.web("")
	// Root without CAP_NET_ADMIN: the bounding set loses it before the program runs.
	cmd := exec.Command("setpriv", append([]string{"--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"}, append([]string{"nsenter", "--net=/run/netns/" + l.h, l.hook},
		l.hookArgs("attach", "x", itoa(l.sleeper()), "networks=web")[1:]...)...)...)
	out, err := cmd.CombinedOutput()
	if err == nil || len(lines(string(out))) != 1 || !strings.Contains(string(out), "operation not permitted") {
		t.Errorf("without CAP_NET_ADMIN: %v %s", err, out)
	}
}
