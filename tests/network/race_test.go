package network

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/ipam"
	"github.com/tare-oci/tare/hooks/network/record"
)

// between puts shell commands before what iptables-restore does, after it has read
// its rules: IN is what it was given, DO the program itself, DIR a directory.
func (l *lab) between(name, script string) []string {
	l.t.Helper()
	need(l.t, name)
	program, err := exec.LookPath(name)
	l.must(err)
	dir := filepath.Join(l.dir, "between")
	l.must(os.MkdirAll(dir, 0o755))
	text := "#!/bin/sh\nIN=$(cat)\nDO=" + program + "\nDIR=" + dir + "\n" + script + "\nprintf '%s\\n' \"$IN\" | $DO \"$@\"\n"
	l.must(os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755))
	return []string{"PATH=" + dir + ":" + os.Getenv("PATH"), "TARE_NET_IPTABLES=nft"}
}

// start starts tare-net by hand; its end is told to the channel.
func (l *lab) start(env []string, program string, args ...string) <-chan *result {
	l.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"--net=/run/netns/" + l.h, program}, l.hookArgs(args...)[1:]...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.Env = &out, &errs, append(os.Environ(), env...)
	l.must(cmd.Start())
	end := make(chan *result, 1)
	go func() {
		_ = cmd.Wait()
		end <- &result{out.String(), errs.String(), cmd.ProcessState.ExitCode()}
	}()
	return end
}

// N-61: the hook that a killed runtime has left goes on, and undoes its work since
// the container has died. Meanwhile `delete --force` has the poststop hook detach
// it, and somebody calls gc. If they do not wait for each other, the rules that
// the first one adds belong to nobody when the second one has removed the record,
// and two remove them at the same time, of whom one fails.
func TestN61RollbackBesideDetachAndGC(t *testing.T) {
	l := newLab(t)
	l.keepsTables("nft")
	l.web(`"firewall": "iptables"`)
	env := l.between("ip6tables-nft-restore", `hold() { if mkdir $DIR/held$1 2>/dev/null; then while [ ! -e $DIR/go$1 ]; do sleep 0.01; done; fi; }
case "$IN" in *"-A TARE-PUB "*) hold 1;; *"-D TARE-PUB "*) hold 2;; esac`)
	at := func(name string) string { return filepath.Join(l.dir, "between", name) }
	held := func(n string) {
		l.waitFor("step "+n, func() bool { _, err := os.Stat(at("held" + n)); return err == nil })
	}
	goOn := func(n string, other <-chan *result) *result {
		defer func() { l.must(os.WriteFile(at("go"+n), nil, 0o644)) }()
		select {
		case r := <-other: // which was not held
			return r
		case <-time.After(time.Second):
			return nil
		}
	}
	l.env = []string{"TARE_NET_IPTABLES=nft"}
	l.tn("attach", "first", itoa(l.sleeper()), "networks=web", "ports=8081:80")
	before := l.picture()
	undo := l.start(append(env, "TARE_NET_FAULT=fail:verify"), faulty, "attach", "c", itoa(l.sleeper()), "networks=web", "ports=8080:80")
	held("1")
	detach := l.start(l.env, l.hook, "detach", "c")
	early := goOn("1", detach)
	held("2")
	gc := l.start(l.env, l.hook, "gc")
	late := goOn("2", gc)
	if r := <-undo; r.code != 1 || strings.Count(r.err, "\n") != 1 || !strings.HasSuffix(r.err, "verify: fault asked for at step verify\n") {
		t.Errorf("attach: %d %s", r.code, r.err)
	}
	if early != nil {
		t.Errorf("detach did not wait for the attach: %+v", *early)
	} else if r := <-detach; r.code != 0 {
		t.Errorf("detach: %s", r.err)
	}
	if late == nil {
		late = <-gc
	}
	if late.code != 0 || late.out != "" {
		t.Errorf("gc: %+v", *late)
	}
	if after := l.picture(); after != before {
		t.Errorf("left:\n%s", difference(before, after))
	}
	l.tn("detach", "first")
}

