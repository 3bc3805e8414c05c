package network

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const pluginDir = "/usr/lib/cni"

// plugins makes the network web one of Debian's CNI plugins, and returns the file
// of its configuration list. more is a plugin before the others' end.
func (l *lab) plugins(more string) string {
	l.t.Helper()
	if _, err := os.Stat(pluginDir + "/portmap"); err != nil {
		l.t.Skip("containernetworking-plugins is not installed")
	}
	l.keepsTables("nft")
	l.network("web", `"driver": "cni", "cni": "plugged"`)
	return l.conflist("10-x.conflist", "plugged", more)
}

// conflist writes a configuration list that has the whole chain.
func (l *lab) conflist(file, name, more string) string {
	l.t.Helper()
	path := filepath.Join(l.cniConf, file)
	l.must(os.WriteFile(path, []byte(fmt.Sprintf(`{"cniVersion": "1.0.0", "name": %q, "plugins": [
		{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": true, "hairpinMode": true, "capabilities": {"mac": true, "ips": true},
		 "ipam": {"type": "host-local", "dataDir": %q, "routes": [{"dst": "0.0.0.0/0"}], "ranges": [[{"subnet": "10.22.0.0/16"}]]}},
		{"type": "portmap", "capabilities": {"portMappings": true}, "snat": true},
		{"type": "firewall"},
		%s{"type": "bandwidth", "capabilities": {"bandwidth": true}}]}`, name, l.leaseDir(), more)), 0o644))
	return path
}

func (l *lab) leaseDir() string { return l.dir + "/leases" }

// leases lists those of host-local, and what holds namespaces.
func (l *lab) leases() string {
	files, _ := filepath.Glob(l.leaseDir() + "/*/1*")
	held, _ := filepath.Glob(l.state + "/cni-netns/*")
	return strings.Join(append(files, held...), "\n")
}

// endPlugins removes what the plugins make for a network: they have no verb for it.
func (l *lab) endPlugins() {
	if _, err := os.Stat(l.leaseDir()); err != nil {
		return
	}
	for _, b := range l.boxes {
		b.destroy()
	}
	l.in(l.h, "ip", "link", "del", "cni0")
	for _, p := range []string{"iptables-nft", "ip6tables-nft"} {
		for _, table := range []string{"nat", "filter", "mangle"} {
			l.in(l.h, p, "-t", table, "-F")
			l.in(l.h, p, "-t", table, "-X")
		}
	}
	l.touchTables("nft")
	l.in(l.h, "sysctl", "-w", "net.ipv4.ip_forward=0")
}

// N-44: a CNI configuration list, with Debian's plugins.
func TestN44CNI(t *testing.T) {
	l := newLab(t)
	path := l.plugins("")
	l.server(l.w, "80")
	first := l.box("first", "networks=web", "ports=8088:80").up()
	first.down() // the chains that plugins never remove
	l.in(l.h, "sysctl", "-w", "net.ipv4.ip_forward=1")
	before := l.picture()
	c := l.box("c1", "networks=web", "ports=8080:80", "mac=02:42:00:00:00:55", "bandwidth=down=50mbit").up()
	e := linksOf(t, c.in("ip", "-j", "addr"))["eth0"]
	if e.Address != "02:42:00:00:00:55" || !strings.HasPrefix(e.AddrInfo[0].Local, "10.22.0.") {
		t.Errorf("eth0: %+v", e)
	}
	if p := c.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
		t.Errorf("outwards: %q", p)
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
		t.Errorf("published: %q", p)
	}
	if out := l.in(l.h, "tc", "qdisc", "show").out; !strings.Contains(out, "rate 50Mbit") {
		t.Errorf("bandwidth: %s", out)
	}
	// Renamed while it runs: DEL uses what was remembered.
	l.must(os.Rename(path, l.cniConf+"/99-y.conflist"))
	l.conflist("99-y.conflist", "renamed", "")
	c.down()
	if left := l.leases(); left != "" {
		t.Errorf("leases are left: %v", left)
	}
	if after := l.picture(); after != before {
		t.Errorf("left:\n%s", difference(before, after))
	}
	// A plugin is missing: no other one is run.
	l.conflist("20-z.conflist", "broken", `{"type": "nothere"},`)
	l.network("broken", `"driver": "cni"`)
	l.box("c2", "networks=broken").createFails("nothere")
	if left := l.leases(); left != "" {
		t.Errorf("leases are left: %v", left)
	}
	l.network("nolist", `"driver": "cni"`)
	l.box("c3", "networks=nolist").createFails("nolist", "renamed")
	l.endPlugins()
}

// N-44: macvlan by the plugin: an address of the LAN itself.
func TestN44CNIMacvlan(t *testing.T) {
	l := newLab(t)
	if _, err := os.Stat(pluginDir + "/macvlan"); err != nil {
		t.Skip("containernetworking-plugins is not installed")
	}
	l.must(os.WriteFile(l.cniConf+"/lan.conflist", []byte(fmt.Sprintf(`{"cniVersion": "1.0.0", "name": "lan", "plugins": [
		{"type": "macvlan", "master": "up0", "mode": "bridge",
		 "ipam": {"type": "host-local", "dataDir": %q, "ranges": [[{"subnet": "203.0.113.0/24", "rangeStart": "203.0.113.64", "rangeEnd": "203.0.113.95"}]]}}]}`, l.leaseDir())), 0o644))
	l.network("lan", `"driver": "cni"`)
	l.server(l.w, "80")
	c, d := l.box("c1", "networks=lan").up(), l.box("c2", "networks=lan").up()
	for _, b := range []*box{c, d} {
		if e := linksOf(t, b.in("ip", "-j", "-d", "addr"))["eth0"]; !strings.HasPrefix(b.ip4(), "203.0.113.") || e.Address != b.legs()[0].MAC {
			t.Errorf("%s: %+v", b.id, e)
		}
		if p := b.ask("tcp", "203.0.113.2:80"); p != b.ip4() {
			t.Errorf("the world was asked by %q, want %q", p, b.ip4())
		}
		if p := l.ask(l.w, "tcp", b.ip4()+":80"); p != "203.0.113.2" {
			t.Errorf("from the world: %q", p)
		}
	}
	if p := c.ask("tcp", d.ip4()+":80"); p != c.ip4() {
		t.Errorf("the neighbour was asked by %q", p)
	}
	c.down()
	d.down()
	if left := l.leases(); left != "" {
		t.Errorf("leases are left: %v", left)
	}
}

