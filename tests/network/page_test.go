package network

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// page is docs/network.md.
func page(t *testing.T) string {
	t.Helper()
	file := os.Getenv("TARE_NET_PAGE") // where there are no sources
	if file == "" {
		file = "../../docs/network.md"
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

var span = regexp.MustCompile("`([^`]+)`")

// byHand is the right column of the table with the steps: each row's commands.
func byHand(t *testing.T) (rows [][]string) {
	t.Helper()
	_, rest, ok := strings.Cut(page(t), "| step | by hand |\n|---|---|\n")
	table, _, end := strings.Cut(rest, "\n\n")
	if !ok || !end {
		t.Fatal("the page has no table of steps")
	}
	for _, row := range lines(table) {
		cells := strings.Split(strings.Trim(row, "| "), " | ")
		if len(cells) != 2 {
			t.Fatalf("a row of %d cells: %s", len(cells), row)
		}
		var commands []string
		for _, m := range span.FindAllStringSubmatch(cells[1], -1) {
			commands = append(commands, m[1])
		}
		rows = append(rows, commands)
	}
	return rows
}

// What the page says that one would type by hand makes the network that it
// describes: each command runs as it is written.
func TestPageByHand(t *testing.T) {
	need(t, "iptables", "bridge", "nft")
	l := newLab(t)
	l.keepsTables("nft")
	l.server(l.w, "80")
	c := l.bare("c1").up()
	n := 0
	for _, row := range byHand(t) {
		for _, command := range row {
			n++
			command = strings.ReplaceAll(command, "PID", itoa(c.pid))
			if r := l.in(l.h, "sh", "-c", command); r.code != 0 {
				t.Errorf("%s: %s%s", command, r.out, r.err)
			}
		}
	}
	if n < 25 {
		t.Errorf("the page has %d commands", n)
	}
	l.waitFor("the server", func() bool { return l.ask(l.h, "tcp", "172.30.0.2:80") == "172.30.0.1" })
	for what, got := range map[string][2]string{
		"outwards":        {c.ask("tcp", "203.0.113.2:80"), "203.0.113.1"},
		"published":       {l.ask(l.w, "tcp", "203.0.113.1:8080"), "203.0.113.2"},
		"from the host":   {l.ask(l.h, "tcp", "203.0.113.1:8080"), "203.0.113.1"},
		"by 127.0.0.1":    {l.ask(l.h, "tcp", "127.0.0.1:8080"), "172.30.0.1"},
		"its own port":    {c.ask("tcp", "203.0.113.1:8080"), "172.30.0.1"},
		"by ip netns":     {peerOf(run(nil, "ip", "netns", "exec", "c1", peerAt, "ask", "tcp", "203.0.113.2:80", "5s")), "203.0.113.1"},
		"the port itself": {l.ask(l.w, "tcp", "203.0.113.1:80", shortly), ""},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: peer is %q, want %q", what, got[0], got[1])
		}
	}
	l.ip("-n", l.w, "route", "add", "172.30.0.0/16", "via", "203.0.113.1")
	if p := l.ask(l.w, "tcp", "172.30.0.2:80", shortly); p != "" {
		t.Errorf("routed from outside: %q", p)
	}
	mac := func(ns result, name string) string { return linksOf(t, ns)[name].Address }
	inside, gateway := mac(c.in("ip", "-j", "addr"), "eth0"), mac(l.in(l.h, "ip", "-j", "addr"), "br0")
	l.ownFrames(c, gateway, inside, "172.30.0.2", "172.30.0.3")
	if out := l.in(l.h, "tc", "qdisc", "show", "dev", "tv1").out; !strings.Contains(out, "tbf") {
		t.Errorf("bandwidth: %s", out)
	}
	// The namespace goes with all that was typed into it.
	c.down()
	l.must(os.Remove("/run/netns/c1"))
	l.waitFor("the end of tv1", func() bool { return l.links()["tv1"].IfName == "" })
	l.ip("-n", l.h, "link", "del", "br0")
	l.before = l.picture()
}

// The first lines of the page: a config, a container, its address.
func TestPageFirstLines(t *testing.T) {
	l := newLab(t)
	_, rest, _ := strings.Cut(page(t), "\n    tare spec")
	block, _, ok := strings.Cut("    tare spec"+rest, "\n\n")
	if !ok || len(lines(block)) != 3 {
		t.Fatalf("the page begins with other lines:\n%s", block)
	}
	dir := l.dir + "/bundle"
	l.makeRoot(dir + "/rootfs")
	// The places of the host, seen by nobody else: /etc and /run as they are here,
	// and nothing that is written into them is written there.
	var script strings.Builder
	fmt.Fprintf(&script, "set -e\nmkdir -p %[1]s/up %[1]s/bin; mount -t tmpfs none %[1]s/up\n", l.dir)
	for _, d := range []string{"etc", "run"} {
		fmt.Fprintf(&script, "mkdir -p %[1]s/up/%[2]s %[1]s/up/work-%[2]s; mount -t overlay none -o lowerdir=/%[2]s,upperdir=%[1]s/up/%[2]s,workdir=%[1]s/up/work-%[2]s /%[2]s\n", l.dir, d)
	}
	fmt.Fprintf(&script, "ln -s %[1]s %[3]s/bin/tare; ln -s %[2]s %[3]s/bin/tare-net; PATH=%[3]s/bin:$PATH; cd %[3]s/bundle\n", runtimes["tare"], l.hook, l.dir)
	for _, line := range lines(block) {
		command, _, _ := strings.Cut(strings.TrimSpace(line), "#")
		command = strings.TrimSpace(command)
		switch {
		case strings.HasPrefix(command, "tare spec"):
			// What runs in it is a matter of the image.
			command += "\n" + `jq '.process.terminal = false | .process.args = ["/peer", "serve", "80"]' config.json >c && mv c config.json`
		case strings.HasPrefix(command, "tare run"):
			command += " </dev/null >out 2>err &\nuntil grep -q ready out; do sleep .05; kill -0 $! || { cat err; exit 1; }; done"
		}
		fmt.Fprintln(&script, command)
	}
	fmt.Fprintf(&script, "ip netns exec c1 %s ask tcp 203.0.113.2:80 5s\n", peerAt)
	fmt.Fprintln(&script, "tare kill c1 KILL; wait; tare delete c1 2>/dev/null || true; tare-net list --json; tare-net net rm default")
	l.server(l.w, "80")
	cmd := exec.Command("nsenter", "--net=/run/netns/"+l.h, "unshare", "--mount", "sh", "-c", script.String())
	out, err := cmd.CombinedOutput()
	for _, want := range []string{"c1", "default", "eth0", "172.29.0.2/16", "peer=203.0.113.1", "[]"} {
		if err != nil || !strings.Contains(string(out), want) {
			t.Fatalf("%v, %q is missing in:\n%s", err, want, out)
		}
	}
}

// The other things on the page that one can type or write: commands of tare-net
// exist, and the JSON is that of network files.
func TestPageWords(t *testing.T) {
	text := page(t)
	usage := run(nil, hook, "help").out
	seen := 0
	for _, m := range regexp.MustCompile("`tare-net ([a-z]+)[^`]*`").FindAllStringSubmatch(text, -1) {
		seen++
		if !strings.Contains(usage, "\n  "+m[1]+" ") {
			t.Errorf("tare-net %s: no such command", m[1])
		}
	}
	l := newLab(t)
	files := regexp.MustCompile(`(?m)^    \{"name": "(\w+)"(?:.*\n)(?:    .*\n)*`).FindAllStringSubmatch(text, -1)
	for _, f := range files {
		if !json.Valid([]byte(f[0])) {
			t.Errorf("network %s: is no JSON:\n%s", f[1], f[0])
		}
		l.must(os.WriteFile(l.config+"/"+f[1]+".json", []byte(f[0]), 0o644))
		if r := l.net("net", "show", f[1]); r.code != 0 {
			t.Errorf("network %s: %s", f[1], r.err)
		}
	}
	if seen < 6 || len(files) < 2 {
		t.Errorf("%d commands and %d network files are on the page", seen, len(files))
	}
}

// classes are the lines of the page that make the tree of classes by hand.
func classes(t *testing.T) []string {
	t.Helper()
	_, rest, ok := strings.Cut(page(t), "by hand:\n\n")
	block, _, end := strings.Cut(rest, "\n\n")
	if !ok || !end {
		t.Fatal("the page has no classes by hand")
	}
	return lines(block)
}

// The tree of classes by hand. The filter by cgroup is what the page says that
// many kernels lack; TestVMClassesByHand has one with it.
func TestPageClassesByHand(t *testing.T) {
	l := newLab(t)
	// The hierarchy is the whole machine's, whoever mounts it.
	mine := fmt.Sprintf("%s/tn%d-", l.netCls(), os.Getpid())
	for _, command := range classes(t) {
		command = strings.ReplaceAll(strings.TrimSpace(command), "/sys/fs/cgroup/net_cls/", mine)
		r := l.in(l.w, "sh", "-c", command) // where the link is called eth0
		if strings.HasSuffix(command, "cgroup") && !guest {
			continue
		}
		if r.code != 0 {
			t.Errorf("%s: %s", command, r.err)
		}
	}
	for _, class := range []string{"1:10", "1:11", "1:30"} {
		if out := l.in(l.w, "tc", "class", "show", "dev", "eth0").out; !strings.Contains(out, "class htb "+class) {
			t.Errorf("no class %s: %s", class, out)
		}
	}
	for name, id := range map[string]string{"a": "65552", "b": "65553"} {
		if text, _ := os.ReadFile(mine + name + "/net_cls.classid"); strings.TrimSpace(string(text)) != id {
			t.Errorf("%s: class id %s", name, text)
		}
		defer os.Remove(mine + name)
	}
}
