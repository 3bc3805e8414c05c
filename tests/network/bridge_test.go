package network

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// link is what `ip -j addr` prints.
type link struct {
	IfName, Address, Master, IfAlias, OperState string
	IfIndex, MTU                                int
	AddrInfo                                    []struct {
		Family, Local, Broadcast, Scope string
		PrefixLen                       int
	} `json:"addr_info"`
	LinkInfo struct {
		Kind string `json:"info_kind"`
	} `json:"linkinfo"`
}

func linksOf(t *testing.T, r result) map[string]link {
	t.Helper()
	var all []link
	if err := json.Unmarshal([]byte(r.out), &all); err != nil {
		t.Fatalf("%v: %s", err, r.err)
	}
	out := map[string]link{}
	for _, k := range all {
		out[k.IfName] = k
	}
	return out
}

func (l *lab) links() map[string]link {
	return linksOf(l.t, l.in(l.h, "ip", "-d", "-j", "addr"))
}

// N-01: the bridge is made once and stays.
func TestN01BridgeStays(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.box("c1", "networks=web").up().down()
	first := l.links()["brweb"]
	if first.LinkInfo.Kind != "bridge" || len(first.AddrInfo) == 0 || first.AddrInfo[0].Local != "172.30.0.1" {
		t.Fatalf("the bridge after its only container: %+v", first)
	}
	l.box("c2", "networks=web").up()
	if again := l.links()["brweb"]; again.IfIndex != first.IfIndex || again.Address != first.Address {
		t.Errorf("the bridge was made anew: %+v, then %+v", first, again)
	}
}

// N-02: veth, eth0, address, MTU, MAC, for all runtimes.
func TestN02LinkOfAContainer(t *testing.T) {
	for name := range runtimes {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.runtime = name
			l.web(`"mtu": 1400`)
			c := l.box("c1", "networks=web", "mac.web=02:42:00:00:00:77").up()
			inside := linksOf(t, c.in("ip", "-d", "-j", "addr"))
			e := inside["eth0"]
			if len(inside) != 2 || inside["lo"].OperState == "DOWN" {
				t.Errorf("links of the container: %+v", inside)
			}
			if e.MTU != 1400 || e.Address != "02:42:00:00:00:77" || e.OperState != "UP" {
				t.Errorf("eth0: %+v", e)
			}
			a := e.AddrInfo[0]
			if a.Local != "172.30.0.2" || a.PrefixLen != 16 || a.Broadcast != "172.30.255.255" || a.Scope != "global" {
				t.Errorf("address: %+v", a)
			}
			host := l.links()[c.legs()[0].Link]
			if !strings.HasPrefix(host.IfName, "tv") || len(host.IfName) != 15 || host.Master != "brweb" || host.IfAlias != "tare-net:"+c.id+":eth0" || host.MTU != 1400 {
				t.Errorf("the host's end: %+v", host)
			}
		})
	}
}

// N-03: ip-netns(8) knows the container by its id.
func TestN03NameOfTheNamespace(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web")
	path := "/run/netns/" + c.id
	l.must(os.Symlink("/proc/4000000/ns/net", path)) // of a container before it
	c.up()
	if out := run(nil, "ip", "netns", "exec", c.id, "ip", "addr").out; !strings.Contains(out, "172.30.0.2/16") {
		t.Errorf("ip netns exec: %s", out)
	}
	c.down()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the name is still there")
	}
}

// N-04: prestart, createRuntime or both.
func TestN04HookPlacement(t *testing.T) {
	for name := range runtimes {
		for _, kinds := range []string{"prestart", "createRuntime", "prestart createRuntime"} {
			t.Run(name+" "+kinds, func(t *testing.T) {
				l := newLab(t)
				l.runtime = name
				l.web("")
				c := l.box("c1", "networks=web")
				h := c.spec.Hooks.CreateRuntime
				c.spec.Hooks.CreateRuntime = nil
				if strings.Contains(kinds, "prestart") {
					c.spec.Hooks.Prestart = h //nolint:staticcheck // deprecated, and in use
				}
				if strings.Contains(kinds, "createRuntime") {
					c.spec.Hooks.CreateRuntime = h
				}
				c.up()
				if legs := c.legs(); len(legs) != 1 || legs[0].IPs[0] != "172.30.0.2/16" {
					t.Errorf("attachments: %+v", legs)
				}
				n := 0
				for _, k := range l.links() {
					if k.Master == "brweb" {
						n++
					}
				}
				if n != 1 {
					t.Errorf("%d ports on the bridge", n)
				}
			})
		}
	}
}

// N-10, N-13: host and container reach each other, over IPv6 at once.
func TestN10N13HostAndContainer(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.box("c1", "networks=web")
	if r := c.tryCreate(); r.code != 0 {
		t.Fatal(r.err)
	}
	// No duplicate address detection is waited for, before the process has begun.
	if out := c.in("ip", "-6", "-o", "addr", "show", "dev", "eth0", "scope", "global").out; !strings.Contains(out, " fd00:30::2/64 ") || strings.Contains(out, "tentative") {
		t.Errorf("the address of IPv6 when create returns: %q", out)
	}
	if r := c.oci("start", c.id); r.code != 0 {
		t.Fatal(r.err)
	}
	if p := l.ask(l.h, "tcp", "172.30.0.2:80"); p != "172.30.0.1" {
		t.Errorf("the container was asked by %q", p)
	}
	if p := l.ask(l.h, "tcp", "[fd00:30::2]:80"); p != "fd00:30::1" {
		t.Errorf("over IPv6 the container was asked by %q", p)
	}
	if v := c.in("sysctl", "-n", "net.ipv6.conf.eth0.accept_ra").out; strings.TrimSpace(v) != "0" {
		t.Errorf("accept_ra is %q", v)
	}
	l.server(l.h, "99")
	if p := c.ask("tcp", "172.30.0.1:99"); p != "172.30.0.2" {
		t.Errorf("the host was asked by %q", p)
	}
	l.network("shy", backSubnets+`, "hostAccess": false`)
	d := l.box("c2", "networks=shy").up()
	if p := d.ask("tcp", "172.31.0.1:99", shortly); p != "" {
		t.Errorf("hostAccess false: the host answered %q", p)
	}
	if p := l.ask(l.h, "tcp", "172.31.0.2:80"); p != "172.31.0.1" {
		t.Errorf("hostAccess false: the container was asked by %q", p)
	}
}

// Parameters of the container are set in an order in which none undoes another one:
// to switch on ip_forward sets the same of each link, and accept_redirects (ip-sysctl.rst).
func TestSysctlsInOrder(t *testing.T) {
	l := newLab(t)
	l.web(`"sysctl": {"net.ipv4.conf.all.accept_redirects": "1", "net.ipv4.conf.eth0.forwarding": "0", "net.ipv6.conf.eth0.forwarding": "0",
		"net.ipv4.ip_forward": "1", "net.ipv6.conf.all.forwarding": "1", "net.ipv6.conf.eth0.hop_limit": "9"}`)
	for i := range 6 {
		id, pid := fmt.Sprint("c", i), itoa(l.sleeper())
		l.tn("attach", id, pid, "networks=web")
		r := run(nil, "nsenter", "-t", pid, "-n", "sysctl", "-n", "net.ipv4.conf.all.accept_redirects", "net.ipv4.conf.eth0.forwarding",
			"net.ipv6.conf.eth0.forwarding", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.hop_limit")
		if r.out != "1\n0\n0\n1\n1\n9\n" {
			t.Errorf("%s: %q %s", id, r.out, r.err)
		}
		l.tn("detach", id)
	}
}
