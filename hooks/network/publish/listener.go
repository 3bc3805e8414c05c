package publish

import (
	"bufio"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// probe binds the port and lets it go again: a process of the host that listens
// there would no longer be reached from outside. SCTP is not probed where the
// kernel has no sockets of it.
func (b Book) probe(proto string, port uint16, ip netip.Addr) error {
	kind, number := unix.SOCK_STREAM, unix.IPPROTO_TCP
	switch proto {
	case "udp":
		kind, number = unix.SOCK_DGRAM, unix.IPPROTO_UDP
	case "sctp":
		number = unix.IPPROTO_SCTP
	}
	for _, six := range []bool{false, true} {
		if ip.IsValid() && ip.Is6() != six {
			continue
		}
		err := bind(six, kind, number, port, ip)
		switch {
		case err == nil, errors.Is(err, unix.EPROTONOSUPPORT), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.ESOCKTNOSUPPORT):
		case errors.Is(err, unix.EADDRINUSE):
			who := Listener(proto, port)
			if who == "" {
				who = "a process of the host"
			}
			return &Conflict{port, proto, who}
		case errors.Is(err, unix.EADDRNOTAVAIL) && ip.IsValid():
			return fmt.Errorf("port %d/%s: address %s is none of the host's", port, proto, ip)
		case errors.Is(err, unix.EADDRNOTAVAIL): // no IPv6 in this namespace
		default:
			return fmt.Errorf("port %d/%s: %w", port, proto, err)
		}
	}
	return nil
}

func bind(six bool, kind, number int, port uint16, ip netip.Addr) error {
	family := unix.AF_INET
	var to unix.Sockaddr
	if six {
		family = unix.AF_INET6
		sa := &unix.SockaddrInet6{Port: int(port)}
		if ip.IsValid() {
			sa.Addr = ip.As16()
		}
		to = sa
	} else {
		sa := &unix.SockaddrInet4{Port: int(port)}
		if ip.IsValid() {
			sa.Addr = ip.As4()
		}
		to = sa
	}
	fd, err := unix.Socket(family, kind|unix.SOCK_CLOEXEC, number)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if six {
		if err := unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, 1); err != nil {
			return err
		}
	}
	// As a server would, so that connections that have ended do not count; for UDP
	// it would let two share the port.
	if kind == unix.SOCK_STREAM {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
			return err
		}
	}
	return unix.Bind(fd, to)
}

// Listener names the process that has a port, as NAME[PID]; "" when it is not
// found. It reads all of /proc, which is why it is asked after a failure only.
func Listener(proto string, port uint16) string {
	inodes := map[string]bool{}
	for _, table := range []string{proto, proto + "6"} {
		f, err := os.Open("/proc/thread-self/net/" + table)
		if err != nil {
			continue
		}
		s := bufio.NewScanner(f)
		for s.Scan() {
			fields := strings.Fields(s.Text())
			// sl local_address rem_address st tx:rx tr:when retrnsmt uid timeout inode
			if len(fields) < 10 || proto == "tcp" && fields[3] != "0A" {
				continue
			}
			_, hexPort, _ := strings.Cut(fields[1], ":")
			if b, err := hex.DecodeString(hexPort); err == nil && len(b) == 2 && uint16(b[0])<<8|uint16(b[1]) == port {
				inodes["socket:["+fields[9]+"]"] = true
			}
		}
		f.Close()
	}
	if len(inodes) == 0 {
		return ""
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			pid := strings.Split(fd, "/")[2]
			if _, err := strconv.Atoi(pid); err == nil {
				comm, _ := os.ReadFile("/proc/" + pid + "/comm")
				return fmt.Sprintf("%s[%s]", strings.TrimSpace(string(comm)), pid)
			}
		}
	}
	return ""
}
