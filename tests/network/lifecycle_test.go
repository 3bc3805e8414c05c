package network

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// sleeper is a process in a network namespace of its own, for attachments by
// hand.
func (l *lab) sleeper() int {
	l.t.Helper()
	pid, _ := l.mortal()
	return pid
}

// mortal is one that can be ended before the test does it.
func (l *lab) mortal() (pid int, end func()) {
	l.t.Helper()
	cmd := exec.Command(peerAt, "hold")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET}
	l.must(cmd.Start())
	end = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	l.t.Cleanup(end)
	return cmd.Process.Pid, end
}

// feed gives the hook a state on its stdin.
func (l *lab) feed(state string, env []string, args ...string) result {
	l.t.Helper()
	words := append([]string{"--net=/run/netns/" + l.h, l.hook}, l.hookArgs(args...)[1:]...)
	cmd := exec.Command("nsenter", words...)
	var out, errs bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = strings.NewReader(state), &out, &errs, env
	_ = cmd.Run()
	return result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
}

// N-05: the dialects of runtimes, and what is no state at all.
func TestN05StateDialects(t *testing.T) {
	l := newLab(t)
	l.web("")
	path := []string{"PATH=" + os.Getenv("PATH")}
	for name, c := range map[string]struct{ attach, detach string }{
		"runc":  {`{"ociVersion":"1.0.2-dev","id":"ID","status":"creating","pid":PID,"bundle":"/nowhere","annotations":ANN}`, `{"ociVersion":"1.0.2-dev","id":"ID","status":"stopped","bundle":"/nowhere","annotations":ANN}`},
		"crun":  {`{"ociVersion":"1.0","id":"ID","pid":PID,"root":"/x","bundle":"/nowhere","status":"created","annotations":ANN}`, `{"ociVersion":"1.0","id":"ID","pid":0,"root":"/x","bundle":"/nowhere","status":"stopped","annotations":ANN}`},
		"youki": {`{"ociVersion":"v1.0.2","id":"ID","status":"creating","pid":PID,"bundle":"/nowhere","annotations":ANN,"created":"2026-01-01T00:00:00Z","creator":0,"useSystemd":false}`, `{"ociVersion":"v1.0.2","id":"ID","status":"stopped","pid":null,"bundle":"/nowhere","annotations":ANN}`},
	} {
		for _, env := range [][]string{path, {}} {
			pid := l.sleeper()
			fill := strings.NewReplacer("ID", "dialect-"+name, "PID", itoa(pid), "ANN", fmt.Sprintf(`{%q:"web"}`, prefix+"networks"))
			if r := l.feed(fill.Replace(c.attach), env); r.code != 0 || r.out != "" {
				t.Errorf("%s: attach: %d %q %s", name, r.code, r.out, r.err)
			}
			if out := l.tn("inspect", "dialect-"+name); !strings.Contains(out, `"phase": "done"`) {
				t.Errorf("%s: %s", name, out)
			}
			if r := l.feed(fill.Replace(c.detach), env); r.code != 0 {
				t.Errorf("%s: detach: %s", name, r.err)
			}
			if r := l.net("inspect", "dialect-"+name); r.code == 0 {
				t.Errorf("%s: is still there after detach", name)
			}
		}
	}
	before := l.picture()
	ok := fmt.Sprintf(`{"id":"x","status":"created","pid":%%s,"annotations":{%q:"web"}}`, prefix+"networks")
	for name, state := range map[string]string{"empty": "", "garbage": "\x00\x01", "array": "[]", "huge": `{"id":"` + strings.Repeat("a", 1<<20) + `"}`,
		"slash": `{"id":"../../etc","pid":1,"status":"created"}`, "negative": `{"id":"x","pid":-5,"status":"created"}`,
		"dead":        fmt.Sprintf(ok, "4194300"),
		"annotation":  fmt.Sprintf(`{"id":"x","status":"created","pid":%d,"annotations":{%q:"web",%q:"1"}}`, l.sleeper(), prefix+"networks", prefix+"typo"),
		"no networks": fmt.Sprintf(`{"id":"x","status":"created","pid":%d,"annotations":{%q:"1:1"}}`, l.sleeper(), prefix+"ports"),
		"no file":     fmt.Sprintf(`{"id":"x","status":"created","pid":%d,"annotations":{%q:"nowhere"}}`, l.sleeper(), prefix+"networks"),
	} {
		r := l.feed(state, path)
		if r.code != 1 || len(lines(r.err)) != 1 || !strings.HasPrefix(r.err, "tare-net: ") {
			t.Errorf("%s: exit code %d, %q", name, r.code, r.err)
		}
	}
	if after := l.picture(); after != before {
		t.Errorf("refused states have left:\n%s", difference(before, after))
	}
	// Without an annotation of the hook it does nothing.
	if r := l.feed(fmt.Sprintf(`{"id":"x","status":"created","pid":%d,"annotations":{"other":"1"}}`, l.sleeper()), path); r.code != 0 {
		t.Errorf("a container without networks: %s", r.err)
	}
}