// N-61: somebody who knows no lock of ours (`iptables -F`, a restart of firewalld)
// removes rules after they were listed for removal.
func TestN61RulesRemovedByOthers(t *testing.T) {
	l := newLab(t)
	l.keepsTables("nft")
	l.web(`"firewall": "iptables"`)
	calls := filepath.Join(l.dir, "between", "calls")
	quiet := []string{"TARE_NET_IPTABLES=nft"}
	for _, c := range []struct {
		what, other string
		calls       int
	}{
		{"one rule is gone", `D=$(printf '%s' "$IN" | sed -n '/^\*nat/,/^COMMIT/p' | grep -m1 '^-D TARE-PUB '); [ -z "$D" ] || printf '*nat\n%s\nCOMMIT\n' "$D" | $DO --noflush`, 2},
		{"the chain was flushed", `printf '*nat\n-F TARE-PUB\nCOMMIT\n' | $DO --noflush`, 1}, // then nothing is left to remove
	} {
		t.Run(c.what, func(t *testing.T) {
			l.env = quiet
			l.tn("attach", "first", itoa(l.sleeper()), "networks=web", "ports=8081:80")
			_ = os.Remove(calls)
			before := l.files()
			l.tn("attach", "c", itoa(l.sleeper()), "networks=web", "ports=8080:80,8082:81")
			l.env = l.between("iptables-nft-restore", `echo >> $DIR/calls; if [ $(wc -l < $DIR/calls) = 1 ]; then `+c.other+`; fi`)
			l.tn("detach", "c")
			if n, _ := os.ReadFile(calls); strings.Count(string(n), "\n") != c.calls {
				t.Errorf("%d calls of iptables-restore instead of %d", strings.Count(string(n), "\n"), c.calls)
			}
			l.env = quiet
			if out := l.tn("gc"); out != "" {
				t.Errorf("left: %s", out)
			}
			if after := l.files(); fmt.Sprint(after) != fmt.Sprint(before) {
				t.Errorf("files: %v", after)
			}
			l.tn("reload")
			if out := l.net("check"); out.code != 0 {
				t.Errorf("the neighbour: %s", out.err)
			}
			l.tn("detach", "first")
		})
	}
	// A rule that can never be removed is an error, not a loop.
	l.env = quiet
	l.tn("attach", "c", itoa(l.sleeper()), "networks=web", "ports=8080:80")
	_ = os.Remove(calls)
	l.env = l.between("iptables-nft-restore", `echo >> $DIR/calls; exit 1`)
	if r := l.net("detach", "c"); r.code != 1 || !strings.Contains(r.err, "iptables-nft-restore") {
		t.Errorf("detach without a working iptables: %d %s", r.code, r.err)
	}
	if n, _ := os.ReadFile(calls); strings.Count(string(n), "\n") != 1 {
		t.Errorf("%d calls of iptables-restore instead of 1, for nothing had changed", strings.Count(string(n), "\n"))
	}
	l.env = quiet
	l.tn("detach", "c")
}

// N-61: everybody at once, each container attached and detached by two at the same
// time, and all the time gc and reload, which see what is half done.
func TestN61AllAtOnce(t *testing.T) {
	filters(t, func(t *testing.T, l *lab, filter string) {
		l.web(filter)
		l.network("back", backSubnets+", "+filter)
		l.tn("attach", "first", itoa(l.sleeper()), "networks=web", "ports=9000:80")
		before := l.picture() + strings.Join(l.files(), "\n")
		var boxes, others sync.WaitGroup
		stop := make(chan bool)
		ask := func(what string, args ...string) {
			if r := l.net(args...); r.code != 0 {
				t.Errorf("%s: %s", what, r.err)
			}
		}
		for _, verb := range []string{"gc", "reload"} {
			others.Add(1)
			go func() {
				defer others.Done()
				for {
					select {
					case <-stop:
						return
					default:
						ask(verb, verb)
					}
				}
			}()
		}
		for i := range full(4, 12) {
			id, pid := fmt.Sprint("c", i), itoa(l.sleeper())
			boxes.Add(1)
			go func() {
				defer boxes.Done()
				for range full(3, 10) {
					var both sync.WaitGroup
					twice := func(args ...string) {
						for range 2 {
							both.Add(1)
							go func() { defer both.Done(); ask(fmt.Sprint(args), args...) }()
						}
						both.Wait()
					}
					twice("attach", id, pid, "networks=web,back", fmt.Sprintf("ports=%d:80,%d:53/udp", 8000+i, 7000+i))
					if r := l.net("check", id); r.code != 0 {
						t.Errorf("check: %s", r.err)
					}
					twice("detach", id)
				}
			}()
		}
		boxes.Wait()
		close(stop)
		others.Wait()
		l.tn("net", "rm", "back")
		if after := l.picture() + strings.Join(l.files(), "\n"); after != before {
			t.Errorf("left:\n%s", difference(before, after))
		}
		if r := l.net("check"); r.code != 0 {
			t.Errorf("the neighbour: %s", r.err)
		}
		l.tn("detach", "first")
	})
}

