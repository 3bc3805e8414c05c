package network

import (
	"fmt"
	"strings"
	"testing"
)

// making are the steps in which a network is made, with the first container.
var making = []string{"network-begun", "network-bridge", "network-rules", "network-forward"}

// N-61: the hook is killed while it makes a network. gc removes what there is of
// it, `net rm` too, and otherwise the next container's hook finishes it.
func TestN61KilledWhileMakingNetwork(t *testing.T) {
	for _, filter := range []string{"nftables", "iptables"} {
		t.Run(filter, func(t *testing.T) {
			l := newLab(t)
			l.leaky, l.hook = true, faulty
			var flavour []string
			if filter == "iptables" {
				need(t, "iptables-nft")
				flavour = []string{"TARE_NET_IPTABLES=nft"}
			}
			l.keepsTables("nft")
			l.web(`"firewall": "` + filter + `"`)
			// FORWARD drops, as Docker's does: rules in a chain of others are made too.
			for _, p := range []string{"iptables-nft", "ip6tables-nft"} {
				need(t, p)
				l.in(l.h, p, "-P", "FORWARD", "DROP")
				defer l.in(l.h, p, "-P", "FORWARD", "ACCEPT")
			}
			l.server(l.w, "80")
			before := l.picture()
			killed := func(step string) {
				l.env = append([]string{"TARE_NET_FAULT=kill:" + step}, flavour...)
				if r := l.net("attach", "k", itoa(l.sleeper()), "networks=web"); r.code == 0 {
					t.Fatalf("%s: attached", step)
				}
				l.env = flavour
				if there := l.in(l.h, "ip", "link", "show", "brweb").code == 0; there != (step != "network-begun") {
					t.Fatalf("%s: a bridge: %t", step, there)
				}
				if there := strings.Contains(l.in(l.h, "iptables-nft", "-S", "FORWARD").out, "tare-net:forward"); there != (step == "network-forward") {
					t.Fatalf("%s: a rule in FORWARD: %t", step, there)
				}
			}
			nothing := func(when string) {
				t.Helper()
				if after := l.picture(); after != before {
					t.Errorf("%s: the host is not what it was:\n%s", when, difference(before, after))
				}
				if left := l.files(); len(left) > 0 {
					t.Errorf("%s: files are left: %v", when, left)
				}
			}
			for _, step := range making {
				killed(step)
				if out := l.tn("gc"); !strings.Contains(out, "1 networks") {
					t.Errorf("%s: gc says %q", step, out)
				}
				nothing("gc after a kill at " + step)
				if out := l.tn("gc"); out != "" {
					t.Errorf("%s: gc twice: %s", step, out)
				}

				killed(step)
				if step == "network-bridge" {
					l.in(l.h, "ip", "link", "set", "brweb", "alias", "") // killed a moment before
				}
				l.tn("detach", "k")
				l.tn("net", "rm", "web")
				nothing("net rm after a kill at " + step)

				killed(step)
				if step == "network-bridge" {
					l.in(l.h, "ip", "link", "set", "brweb", "alias", "")
				}
				c := l.box("next", "networks=web", "ports=8080:80").up()
				l.works(c, step)
				if r := l.net("check"); strings.Contains(r.err, "next") || strings.Contains(r.err, "network") {
					t.Errorf("%s: check: %s", step, r.err)
				}
				l.tn("detach", "k")
				c.down()
				l.tn("net", "rm", "web")
				nothing("net rm after another container at " + step)
			}
		})
	}
}

// A bridge that was there before is not taken for what a killed or failed hook has
// left, and a network that cannot be made leaves nothing.
func TestN61ForeignBridgeStays(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.ip("-n", l.h, "link", "add", "brweb", "type", "bridge")
	l.ip("-n", l.h, "addr", "add", "10.9.0.1/24", "dev", "brweb")
	before := l.picture()
	for _, how := range []string{"", "kill:network-begun"} {
		if how != "" {
			l.hook, l.leaky, l.env = faulty, true, []string{"TARE_NET_FAULT=" + how}
		}
		if r := l.net("attach", "x", itoa(l.sleeper()), "networks=web"); r.code == 0 {
			t.Fatalf("%q: attached to a bridge with another address", how)
		}
		l.env = nil
		l.tn("gc")
		if after := l.picture(); after != before {
			t.Errorf("%q: gc: the host is not what it was:\n%s", how, difference(before, after))
		}
	}
	l.tn("net", "rm", "web")
	if after := l.picture(); after != before {
		t.Errorf("net rm: the host is not what it was:\n%s", difference(before, after))
	}
	l.ip("-n", l.h, "link", "del", "brweb")
}

