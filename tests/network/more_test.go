package network

import (
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The table of docs/network.md names tests that exist.
func TestTableOfChecks(t *testing.T) {
	doc := page(t)
	sources, _ := filepath.Glob("*_test.go")
	var code strings.Builder
	for _, s := range sources {
		b, _ := os.ReadFile(s)
		code.Write(b)
	}
	rows := regexp.MustCompile(`(?m)^\| (N-\d\d) \| .* \| (.*) \|$`).FindAllStringSubmatch(doc, -1)
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r[1]] = true
		for _, name := range regexp.MustCompile(`Test\w+`).FindAllString(r[2], -1) {
			if !strings.Contains(code.String(), "func "+name+"(") {
				t.Errorf("%s: there is no %s", r[1], name)
			}
		}
	}
	for _, group := range [][2]int{{1, 15}, {20, 37}, {40, 48}, {50, 55}, {60, 66}, {70, 75}} {
		for n := group[0]; n <= group[1]; n++ {
			if id := fmt.Sprintf("N-%02d", n); !seen[id] {
				t.Errorf("the table lacks %s", id)
			}
		}
	}
}

// N-21: the check bites: without the test of the bridge the gateway becomes the
// sender of what two containers of one bridge say to each other.
func TestN21Mutation(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.bridgeFilter("1")
	c1, c2 := l.box("c1", "networks=web").up(), l.box("c2", "networks=web").up()
	if p := c1.ask("tcp", c2.ip4()+":80"); p != c1.ip4() {
		t.Fatalf("with it the peer is %q", p)
	}
	l.in(l.h, "nft", "insert", "rule", "inet", "tare-net", "postrouting", "ip", "saddr", "172.30.0.0/16", "masquerade")
	if p := c1.ask("tcp", c2.ip4()+":81"); p != "172.30.0.1" {
		t.Errorf("without it the peer is %q", p)
	}
}

// N-33: iptables is run at most twice for each family, and what it saves it can
// restore.
func TestN33Iptables(t *testing.T) {
	need(t, "strace", "iptables-nft")
	l := newLab(t)
	l.env = []string{"TARE_NET_IPTABLES=nft"}
	l.keepsTables("nft")
	reload := func() {
		for _, p := range []string{"iptables-nft", "ip6tables-nft"} {
			if r := l.in(l.h, "sh", "-c", p+"-save -c >"+l.dir+"/saved && "+p+"-restore -c <"+l.dir+"/saved"); r.code != 0 {
				t.Errorf("%s: %s", p, r.err)
			}
		}
	}
	reload() // makes all chains that the program itself knows
	l.before = l.picture()
	l.web(`"firewall": "iptables"`)
	l.server(l.w, "80")
	l.box("first", "networks=web").up()
	out := filepath.Join(l.dir, "trace")
	pid := itoa(l.sleeper())
	r := l.in(l.h, append([]string{"strace", "-f", "-qq", "-e", "trace=execve", "-o", out, l.hook}, l.hookArgs("attach", "x1", pid, "networks=web", "ports=8081:80,8082-8090:82-90/udp")[1:]...)...)
	trace, _ := os.ReadFile(out)
	if n := strings.Count(string(trace), ") = 0") - 1; r.code != 0 || n > 4 {
		t.Errorf("%d programs: %s\n%s", n, r.err, trace)
	}
	l.tn("detach", "x1")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	reload()
	if p := c.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
		t.Errorf("outwards: %q", p)
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
		t.Errorf("published: %q", p)
	}
}

// N-33: iptables is found without an environment, which is what a hook has that its
// config gives an empty one.
func TestN33NoPath(t *testing.T) {
	need(t, "iptables-nft")
	l := newLab(t)
	l.keepsTables("nft")
	l.web(`"firewall": "iptables"`)
	state := `{"id":"x","status":"%s","pid":%d,"annotations":{"` + prefix + `networks":"web","` + prefix + `ports":"8080:80"}}`
	bare := []string{"TARE_NET_IPTABLES=nft"}
	if r := l.feed(fmt.Sprintf(state, "created", l.sleeper()), bare); r.code != 0 {
		t.Errorf("attach: %s", r.err)
	}
	if out := l.in(l.h, "iptables-nft", "-t", "nat", "-S").out; !strings.Contains(out, "172.30.0.2:80") {
		t.Errorf("no port is published:\n%s", out)
	}
	if r := l.feed(fmt.Sprintf(state, "stopped", 0), bare); r.code != 0 {
		t.Errorf("detach: %s", r.err)
	}
	l.env = bare
}

