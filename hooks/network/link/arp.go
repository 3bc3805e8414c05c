package link

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ProbeARP asks the LAN of a link who has an address, as RFC 5227 does before an
// address is used, and returns the station that answers within the wait, or nil.
func ProbeARP(link string, a netip.Addr, wait time.Duration) (net.HardwareAddr, error) {
	if !a.Is4() {
		return nil, nil
	}
	i, err := net.InterfaceByName(link)
	if err != nil {
		return nil, fmt.Errorf("parent %q: %w", link, err)
	}
	proto := binary.NativeEndian.Uint16([]byte{0x08, 0x06}) // ETH_P_ARP in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, int(proto))
	if err != nil {
		return nil, fmt.Errorf("arp probe on %q: %w", link, err)
	}
	defer unix.Close(fd)
	to := &unix.SockaddrLinklayer{Protocol: proto, Ifindex: i.Index, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255}}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: i.Index}); err != nil {
		return nil, err
	}
	// hardware, protocol, lengths, request; sender without an address; target
	ask := append([]byte{0, 1, 8, 0, 6, 4, 0, 1}, i.HardwareAddr...)
	ask = append(ask, 0, 0, 0, 0)
	ask = append(ask, make([]byte, 6)...)
	ask = append(ask, a.AsSlice()...)
	end := time.Now().Add(wait)
	for try := 0; time.Now().Before(end); try++ {
		if err := unix.Sendto(fd, ask, 0, to); err != nil {
			return nil, fmt.Errorf("arp probe on %q: %w", link, err)
		}
		until := min(time.Until(end), wait/3)
		for stop := time.Now().Add(until); time.Now().Before(stop); {
			n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(time.Until(stop).Milliseconds())+1)
			if err != nil && !errors.Is(err, unix.EINTR) {
				return nil, err
			}
			if n < 1 {
				continue
			}
			b := make([]byte, 128)
			size, _, err := unix.Recvfrom(fd, b, unix.MSG_DONTWAIT)
			if err == nil && size >= 28 && b[7] == 2 && netip.AddrFrom4([4]byte(b[14:18])) == a {
				return net.HardwareAddr(b[8:14:14]), nil
			}
		}
	}
	return nil, nil
}
