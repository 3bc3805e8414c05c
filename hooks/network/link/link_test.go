package link

import (
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// inside runs a test on a thread with a network namespace of its own, which ends with
// the thread.
func inside(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("a network namespace needs root")
	}
	done := make(chan bool)
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked: the thread ends
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			t.Errorf("unshare: %v", err)
			return
		}
		f()
	}()
	<-done
}

// More requests than the answers of which the socket's buffer holds.
func TestLargeBatch(t *testing.T) {
	inside(t, func() {
		b, err := newBatch()
		if err != nil {
			t.Error(err)
			return
		}
		defer b.close()
		b.up("lo", 1)
		const many = 1000
		for i := range many {
			b.address("lo", 1, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), 32))
		}
		if err := b.send(); err != nil {
			t.Error(err)
		}
		l, err := Here("")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		lo, err := l.ByName("lo")
		if err != nil {
			t.Error(err)
			return
		}
		have, err := l.Prefixes(lo)
		if n := len(have); err != nil || n < many {
			t.Errorf("%d of %d addresses: %v", n, many, err)
		}
		// The first error is told, wherever it is, and the others are done.
		for i := range 200 {
			b.route(1, Hop{Dst: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 8, 0, byte(i)}), 32)})
			if i == 150 {
				b.address("none", 4711, netip.MustParsePrefix("10.7.0.1/32"))
			}
		}
		if err := b.send(); err == nil || !strings.Contains(err.Error(), `"none"`) {
			t.Errorf("an address for a link that does not exist: %v", err)
		}
		routes, err := l.h.RouteList(lo, netlink.FAMILY_V4)
		if n := len(routes); err != nil || n < 200 {
			t.Errorf("%d of 200 routes: %v", n, err)
		}
	})
}

// A device that cannot be renamed in the container comes back.
func TestMoveInComesBack(t *testing.T) {
	inside(t, func() {
		l, err := Here("")
		if err != nil {
			t.Error(err)
			return
		}
		defer l.Close()
		if err := (born{kind: "ifb", name: "dev8", mtu: 1500}).make(); err != nil {
			t.Errorf("ifb: %v", err)
			return
		}
		other := make(chan *netns.Namespace)
		go func() {
			runtime.LockOSThread()
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				t.Errorf("unshare: %v", err)
			}
			n, err := netns.Own()
			if err != nil {
				t.Error(err)
			}
			other <- n
		}()
		n := <-other
		defer n.Close()
		if _, err := l.MoveIn("dev8", "no:name", n); err == nil || !strings.Contains(err.Error(), "no:name") {
			t.Errorf("a device was renamed to a name that is none: %v", err)
		}
		if k, err := l.ByName("dev8"); k == nil || err != nil {
			t.Errorf("the device did not come back: %v", err)
		}
	})
}

// Two hosts make links of the same names, and may have one LAN: no two are the same
// station on it. Each knows its own.
func TestStationsOfHosts(t *testing.T) {
	seen := map[string]string{}
	for _, host := range []string{"one", "other"} {
		inside(t, func() {
			l, err := Here(host)
			if err != nil {
				t.Error(err)
				return
			}
			defer l.Close()
			if _, _, err := l.EnsureBridge(BridgeSpec{Name: "br0", Network: "web", MTU: 1500}); err != nil {
				t.Error(err)
				return
			}
			if err := l.AddIFB("tiaaaaaaaaaaaaa", 1500); err != nil {
				t.Errorf("ifb: %v", err)
				return
			}
			for _, name := range []string{"br0", "tiaaaaaaaaaaaaa"} {
				k, err := l.ByName(name)
				if k == nil || err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
				station := k.Attrs().HardwareAddr.String()
				if was, ok := seen[station]; ok {
					t.Errorf("%s of host %s has the station %s of %s", name, host, station, was)
				}
				seen[station] = name + " of host " + host
				if name != "br0" && !l.Ours(k) {
					t.Errorf("%s of host %s is not known", name, host)
				}
			}
			if own, err := l.MadeFor("br0", "web"); !own || err != nil {
				t.Errorf("the bridge of host %s is not known: %v", host, err)
			}
		})
	}
	if len(seen) != 4 {
		t.Errorf("%d stations: %v", len(seen), seen)
	}
}