// N-06: the host's own network is not touched.
func TestN06HostNetworkRefused(t *testing.T) {
	for name := range runtimes {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.runtime = name
			l.web("")
			c := l.box("c1", "networks=web")
			c.spec.Linux.Namespaces = []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.MountNamespace}}
			c.spec.Hostname = ""
			words := []string{"shares the host's network", "add a network namespace"}
			if name == "crun" {
				words = nil // throws away what a hook says
			}
			c.createFails(words...)
			if name == "crun" {
				// N-72: it is in the log, which is for root alone.
				st, err := os.Stat(l.state + "/log")
				l.must(err)
				data, _ := os.ReadFile(l.state + "/log")
				if !strings.Contains(string(data), "shares the host's network") || st.Mode().Perm() != 0o600 {
					t.Errorf("log %s: %s", st.Mode(), data)
				}
			}
		})
	}
}

// N-07: done again, nothing changes.
func TestN07Idempotent(t *testing.T) {
	l := newLab(t)
	l.web("")
	pid := itoa(l.sleeper())
	var first string
	for i := range 3 {
		l.tn("attach", "x1", pid, "networks=web", "ports=8080:80,8053:53/udp")
		now := l.picture() + l.tn("inspect", "x1")
		if i == 0 {
			first = now
		} else if now != first {
			t.Errorf("attach %d changed:\n%s", i+1, difference(first, now))
		}
	}
	for range 3 {
		l.tn("detach", "x1")
	}
	if files := l.files(); len(files) != 4 { // network.json, last4, last6, sysctl.json
		t.Errorf("files: %v", files)
	}
}

// N-08: a later hook fails.
func TestN08LaterHookFails(t *testing.T) {
	for name := range runtimes {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.runtime = name
			l.web("")
			l.box("first", "networks=web").up().down() // the bridge
			c := l.box("c1", "networks=web", "ports=8080:80")
			c.spec.Hooks.CreateRuntime = append(c.spec.Hooks.CreateRuntime, specs.Hook{Path: "/bin/false"})
			before := l.picture()
			if r := c.tryCreate(); r.code == 0 {
				t.Fatal("created with a hook that fails")
			}
			if name == "crun" {
				// It does not run poststop then; its container is dead, which gc sees.
				l.waitFor("the death of the container", func() bool { l.tn("gc"); return len(c.legs()) == 0 })
			}
			if after := l.picture(); after != before || len(c.legs()) > 0 {
				t.Errorf("left:\n%s", difference(before, after))
			}
		})
	}
}

// steps are where a test build of the hook fails or dies.
var steps = []string{"configuration", "lock", "address", "record", "network", "link", "inside", "bandwidth", "ports", "record-rules", "firewall", "names", "netns-name",
	"proxy", "verify", "done"}

const everything = "ports=8080:80,7000-7010:7000-7010/udp bandwidth=down=50mbit,up=50mbit proxy=on networks=web"

// N-09: a failure in each step leaves nothing.
func TestN09EachStepFails(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.box("first", "networks=web").up() // the bridge
	l.hook = faulty
	before := l.picture() + strings.Join(l.files(), "\n")
	for _, step := range steps {
		l.env = []string{"TARE_NET_FAULT=fail:" + step}
		c := l.box("f-"+step, strings.Fields(everything)...).capability("CAP_NET_ADMIN")
		if r := c.tryCreate(); r.code == 0 || !strings.Contains(r.err, "step "+step) {
			t.Errorf("%s: %d %s", step, r.code, r.err)
		}
		l.env = nil
		// What rests before it is used again is the pointer to the last address.
		if after := l.picture() + strings.Join(l.files(), "\n"); after != before {
			t.Errorf("%s left:\n%s", step, difference(before, after))
		}
	}
}

