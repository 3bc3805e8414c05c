package link

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Ports are Count ports of the host from First on.
type Ports struct{ First, Count uint16 }

// ForgetUDP removes what conntrack remembers of UDP to ports of the host. The
// kernel walks its whole table for the list, 10 ms for the 262144 buckets of a large
// machine: so it does that once, for both families and all ports, and not at all
// while the table is empty.
func ForgetUDP(ports []Ports) error {
	if n, err := Get("net.netfilter.nf_conntrack_count"); len(ports) == 0 || err == nil && n == "0" {
		return nil
	}
	var list [][]byte
	var err error
	for end := time.Now().Add(time.Second); ; {
		ask := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_GET, unix.NLM_F_DUMP)
		ask.AddData(&nl.Nfgenmsg{NfgenFamily: unix.AF_UNSPEC, Version: nl.NFNETLINK_V0})
		list, err = ask.Execute(unix.NETLINK_NETFILTER, 0)
		if !errors.Is(err, netlink.ErrDumpInterrupted) || time.Now().After(end) {
			break
		}
	}
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		// Without nfnetlink or its part for conntrack nothing can be told, and without
		// conntrack nothing is remembered.
		for _, none := range []error{unix.ENOENT, unix.EAFNOSUPPORT, unix.EPROTONOSUPPORT, unix.EINVAL} {
			if errors.Is(err, none) {
				return nil
			}
		}
		return err
	}
	for _, entry := range list {
		if !udpTo(entry, ports) {
			continue
		}
		// The first four bytes are struct nfgenmsg, with the entry's family.
		ask := nl.NewNetlinkRequest(unix.NFNL_SUBSYS_CTNETLINK<<8|nl.IPCTNL_MSG_CT_DELETE, unix.NLM_F_ACK)
		ask.AddData(&nl.Nfgenmsg{NfgenFamily: entry[0], Version: nl.NFNETLINK_V0})
		ask.AddRawData(entry[4:])
		if _, err := ask.Execute(unix.NETLINK_NETFILTER, 0); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}

// udpTo says whether an entry is of UDP to one of these ports: to that which the
// client has sent to, which is the host's. The container's is in the answer's half
// of the entry.
func udpTo(entry []byte, ports []Ports) bool {
	if len(entry) < 4 {
		return false
	}
	proto := part(part(entry[4:], nl.CTA_TUPLE_ORIG), nl.CTA_TUPLE_PROTO)
	number, to := part(proto, nl.CTA_PROTO_NUM), part(proto, nl.CTA_PROTO_DST_PORT)
	if len(number) < 1 || number[0] != unix.IPPROTO_UDP || len(to) < 2 {
		return false
	}
	port := binary.BigEndian.Uint16(to)
	for _, p := range ports {
		if port >= p.First && port-p.First < p.Count {
			return true
		}
	}
	return false
}

// part is the first attribute of a type among attributes (netlink(7)), or nil.
func part(attrs []byte, kind uint16) []byte {
	for len(attrs) >= unix.SizeofNlAttr {
		n := int(binary.NativeEndian.Uint16(attrs))
		if n < unix.SizeofNlAttr || n > len(attrs) {
			return nil
		}
		if binary.NativeEndian.Uint16(attrs[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER) == kind {
			return attrs[unix.SizeofNlAttr:n]
		}
		attrs = attrs[min((n+3)&^3, len(attrs)):]
	}
	return nil
}
