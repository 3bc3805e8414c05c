// Package proxy serves published ports by a process: for clients that the packet
// filter cannot translate (::1, and a family that the container does not have),
// and so that the host's ports are really taken.
package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Job is all ports of one container.
type Job struct {
	Container int    `json:"container"` // pid; the proxy ends with it
	PidFile   string `json:"pidFile"`
	Ports     []Port `json:"ports"`
}

// Port is one published port and the container's addresses.
type Port struct {
	config.Port
	IP4 netip.Addr `json:"ip4,omitzero"`
	IP6 netip.Addr `json:"ip6,omitzero"`
}

// Run reads a Job, listens, says "ready" or why not, and serves until it gets
// SIGTERM or the container ends.
func Run(in io.Reader, out io.Writer) error {
	var job Job
	if err := json.NewDecoder(in).Decode(&job); err != nil {
		return err
	}
	fail := func(err error) error { fmt.Fprintln(out, err); return err }
	me, err := record.Identify(os.Getpid())
	if err != nil {
		return fail(err)
	}
	data, err := json.Marshal(me)
	if err != nil {
		return fail(err)
	}
	if err := record.WriteFile(job.PidFile, data); err != nil {
		return fail(err)
	}
	defer os.Remove(job.PidFile)
	fd, err := unix.PidfdOpen(job.Container, 0)
	if err != nil {
		return fail(fmt.Errorf("container's process %d: %w", job.Container, err))
	}
	for _, p := range job.Ports {
		if err := serve(p); err != nil {
			return fail(err)
		}
	}
	fmt.Fprintln(out, "ready")
	if c, ok := out.(io.Closer); ok {
		c.Close()
	}
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || err != nil && err != unix.EINTR {
			return nil
		}
	}
}

// serve listens for one port or range, on each family by a socket of its own.
func serve(p Port) error {
	for i := range p.Count {
		for _, family := range []string{"4", "6"} {
			six := family == "6"
			if p.Port.IP.IsValid() && p.Port.IP.Is6() != six {
				continue
			}
			to := p.IP4
			if six && p.IP6.IsValid() || !to.IsValid() {
				to = p.IP6
			}
			target := netip.AddrPortFrom(to, p.Container+i)
			// Typed addresses everywhere: of texts, names could be asked of a resolver,
			// which is the larger half of package net.
			at := netip.AddrPortFrom(p.Port.IP, p.Host+i)
			if !at.Addr().IsValid() {
				at = netip.AddrPortFrom(netip.IPv4Unspecified(), at.Port())
				if six {
					at = netip.AddrPortFrom(netip.IPv6Unspecified(), at.Port())
				}
			}
			err := listen(p.Proto, family, at, target)
			if errors.Is(err, syscall.EAFNOSUPPORT) || errors.Is(err, syscall.EADDRNOTAVAIL) && !p.Port.IP.IsValid() {
				continue
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func listen(proto, family string, at, target netip.AddrPort) error {
	if proto == "udp" {
		c, err := net.ListenUDP("udp"+family, net.UDPAddrFromAddrPort(at))
		if err != nil {
			return err
		}
		go datagrams(c, target)
		return nil
	}
	l, err := net.ListenTCP("tcp"+family, net.TCPAddrFromAddrPort(at))
	if err != nil {
		return err
	}
	go func() {
		for {
			c, err := l.AcceptTCP()
			if err != nil {
				if errors.Is(err, net.ErrClosed) {
					return
				}
				time.Sleep(10 * time.Millisecond) // out of descriptors
				continue
			}
			go stream(c, target)
		}
	}()
	return nil
}

// stream copies both ways until both sides have ended; between two TCP sockets
// the kernel moves the bytes (splice(2)).
func stream(c *net.TCPConn, target netip.AddrPort) {
	defer c.Close()
	d := net.Dialer{Timeout: 10 * time.Second}
	back, err := d.DialTCP(context.Background(), "tcp", netip.AddrPort{}, target)
	if err != nil {
		return
	}
	defer back.Close()
	var wg sync.WaitGroup
	half := func(dst, src *net.TCPConn) {
		defer wg.Done()
		_, _ = io.Copy(dst, src) // an end by error is an end
		_ = dst.CloseWrite()
	}
	wg.Add(2)
	go half(back, c)
	go half(c, back)
	wg.Wait()
}

// idle is how long the answers to a client of UDP are waited for.
const idle = 90 * time.Second

func datagrams(c *net.UDPConn, target netip.AddrPort) {
	var mu sync.Mutex
	clients := map[netip.AddrPort]*net.UDPConn{}
	buf := make([]byte, 65536)
	for {
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		mu.Lock()
		o := clients[from]
		if o == nil {
			if o, err = net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target)); err != nil {
				mu.Unlock()
				continue
			}
			clients[from] = o
			go func(o *net.UDPConn) {
				b := make([]byte, 65536)
				for {
					_ = o.SetReadDeadline(time.Now().Add(idle))
					n, err := o.Read(b)
					if errors.Is(err, syscall.ECONNREFUSED) {
						continue // nobody listens, which is no datagram
					}
					if err != nil {
						break
					}
					_, _ = c.WriteToUDPAddrPort(b[:n], from)
				}
				mu.Lock()
				delete(clients, from)
				mu.Unlock()
				o.Close()
			}(o)
		}
		mu.Unlock()
		_, _ = o.Write(buf[:n]) // UDP promises nothing
	}
}
