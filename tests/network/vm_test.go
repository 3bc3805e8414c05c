//go:build vm

package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What the reference host's kernel or its packages cannot show runs in the virtual
// machine of tests/vm, where a test may also configure the machine's own firewall.

func init() {
	guest, patience = true, 3*time.Minute // emulation, on a host that does other things too
}

// N-23: an association through a published port, by each filter.
func TestVMSCTP(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		c := l.box("c1", "networks=web", "ports=9999:80/sctp")
		c.spec.Process.Args = []string{"/peer", "sctp-serve", "80"}
		c.up()
		ask := func(ns, to string) string { return peerOf(l.in(ns, peerAt, "sctp-ask", to, "5s")) }
		l.waitFor("the server", func() bool { return ask(l.h, c.ip4()+":80") == "172.30.0.1" })
		if p := ask(l.w, "203.0.113.1:9999"); p != "203.0.113.2" {
			t.Errorf("from the world: %q", p)
		}
		if p := ask(l.h, "203.0.113.1:9999"); p == "" {
			t.Error("from the host: no answer")
		}
		d := l.box("c2", "networks=web").up()
		if p := peerOf(d.in(peerAt, "sctp-ask", "203.0.113.1:9999", "5s")); p == "" {
			t.Error("from the neighbour: no answer")
		}
	})
}

// N-51: the tree of the manual, typed as the page has it, with the filter that
// reads the class id of a cgroup: what a and b send is counted by class.
func TestVMClassesByHand(t *testing.T) {
	l := newLab(t)
	mount := l.netCls()
	for _, command := range classes(t) {
		command = strings.ReplaceAll(strings.TrimSpace(command), "/sys/fs/cgroup/net_cls", mount)
		if r := l.in(l.w, "sh", "-c", command); r.code != 0 {
			t.Errorf("%s: %s", command, r.err)
		}
	}
	sent := func(class string) (n int) {
		_, rest, _ := strings.Cut(l.in(l.w, "tc", "-s", "class", "show", "dev", "eth0", "classid", class).out, "bytes ")
		_, _ = fmt.Sscanf(rest, "%d", &n)
		return n
	}
	for cgroup, class := range map[string]string{"a": "1:10", "b": "1:11"} {
		other := map[string]string{"1:10": "1:11", "1:11": "1:10"}[class]
		mine, theirs := sent(class), sent(other)
		r := l.in(l.w, "sh", "-c", "echo $$ >"+mount+"/"+cgroup+"/cgroup.procs && exec "+peerAt+" burst 203.0.113.1:4000 20")
		if r.code != 0 || sent(class)-mine != 20 || sent(other) != theirs {
			t.Errorf("%s: %d packets in %s and %d in %s, of 20 %s", cgroup, sent(class)-mine, class, sent(other)-theirs, other, r.err)
		}
		defer os.Remove(mount + "/" + cgroup)
	}
}

