package link

import (
	"bytes"
	"fmt"
	"net"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// born makes links of the four kinds that are made here. The library's own LinkAdd
// knows some forty, and a program that calls it has them all: 145 kB.
type born struct {
	kind, name  string
	mtu         int
	mac         net.HardwareAddr
	master      int // index of the bridge, 0 for none
	parent      int // index of the link below, 0 for none
	namespaceFD int // where it is born; 0 for here
	data        func(*nl.RtAttr)
}

// make answers unix.EEXIST if there is one. The link is made in the namespace of
// this thread.
func (n born) make() error {
	b, err := newBatch()
	if err != nil {
		return err
	}
	defer b.close()
	parts := []nl.NetlinkRequestData{nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(n.name))}
	for attr, v := range map[int]int{unix.IFLA_MTU: n.mtu, unix.IFLA_MASTER: n.master, unix.IFLA_LINK: n.parent, unix.IFLA_NET_NS_FD: n.namespaceFD} {
		if v != 0 {
			parts = append(parts, nl.NewRtAttr(attr, nl.Uint32Attr(uint32(v))))
		}
	}
	if n.mac != nil {
		parts = append(parts, nl.NewRtAttr(unix.IFLA_ADDRESS, n.mac))
	}
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(n.kind))
	if n.data != nil {
		n.data(info.AddRtAttr(nl.IFLA_INFO_DATA, nil))
	}
	b.add(fmt.Sprintf("%s %q", n.kind, n.name), 0, unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL, append(parts, info)...)
	return b.send()
}

// AddIFB makes an intermediate functional block (tc-mirred(8)). Like every link that
// is made here it is known as ours by its station from its birth.
func (l *Links) AddIFB(name string, mtu int) error {
	return born{kind: "ifb", name: name, mtu: mtu, mac: l.stationOfLink(name)}.make()
}

// stationOfLink is the station of a link of this name that was made here for a
// container, the host's end of a pair or a block.
func (l *Links) stationOfLink(name string) net.HardwareAddr { return l.stationOf("link\x00" + name) }

// Ours says that a link was made here for a container, not by somebody who happens to
// like the same name: its station says so, or the alias that it gets a moment later.
func (l *Links) Ours(k netlink.Link) bool {
	a := k.Attrs()
	return (k.Type() == "veth" || k.Type() == "ifb") &&
		(bytes.Equal(a.HardwareAddr, l.stationOfLink(a.Name)) || strings.HasPrefix(a.Alias, "tare-net:"))
}

// DeleteOurs removes a link if it was made here for a container.
func (l *Links) DeleteOurs(name string) error {
	k, err := l.ByName(name)
	if k == nil || err != nil || !l.Ours(k) {
		return err
	}
	return l.delete(k)
}
