package network

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tare-oci/tare/hooks/network/record"
)

// N-09: where a step back fails too, the record stays, by which detach and gc try again.
func TestN09UndoFails(t *testing.T) {
	l := newLab(t)
	l.keepsTables("nft")
	l.web(`"firewall": "iptables"`)
	quiet := []string{"TARE_NET_IPTABLES=nft"}
	l.env = quiet
	l.tn("attach", "first", itoa(l.sleeper()), "networks=web", "ports=9090:80")
	before, files := l.picture(), strings.Join(l.files(), "\n")
	broken := l.between("iptables-nft-restore", `case "$IN" in *"-D TARE-PUB "*) exit 1;; esac`)
	for _, remove := range []string{"detach", "gc"} {
		l.env = append(broken, "TARE_NET_FAULT=fail:verify")
		l.hook = faulty
		r := l.net("attach", "c", itoa(l.sleeper()), "networks=web", "ports=8080:80")
		if r.code == 0 || !strings.Contains(r.err, "step verify") || !strings.Contains(r.err, "iptables-nft-restore") {
			t.Errorf("attach: %d %s", r.code, r.err)
		}
		l.env, l.hook = quiet, hook
		left := strings.Join(l.files(), "\n")
		for _, want := range []string{"att/c/eth0.json", "ports/tcp-8080/any", "ip/172.30.0."} {
			if !strings.Contains(left, want) {
				t.Errorf("%s is gone, before %s:\n%s", want, remove, left)
			}
		}
		args := []string{remove}
		if remove == "detach" {
			args = append(args, "c")
		}
		l.tn(args...)
		if after := l.picture(); after != before {
			t.Errorf("%s left:\n%s", remove, difference(before, after))
		}
		if after := strings.Join(l.files(), "\n"); after != files {
			t.Errorf("%s left:\n%s", remove, difference(files, after))
		}
	}
	l.tn("detach", "first")
}

// N-09: ports are given back under their lock.
func TestN09UndoUnderLock(t *testing.T) {
	l := newLab(t)
	l.web("")
	pid, end := l.mortal()
	attach := l.start([]string{"TARE_NET_FAULT=hold:verify", "TARE_NET_HELD=" + l.waits()}, faulty, "attach", "c", itoa(pid), "networks=web", "ports=8080:80")
	l.atStep()
	end()
	lock, err := (&record.Store{Dir: l.state}).Lock("ports", patience)
	l.must(err)
	defer lock.Unlock()
	l.goOn()
	select {
	case r := <-attach:
		t.Errorf("the undo did not wait: %+v", *r)
		return
	case <-time.After(300 * time.Millisecond):
	}
	if files, _ := filepath.Glob(l.state + "/ports/*8080*/*"); len(files) != 1 {
		t.Errorf("reservations: %q", files)
	}
	lock.Unlock()
	if r := <-attach; r.code == 0 || !strings.Contains(r.err, "has died meanwhile") {
		t.Errorf("attach: %+v", *r)
	}
	if files, _ := os.ReadDir(l.state + "/ports"); len(files) > 0 {
		t.Errorf("left: %v", files)
	}
}
