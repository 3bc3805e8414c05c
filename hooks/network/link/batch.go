package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// batch is requests that go to the kernel in one message each time it is sent;
// every attach sends three. Go's runtime is not told of these system calls: it
// would take a call of more than 20 µs for one that blocks, hand the processor to
// another thread, and want it back afterwards, which costs more than some of the
// requests do.
type batch struct {
	fd   int
	seq  uint32
	buf  []byte
	asks []ask
}

// atOnce is how many requests go in one message: the kernel answers all of them before
// the first answer is read, and the socket's buffer holds some 270 answers
// (net.core.rmem_default).
const atOnce = 64

// ask is a request that waits for its answer.
type ask struct {
	what string
	fine unix.Errno // an answer that is no error, 0 for none
	end  int        // of the request in the buffer
}

// newBatch opens a socket in the namespace of this thread.
func newBatch() (*batch, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("rtnetlink: %w", err)
	}
	return &batch{fd: fd}, nil
}

func (b *batch) close() { unix.Close(b.fd) }

// add appends a request with its parts.
func (b *batch) add(what string, fine unix.Errno, kind, flags int, parts ...nl.NetlinkRequestData) {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	b.seq++
	req.Seq = b.seq
	for _, p := range parts {
		req.AddData(p)
	}
	b.buf = append(b.buf, req.Serialize()...) // multiples of four bytes
	b.asks = append(b.asks, ask{what, fine, len(b.buf)})
}

// send sends all requests and reads their answers, of which the first error is
// returned; the kernel goes on to the next request after one that fails.
func (b *batch) send() error {
	var failed error
	asks, first, begin := b.asks, b.seq-uint32(len(b.asks))+1, 0
	for len(asks) > 0 {
		some := asks[:min(len(asks), atOnce)]
		end := some[len(some)-1].end
		refused, err := b.exchange(b.buf[begin:end], some, first)
		if failed == nil {
			failed = refused
		}
		if err != nil {
			failed = errors.Join(failed, err)
			break
		}
		asks, first, begin = asks[len(some):], first+uint32(len(some)), end
	}
	b.buf, b.asks = b.buf[:0], nil
	return failed
}

// exchange sends one message and reads what is answered to it. All has been answered
// when the first system call returns.
func (b *batch) exchange(buf []byte, asks []ask, first uint32) (refused, err error) {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(b.fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)), 0, 0, 0)
	if errno != 0 {
		return nil, fmt.Errorf("rtnetlink: send: %w", errno)
	}
	var in [1024]byte // an answer repeats the request that failed
	for range asks {
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(b.fd), uintptr(unsafe.Pointer(&in[0])), uintptr(len(in)), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			return refused, fmt.Errorf("rtnetlink: receive: %w", errno)
		}
		order := binary.NativeEndian
		if n < unix.SizeofNlMsghdr+4 || order.Uint16(in[4:]) != unix.NLMSG_ERROR {
			return refused, errors.New("rtnetlink: an answer that is none")
		}
		which := order.Uint32(in[8:]) - first
		code := unix.Errno(-int32(order.Uint32(in[unix.SizeofNlMsghdr:])))
		if int(which) >= len(asks) || code == 0 || code == asks[which].fine || refused != nil {
			continue
		}
		refused = fmt.Errorf("%s: %w", asks[which].what, code)
	}
	return refused, nil
}

// up sets a link up.
func (b *batch) up(name string, index int) {
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index, msg.Change, msg.Flags = int32(index), unix.IFF_UP, unix.IFF_UP
	b.add(fmt.Sprintf("link %q: up", name), 0, unix.RTM_NEWLINK, 0, msg)
}

func familyOf(a netip.Addr) int {
	if a.Is6() {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// address gives a link an address; see Links.AddAddress.
func (b *batch) address(name string, index int, p netip.Prefix) {
	msg := nl.NewIfAddrmsg(familyOf(p.Addr()))
	msg.Index, msg.Prefixlen, msg.Scope = uint32(index), uint8(p.Bits()), unix.RT_SCOPE_UNIVERSE
	ip := p.Addr().AsSlice()
	parts := []nl.NetlinkRequestData{msg, nl.NewRtAttr(unix.IFA_LOCAL, ip), nl.NewRtAttr(unix.IFA_ADDRESS, ip)}
	if p.Addr().Is6() {
		msg.IfAddrmsg.Flags = unix.IFA_F_NODAD
	} else if p.Bits() < 31 {
		parts = append(parts, nl.NewRtAttr(unix.IFA_BROADCAST, broadcast(p)))
	}
	b.add(fmt.Sprintf("address %s on %q", p, name), unix.EEXIST, unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL, parts...)
}

// route adds a route through a link; see Links.AddRoute.
func (b *batch) route(index int, h Hop) {
	msg := nl.NewRtMsg() // of the main table, by the administrator
	msg.Family, msg.Dst_len = uint8(familyOf(h.Dst.Addr())), uint8(h.Dst.Bits())
	parts := []nl.NetlinkRequestData{msg, nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(index)))}
	if h.Dst.Bits() > 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_DST, h.Dst.Masked().Addr().AsSlice()))
	}
	if h.Via.IsValid() {
		parts = append(parts, nl.NewRtAttr(unix.RTA_GATEWAY, h.Via.AsSlice()))
	} else {
		msg.Scope = unix.RT_SCOPE_LINK
	}
	if h.Metric != 0 {
		parts = append(parts, nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(uint32(h.Metric))))
	}
	b.add(fmt.Sprintf("route %s via %s", h.Dst, h.Via), unix.EEXIST, unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, parts...)
}

// batchIn opens a batch in another namespace and does something there before the
// thread comes back.
func batchIn(n *netns.Namespace, f func() error) (b *batch, err error) {
	err = n.Do(func() (err error) {
		if b, err = newBatch(); err != nil {
			return err
		}
		if err = f(); err != nil {
			b.close()
		}
		return err
	})
	return b, err
}
