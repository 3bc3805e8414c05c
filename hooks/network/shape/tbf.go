// Package shape limits rates and sorts packets into classes: token buckets on
// the links of containers, and a tree of HTB classes on a link of the host.
package shape

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/netns"
)

// Shaper is an rtnetlink socket.
type Shaper struct{ h *netlink.Handle }

// Here works in the network namespace of the caller, or in n if it is given.
func Here(n *netns.Namespace) (*Shaper, error) {
	var h *netlink.Handle
	var err error
	if n == nil {
		h, err = netlink.NewHandle(unix.NETLINK_ROUTE)
	} else {
		h, err = netlink.NewHandleAt(n.Handle, unix.NETLINK_ROUTE)
	}
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return &Shaper{h}, nil
}

// Close closes the socket.
func (s *Shaper) Close() { s.h.Close() }

// latency is how long a packet may wait in a bucket before it is dropped.
const latency = 0.050 // s

// bucket is the default size in bytes: 10 ms of the rate, and at least what TCP
// hands down at once.
func bucket(r config.Rate, burst uint32) uint32 {
	if burst != 0 {
		return burst
	}
	return uint32(min(max(r.Bytes()/100, 64<<10), 64<<20))
}

// Limit gives a link a token bucket (tc-tbf(8)) as its root, for what it sends.
func (s *Shaper) Limit(link string, r config.Rate, burst uint32) error {
	k, err := s.h.LinkByName(link)
	if err != nil {
		return err
	}
	size := bucket(r, burst)
	q := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: k.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       r.Bytes(),
		Buffer:     uint32(netlink.Xmittime(r.Bytes(), size)),
		Limit:      size + uint32(min(float64(r.Bytes())*latency, 1<<30)) + 64<<10,
	}
	if err := s.h.QdiscReplace(q); err != nil {
		return Missing(fmt.Errorf("token bucket on %q: %w", link, err), "CONFIG_NET_SCH_TBF")
	}
	return nil
}

// Divert limits what comes in by a link: it is sent through a second link, ifb,
// that has the bucket and is there already. No capability in the container lifts this.
func (s *Shaper) Divert(from, ifb string, r config.Rate, burst uint32) error {
	k, err := s.h.LinkByName(from)
	if err != nil {
		return err
	}
	to, err := s.h.LinkByName(ifb)
	if err != nil {
		return err
	}
	if err := s.h.LinkSetUp(to); err != nil {
		return err
	}
	if err := s.Limit(ifb, r, burst); err != nil {
		return err
	}
	in := &netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: k.Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}}
	if err := s.h.QdiscAdd(in); err != nil && !errors.Is(err, unix.EEXIST) {
		return Missing(fmt.Errorf("ingress of %q: %w", from, err), "CONFIG_NET_SCH_INGRESS")
	}
	f := filter{kind: "u32", index: k.Attrs().Index, parent: netlink.MakeHandle(0xffff, 0), prio: 1, proto: unix.ETH_P_ALL, options: func(o *nl.RtAttr) {
		o.AddRtAttr(nl.TCA_U32_SEL, selector(key{})) // all packets
		act := o.AddRtAttr(nl.TCA_U32_ACT, nil).AddRtAttr(1, nil)
		act.AddRtAttr(nl.TCA_ACT_KIND, nl.ZeroTerminated("mirred"))
		to := nl.TcMirred{TcGen: nl.TcGen{Action: int32(netlink.TC_ACT_STOLEN)}, Eaction: int32(netlink.TCA_EGRESS_REDIR), Ifindex: uint32(to.Attrs().Index)}
		act.AddRtAttr(nl.TCA_ACT_OPTIONS, nil).AddRtAttr(nl.TCA_MIRRED_PARMS, to.Serialize())
	}}
	if err := f.add(); err != nil {
		return Missing(fmt.Errorf("redirect of %q: %w", from, err), "CONFIG_NET_CLS_U32, CONFIG_NET_ACT_MIRRED")
	}
	return nil
}

// Missing names what the kernel may lack.
func Missing(err error, feature string) error {
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("%w (the kernel lacks %s?)", err, feature)
	}
	return err
}
