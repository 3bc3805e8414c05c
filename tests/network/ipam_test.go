package network

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// createFails demands that create fails, says all words on one line of the
// hook's, and leaves the host as it is.
func (b *box) createFails(words ...string) string {
	b.l.t.Helper()
	before := b.l.picture()
	r := b.tryCreate()
	if r.code == 0 {
		b.l.t.Errorf("create %s succeeded, expected %q", b.id, words)
		b.down()
		return ""
	}
	// The word of the hook, as the runtime passes it on.
	said := r.err
	if i := strings.Index(said, "tare-net: "); i >= 0 {
		said, _, _ = strings.Cut(said[i:], "\n")
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			b.l.t.Errorf("create %s: the message lacks %q: %s", b.id, w, r.err)
		}
	}
	if after := b.l.picture(); after != before {
		b.l.t.Errorf("create %s failed and left:\n%s", b.id, difference(before, after))
	}
	if legs := b.legs(); len(legs) > 0 {
		b.l.t.Errorf("create %s failed and left a record: %+v", b.id, legs)
	}
	return said
}

// N-14: addresses and names that are asked for.
func TestN14Asked(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web", "ip.web=172.30.9.9", "ip6.web=fd00:30::99", "mac.web=02:00:00:00:00:09", "ifname.web=net7").up()
	e := linksOf(t, c.in("ip", "-j", "addr"))["net7"]
	if len(e.AddrInfo) < 2 || e.AddrInfo[0].Local != "172.30.9.9" || e.AddrInfo[1].Local != "fd00:30::99" || e.Address != "02:00:00:00:00:09" {
		t.Errorf("net7: %+v", e)
	}
	for ip, words := range map[string][]string{
		"172.30.9.9": {c.id, "in use"}, "172.30.0.1": {"gateway"}, "172.30.255.255": {"broadcast"}, "172.30.0.0": {"network"}, "10.1.2.3": {"outside", "172.30.0.0/16"},
		"fd00:30::5": {"family"}, "nonsense": {"nonsense"},
	} {
		l.box("c2", "networks=web", "ip.web="+ip).createFails(words...)
	}
	l.network("strict", backSubnets+`, "allow": ["ports"]`)
	l.box("c3", "networks=strict", "ip.strict=172.31.0.9").createFails("does not allow")
}

// N-15: a small pool, and what happens at its end.
func TestN15Exhausted(t *testing.T) {
	l := newLab(t)
	l.network("small", `"bridge": "brsmall", "subnets": [{"subnet": "10.77.0.0/29"}]`)
	var all []*box
	seen := map[string]bool{}
	for i := range 5 {
		c := l.box(fmt.Sprint("c", i), "networks=small").up()
		seen[c.ip4()] = true
		all = append(all, c)
	}
	if len(seen) != 5 {
		t.Errorf("addresses: %v", seen)
	}
	l.box("c5", "networks=small").createFails("exhausted", "5 of 5", "10.77.0.0/29")
	freed := all[1].ip4()
	all[1].down()
	if got := l.box("c6", "networks=small").up().ip4(); got != freed {
		t.Errorf("the only free address is %s, given was %s", freed, got)
	}
	// With room, an address rests before it is used again.
	l.web("")
	a := l.box("r1", "networks=web").up()
	first := a.ip4()
	a.down()
	if again := l.box("r2", "networks=web").up().ip4(); again == first {
		t.Errorf("%s was given again at once", first)
	}
}

// N-15: an address that is kept comes back to its container, and to no other.
func TestN15Kept(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.box("x", "networks=web").up()
	c := l.box("c1", "networks=web", "keep-address=true").up()
	v4, v6 := c.ip4(), c.ip6()
	c.down()
	l.box("y", "networks=web").up()
	l.box("z", "networks=web", "ip.web="+v4).createFails("kept", c.id)
	c.up()
	if c.ip4() != v4 || c.ip6() != v6 {
		t.Errorf("after a restart %s %s, before it %s %s", c.ip4(), c.ip6(), v4, v6)
	}
	c.down()
	if out := l.tn("gc"); out != "" {
		t.Errorf("gc took what is kept: %s", out)
	}
	if out := l.tn("gc", "--kept"); !strings.Contains(out, "2 leases") {
		t.Errorf("gc --kept: %q", out)
	}
}