// newer is a plugin of version 1.1.0 around Debian's bridge, which knows 1.0.0:
// STATUS and GC are its own, and it notes what it is asked.
const newer = `#!/bin/sh
echo "$CNI_COMMAND $CNI_CONTAINERID" >>DIR/asked
case $CNI_COMMAND in
VERSION) echo '{"cniVersion":"1.1.0","supportedVersions":["1.0.0","1.1.0"]}' ;;
STATUS) [ ! -e DIR/down ] || { echo '{"cniVersion":"1.1.0","code":50,"msg":"the switch is off"}'; exit 1; } ;;
GC) cat >DIR/living ;;
*) sed 's/"1\.1\.0"/"1.0.0"/g; s/"newer"/"bridge"/' >DIR/in
   /usr/lib/cni/bridge <DIR/in >DIR/out || { cat DIR/out; exit 1; }
   sed 's/"1\.0\.0"/"1.1.0"/' DIR/out ;;
esac
`

// N-44: the verbs STATUS and GC of CNI 1.1. Debian's plugins do not have them.
func TestN44CNIStatusAndGC(t *testing.T) {
	l := newLab(t)
	if _, err := os.Stat(pluginDir + "/bridge"); err != nil {
		t.Skip("containernetworking-plugins is not installed")
	}
	for _, p := range []string{"bridge", "portmap", "macvlan", "host-local"} {
		r := run([]string{"CNI_COMMAND=VERSION"}, "sh", "-c", `echo '{"cniVersion": "1.1.0"}' | `+pluginDir+"/"+p)
		if r.code != 0 || !strings.Contains(r.out, `"1.0.0"`) {
			t.Errorf("%s: %d %s", p, r.code, r.out)
		}
		if strings.Contains(r.out, `"1.1.0"`) {
			t.Logf("Debian's %s knows 1.1.0 by now", p)
		}
	}
	bin := l.dir + "/bin"
	l.must(os.MkdirAll(bin, 0o755))
	l.must(os.WriteFile(bin+"/newer", []byte(strings.ReplaceAll(newer, "DIR", bin)), 0o755))
	l.env = []string{"CNI_PATH=" + bin + ":" + pluginDir}
	l.must(os.WriteFile(l.cniConf+"/n.conflist", []byte(fmt.Sprintf(`{"cniVersion": "1.1.0", "name": "new", "plugins": [
		{"type": "newer", "bridge": "cni0", "isGateway": true, "ipam": {"type": "host-local", "dataDir": %q, "subnet": "10.22.0.0/16"}}]}`, l.leaseDir())), 0o644))
	l.network("new", `"driver": "cni"`)
	file := func(name string) string { b, _ := os.ReadFile(bin + "/" + name); return string(b) }
	c := l.box("c1", "networks=new").up()
	if a := file("asked"); strings.Index(a, "STATUS") < 0 || strings.Index(a, "STATUS") > strings.Index(a, "ADD "+c.id) {
		t.Errorf("asked were %s", a)
	}
	if p := l.ask(l.h, "tcp", c.ip4()+":80"); p != "10.22.0.1" {
		t.Errorf("the container was asked by %q", p)
	}
	l.tn("gc", "--dry-run")
	if file("living") != "" {
		t.Error("a dry run has run GC")
	}
	l.tn("gc")
	want := fmt.Sprintf(`"cni.dev/valid-attachments":[{"containerID":%q,"ifname":"eth0"}]`, c.id)
	if got := file("living"); !strings.Contains(got, want) {
		t.Errorf("GC: %s, want %s", got, want)
	}
	// Another network has the same list, and has lost its file: its container is named
	// too, for what is not named is torn down.
	l.network("other", `"driver": "cni", "cni": "new"`)
	e := l.box("c3", "networks=other").up()
	l.must(os.Remove(l.config + "/other.json"))
	l.tn("gc")
	for _, b := range []*box{c, e} {
		if got := file("living"); !strings.Contains(got, fmt.Sprintf(`{"containerID":%q,"ifname":"eth0"}`, b.id)) {
			t.Errorf("GC: %s is not named: %s", b.id, got)
		}
		if p := l.ask(l.h, "tcp", b.ip4()+":80"); p != "10.22.0.1" {
			t.Errorf("after gc %s was asked by %q", b.id, p)
		}
	}
	e.down()
	// It says that it cannot: nothing is begun.
	l.must(os.WriteFile(bin+"/down", nil, 0o644))
	d := l.box("c2", "networks=new")
	d.createFails("is not ready", "the switch is off")
	if strings.Contains(file("asked"), "ADD "+d.id) {
		t.Error("ADD was run for a network that is not ready")
	}
	c.down()
	l.tn("gc")
	if got := file("living"); !strings.Contains(got, `"cni.dev/valid-attachments":[]`) {
		t.Errorf("GC afterwards: %s", got)
	}
	l.in(l.h, "ip", "link", "del", "cni0")
	l.in(l.h, "sysctl", "-w", "net.ipv4.ip_forward=0")
}
