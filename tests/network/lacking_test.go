package network

import (
	"os"
	"strings"
	"testing"
)

// N-33: a kernel without nf_tables. iptables does what it can, a network that wants
// nf_tables says what is missing, and what is removed is removed.
func TestN33WithoutNFTables(t *testing.T) {
	need(t, "iptables-legacy")
	l := newLab(t)
	l.env = []string{"TARE_NET_IPTABLES=legacy"}
	l.keepsTables("legacy")
	l.server(l.w, "80")
	self, err := os.Executable()
	l.must(err)
	without := func(args ...string) result {
		return l.in(l.h, append([]string{"env", lackingEnv + "=1", self, l.hook}, l.hookArgs(args...)[1:]...)...)
	}
	do := func(args ...string) {
		t.Helper()
		if r := without(args...); r.code != 0 {
			t.Errorf("%s: %s", strings.Join(args, " "), r.err)
		}
	}
	l.web(`"firewall": "auto"`)
	c := l.bare("c").up()
	do("attach", c.id, itoa(c.pid), "networks=web", "ports=8080:80,8053:80/udp")
	if f := c.legs()[0].Firewall; f != "iptables" {
		t.Errorf("firewall %q", f)
	}
	l.works(c, "without nf_tables")
	do("check")
	do("reload")
	l.works(c, "after reload")
	do("gc")
	do("detach", c.id)
	do("net", "rm", "web")
	if after := l.picture(); after != l.before {
		t.Errorf("left:\n%s", difference(l.before, after))
	}

	l.web(`"firewall": "nftables"`)
	if r := without("attach", c.id, itoa(c.pid), "networks=web"); r.code == 0 || !strings.Contains(r.err, "CONFIG_NF_TABLES") {
		t.Errorf("nf_tables is missing: %d %s", r.code, r.err)
	}
	do("net", "rm", "web")
	if after := l.picture(); after != l.before {
		t.Errorf("refused:\n%s", difference(l.before, after))
	}
	// Nothing of it can be there, and so nothing stops what removes the rest.
	l.tn("attach", c.id, itoa(c.pid), "networks=web", "ports=8080:80")
	do("gc")
	do("detach", c.id)
	do("gc")
	l.tn("reload")
	do("net", "rm", "web")
	if l.in(l.h, "ip", "link", "show", "brweb").code == 0 {
		t.Error("the bridge is left")
	}
	for _, family := range []string{"inet", "bridge"} {
		l.in(l.h, "nft", "delete", "table", family, "tare-net") // which this kernel does have
	}
}
