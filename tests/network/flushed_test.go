package network

import (
	"slices"
	"strings"
	"testing"
)

// N-33: somebody flushes a table of iptables. The next container puts the guard back,
// reload the rest, each rule in its place.
func TestN33Flushed(t *testing.T) {
	for _, flavour := range []string{"nft", "legacy"} {
		t.Run(flavour, func(t *testing.T) {
			need(t, "iptables-"+flavour)
			l := newLab(t)
			l.env = []string{"TARE_NET_IPTABLES=" + flavour}
			l.keepsTables(flavour)
			l.web(`"firewall": "iptables"`)
			l.network("p2p", `"firewall": "iptables", "driver": "ptp", "subnets": [{"subnet": "172.26.0.0/24"}, {"subnet": "fd00:26::/64"}]`)
			l.tn("attach", "a", itoa(l.sleeper()), "networks=web", "ports=8080:80")
			l.tn("attach", "b", itoa(l.sleeper()), "networks=p2p")
			rules := func(program, chain string) []string {
				return lines(l.in(l.h, program+"-"+flavour, "-t", "mangle", "-S", chain).out)
			}
			sorted := func(program string) string {
				out := lines(l.in(l.h, program+"-"+flavour, "-t", "mangle", "-S").out)
				slices.Sort(out)
				return strings.Join(out, "\n")
			}
			check := func(when string) {
				t.Helper()
				for program, first := range map[string]string{"iptables": "-d 127.0.0.0/8 ! -i lo -j DROP", "ip6tables": "--ctstate RELATED,ESTABLISHED"} {
					if guard := rules(program, "TARE-GUARD"); len(guard) < 2 || !strings.Contains(guard[1], first) {
						t.Errorf("%s: %s: the guard begins otherwise: %q", when, program, guard)
					}
					if guard := rules(program, "TARE-GUARD"); program == "iptables" && !strings.Contains(guard[2], "--ctstate RELATED,ESTABLISHED") {
						t.Errorf("%s: what is established does not pass: %q", when, guard)
					}
					if closed := rules(program, "TARE-CLOSED"); closed[len(closed)-1] != "-A TARE-CLOSED -j DROP" {
						t.Errorf("%s: %s: what is closed is open: %q", when, program, closed)
					}
				}
			}
			flush := func() {
				for _, program := range []string{"iptables", "ip6tables"} {
					l.in(l.h, program+"-"+flavour, "-t", "mangle", "-F")
				}
			}
			check("before")
			before := map[string]string{"iptables": sorted("iptables"), "ip6tables": sorted("ip6tables")}
			flush()
			if r := l.net("check", "a"); r.code == 0 || !strings.Contains(r.err, "TARE-GUARD") {
				t.Errorf("check misses nothing: %s", r.err)
			}
			l.tn("reload")
			check("after reload")
			for program, want := range before {
				if got := sorted(program); got != want {
					t.Errorf("%s: after reload:\n%s", program, difference(want, got))
				}
			}
			flush()
			l.tn("attach", "c", itoa(l.sleeper()), "networks=p2p")
			check("after another container")
			for _, id := range []string{"a", "b", "c"} {
				l.tn("detach", id)
			}
		})
	}
}
