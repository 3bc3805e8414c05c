package network

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// guest says that this runs in the virtual machine of tests/vm, whose kernel has
// what a test may want.
var guest bool

var (
	runtimes = map[string]string{} // by name, those that are installed
	hook     string                // tare-net
	faulty   string                // tare-net that fails where TARE_NET_FAULT says
	peerAt   string
	workDir  string
)

// patience bounds what takes milliseconds.
var patience = 30 * time.Second

var labs atomic.Int32

// lab is a host H and the world W beyond it:
//
//	W 203.0.113.2, 2001:db8:1::2 ── up0 203.0.113.1, 2001:db8:1::1  H ── bridges ── containers
//
// W has no route to the containers' networks unless a test gives it one, which
// is what makes the checks of NAT mean something.
type lab struct {
	t       *testing.T
	n       string
	h, w    string // names of the namespaces
	dir     string
	state   string // of the hook
	config  string
	runtime string // name of the runtime
	hook    string // program
	env     []string
	boxes   []*box
	before  string // what is in H
	leaky   bool   // the test leaves things on purpose
	cniConf string
}

func newLab(t *testing.T) *lab {
	t.Helper()
	need(t, "ip", "nft", "nsenter")
	n := strconv.Itoa(int(labs.Add(1)))
	l := &lab{t: t, n: n, h: "h" + n, w: "w" + n, dir: filepath.Join(workDir, n), runtime: "tare", hook: hook}
	l.state, l.config, l.cniConf = l.dir+"/state", l.dir+"/networks.d", l.dir+"/cni"
	for _, d := range []string{l.dir, l.config, l.cniConf} {
		l.must(os.MkdirAll(d, 0o755))
	}
	for _, c := range []string{
		"netns add " + l.h, "netns add " + l.w,
		"-n " + l.h + " link set lo up", "-n " + l.w + " link set lo up",
		"-n " + l.h + " link add up0 type veth peer name eth0 netns " + l.w,
		"-n " + l.h + " addr add 203.0.113.1/24 dev up0", "-n " + l.h + " addr add 2001:db8:1::1/64 dev up0 nodad",
		"-n " + l.w + " addr add 203.0.113.2/24 dev eth0", "-n " + l.w + " addr add 2001:db8:1::2/64 dev eth0 nodad",
		"-n " + l.h + " link set up0 up", "-n " + l.w + " link set eth0 up",
	} {
		l.ip(strings.Fields(c)...)
	}
	l.waitFor("the carrier of up0", func() bool { return strings.Contains(l.in(l.h, "ip", "-br", "link", "show", "up0").out, " UP ") })
	l.before = l.picture()
	t.Cleanup(l.close)
	return l
}