// N-11: two networks and routes.
func TestN11TwoNetworks(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.network("back", backSubnets+`, "routes": [{"dst": "10.99.0.0/16"}, {"dst": "10.98.0.0/16", "via": "172.31.0.7"}]`)
	c := l.box("c1", "networks=web,back", "routes=192.0.2.0/24=172.30.0.5").up()
	routes := c.in("ip", "-4", "route").out
	if n := strings.Count(routes, "default"); n != 1 || !strings.Contains(routes, "default via 172.30.0.1 dev eth0") {
		t.Errorf("routes:\n%s", routes)
	}
	for to, want := range map[string]string{"10.99.1.1": "via 172.31.0.1 dev eth1", "10.98.1.1": "via 172.31.0.7 dev eth1", "192.0.2.1": "via 172.30.0.5 dev eth0",
		"203.0.113.2": "via 172.30.0.1 dev eth0", "172.31.0.9": "dev eth1", "2001:db8:1::2": "via fd00:30::1 dev eth0"} {
		if out := c.in("ip", "route", "get", to).out; !strings.Contains(out, want) {
			t.Errorf("to %s: %s", to, out)
		}
	}
	d := l.box("c2", "networks=back").up()
	if p := d.ask("tcp", "172.31.0.2:80"); p != d.ip4() {
		t.Errorf("by the second network: %q", p)
	}
}

// N-12: what is changed on the host is noted, and given back with the last
// network (the lab compares); runtime sysctls of the new link.
func TestN12Parameters(t *testing.T) {
	l := newLab(t)
	l.network("inner", `"bridge": "brinner", "subnets": [{"subnet": "172.27.0.0/16"}], "internal": true`)
	l.box("i1", "networks=inner").up()
	forward := func() string {
		return strings.TrimSpace(l.in(l.h, "sysctl", "-n", "net.ipv4.ip_forward").out)
	}
	if v := forward(); v != "0" {
		t.Errorf("an internal network has set ip_forward to %s", v)
	}
	l.web(`"allow": ["sysctl"]`)
	c := l.bare("c1")
	h := l.box("tmp", "networks=web", "sysctl.net.ipv4.conf.eth0.log_martians=1")
	c.spec.Annotations, c.spec.Hooks = h.spec.Annotations, h.spec.Hooks
	c.spec.Linux.Sysctl = map[string]string{"net.ipv4.conf.eth0.rp_filter": "2"}
	c.up()
	if v := forward(); v != "1" {
		t.Errorf("ip_forward is %s", v)
	}
	if v := c.in("sysctl", "-n", "net.ipv4.conf.eth0.rp_filter", "net.ipv4.conf.eth0.log_martians").out; v != "2\n1\n" {
		t.Errorf("in the container: %q", v)
	}
	var noted map[string]struct{ Before, Set, Network string }
	data, _ := os.ReadFile(l.state + "/sysctl.json")
	l.must(json.Unmarshal(data, &noted))
	if n := noted["net.ipv4.ip_forward"]; n.Before != "0" || n.Set != "1" || n.Network != "web" {
		t.Errorf("noted: %+v", noted)
	}
}

