package network

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// N-40: a link of the host is moved, by the hook and by linux.netDevices.
func TestN40Device(t *testing.T) {
	l := newLab(t)
	l.ip("-n", l.h, "link", "add", "dev7", "type", "veth", "peer", "name", "dev7p")
	l.ip("-n", l.h, "addr", "add", "198.51.100.7/24", "dev", "dev7")
	l.ip("-n", l.h, "link", "set", "dev7p", "up")
	l.network("dev", `"driver": "device", "parent": "dev7", "routes": [{"dst": "192.0.2.0/24", "via": "198.51.100.1"}]`)
	c := l.box("c1", "networks=dev", "ifname.dev=net0").up()
	e := linksOf(t, c.in("ip", "-j", "addr"))["net0"]
	if len(e.AddrInfo) == 0 || e.AddrInfo[0].Local != "198.51.100.7" || e.OperState != "UP" {
		t.Errorf("in the container: %+v", e)
	}
	if out := c.in("ip", "route", "get", "192.0.2.1").out; !strings.Contains(out, "via 198.51.100.1 dev net0") {
		t.Errorf("route: %s", out)
	}
	if _, ok := l.links()["dev7"]; ok {
		t.Error("the device is still on the host")
	}
	c.down() // a veth dies with its namespace, as the specification says
	// By hand, while the container lives, it comes back.
	l.ip("-n", l.h, "link", "add", "dev8", "type", "veth", "peer", "name", "dev8p")
	l.network("dev8", `"driver": "device", "parent": "dev8"`)
	l.tn("attach", "x", itoa(l.sleeper()), "networks=dev8", "ifname=net0")
	l.tn("detach", "x")
	if _, ok := l.links()["dev8"]; !ok {
		t.Error("the device did not come back")
	}
	l.box("c2", "networks=dev8", "ifname.dev8=lo0").spec.Hostname = ""
	l.ip("-n", l.h, "link", "del", "dev8p")
	l.box("c3", "networks=dev8").createFails("dev8", "no such link")
}

// N-41: without a bridge.
func TestN41PointToPoint(t *testing.T) {
	filters(t, pointToPoint)
}

func pointToPoint(t *testing.T, l *lab, filter string) {
	l.network("p2p", filter+`, "driver": "ptp", "subnets": [{"subnet": "172.26.0.0/24"}, {"subnet": "fd00:26::/64"}]`)
	l.server(l.w, "80")
	a, b := l.box("a", "networks=p2p", "ports=8080:80").up(), l.box("b", "networks=p2p").up()
	if out := a.in("ip", "addr").out; !strings.Contains(out, "172.26.0.2/32") {
		t.Errorf("addresses: %s", out)
	}
	for what, got := range map[string][2]string{
		"neighbour":   {a.ask("tcp", b.ip4()+":80"), a.ip4()},
		"neighbour 6": {a.ask("tcp", "["+b.ip6()+"]:80"), a.ip6()},
		"world":       {a.ask("tcp", "203.0.113.2:80"), "203.0.113.1"},
		"world 6":     {a.ask("tcp", "[2001:db8:1::2]:80"), "2001:db8:1::1"},
		"published":   {l.ask(l.w, "tcp", "203.0.113.1:8080"), "203.0.113.2"},
		"host":        {l.ask(l.h, "tcp", a.ip4()+":80"), "172.26.0.1"},
		"localhost":   {l.ask(l.h, "tcp", "127.0.0.1:8080"), "172.26.0.1"},
		"itself":      {a.ask("tcp", "203.0.113.1:8080"), "172.26.0.1"},
		"its service": {b.ask("tcp", "203.0.113.1:8080"), "172.26.0.1"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: peer is %q, want %q", what, got[0], got[1])
		}
	}
	l.ip("-n", l.w, "route", "add", "172.26.0.0/24", "via", "203.0.113.1")
	if p := l.ask(l.w, "tcp", a.ip4()+":80", shortly); p != "" {
		t.Errorf("routed from outside: %q", p)
	}
	if r := l.net("check"); r.code != 0 {
		t.Errorf("check: %s", r.err)
	}
	// A foreign sender gets no further than the host's end of its link.
	l.ownFrames(a, linksOf(t, l.in(l.h, "ip", "-j", "addr"))[a.legs()[0].Link].Address, a.legs()[0].MAC, a.ip4(), "172.99.0.1")
	// Another network is let in by its address only if it is not isolated.
	l.web(filter + `, "isolate": false`)
	w := l.box("w", "networks=web").up()
	if p := a.ask("tcp", w.ip4()+":80"); p != a.ip4() {
		t.Errorf("to an open network: peer is %q, want %q", p, a.ip4())
	}
	if p := w.ask("tcp", a.ip4()+":80", shortly); p != "" {
		t.Errorf("into an isolated network: %q", p)
	}
	l.network("open", filter+`, "driver": "ptp", "subnets": [{"subnet": "172.24.0.0/24"}], "isolate": false`)
	o := l.box("o", "networks=open").up()
	if p := w.ask("tcp", o.ip4()+":80"); p != w.ip4() {
		t.Errorf("into an open network: %q, want %q", p, w.ip4())
	}
	l.network("shut", filter+`, "driver": "ptp", "subnets": [{"subnet": "172.25.0.0/24"}], "internal": true, "hostAccess": false, "icc": false`)
	c, d := l.box("c", "networks=shut").up(), l.box("d", "networks=shut").up()
	l.server(l.h, "90")
	for what, to := range map[string]string{"world": "203.0.113.2:80", "neighbour": d.ip4() + ":80", "host": "172.25.0.1:90", "another network": o.ip4() + ":80"} {
		if p := c.ask("tcp", to, shortly); p != "" {
			t.Errorf("from a closed network to the %s: %q", what, p)
		}
	}
}

