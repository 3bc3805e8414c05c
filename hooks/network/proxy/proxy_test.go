package proxy

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// The target of a UDP port has no listener: that is no datagram. Later it has one.
func TestRefusedIsNoDatagram(t *testing.T) {
	here := net.UDPAddrFromAddrPort(netip.MustParseAddrPort("127.0.0.1:0"))
	target, err := net.ListenUDP("udp4", here)
	if err != nil {
		t.Fatal(err)
	}
	at := target.LocalAddr().(*net.UDPAddr).AddrPort()
	target.Close()
	front, err := net.ListenUDP("udp4", here)
	if err != nil {
		t.Fatal(err)
	}
	defer front.Close()
	go datagrams(front, at)
	client, err := net.DialUDP("udp4", nil, front.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	send := func() {
		t.Helper()
		if _, err := client.Write([]byte("ask")); err != nil {
			t.Fatal(err)
		}
	}
	send()
	buf := make([]byte, 16)
	_ = client.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	if n, err := client.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client has got %d bytes of nobody: %v", n, err)
	}
	if target, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(at)); err != nil {
		t.Skip("another one has the port by now")
	}
	defer target.Close()
	send()
	_ = target.SetReadDeadline(time.Now().Add(10 * time.Second))
	n, from, err := target.ReadFromUDPAddrPort(buf)
	if err != nil || string(buf[:n]) != "ask" {
		t.Fatalf("%q: %v", buf[:n], err)
	}
	if _, err := target.WriteToUDPAddrPort([]byte("answer"), from); err != nil {
		t.Fatal(err)
	}
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := client.Read(buf); err != nil || string(buf[:n]) != "answer" {
		t.Errorf("%q: %v", buf[:n], err)
	}
}
