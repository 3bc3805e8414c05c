package network

import (
	"fmt"
	"strings"
	"testing"
)

// A network's file is changed. What was made by the old one goes at once where nobody
// needs it, and with the network otherwise.
func TestChangedFirewall(t *testing.T) {
	need(t, "iptables-nft")
	l := newLab(t)
	l.env = []string{"TARE_NET_IPTABLES=nft"}
	l.keepsTables("nft")
	l.server(l.w, "80")
	tables := func() string { return l.in(l.h, "nft", "list", "tables").out }
	chains := func() bool { return strings.Contains(l.in(l.h, "iptables-nft", "-S").out, "TARE-FWD") }
	l.web(`"firewall": "nftables"`)
	c := l.box("c", "networks=web", "ports=8080:80").up()
	l.web(`"firewall": "iptables"`)
	d := l.box("d", "networks=web", "ports=8081:80").up()
	l.works(c, "after the file has changed")
	l.waitFor("the new container", func() bool { return l.ask(l.w, "tcp", "203.0.113.1:8081") == "203.0.113.2" })
	if r := l.net("check"); r.code != 0 {
		t.Errorf("check: %s", r.err)
	}
	if !strings.Contains(tables(), "inet tare-net") || !chains() {
		t.Errorf("each of two containers has its filter: %s", tables())
	}
	c.down()
	d.down()
	l.tn("net", "rm", "web")
	if after := l.picture(); after != l.before {
		t.Errorf("net rm:\n%s", difference(l.before, after))
	}
	// Without a container of the old one.
	l.web(`"firewall": "iptables"`)
	l.tn("attach", "e", itoa(l.sleeper()), "networks=web")
	l.tn("detach", "e")
	l.web(`"firewall": "nftables"`)
	l.tn("attach", "f", itoa(l.sleeper()), "networks=web")
	if !strings.Contains(tables(), "inet tare-net") || chains() {
		t.Error("the chains of the old filter are still there")
	}
	l.tn("detach", "f")
}

func TestChangedBesideDrop(t *testing.T) {
	need(t, "iptables-nft")
	l := newLab(t)
	l.keepsTables("nft")
	policy := func(p string) { l.in(l.h, "iptables-nft", "-P", "FORWARD", p) }
	defer policy("ACCEPT")
	opened := func(bridge string) bool {
		return strings.Contains(l.in(l.h, "iptables-nft", "-S", "FORWARD").out, "tare-net:forward:"+bridge)
	}
	attach := func(want bool) {
		t.Helper()
		if r := l.net("attach", "x", itoa(l.sleeper()), "networks=web"); (r.code == 0) != want {
			t.Fatalf("attach: %d %s", r.code, r.err)
		}
		l.tn("detach", "x")
	}
	end := func(when string) {
		t.Helper()
		policy("ACCEPT")
		l.tn("net", "rm", "web")
		if after := l.picture(); after != l.before {
			t.Errorf("%s:\n%s", when, difference(l.before, after))
		}
	}
	// It was let through a filter that drops no more when the file changes.
	policy("DROP")
	l.web("")
	attach(true)
	if !opened("brweb") {
		t.Fatal("the network is not let through")
	}
	policy("ACCEPT")
	l.web(`"masquerade": false`)
	attach(true)
	end("opened under the old file")

	// The change fails after it has let the network through.
	l.web("")
	attach(true)
	policy("DROP")
	l.web(`"masquerade": false`)
	l.hook, l.env = faulty, []string{"TARE_NET_FAULT=fail:network-forward"}
	attach(false)
	l.hook, l.env = hook, nil
	end("a change that failed")

	// Links of one prefix, by their addresses.
	p2p := func(subnet string) {
		l.network("web", `"driver": "ptp", "subnets": [{"subnet": "`+subnet+`"}]`)
	}
	policy("DROP")
	p2p("172.26.0.0/24")
	attach(true)
	p2p("172.27.0.0/24")
	attach(true)
	if out := l.in(l.h, "iptables-nft", "-S", "FORWARD").out; strings.Contains(out, "172.26.0.0/24") || !strings.Contains(out, "172.27.0.0/24") {
		t.Errorf("another subnet:\n%s", out)
	}
	end("another subnet")
}