func (l *lab) must(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

// close removes everything by the hook's own means and compares H with what it
// was before: links, addresses, routes, rules, parameters and files.
func (l *lab) close() {
	l.t.Helper()
	for _, b := range l.boxes {
		b.destroy()
	}
	if !l.leaky {
		if out := l.tn("gc"); out != "" {
			l.t.Errorf("something was left for gc: %s", out)
		}
	} else {
		l.tn("gc")
	}
	for _, name := range l.networks() {
		l.tn("net", "rm", name)
	}
	if after := l.picture(); after != l.before {
		l.t.Errorf("the host is not what it was:\n%s", difference(l.before, after))
	}
	if left := l.files(); len(left) > 0 {
		l.t.Errorf("files are left: %v", left)
	}
	l.ip("netns", "del", l.h)
	l.ip("netns", "del", l.w)
	if names, _ := filepath.Glob("/run/netns/*"); len(names) > 0 {
		l.t.Errorf("names of namespaces are left: %v", names)
	}
}

func (l *lab) networks() []string {
	entries, _ := os.ReadDir(l.state + "/nets")
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

// files lists what is in the state directory, without the log and the locks.
func (l *lab) files() []string {
	var out []string
	_ = filepath.WalkDir(l.state, func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasPrefix(p, l.state+"/locks/") && filepath.Base(p) != "log" {
			out = append(out, strings.TrimPrefix(p, l.state+"/"))
		}
		return nil
	})
	return out
}

var counters = regexp.MustCompile(`packets \d+ bytes \d+|\[\d+:\d+\]|# (Generated|Completed).*`)

var carriers = regexp.MustCompile(`(?m) linkdown|NO-CARRIER,|,LOWER_UP| (?:UP|DOWN|UNKNOWN|LOWERLAYERDOWN)( |$)`)

// picture is what the host has, as text.
func (l *lab) picture() string {
	var b strings.Builder
	for _, c := range [][]string{
		{"ip", "-br", "link"}, {"ip", "-br", "addr"}, {"ip", "route"}, {"ip", "-6", "route"}, {"nft", "list", "ruleset"},
		{"sysctl", "-n", "net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"}, {"tc", "qdisc", "show"},
	} {
		out := l.in(l.h, c...).out
		if c[0] == "ip" {
			// A link-local address comes up by itself.
			out = regexp.MustCompile(`fe80::\S+`).ReplaceAllString(out, "")
			var keep []string
			for _, line := range lines(out) {
				if !strings.HasPrefix(line, "fe80") && !strings.HasPrefix(line, "/64") && !strings.HasPrefix(line, " dev") {
					keep = append(keep, strings.Join(strings.Fields(line), " "))
				}
			}
			out = strings.Join(keep, "\n") + "\n"
		}
		// A bridge has a carrier while it has a port that is up, and what a link says of
		// its own comes a moment after it is up.
		out = carriers.ReplaceAllString(out, "$1")
		b.WriteString(counters.ReplaceAllString(out, ""))
	}
	return b.String()
}

func difference(a, b string) string {
	count := map[string]int{}
	for _, x := range lines(a) {
		count[x]--
	}
	for _, x := range lines(b) {
		count[x]++
	}
	var out []string
	for x, n := range count {
		if n < 0 {
			out = append(out, "- "+x)
		} else if n > 0 {
			out = append(out, "+ "+x)
		}
	}
	sort.Strings(out)
	return strings.Join(out, "\n")
}

// result is what a program has done.
type result struct {
	out, err string
	code     int
}

func run(env []string, args ...string) result {
	cmd := exec.Command(args[0], args[1:]...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	cmd.WaitDelay = time.Second
	err := cmd.Start()
	if err == nil {
		timer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
		err = cmd.Wait()
		timer.Stop()
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return result{out.String(), errs.String() + err.Error(), -1}
	}
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// in runs a program in a namespace.
func (l *lab) in(ns string, args ...string) result {
	return run(l.env, append([]string{"nsenter", "--net=/run/netns/" + ns}, args...)...)
}

func (l *lab) ip(args ...string) string {
	l.t.Helper()
	r := run(nil, append([]string{"ip"}, args...)...)
	if r.code != 0 {
		l.t.Fatalf("ip %s: %s", strings.Join(args, " "), r.err)
	}
	return r.out
}

// hookArgs are the arguments that tell the hook its places.
func (l *lab) hookArgs(args ...string) []string {
	return append([]string{"tare-net", "--state", l.state, "--config", l.config, "--cni-conf", l.cniConf}, args...)
}

// tare runs tare-net by hand in H.
func (l *lab) net(args ...string) result {
	return l.in(l.h, append([]string{l.hook}, l.hookArgs(args...)[1:]...)...)
}

// tn runs tare-net and demands success.
func (l *lab) tn(args ...string) string {
	l.t.Helper()
	r := l.net(args...)
	if r.code != 0 {
		l.t.Errorf("tare-net %s: %s", strings.Join(args, " "), r.err)
	}
	return r.out
}

// network writes a network file. Without a subnet it gets two.
func (l *lab) network(name string, members string) {
	l.t.Helper()
	if members != "" {
		members = ", " + members
	}
	doc := fmt.Sprintf(`{"name": %q%s}`, name, members)
	var any map[string]any
	l.must(json.Unmarshal([]byte(doc), &any))
	l.must(os.WriteFile(filepath.Join(l.config, name+".json"), []byte(doc), 0o644))
}

const webSubnets = `"bridge": "brweb", "subnets": [{"subnet": "172.30.0.0/16"}, {"subnet": "fd00:30::/64"}]`
const backSubnets = `"bridge": "brback", "subnets": [{"subnet": "172.31.0.0/16"}, {"subnet": "fd00:31::/64"}]`

// web makes the network web.
func (l *lab) web(more string) {
	if more != "" {
		more = ", " + more
	}
	l.network("web", webSubnets+more)
}

// ask lets somebody in a namespace ask a server, and returns who the server says
// it was asked by, or "" when there was no answer in time.
func (l *lab) ask(ns, proto, to string, more ...string) string {
	if len(more) == 0 {
		more = []string{"5s"}
	}
	return peerOf(l.in(ns, append([]string{peerAt, "ask", proto, to}, more...)...))
}

func peerOf(r result) string {
	_, rest, ok := strings.Cut(r.out, "peer=")
	if r.code != 0 || !ok {
		return ""
	}
	return strings.Fields(rest)[0]
}

// refused is for what must not be answered.
const shortly = "400ms"

// server starts a server in a namespace until the test ends.
func (l *lab) server(ns string, ports ...string) {
	l.t.Helper()
	l.background(ns, append([]string{peerAt, "serve"}, ports...)...)
}

// background starts a program that prints "ready", and ends it with the test.
func (l *lab) background(ns string, args ...string) *exec.Cmd {
	l.t.Helper()
	out := filepath.Join(l.dir, "out-"+strconv.Itoa(int(labs.Add(1))))
	f, err := os.Create(out)
	l.must(err)
	defer f.Close()
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + ns}, args...)...)
	cmd.Stdout, cmd.Stderr = f, f
	l.must(cmd.Start())
	l.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	l.waitFor("ready from "+strings.Join(args, " "), func() bool {
		b, _ := os.ReadFile(out)
		return strings.Contains(string(b), "ready")
	})
	return cmd
}

func (l *lab) waitFor(what string, f func() bool) {
	l.t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(3 * time.Millisecond) {
		if time.Now().After(end) {
			l.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// full is a number of repetitions: the first one, or with TARE_NET_FULL set that
// which the checks of docs/network.md ask for.
func full(some, asked int) int {
	if os.Getenv("TARE_NET_FULL") != "" {
		return asked
	}
	return some
}

// works demands that a container of network web is reached and reaches out.
func (l *lab) works(c *box, when string) {
	l.t.Helper()
	l.waitFor("the server", func() bool { return l.ask(l.h, "tcp", c.ip4()+":80") != "" })
	if p := c.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
		l.t.Errorf("%s: outwards: %q", when, p)
	}
	if p := l.ask(l.w, "tcp", "203.0.113.1:8080"); p != "203.0.113.2" {
		l.t.Errorf("%s: published: %q", when, p)
	}
}

func need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			t.Skipf("%s is not installed", p)
		}
	}
}

func lines(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == '\n' })
}

func itoa(n int) string { return strconv.Itoa(n) }
