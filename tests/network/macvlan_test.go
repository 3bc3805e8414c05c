package network

import "testing"

// N-46: by hand, while the container lives. What is undone or taken back is the link
// that the hook has made, and no other of that name.
func TestN46MacvlanTakenBack(t *testing.T) {
	l := newLab(t)
	l.network("lan", `"driver": "macvlan", "parent": "up0", "subnets": [{"subnet": "203.0.113.0/24", "gateway": "203.0.113.1", "range": "203.0.113.64/27"}]`)
	pid := itoa(l.sleeper())
	inside := func(args ...string) result {
		return run(nil, append([]string{"nsenter", "-t", pid, "-n", "ip"}, args...)...)
	}
	kind := func() string { return linksOf(t, inside("-d", "-j", "addr"))["eth0"].LinkInfo.Kind }
	is := func(when, want string) {
		t.Helper()
		if got := kind(); got != want {
			t.Errorf("%s: eth0 is %q, want %q", when, got, want)
		}
	}
	for _, step := range []string{"inside", "verify"} {
		l.env, l.hook = []string{"TARE_NET_FAULT=fail:" + step}, faulty
		if r := l.net("attach", "x", pid, "networks=lan"); r.code == 0 {
			t.Fatalf("%s: attached", step)
		}
		is("failed at "+step, "")
	}
	l.env, l.hook = nil, hook

	l.tn("attach", "x", pid, "networks=lan")
	is("attached", "macvlan")
	inside("link", "set", "eth0", "address", "02:00:00:00:00:77") // as the container may
	l.tn("detach", "x")
	is("detached with another address", "")

	l.tn("attach", "x", pid, "networks=lan")
	inside("link", "del", "eth0")
	inside("link", "add", "eth0", "type", "veth", "peer", "name", "eth0p")
	l.tn("detach", "x")
	is("detached, and it is another link by now", "veth")

	// That link is in the way, and stays.
	if r := l.net("attach", "x", pid, "networks=lan"); r.code == 0 {
		t.Error("attached over a link of somebody else")
	}
	is("refused", "veth")
	inside("link", "del", "eth0")

	// One of the container's own, above a link of its own.
	l.tn("attach", "x", pid, "networks=lan")
	inside("link", "del", "eth0")
	inside("link", "add", "up1", "type", "veth", "peer", "name", "up1p")
	inside("link", "add", "eth0", "link", "up1", "type", "macvlan")
	l.tn("detach", "x")
	is("detached, and it is another macvlan by now", "macvlan")
}
