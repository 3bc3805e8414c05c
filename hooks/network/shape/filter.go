package shape

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// filter is a filter of traffic control (tc(8)) on a link of the host. The
// library's own FilterAdd knows all kinds and all actions, and a program that calls
// it has them: 80 kB.
type filter struct {
	kind           string
	index          int // of the link
	parent, handle uint32
	prio           uint16
	proto          uint16 // of linux/if_ether.h
	options        func(*nl.RtAttr)
}

// add answers unix.EEXIST if there is one of this handle.
func (f filter) add() error {
	proto := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, f.proto))
	req := nl.NewNetlinkRequest(unix.RTM_NEWTFILTER, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	req.AddData(&nl.TcMsg{Family: nl.FAMILY_ALL, Ifindex: int32(f.index), Handle: f.handle, Parent: f.parent, Info: netlink.MakeHandle(f.prio, proto)})
	req.AddData(nl.NewRtAttr(nl.TCA_KIND, nl.ZeroTerminated(f.kind)))
	options := nl.NewRtAttr(nl.TCA_OPTIONS, nil)
	if f.options != nil {
		f.options(options)
	}
	req.AddData(options)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// key is one 32-bit word of a packet: where it is, in bytes from the header of the
// network layer, which bits count, and what they are to be.
type key struct {
	offset      int32
	mask, value uint32
}

// selector is struct tc_u32_sel with its keys (linux/pkt_cls.h); it ends the
// search.
func selector(keys ...key) []byte {
	b := make([]byte, 16, 16+16*len(keys))
	b[0], b[2] = nl.TC_U32_TERMINAL, byte(len(keys))
	for _, k := range keys {
		b = binary.BigEndian.AppendUint32(b, k.mask)
		b = binary.BigEndian.AppendUint32(b, k.value)
		b = binary.NativeEndian.AppendUint32(b, uint32(k.offset))
		b = binary.NativeEndian.AppendUint32(b, 0) // not relative to another one
	}
	return b
}

// number is an IPv4 address as a number.
func number(a netip.Addr) uint32 {
	four := a.As4()
	return binary.BigEndian.Uint32(four[:])
}