// N-40, N-44: ports of an Open vSwitch are links of the host like others.
func TestVMOpenVSwitch(t *testing.T) {
	l := newLab(t)
	dir := l.dir + "/ovs"
	l.must(os.MkdirAll(dir, 0o755))
	l.env = []string{"OVS_RUNDIR=" + dir, "OVS_DBDIR=" + dir, "OVS_LOGDIR=" + dir, "OVS_SYSCONFDIR=" + dir}
	hostRun(t, "modprobe", "openvswitch")
	hostRun(t, "ovsdb-tool", "create", dir+"/conf.db", "/usr/share/openvswitch/vswitch.ovsschema")
	daemon := func(ready string, args ...string) {
		cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + l.h}, args...)...)
		cmd.Env = append(os.Environ(), l.env...)
		l.must(cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
		l.waitFor(args[0], func() bool { _, err := os.Stat(ready); return err == nil })
	}
	sock := "unix:" + dir + "/db.sock"
	daemon(dir+"/db.sock", "ovsdb-server", dir+"/conf.db", "--remote=p"+sock, "--unixctl="+dir+"/db.ctl")
	daemon(dir+"/switch.ctl", "ovs-vswitchd", sock, "--unixctl="+dir+"/switch.ctl")
	ovs := func(args ...string) {
		t.Helper()
		if r := l.in(l.h, append([]string{"ovs-vsctl", "--db=" + sock, "--timeout=60"}, args...)...); r.code != 0 {
			t.Fatalf("ovs-vsctl %s: %s", strings.Join(args, " "), r.err)
		}
	}
	ovs("add-br", "ovs0")
	for i, name := range []string{"tapa", "tapb"} {
		ovs("add-port", "ovs0", name, "--", "set", "interface", name, "type=internal")
		l.ip("-n", l.h, "addr", "add", "198.51.100."+itoa(i+7)+"/24", "dev", name)
		l.network(name, `"driver": "device", "parent": "`+name+`"`)
	}
	// Under their own names, by which the switch knows them.
	a, b := l.box("a", "networks=tapa", "ifname=tapa").up(), l.box("b", "networks=tapb", "ifname=tapb").up()
	l.waitFor("the neighbour, by the switch", func() bool { return a.ask("tcp", "198.51.100.8:80") == "198.51.100.7" })
	if out := b.in("ip", "-br", "addr", "show", "tapb").out; !strings.Contains(out, "198.51.100.8/24") {
		t.Errorf("in the container: %s", out)
	}
	// As a veth, such a link ends with its namespace; before that it comes back.
	l.tn("detach", a.id)
	l.tn("detach", b.id)
	if k := l.links(); k["tapa"].IfName == "" || k["tapb"].IfName == "" {
		t.Errorf("the ports did not come back: %v", k)
	}
	a.down()
	b.down()
	ovs("del-br", "ovs0")
	l.in(l.h, "ip", "link", "del", "ovs-system")
}

// hostRun runs a program that has to succeed.
func hostRun(t *testing.T, args ...string) string {
	t.Helper()
	r := run(nil, args...)
	if r.code != 0 {
		t.Fatalf("%s: %s%s", strings.Join(args, " "), r.out, r.err)
	}
	return r.out
}

// N-34: firewalld is left alone: its table is the same before and after. What it
// rejects is named, with what its administrator has to say to it; then it works.
func TestVMFirewalld(t *testing.T) {
	l := newLab(t)
	cmd := exec.Command("nsenter", "--net=/run/netns/"+l.h, "firewalld", "--nofork", "--nopid")
	log, err := os.Create(filepath.Join(l.dir, "firewalld.log"))
	l.must(err)
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	l.must(cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	table := func() string {
		return counters.ReplaceAllString(l.in(l.h, "nft", "list", "table", "inet", "firewalld").out, "")
	}
	l.waitFor("firewalld", func() bool { return strings.Contains(table(), "reject with icmpx admin-prohibited") })
	l.server(l.w, "80")
	before := table()
	l.before = l.picture()
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	if after := table(); after != before {
		t.Errorf("its table has changed:\n%s", difference(before, after))
	}
	l.waitFor("the published port", func() bool { return l.ask(l.w, "tcp", "203.0.113.1:8080") == "203.0.113.2" })
	if p := c.ask("tcp", "203.0.113.2:80", "2s"); p != "" {
		t.Errorf("firewalld lets pass what it was not told of: %q", p)
	}
	advice := "firewall-cmd --zone=trusted --add-interface=brweb"
	if r := l.net("check"); r.code != 1 || !strings.Contains(r.err, advice) {
		t.Errorf("check: %d %s", r.code, r.err)
	}
	// It listens to the bus some time after its rules are there.
	l.waitFor(advice, func() bool { return l.in(l.h, strings.Fields(advice)...).code == 0 })
	l.works(c, "with the bridge in zone trusted")
	if r := l.net("check"); r.code != 0 {
		t.Errorf("check: %s", r.err)
	}
	before = table()
	c.down()
	l.tn("net", "rm", "web")
	if after := table(); after != before {
		t.Errorf("its table is another:\n%s", difference(before, after))
	}
	l.before = l.picture()
}
