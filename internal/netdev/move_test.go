package netdev

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, n *namespace) *Mover {
	t.Helper()
	m, err := NewMover(n.path())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// veth makes a pair whose second end is called p and the name of the first.
func veth(t *testing.T, name string) {
	t.Helper()
	ip(t, "link add "+name+" type veth peer name p"+name)
	t.Cleanup(func() {
		if _, ok := here(t)["p"+name]; ok {
			ip(t, "link delete p"+name)
		}
	})
}

// What a device has is there after the move: hardware address, MTU, permanent
// global addresses of both families; and it is up.
func TestMoveKeepsWhatTheDeviceHas(t *testing.T) {
	for _, flags := range []uintptr{0, unix.CLONE_NEWUSER} {
		n := newNamespace(t, flags)
		m := open(t, n)
		veth(t, "ve0")
		ip(t, "link set ve0 address 02:00:00:00:12:34 mtu 1380 up")
		ip(t, "address add 192.0.2.7/24 broadcast 192.0.2.255 dev ve0")
		ip(t, "address add 192.0.2.8/24 dev ve0 label ve0:web metric 77")
		ip(t, "address add 198.51.100.1 peer 198.51.100.2/32 dev ve0 noprefixroute")
		ip(t, "address add 169.254.3.3/16 scope link dev ve0")
		ip(t, "address add 192.0.2.99/24 dev ve0 valid_lft 1000 preferred_lft 1000")
		ip(t, "-6 address add 2001:db8::7/64 dev ve0 nodad")
		ip(t, "-6 address add 2001:db8::8/128 dev ve0")

		d, err := m.Move("ve0", "net5")
		if err != nil {
			t.Fatal(err)
		}
		if d.Name != "net5" {
			t.Errorf("the name is %q", d.Name)
		}
		if _, ok := here(t)["ve0"]; ok {
			t.Error("the device is still here")
		}
		got := n.devices()["net5"]
		if got.Address != "02:00:00:00:12:34" || got.MTU != 1380 || !got.up() {
			t.Errorf("there: %+v", got)
		}
		const want = "192.0.2.7/24 brd 192.0.2.255, 198.51.100.1/32 peer 198.51.100.2 noprefixroute, 192.0.2.8/24 label net5:web metric 77, 2001:db8::8/128, 2001:db8::7/64"
		if !sameParts(got.global(), want) {
			t.Errorf("addresses:\n%s, want\n%s", got.global(), want)
		}
		for _, a := range got.Addrs {
			if a.Local == "169.254.3.3" || a.Local == "192.0.2.99" {
				t.Errorf("%s came along, and is not permanent and of global scope", a.Local)
			}
		}
		ip(t, "link delete pve0")
	}
}

func sameParts(a, b string) bool {
	count := map[string]int{}
	for _, s := range strings.Split(a, ", ") {
		count[s]++
	}
	for _, s := range strings.Split(b, ", ") {
		count[s]--
	}
	for _, n := range count {
		if n != 0 {
			return false
		}
	}
	return true
}

// Every kind of device that this kernel can make and move.
func TestMoveKinds(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	veth(t, "lower")
	for name, add := range map[string]string{
		"kmv": "link add link lower kmv type macvlan mode bridge",
		"kvx": "link add kvx type vxlan id 9 dstport 4789",
	} {
		ip(t, add)
		if _, err := m.Move(name, name); err != nil {
			t.Errorf("%s: %v", add, err)
			continue
		}
		if d, ok := n.devices()[name]; !ok || !d.up() {
			t.Errorf("%s is not there, or not up: %+v", name, d)
		}
	}
}

func TestMoveByTemplate(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	n.ip("link add eth0 type bridge")
	for _, want := range []string{"eth1", "eth2"} {
		veth(t, "to"+want)
		d, err := m.Move("to"+want, "eth%d")
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := n.devices()[want]; d.Name != want || !ok {
			t.Errorf("is called %q, want %q", d.Name, want)
		}
	}
}

func TestMoveRefused(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	veth(t, "rv")
	ip(t, "link set rv up")
	ip(t, "address add 192.0.2.20/24 dev rv")
	before := here(t)["rv"]
	n.ip("link add taken type bridge")
	// One with the name that the device has here must not be taken for it.
	n.ip("link add rv type bridge")
	ip(t, "link add br7 type bridge")
	t.Cleanup(func() { ip(t, "link delete br7") })
	for _, c := range []struct {
		device, name, words string
		errno               unix.Errno
	}{
		{"none", "x", "no such device in the runtime's network namespace", unix.ENODEV},
		{"rv", "taken", `the name "taken" is taken in the container's network namespace`, unix.EEXIST},
		{"rv", "rv", `the name "rv" is taken`, unix.EEXIST},
		{"rv", "a/b", `rename to "a/b"`, unix.EINVAL},
		{"lo", "lo9", "move: invalid argument", unix.EINVAL},
		{"br7", "br7", "move: invalid argument", unix.EINVAL}, // a bridge belongs to its namespace
	} {
		_, err := m.Move(c.device, c.name)
		if !errors.Is(err, c.errno) || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s to %s: %v, want %q and %v", c.device, c.name, err, c.words, c.errno)
		}
	}
	after := here(t)["rv"]
	if after.global() != before.global() || after.Address != before.Address || after.MTU != before.MTU || !after.up() {
		t.Errorf("refused moves changed the device from\n%+v to\n%+v", before, after)
	}
	if d := n.devices(); len(d) != 3 {
		t.Errorf("refused moves left devices there: %v", d)
	}
}