// N-42: host and none.
func TestN42HostAndNone(t *testing.T) {
	l := newLab(t)
	l.network("host", `"driver": "host"`)
	l.network("none", `"driver": "none"`)
	c := l.box("c1", "networks=none").up()
	if links := linksOf(t, c.in("ip", "-j", "addr")); len(links) != 1 || links["lo"].OperState == "DOWN" {
		t.Errorf("none: %+v", links)
	}
	l.box("c2", "networks=host").createFails("driver host", "namespace of its own")
	d := l.box("c3", "networks=host")
	d.spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}
	d.spec.Hostname = ""
	d.up()
	if p := l.ask(l.w, "tcp", "203.0.113.1:80"); p != "203.0.113.2" {
		t.Errorf("host: %q", p)
	}
}

// N-45: containers with routed addresses on two hosts.
func TestN45Routed(t *testing.T) {
	l := newLab(t)
	l.network("r", `"bridge": "brr", "subnets": [{"subnet": "10.50.1.0/24"}], "masquerade": false, "directRouting": true`)
	// W is the other host.
	other := &lab{t: t, n: l.n, h: l.w, w: l.h, dir: l.dir + "/other", runtime: "tare", hook: l.hook}
	other.state, other.config, other.cniConf = other.dir+"/state", other.dir+"/networks.d", other.dir+"/cni"
	l.must(os.MkdirAll(other.config, 0o755))
	other.network("r", `"bridge": "brr", "subnets": [{"subnet": "10.50.2.0/24"}], "masquerade": false, "directRouting": true`)
	l.ip("-n", l.h, "route", "add", "10.50.2.0/24", "via", "203.0.113.2")
	l.ip("-n", l.w, "route", "add", "10.50.1.0/24", "via", "203.0.113.1")
	l.before = l.picture()
	a, b := l.box("a", "networks=r").up(), other.box("b", "networks=r").up()
	if p := a.ask("tcp", b.ip4()+":80"); p != a.ip4() {
		t.Errorf("from one host to the other: %q, want %q", p, a.ip4())
	}
	if p := b.ask("udp", a.ip4()+":80"); p != b.ip4() {
		t.Errorf("and back: %q, want %q", p, b.ip4())
	}
	b.down()
	other.tn("net", "rm", "r")
}

// N-46: an address of the LAN itself.
func TestN46Macvlan(t *testing.T) {
	l := newLab(t)
	l.network("lan", `"driver": "macvlan", "parent": "up0", "subnets": [{"subnet": "203.0.113.0/24", "gateway": "203.0.113.1", "range": "203.0.113.64/27"}]`)
	l.server(l.w, "80")
	c := l.box("c1", "networks=lan", "ip.lan=203.0.113.77").up()
	if p := c.ask("tcp", "203.0.113.2:80"); p != "203.0.113.77" {
		t.Errorf("the world was asked by %q", p)
	}
	if p := l.ask(l.w, "tcp", "203.0.113.77:80"); p != "203.0.113.2" {
		t.Errorf("from the world: %q", p)
	}
	l.box("c2", "networks=lan", "ip.lan=203.0.113.2").createFails("203.0.113.2", "in use on the network by")
}

