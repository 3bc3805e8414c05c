package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"syscall"
	"time"
)

// stream is a socket of SCTP in the one-to-one style (RFC 6458, 4).
func stream() (int, error) {
	return syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, syscall.IPPROTO_SCTP)
}

// sctp-serve PORT tells each association who has asked, and ends it.
func sctpServe(args []string) error {
	port, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	fd, err := stream()
	if err != nil {
		return err
	}
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrInet4{Port: port}), syscall.Listen(fd, 8)); err != nil {
		return err
	}
	fmt.Println("ready")
	for {
		c, from, err := syscall.Accept(fd)
		if err != nil {
			return err
		}
		f := os.NewFile(uintptr(c), "association")
		if a, ok := from.(*syscall.SockaddrInet4); ok {
			fmt.Fprintf(f, "peer=%s\n", net.IP(a.Addr[:]))
		}
		f.Close()
	}
}

// sctp-ask ADDRESS:PORT TIME prints what such a server says.
func sctpAsk(args []string) error {
	to, err := netip.ParseAddrPort(args[0])
	if err != nil {
		return err
	}
	wait, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	fd, err := stream()
	if err != nil {
		return err
	}
	time.AfterFunc(wait, func() { fail(errors.New("no answer")) })
	if err := syscall.Connect(fd, &syscall.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}); err != nil {
		return err
	}
	b := make([]byte, 200)
	n, err := syscall.Read(fd, b)
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(b[:n])
	return err
}