func TestReturn(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	veth(t, "back")
	ip(t, "link set back mtu 1400 up")
	ip(t, "address add 192.0.2.30/24 dev back label back:1")
	ip(t, "-6 address add 2001:db8:5::1/64 dev back nodad")
	ip(t, "link add port9 type bridge")
	t.Cleanup(func() { ip(t, "link delete port9") })
	ip(t, "link set back master port9")
	before := here(t)["back"]
	d, err := m.Move("back", "inside")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Return(); err != nil {
		t.Fatal(err)
	}
	after := here(t)["back"]
	if !sameParts(after.global(), before.global()) || after.MTU != 1400 || !after.up() {
		t.Errorf("came back as\n%+v, was\n%+v", after, before)
	}
	if l := ip(t, "-oneline link show master port9"); !strings.Contains(l, " back@") {
		t.Errorf("ports of the bridge: %q", l)
	}
	// A device that was down is down again.
	ip(t, "link set back down")
	if d, err = m.Move("back", "inside"); err != nil {
		t.Fatal(err)
	}
	if err := d.Return(); err != nil || here(t)["back"].up() {
		t.Errorf("%v; up: %v", err, here(t)["back"].up())
	}
	// One that the container has deleted is no error.
	if d, err = m.Move("back", "inside"); err != nil {
		t.Fatal(err)
	}
	n.ip("link delete inside")
	if err := d.Return(); err != nil {
		t.Error(err)
	}
}

// The devices can be given back when every process of the namespace is gone.
func TestReturnFromADeadNamespace(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	veth(t, "dead")
	d, err := m.Move("dead", "d0")
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(n.pid, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var info unix.Siginfo
	if err := unix.Waitid(unix.P_PID, n.pid, &info, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Return(); err != nil {
		t.Fatal(err)
	}
	if _, ok := here(t)["dead"]; !ok {
		t.Error("the device is gone")
	}
}

func TestSameNamespace(t *testing.T) {
	if _, err := NewMover("/proc/thread-self/ns/net"); !errors.Is(err, errSame{}) {
		t.Errorf("got %v", err)
	}
	if _, err := NewMover("/proc/self/ns/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("got %v", err)
	}
}

// A list longer than one datagram is read whole.
func TestManyAddresses(t *testing.T) {
	n := newNamespace(t, 0)
	m := open(t, n)
	veth(t, "many")
	var batch strings.Builder
	for i := range 1000 {
		batch.WriteString("address add 10.9." + string(rune('0'+i/250)) + "." + itoa(i%250+1) + "/32 dev many\n")
	}
	ipBatch(t, batch.String())
	if _, err := m.Move("many", "many"); err != nil {
		t.Fatal(err)
	}
	if got := len(n.devices()["many"].Addrs); got < 1000 {
		t.Errorf("%d addresses came along, want 1000", got)
	}
}