// N-62: a lock that somebody holds is named, and waited for no longer than the
// hook's timeout.
func TestN62LockHeld(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.box("first", "networks=web").up()
	f, err := os.OpenFile(l.state+"/locks/net-web", os.O_RDWR, 0)
	l.must(err)
	defer f.Close()
	l.must(syscall.Flock(int(f.Fd()), syscall.LOCK_EX))
	before := l.picture()
	c := l.box("c1", "networks=web")
	timeout := 1
	for _, h := range []*specs.Hook{&c.spec.Hooks.CreateRuntime[0], &c.spec.Hooks.Poststop[0]} {
		h.Timeout = &timeout
	}
	start := time.Now()
	if r := c.tryCreate(); r.code == 0 || time.Since(start) > 20*time.Second {
		t.Errorf("create: %d after %s", r.code, time.Since(start))
	}
	if r := l.net("attach", "x1", itoa(l.sleeper()), "networks=web", "--lock-wait", "200ms"); r.code != 1 || !strings.Contains(r.err, "held by pid") {
		t.Errorf("by hand: %s", r.err)
	}
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
	if after := l.picture(); after != before {
		t.Errorf("left:\n%s", difference(before, after))
	}
}

// N-63: records of another boot are nobody's.
func TestN63Reboot(t *testing.T) {
	l := newLab(t)
	l.leaky = true
	l.web("")
	l.tn("attach", "old", itoa(l.sleeper()), "networks=web", "ports=8080:80")
	file := l.state + "/att/old/eth0.json"
	data, err := os.ReadFile(file)
	l.must(err)
	var rec map[string]any
	l.must(json.Unmarshal(data, &rec))
	rec["boot"] = "another"
	data, _ = json.Marshal(rec)
	l.must(os.WriteFile(file, data, 0o600))
	if out := l.tn("gc", "--json"); !strings.Contains(out, "old/eth0") {
		t.Errorf("gc: %s", out)
	}
	l.box("c1", "networks=web", "ports=8080:80").up()
}

// N-48: two containers in one namespace.
func TestN48Joined(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.server(l.w, "80")
	a := l.box("a", "networks=web").up()
	b := l.box("b", "networks=web")
	for i, n := range b.spec.Linux.Namespaces {
		if n.Type == specs.NetworkNamespace {
			b.spec.Linux.Namespaces[i].Path = fmt.Sprintf("/proc/%d/ns/net", a.pid)
		}
	}
	b.spec.Process.Args = []string{"/peer", "serve", "90"}
	b.up()
	if p := l.ask(l.h, "tcp", a.ip4()+":90"); p != "172.30.0.1" {
		t.Errorf("the second container was asked by %q", p)
	}
	if legs := a.legs(); len(legs) != 1 || len(legs[0].Users) != 1 || legs[0].Users[0].ID != b.id {
		t.Errorf("attachments: %+v", legs)
	}
	ip := a.ip4()
	a.down()
	if out := l.tn("gc"); out != "" {
		t.Errorf("gc took %s", out)
	}
	if p := l.ask(l.h, "tcp", ip+":90"); p != "172.30.0.1" {
		t.Errorf("after the first has gone: %q", p)
	}
	if p := b.ask("tcp", "203.0.113.2:80"); p != "203.0.113.1" {
		t.Errorf("outwards: %q", p)
	}
	b.down()
	if out := l.tn("list", "--json"); strings.TrimSpace(out) != "[]" {
		t.Errorf("left: %s", out)
	}
}

// N-73: on the native path no program is run.
func TestN73NoPrograms(t *testing.T) {
	need(t, "strace")
	l := newLab(t)
	l.web("")
	pid := itoa(l.sleeper())
	for _, args := range [][]string{{"attach", "x1", pid, "networks=web", "ports=8080:80", "bandwidth=down=10mbit"}, {"detach", "x1"}} {
		out := filepath.Join(l.dir, "trace")
		r := l.in(l.h, append([]string{"strace", "-f", "-qq", "-e", "trace=execve", "-o", out, l.hook}, l.hookArgs(args...)[1:]...)...)
		trace, _ := os.ReadFile(out)
		if r.code != 0 || strings.Count(string(trace), "execve(") != 1 {
			t.Errorf("%s: %s\n%s", args[0], r.err, trace)
		}
	}
}