func TestChangedBridge(t *testing.T) {
	l := newLab(t)
	there := func(bridge string) bool { return l.in(l.h, "ip", "link", "show", bridge).code == 0 }
	attach := func(id string) result { return l.net("attach", id, itoa(l.sleeper()), "networks=web") }
	l.web("")
	if r := attach("a"); r.code != 0 {
		t.Fatal(r.err)
	}
	before := l.picture()
	for what, file := range map[string]string{
		"bridge": `"bridge": "brnew", "subnets": [{"subnet": "172.31.0.0/16"}]`,
		"driver": `"driver": "ptp", "subnets": [{"subnet": "172.31.0.0/16"}]`,
	} {
		l.network("web", file)
		if r := attach("b"); r.code == 0 || !strings.Contains(r.err, `"a"`) || !strings.Contains(r.err, "brweb") {
			t.Errorf("another %s while a container is attached: %d %s", what, r.code, r.err)
		}
		if after := l.picture(); after != before {
			t.Errorf("another %s:\n%s", what, difference(before, after))
		}
	}
	l.tn("detach", "a")
	for i, file := range []string{`"bridge": "brnew", "subnets": [{"subnet": "172.31.0.0/16"}]`, `"driver": "ptp", "subnets": [{"subnet": "172.28.0.0/16"}]`, webSubnets} {
		l.network("web", file)
		if r := attach("b"); r.code != 0 {
			t.Errorf("%d: %s", i, r.err)
		}
		if there("brweb") != (i == 2) || there("brnew") != (i == 0) {
			t.Errorf("%d: bridges: %s", i, l.in(l.h, "ip", "-br", "link", "show", "type", "bridge").out)
		}
		if r := l.net("check"); r.code != 0 {
			t.Errorf("%d: check: %s", i, r.err)
		}
		l.tn("detach", "b")
	}
}

func TestChangedClasses(t *testing.T) {
	l := newLab(t)
	attach := func() {
		t.Helper()
		l.tn("attach", "x", itoa(l.sleeper()), "networks=web")
		l.tn("detach", "x")
	}
	rate := func() string { return l.in(l.h, "tc", "class", "show", "dev", "up0").out }
	l.web(fmt.Sprintf(tree, ""))
	attach()
	if !strings.Contains(rate(), "rate 16Mbit") {
		t.Fatal(rate())
	}
	l.web(strings.ReplaceAll(fmt.Sprintf(tree, ""), "16mbit", "8mbit"))
	// Another network may have the same tree.
	l.network("back", backSubnets+", "+strings.ReplaceAll(fmt.Sprintf(tree, ""), "16mbit", "8mbit"))
	attach()
	if !strings.Contains(rate(), "rate 8Mbit") || strings.Contains(rate(), "rate 16Mbit") {
		t.Errorf("the class is the old one:\n%s", rate())
	}
	l.tn("attach", "y", itoa(l.sleeper()), "networks=back")
	l.web("")
	attach()
	if !strings.Contains(rate(), "rate 8Mbit") {
		t.Error("the tree of another network has gone")
	}
	l.tn("detach", "y")
	l.tn("net", "rm", "back")
	if out := rate(); out != "" {
		t.Errorf("the tree is left:\n%s", out)
	}

	// One that was there before is used as it is.
	l.in(l.h, "tc", "qdisc", "add", "dev", "up0", "root", "handle", "1:", "htb", "default", "77")
	for _, more := range []string{"", `, "classifier": "bpf"`} {
		l.web(fmt.Sprintf(tree, more))
		attach()
		if out := l.in(l.h, "tc", "qdisc", "show", "dev", "up0").out; !strings.Contains(out, "default 0x77") {
			t.Errorf("another one's tree was replaced: %s", out)
		}
	}
	l.tn("net", "rm", "web")
	l.in(l.h, "tc", "qdisc", "del", "dev", "up0", "root")
}
