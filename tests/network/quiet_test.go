package network

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// heard counts the packets that have come to a container.
func (b *box) heard() int {
	b.l.t.Helper()
	var links []struct {
		Stats64 struct{ RX struct{ Packets int } }
	}
	r := b.in("ip", "-s", "-j", "link", "show", "eth0")
	if err := json.Unmarshal([]byte(r.out), &links); err != nil || len(links) != 1 {
		b.l.t.Fatalf("%q: %v", r.out, err)
	}
	return links[0].Stats64.RX.Packets
}

// N-66: on a network without IPv6 a container that comes is heard by nobody, for
// otherwise a thousand would hear each one. Where it is wanted it can be had.
func TestN66Quiet(t *testing.T) {
	l := newLab(t)
	l.network("four", `"bridge": "brfour", "subnets": [{"subnet": "172.30.0.0/16"}]`)
	a := l.box("a", "networks=four").up()
	l.in(l.h, "sysctl", "-w", "net.ipv6.conf.brfour.disable_ipv6=1") // the bridge speaks too when it is new
	before := a.heard()
	b := l.box("b", "networks=four").up()
	// The first solicitation goes out within a second, at random (RFC 4861, 6.3.7),
	// and reports of groups are repeated within another one (RFC 3810, 6.1).
	time.Sleep(2500 * time.Millisecond)
	if n := a.heard() - before; n != 0 {
		t.Errorf("a container hears %d packets of another one that comes", n)
	}
	if p := b.ask("tcp", "172.30.0.2:80"); p != "172.30.0.3" { // it can be asked for, and does hear
		t.Errorf("asked by %q", p)
	}
	if n := a.heard() - before; n == 0 {
		t.Error("packets are not counted")
	}
	l.network("both", `"bridge": "brboth", "subnets": [{"subnet": "172.31.0.0/16"}], "sysctl": {"net.ipv6.conf.eth0.disable_ipv6": "0"}`)
	c := l.box("c", "networks=both").up()
	l.waitFor("a link-local address", func() bool {
		return strings.Contains(c.in("ip", "-6", "addr", "show", "dev", "eth0", "scope", "link").out, "fe80::")
	})
	if out := a.in("ip", "-6", "addr", "show", "dev", "eth0").out; out != "" {
		t.Errorf("without IPv6 a container has %s", out)
	}
}

// N-66: beside many, parameters are reached by a procfs of the hook's own, whose
// directories do not hold the entries of a thousand namespaces.
func TestN66OwnProcfs(t *testing.T) {
	need(t, "strace")
	l := newLab(t)
	l.web("")
	out := filepath.Join(l.dir, "trace")
	attach := func(id string) string {
		r := l.in(l.h, append([]string{"strace", "-f", "-qq", "-e", "trace=openat,open,fsmount", "-o", out, l.hook}, l.hookArgs("attach", id, itoa(l.sleeper()), "networks=web")[1:]...)...)
		if r.code != 0 {
			t.Error(r.err)
		}
		trace, _ := os.ReadFile(out)
		return string(trace)
	}
	trace := attach("few")
	if strings.Contains(trace, "fsmount(") || !strings.Contains(trace, `"/proc/sys/net/ipv6/conf/eth0/accept_ra"`) {
		t.Errorf("beside few:\n%s", trace)
	}
	for i := range 200 { // what is counted of the others
		l.must(os.Mkdir(filepath.Join(l.state, "att", "other"+itoa(i)), 0o700))
	}
	trace = attach("many")
	if strings.Count(trace, "fsmount(") != 1 || strings.Contains(trace, `"/proc/sys/net`) || !strings.Contains(trace, `"sys/net/ipv6/conf/eth0/accept_ra"`) {
		t.Errorf("beside many:\n%s", trace)
	}
	for i := range 200 {
		l.must(os.Remove(filepath.Join(l.state, "att", "other"+itoa(i))))
	}
	l.tn("detach", "few")
	l.tn("detach", "many")
}

// N-66: beside others an attach asks the kernel for no more than alone: it lists
// neither links nor leases, records, elements or directories.
func TestN66SameCalls(t *testing.T) {
	need(t, "strace")
	l := newLab(t)
	l.web("")
	out := filepath.Join(l.dir, "trace")
	calls := func(id string) map[string]int {
		r := l.in(l.h, append([]string{"strace", "-f", "-qq", "-e", "trace=openat,getdents64,read,write,sendto,sendmsg,recvfrom,recvmsg,newfstatat,ioctl", "-o", out, l.hook},
			l.hookArgs("attach", id, itoa(l.sleeper()), "networks=web", "ports="+itoa(20000+len(id))+":80")[1:]...)...)
		if r.code != 0 {
			t.Fatal(r.err)
		}
		trace, _ := os.ReadFile(out)
		n := map[string]int{}
		for _, line := range lines(string(trace)) { // PID NAME(...
			if f := strings.Fields(line); len(f) > 1 {
				if name, _, ok := strings.Cut(f[1], "("); ok {
					n[name]++
				}
			}
		}
		return n
	}
	l.tn("attach", "first", itoa(l.sleeper()), "networks=web") // makes the bridge
	alone := calls("x")
	ids := []string{"first", "x"}
	for i := range 20 {
		ids = append(ids, "m"+itoa(i))
		l.tn("attach", ids[len(ids)-1], itoa(l.sleeper()), "networks=web", "ports="+itoa(10000+i)+":80")
	}
	// Go's scheduler and a busy kernel only ever add to what the hook asks for.
	beside := calls("yy")
	for range 2 {
		l.tn("detach", "yy")
		for name, n := range calls("yy") {
			beside[name] = min(beside[name], n)
		}
	}
	for _, name := range []string{"openat", "getdents64", "read", "write", "sendto", "sendmsg", "recvfrom", "recvmsg", "newfstatat", "ioctl"} {
		// One read or write may be of Go's scheduler, which wakes itself by a pipe.
		if alone[name]+1 < beside[name] {
			t.Errorf("%s: %d alone, %d beside 20 others", name, alone[name], beside[name])
		}
	}
	if alone["sendto"] == 0 || alone["openat"] == 0 {
		t.Errorf("nothing was counted: %v", alone)
	}
	t.Log(alone, beside)
	for _, id := range append(ids, "yy") {
		l.tn("detach", id)
	}
}