// waits is the file that the hook with faults makes at the step of "hold:STEP"; it
// goes on when goOn has removed it.
func (l *lab) waits() string { return filepath.Join(l.dir, "held") }

func (l *lab) atStep() {
	l.t.Helper()
	l.waitFor("the step", func() bool { _, err := os.Stat(l.waits()); return err == nil })
}

func (l *lab) goOn() { l.must(os.Remove(l.waits())) }

// N-61: gc removes no file of a container that comes while it looks.
func TestN61AttachBesideSweptFiles(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.tn("attach", "first", itoa(l.sleeper()), "networks=web")
	gc := l.start([]string{"TARE_NET_FAULT=hold:sweep-files", "TARE_NET_HELD=" + l.waits()}, faulty, "gc")
	l.atStep()
	l.tn("attach", "c", itoa(l.sleeper()), "networks=web")
	want := l.files()
	l.goOn()
	if r := <-gc; r.code != 0 || r.out != "" {
		t.Errorf("gc: %+v", *r)
	}
	if got := l.files(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("gc has removed files:\n%s", difference(strings.Join(want, "\n"), strings.Join(got, "\n")))
	}
	l.tn("detach", "c")
	l.tn("detach", "first")
}

// N-61: who waits for the second of two addresses has given up the network's lock, and
// has no record yet. Nobody takes the first address away meanwhile.
func TestN61LeaseBeforeRecord(t *testing.T) {
	l := newLab(t)
	l.web("")
	old, end := l.mortal()
	l.tn("attach", "old", itoa(old), "networks=web", "ip6.web=fd00:30::99")
	end()
	// Somebody is detaching it, and takes his time.
	store := &record.Store{Dir: l.state}
	turn, err := store.Turn()
	l.must(err)
	defer turn.End()
	l.must(turn.Take("id old", 0))
	attach := l.start(nil, l.hook, "attach", "c", itoa(l.sleeper()), "networks=web", "ip.web=172.30.0.77", "ip6.web=fd00:30::99")
	lease := filepath.Join(l.state, "nets", "web", "ip", "172.30.0.77")
	l.waitFor("the first lease", func() bool { return record.Text(lease) != "" })
	gc := l.start(nil, l.hook, "gc")
	// As `net rm` does it, which has the lock.
	lock, err := store.Lock("net-web", patience)
	l.must(err)
	l.must(os.Remove(lease))
	lock.Unlock()
	turn.End()
	if r := <-attach; r.code != 0 {
		t.Errorf("attach: %s", r.err)
	}
	if r := <-gc; r.code != 0 {
		t.Errorf("gc: %s", r.err)
	}
	if r := l.net("check"); r.code != 0 {
		t.Errorf("check: %s", r.err)
	}
	l.tn("detach", "c")

	// gc looks at a lease whose owner has its turn and no record.
	l.tn("attach", "first", itoa(l.sleeper()), "networks=web")
	turn, err = store.Turn()
	l.must(err)
	defer turn.End()
	key := record.Key("web", "d", "eth0")
	l.must(turn.Take("key "+key, 0))
	pool := ipam.Pool{Dir: store.NetDir("web"), Subnet: config.Subnet{Subnet: netip.MustParsePrefix("172.30.0.0/16"), Gateway: netip.MustParseAddr("172.30.0.1")}}
	if _, err := pool.Take(ipam.Owner{Key: key, ID: "d", IfName: "eth0"}, netip.MustParseAddr("172.30.0.77")); err != nil {
		t.Fatal(err)
	}
	if out := l.tn("gc"); out != "" || record.Text(lease) == "" {
		t.Errorf("gc has taken a lease from an attach at work: %s", out)
	}
	turn.End()
	if out := l.tn("gc"); out == "" || record.Text(lease) != "" {
		t.Errorf("gc leaves a lease of nobody: %q", out)
	}
	l.tn("detach", "first")
}