// processorTime is that of all programs that this one has run.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// N-64: many cycles change no count, and the last take no more of a processor than
// the first.
func TestN64Soak(t *testing.T) {
	l := newLab(t)
	l.web("")
	n := full(60, 2000)
	pid := itoa(l.sleeper())
	var before string
	var took []time.Duration
	for i := range n {
		start := processorTime(t)
		l.tn("attach", "x"+itoa(i%7), pid, "networks=web", "ports=8080:80,8053:53/udp")
		l.tn("detach", "x"+itoa(i%7))
		took = append(took, processorTime(t)-start)
		if i == 0 {
			before = l.picture() + strings.Join(l.files(), "\n")
		}
	}
	if after := l.picture() + strings.Join(l.files(), "\n"); after != before {
		t.Errorf("after %d cycles:\n%s", n, difference(before, after))
	}
	// The kernel's own multicast may be in it.
	if flows, err := strconv.Atoi(strings.TrimSpace(l.in(l.h, "sysctl", "-n", "net.netfilter.nf_conntrack_count").out)); err != nil || flows > 5 {
		t.Errorf("%d flows in conntrack, %v", flows, err)
	}
	if left, _ := filepath.Glob(l.state + "/locks/*"); len(left) > 8 {
		t.Errorf("locks: %v", left)
	}
	median := func(d []time.Duration) time.Duration {
		c := slices.Sorted(slices.Values(d))
		return c[len(c)/2]
	}
	// Of the fastest tenth: what else the machine does is in the others.
	fast := func(d []time.Duration) time.Duration {
		slices.Sort(d)
		return d[len(d)/10]
	}
	// Some dozens say nothing on a machine that others use.
	if first, last := fast(slices.Clone(took[:n/3])), fast(slices.Clone(took[2*n/3:])); n >= 1000 && last > first*3/2 {
		t.Errorf("a cycle took %s at first and %s at last", first, last)
	}
	t.Logf("%d cycles; the first third %s each, the last %s", n, median(took[:n/3]), median(took[2*n/3:]))
}

// N-65: what is translated is about as fast as what is not. The bound is wide
// unless all is asked for, for the machine may have other things to do; the figures
// are printed, that of the proxy too, which nothing asks anything of.
func TestN65Throughput(t *testing.T) {
	l := newLab(t)
	l.web(`"directRouting": true`)
	l.ip("-n", l.w, "route", "add", "172.30.0.0/16", "via", "203.0.113.1")
	l.box("c1", "networks=web", "ports=8080:80", "proxy=on").up()
	ways := []struct{ name, ns, to string }{
		{"routed", l.w, "172.30.0.2:80"}, {"published", l.w, "203.0.113.1:8080"},
		{"host to container", l.h, "172.30.0.2:80"}, {"by the proxy", l.h, "[::1]:8080"},
	}
	for _, w := range ways {
		l.waitFor("the server", func() bool { return l.ask(w.ns, "tcp", w.to) != "" })
	}
	size := full(48, 256) << 20
	best := map[string]float64{}
	var shares []float64 // of neighbours: the machine drifts
	for range full(8, 40) {
		now := map[string]float64{}
		for _, w := range ways {
			r := l.in(w.ns, peerAt, "pour", w.to, strconv.Itoa(size))
			s, err := strconv.ParseFloat(strings.TrimSpace(r.out), 64)
			if err != nil {
				t.Fatal(r.err)
			}
			now[w.name] = float64(size) * 8 / s / 1e9
			best[w.name] = max(best[w.name], math.Round(now[w.name]*10)/10)
		}
		shares = append(shares, now["published"]/now["routed"])
	}
	slices.Sort(shares)
	share := shares[len(shares)/2]
	t.Logf("Gbit/s at best: %v; published to routed %.2f (median), proxy to direct %.2f", best, share, best["by the proxy"]/best["host to container"])
	if share < float64(full(60, 85))/100 {
		t.Errorf("published has %.2f of routed", share)
	}
}

// N-75: inject changes a config once.
func TestN75Inject(t *testing.T) {
	l := newLab(t)
	l.web("")
	c := l.bare("c1")
	c.write()
	path := c.bundle + "/config.json"
	l.tn("inject", path, "networks=web", "ports=8080:80")
	once, _ := os.ReadFile(path)
	l.tn("inject", path, "networks=web", "ports=8080:80")
	twice, _ := os.ReadFile(path)
	if string(once) != string(twice) || !strings.Contains(string(once), prefix+"ports") {
		t.Errorf("once:\n%s\ntwice:\n%s", once, twice)
	}
	if r := l.net("inject", path, "prots=8080:80"); r.code != 1 || !strings.Contains(r.err, "prots") {
		t.Errorf("a typing mistake: %d %s", r.code, r.err)
	}
	if r := run(nil, runtimes["tare"], "check", "--bundle", c.bundle); strings.Contains(r.out+r.err, "hooks") {
		t.Errorf("tare check: %s%s", r.out, r.err)
	}
	// `tare spec --network` writes the same hooks.
	spec := l.dir + "/spec"
	l.must(os.MkdirAll(spec+"/rootfs", 0o755))
	if r := run(nil, runtimes["tare"], "spec", "--bundle", spec, "--network", "web"); r.code != 0 {
		t.Fatal(r.err)
	}
	data, _ := os.ReadFile(spec + "/config.json")
	if text := string(data); strings.Count(text, "/tare-net\"") != 2 || !strings.Contains(text, `"`+prefix+`networks": "web"`) {
		t.Errorf("tare spec --network: %s", text)
	}
}