// A network of the host is not overlapped, and both are named; a foreign bridge
// is not taken over.
func TestConflictsWithTheHost(t *testing.T) {
	l := newLab(t)
	l.network("clash", `"bridge": "brclash", "subnets": [{"subnet": "203.0.0.0/16"}]`)
	l.box("c1", "networks=clash").createFails("203.0.0.0/16", "203.0.113.0/24", "up0", "clash")
	l.ip("-n", l.h, "link", "add", "brold", "type", "bridge")
	l.ip("-n", l.h, "addr", "add", "10.9.0.1/24", "dev", "brold")
	l.network("old", `"bridge": "brold", "subnets": [{"subnet": "10.10.0.0/24"}]`)
	l.box("c2", "networks=old").createFails("brold", "10.9.0.1/24", "10.10.0.1/24")
	l.network("notbr", `"bridge": "up0", "subnets": [{"subnet": "10.10.0.0/24"}]`)
	l.box("c3", "networks=notbr").createFails("up0", "type veth")
	l.ip("-n", l.h, "link", "del", "brold")
	// N-43: a link with the host's own address is no port.
	l.network("port", `"bridge": "brport", "parent": "up0", "subnets": [{"subnet": "10.10.0.0/24"}]`)
	l.box("c4", "networks=port").createFails("up0", "203.0.113.1/24", "uplinkOK")
	if out := l.in(l.h, "ip", "addr", "show", "up0").out; !strings.Contains(out, "203.0.113.1/24") || strings.Contains(out, "master") {
		t.Errorf("N-43: up0 is %s", out)
	}
}

// The default network is written on first use, beside what the host has.
func TestDefaultNetwork(t *testing.T) {
	l := newLab(t)
	l.ip("-n", l.h, "addr", "add", "172.29.5.1/24", "dev", "up0")
	l.before = l.picture()
	c := l.box("c1", "networks=default").up()
	if ip := c.ip4(); !strings.HasPrefix(ip, "172.30.0.") {
		t.Errorf("address %s", ip)
	}
	if _, err := os.Stat(l.config + "/default.json"); err != nil {
		t.Error(err)
	}
}

// N-60: a hundred at once, each with an address, a station and a link of its own
// that reaches the world; and a hundred of one name, of which one wins.
func TestN60Hundred(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.server(l.w, "80")
	const n = 100
	boxes := make([]*box, n)
	for i := range boxes {
		boxes[i] = l.box("p"+strconv.Itoa(i), "networks=web", fmt.Sprintf("ports=%d:80", 10000+i))
		boxes[i].spec.Process.Args = []string{"/peer", "hold"}
	}
	start := time.Now()
	var wg sync.WaitGroup
	results := make([]result, n)
	for i, b := range boxes {
		wg.Add(1)
		go func() { defer wg.Done(); results[i] = b.tryCreate() }()
	}
	wg.Wait()
	created := time.Since(start)
	ips, macs, links := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for i, b := range boxes {
		if results[i].code != 0 {
			t.Fatalf("%s: %s", b.id, results[i].err)
		}
		leg := b.legs()[0]
		ips[leg.IPs[0]], ips[leg.IPs[1]], macs[leg.MAC], links[leg.Link] = true, true, true, true
	}
	if len(ips) != 2*n || len(macs) != n || len(links) != n {
		t.Errorf("%d addresses, %d stations, %d links", len(ips), len(macs), len(links))
	}
	for _, b := range boxes {
		if p := b.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
			t.Errorf("%s: the world was asked by %q", b.id, p)
		}
	}
	start = time.Now()
	for _, b := range boxes {
		wg.Add(1)
		go func() { defer wg.Done(); b.oci("delete", "--force", b.id) }()
	}
	wg.Wait()
	t.Logf("100 containers: created in %s, deleted in %s", created, time.Since(start))
	for _, b := range boxes {
		b.alive = false
	}
	for name, k := range l.links() {
		if k.Master == "brweb" {
			t.Errorf("left: %s", name)
		}
	}
	if out := l.in(l.h, "nft", "list", "map", "inet", "tare-net", "pub4").out; strings.Contains(out, "elements") {
		t.Errorf("left: %s", out)
	}
	// One name.
	same := l.box("same", "networks=web")
	same.write()
	codes := make([]int, full(20, 100))
	for i := range codes {
		wg.Add(1)
		go func() {
			defer wg.Done()
			codes[i] = same.oci("create", "--bundle", same.bundle, same.id).code
		}()
	}
	wg.Wait()
	won := len(codes) - len(slices.DeleteFunc(codes, func(c int) bool { return c == 0 }))
	same.alive = true
	if legs := same.legs(); won != 1 || len(legs) != 1 {
		t.Errorf("%d of one name were created, %d links", won, len(legs))
	}
}
