package link

import (
	"errors"
	"fmt"
	"net"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// VethSpec is one pair.
type VethSpec struct {
	Host, Alias string // the host's end
	Master      int    // index of the bridge, 0 for none
	Hairpin     bool   // the bridge sends back through the port that a frame came by
	Isolated    bool   // isolated ports do not reach each other
	Peer        string // the container's end, born under that name in Namespace
	Namespace   *netns.Namespace
	MAC         net.HardwareAddr
	MTU         int
}

// AddVeth makes the pair with one request, so that no other process ever sees
// the container's end under another name or in another namespace; a second one
// says all that the kernel does not take at birth. Every request waits for the
// one lock of rtnetlink, which the whole machine shares: hence two, not six.
func (l *Links) AddVeth(s VethSpec) error {
	b, err := newBatch()
	if err != nil {
		return err
	}
	defer b.close()
	parts := []nl.NetlinkRequestData{nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.Host)),
		nl.NewRtAttr(unix.IFLA_ADDRESS, l.stationOfLink(s.Host)), nl.NewRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU)))}
	if s.Master != 0 {
		parts = append(parts, nl.NewRtAttr(unix.IFLA_MASTER, nl.Uint32Attr(uint32(s.Master))))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("veth"))
	peer := info.AddRtAttr(nl.IFLA_INFO_DATA, nil).AddRtAttr(nl.VETH_INFO_PEER, nil)
	nl.NewIfInfomsgChild(peer, unix.AF_UNSPEC)
	peer.AddRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.Peer))
	peer.AddRtAttr(unix.IFLA_MTU, nl.Uint32Attr(uint32(s.MTU)))
	peer.AddRtAttr(unix.IFLA_ADDRESS, s.MAC)
	peer.AddRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(s.Namespace.Handle)))
	b.add(fmt.Sprintf("veth %q", s.Host), 0, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(parts, info)...)
	err = b.send()
	if errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("veth %q to %q: one of both exists: %w", s.Host, s.Peer, err)
	}
	if err != nil {
		return err
	}
	// The host's end of a bridge port has no addresses of its own.
	if s.Master != 0 {
		if err := Set("net.ipv6.conf."+s.Host+".disable_ipv6", "1"); err != nil && !errors.Is(err, ErrNoSysctl) {
			return err
		}
	}
	finishPort(b, s)
	return b.send()
}

// finishPort names the owner, sets the port's flags and the link up.
func finishPort(b *batch, s VethSpec) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Change, msg.Flags = unix.IFF_UP, unix.IFF_UP
	parts := []nl.NetlinkRequestData{msg, nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(s.Host)), nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(s.Alias))}
	if s.Master != 0 && (s.Hairpin || s.Isolated) {
		flag := func(on bool) []byte {
			if on {
				return []byte{1}
			}
			return []byte{0}
		}
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_SLAVE_KIND, nl.NonZeroTerminated("bridge"))
		data := info.AddRtAttr(nl.IFLA_INFO_SLAVE_DATA, nil)
		data.AddRtAttr(nl.IFLA_BRPORT_MODE, flag(s.Hairpin))
		if s.Isolated {
			data.AddRtAttr(nl.IFLA_BRPORT_ISOLATED, flag(true)) // Linux 4.18
		}
		parts = append(parts, info)
	}
	b.add(fmt.Sprintf("veth %q: alias, port flags, up", s.Host), 0, unix.RTM_NEWLINK, 0, parts...)
}