// N-75: podman runs the hook from a hooks directory, with the file that is shipped.
func TestN75Podman(t *testing.T) {
	need(t, "podman")
	l := newLab(t)
	l.web("")
	l.server(l.w, "80")
	hooks := l.dir + "/hooks.d"
	l.must(os.MkdirAll(hooks, 0o755))
	file, err := os.ReadFile(filepath.Join("..", "..", "contrib", "network", "hooks.d", "tare-net.json"))
	l.must(err)
	for from, to := range map[string]string{`"/usr/local/bin/tare-net"`: fmt.Sprintf("%q", l.hook),
		`["tare-net"]`: fmt.Sprintf(`["tare-net", "--state", %q, "--config", %q]`, l.state, l.config)} {
		if !strings.Contains(string(file), from) {
			t.Fatalf("%s is not in %s", from, file)
		}
		file = []byte(strings.Replace(string(file), from, to, 1))
	}
	l.must(os.WriteFile(hooks+"/tare-net.json", file, 0o644))
	root := l.dir + "/podroot"
	l.makeRoot(root)
	podman := func(args ...string) result {
		return l.in(l.h, append([]string{"podman", "--root", l.dir + "/pod/root", "--runroot", l.dir + "/pod/run", "--tmpdir", l.dir + "/pod/tmp", "--storage-driver", "vfs",
			"--cgroup-manager", "cgroupfs", "--events-backend", "none", "--hooks-dir", hooks}, args...)...)
	}
	pod := func(name string, words ...string) *box {
		b := &box{l: l}
		args := []string{"run", "-d", "--name", name, "--network", "none", "--cgroups", "disabled", "--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"}
		for _, w := range words {
			args = append(args, "--annotation", prefix+w)
		}
		r := podman(append(args, "--rootfs", root, "/peer", "serve", "80")...)
		if r.code != 0 {
			t.Fatalf("podman run: %s", r.err)
		}
		t.Cleanup(func() { podman("rm", "-f", "-t", "0", "-i", name) }) // where the test ends early
		b.id = strings.TrimSpace(r.out)
		if _, err := fmt.Sscan(podman("inspect", "--format", "{{.State.Pid}}", name).out, &b.pid); err != nil || b.pid == 0 {
			t.Fatalf("pid of %s: %v", name, err)
		}
		return b
	}
	names := []string{"tn" + itoa(os.Getpid()) + "pod1", "tn" + itoa(os.Getpid()) + "pod2", "tn" + itoa(os.Getpid()) + "pod3"}
	a, b := pod(names[0], "networks=web", "ports=8080:80"), pod(names[1], "networks=web")
	if out := a.in("ip", "-o", "addr", "show", "eth0").out; !strings.Contains(out, " 172.30.0.2/16 ") || !strings.Contains(out, " fd00:30::2/64 ") {
		t.Errorf("addresses of podman's container: %s", out)
	}
	for what, got := range map[string][2]string{
		"published":   {l.ask(l.w, "tcp", "203.0.113.1:8080"), "203.0.113.2"},
		"outwards":    {a.ask("tcp", "203.0.113.2:80"), "203.0.113.1"},
		"neighbour":   {b.ask("tcp", a.ip4()+":80"), b.ip4()},
		"neighbour 6": {a.ask("tcp", "["+b.ip6()+"]:80"), a.ip6()},
		"host":        {l.ask(l.h, "tcp", b.ip4()+":80"), "172.30.0.1"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: peer is %q, want %q", what, got[0], got[1])
		}
	}
	if _, err := exec.LookPath("ping"); err == nil {
		if r := a.in("ping", "-c", "1", "-W", "5", b.ip4()); r.code != 0 {
			t.Errorf("ping: %s%s", r.out, r.err)
		}
	}
	// Without the annotation the hook is not asked.
	if c := pod(names[2]); strings.Contains(c.in("ip", "-o", "link").out, "eth0") {
		t.Error("a container without the annotation has eth0")
	}
	for _, n := range names {
		if r := podman("rm", "-f", "-t", "0", n); r.code != 0 {
			t.Errorf("podman rm: %s", r.err)
		}
	}
	l.waitFor("the hook after podman rm", func() bool { return strings.TrimSpace(l.tn("list", "--json")) == "[]" })
}