// A bridge that was there with the network's address, as an administrator's with an
// uplink, is used, and not removed.
func TestN61AdoptedBridgeStays(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.ip("-n", l.h, "link", "add", "brweb", "type", "bridge")
	l.ip("-n", l.h, "addr", "add", "172.30.0.1/16", "dev", "brweb")
	l.ip("-n", l.h, "addr", "add", "fd00:30::1/64", "dev", "brweb", "nodad")
	l.ip("-n", l.h, "link", "set", "brweb", "up")
	l.box("c", "networks=web").up().down()
	l.tn("net", "rm", "web")
	if r := l.in(l.h, "ip", "-br", "addr", "show", "brweb"); !strings.Contains(r.out, "172.30.0.1/16") {
		t.Errorf("net rm: the bridge that was there before: %s%s", r.out, r.err)
	}
	l.ip("-n", l.h, "link", "del", "brweb")
}

// The classes of a link are found too; another one's stay.
func TestN61KilledWhileShaping(t *testing.T) {
	l := newLab(t)
	l.hook, l.leaky = faulty, true
	l.network("shaped", `"driver": "host", "shape": {"device": "up0", "rate": "80mbit", "default": "1:30", "classes": {"1:10": {"rate": "16mbit"}, "1:30": {"rate": "60mbit"}}}`)
	pid := itoa(l.background(l.h, peerAt, "serve", "99").Process.Pid)
	classes := func() bool { return strings.Contains(l.in(l.h, "tc", "qdisc", "show", "dev", "up0").out, "htb 1:") }
	attach := func(fault string) {
		l.env = []string{"TARE_NET_FAULT=kill:" + fault}
		if r := l.net("attach", "k", pid, "networks=shaped", "class=1:10"); r.code == 0 {
			t.Fatal("attached")
		}
		l.env = nil
	}
	before := l.picture()
	for _, remove := range [][]string{{"gc"}, {"net", "rm", "shaped"}} {
		attach("network-shape")
		if !classes() {
			t.Fatal("no classes were made")
		}
		if remove[0] == "net" {
			l.tn("detach", "k")
		}
		l.tn(remove...)
		if after := l.picture(); after != before {
			t.Errorf("%s:\n%s", remove[0], difference(before, after))
		}
	}
	l.in(l.h, "tc", "qdisc", "add", "dev", "up0", "root", "handle", "1:", "htb", "default", "30")
	attach("network-begun")
	l.tn("gc")
	if !classes() {
		t.Error("gc has removed classes that were there before")
	}
	l.in(l.h, "tc", "qdisc", "del", "dev", "up0", "root")
}

// A tree of classes that a killed hook has made in part is not taken for whole.
func TestN61HalfMadeClasses(t *testing.T) {
	l := newLab(t)
	l.hook, l.leaky = faulty, true
	l.web(fmt.Sprintf(tree, ""))
	l.env = []string{"TARE_NET_FAULT=kill:network-shape"}
	if r := l.net("attach", "k", itoa(l.sleeper()), "networks=web", "class=1:10"); r.code == 0 {
		t.Fatal("attached")
	}
	l.env = nil
	// As if it had been killed before the last class and before the filter.
	for _, c := range []string{"filter del dev up0", "class del dev up0 classid 1:30"} {
		if r := l.in(l.h, append([]string{"tc"}, strings.Fields(c)...)...); r.code != 0 {
			t.Fatalf("tc %s: %s", c, r.err)
		}
	}
	l.tn("attach", "next", itoa(l.sleeper()), "networks=web", "class=1:10")
	out := l.in(l.h, "tc", "class", "show", "dev", "up0").out
	for _, class := range []string{"htb 1:10 ", "htb 1:30 "} {
		if !strings.Contains(out, class) {
			t.Errorf("no class %s:\n%s", class, out)
		}
	}
	if out := l.in(l.h, "tc", "filter", "show", "dev", "up0").out; out == "" {
		t.Error("no filter")
	}
	l.tn("detach", "next")
	l.tn("detach", "k")
}

// A reload that is killed after it has let a network through another filter has said
// so before: the rule goes with the network.
func TestN61KilledWhileReloading(t *testing.T) {
	need(t, "iptables-nft")
	l := newLab(t)
	l.keepsTables("nft")
	l.web("")
	l.tn("attach", "c", itoa(l.sleeper()), "networks=web")
	l.in(l.h, "iptables-nft", "-P", "FORWARD", "DROP")
	defer l.in(l.h, "iptables-nft", "-P", "FORWARD", "ACCEPT")
	l.hook, l.env = faulty, []string{"TARE_NET_FAULT=kill:reload-forward"}
	if r := l.net("reload"); r.code == 0 {
		t.Error("reload was not killed")
	}
	l.hook, l.env = hook, nil
	rules := func() string { return l.in(l.h, "iptables-nft", "-S", "FORWARD").out }
	if !strings.Contains(rules(), "tare-net:forward") {
		t.Fatalf("the network was not let through:\n%s", rules())
	}
	l.tn("detach", "c")
	l.tn("net", "rm", "web")
	if strings.Contains(rules(), "tare-net") {
		t.Errorf("left:\n%s", rules())
	}
	l.in(l.h, "iptables-nft", "-P", "FORWARD", "ACCEPT")
}