// N-47: one subnet on two hosts.
func TestN47VXLAN(t *testing.T) {
	l := newLab(t)
	doc := func(local, remote, rng string) string {
		return fmt.Sprintf(`"driver": "vxlan", "bridge": "brx", "subnets": [{"subnet": "10.60.0.0/24", "gateway": "10.60.0.%s", "range": "10.60.0.%s/27"}],
			"vxlan": {"id": 42, "local": %q, "remotes": [%q]}`, map[string]string{"32": "1", "64": "2"}[rng], rng, local, remote)
	}
	l.network("x", doc("203.0.113.1", "203.0.113.2", "32"))
	other := &lab{t: t, n: l.n, h: l.w, w: l.h, dir: l.dir + "/other", runtime: "tare", hook: l.hook}
	other.state, other.config, other.cniConf = other.dir+"/state", other.dir+"/networks.d", other.dir+"/cni"
	l.must(os.MkdirAll(other.config, 0o755))
	other.network("x", doc("203.0.113.2", "203.0.113.1", "64"))
	a, b := l.box("a", "networks=x").up(), other.box("b", "networks=x").up()
	if p := a.ask("tcp", b.ip4()+":80"); p != a.ip4() {
		t.Errorf("across: %q, want %q", p, a.ip4())
	}
	if e := linksOf(t, a.in("ip", "-j", "addr"))["eth0"]; e.MTU != 1450 {
		t.Errorf("mtu %d", e.MTU)
	}
	b.down()
	other.tn("net", "rm", "x")
}

// N-32: names.
func TestN32Names(t *testing.T) {
	l := newLab(t)
	l.web("")
	mounted := l.dir + "/names"
	l.must(os.MkdirAll(mounted, 0o755))
	for _, f := range []string{"resolv.conf", "hosts", "hostname"} {
		l.must(os.WriteFile(mounted+"/"+f, []byte("old\n"), 0o644))
		l.must(os.WriteFile(filepath.Join(l.sharedRoot(), "etc", f), nil, 0o644))
	}
	a := l.box("a", "networks=web", "dns=192.0.2.53,2001:db8::53", "search=example.org corp.example", "dns-options=ndots:2", "aliases=db,store", "hosts=printer=10.9.0.9", "files=mounts")
	for _, f := range []string{"resolv.conf", "hosts", "hostname"} {
		a.spec.Mounts = append(a.spec.Mounts, specs.Mount{Destination: "/etc/" + f, Type: "bind", Source: mounted + "/" + f, Options: []string{"bind", "ro"}})
	}
	a.up()
	inside := func(b *box, f string) string {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/root/etc/%s", b.pid, f))
		l.must(err)
		return string(data)
	}
	if got := inside(a, "resolv.conf"); got != "search example.org corp.example\nnameserver 192.0.2.53\nnameserver 2001:db8::53\noptions ndots:2\n" {
		t.Errorf("resolv.conf: %q", got)
	}
	if got := inside(a, "hostname"); got != "a\n" {
		t.Errorf("hostname: %q", got)
	}
	if got := inside(a, "hosts"); !strings.Contains(got, a.ip4()+"\ta "+a.id+" db store\n") || !strings.Contains(got, "10.9.0.9\tprinter\n") {
		t.Errorf("hosts: %q", got)
	}
	// In a rootfs, from which a link leads out.
	root, outside := l.dir+"/rootfs", l.dir+"/outside"
	l.makeRoot(root)
	l.must(os.MkdirAll(outside, 0o755))
	l.must(os.Remove(root + "/etc"))
	l.must(os.Symlink(outside, root+"/etc"))
	l.must(os.MkdirAll(filepath.Join(root, outside), 0o755)) // where it leads inside
	b := l.box("b", "networks=web", "files=rootfs")
	b.spec.Root = &specs.Root{Path: root}
	b.up()
	if files, _ := os.ReadDir(outside); len(files) > 0 {
		t.Errorf("files of the host were written: %v", files)
	}
	text, _ := os.ReadFile(filepath.Join(root, outside, "resolv.conf"))
	if strings.Contains(string(text), "nameserver 127.") || !strings.Contains(string(text), "nameserver ") {
		t.Errorf("resolv.conf in the rootfs: %q", text)
	}
	// They know each other, for as long as they are there.
	entry := b.ip4() + "\tb " + b.id
	if got := inside(a, "hosts"); !strings.Contains(got, entry) {
		t.Errorf("hosts of the first: %q", got)
	}
	if data, _ := os.ReadFile(filepath.Join(root, outside, "hosts")); !strings.Contains(string(data), a.ip4()+"\ta ") {
		t.Errorf("hosts of the second: %q", data)
	}
	// What a container makes of its file is nobody else's affair.
	hosts := filepath.Join(root, outside, "hosts")
	for what, replace := range map[string]func() error{
		"a fifo":   func() error { return syscall.Mkfifo(hosts, 0o644) },
		"a folder": func() error { return os.Mkdir(hosts, 0o755) },
	} {
		l.must(os.Remove(hosts))
		l.must(replace())
		if r := l.box("d", "networks=web").tryCreate(); r.code != 0 {
			t.Errorf("%s in the place of a neighbour's hosts: %s", what, r.err)
		}
		l.boxes[len(l.boxes)-1].down()
	}
	b.down()
	if got := inside(a, "hosts"); strings.Contains(got, b.id) {
		t.Errorf("hosts after the second has gone: %q", got)
	}
	l.box("c", "networks=web", "files=mounts").createFails("files=mounts", "no bind mount")
}
