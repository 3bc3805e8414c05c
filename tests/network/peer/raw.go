package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strconv"
	"syscall"
	"time"
)

// frame LINK HEX... sends frames as they are.
func frame(args []string) error {
	i, err := net.InterfaceByName(args[0])
	if err != nil {
		return err
	}
	fd, err := syscall.Socket(syscall.AF_PACKET, syscall.SOCK_RAW, 0)
	if err != nil {
		return err
	}
	for _, h := range args[1:] {
		b, err := hex.DecodeString(h)
		if err != nil {
			return err
		}
		if err := syscall.Sendto(fd, b, 0, &syscall.SockaddrLinklayer{Ifindex: i.Index}); err != nil {
			return err
		}
	}
	return nil
}

// sctp ADDRESS PORT sends one INIT chunk (RFC 9260, 3.3.2).
func sctpInit(args []string) error {
	port, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	c, err := net.Dial("ip4:132", args[0])
	if err != nil {
		return err
	}
	b := make([]byte, 12, 32)
	binary.BigEndian.PutUint16(b[0:], 40000)
	binary.BigEndian.PutUint16(b[2:], uint16(port))
	b = append(b, 1, 0, 0, 20, 0, 0, 0, 1, 0, 1, 0, 0, 0, 10, 0, 10, 0, 0, 0, 1)
	binary.LittleEndian.PutUint32(b[8:], crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)))
	_, err = c.Write(b)
	return err
}

// sctp-wait SECONDS prints source and destination port of the first SCTP packet.
func sctpWait(args []string) error {
	wait, err := time.ParseDuration(args[0])
	if err != nil {
		return err
	}
	c, err := net.ListenPacket("ip4:132", "0.0.0.0")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	_ = c.SetReadDeadline(time.Now().Add(wait))
	b := make([]byte, 2048)
	n, from, err := c.ReadFrom(b)
	if err != nil || n < 12 {
		return errors.Join(errors.New("nothing came"), err)
	}
	fmt.Printf("peer=%s dport=%d\n", from, binary.BigEndian.Uint16(b[2:]))
	return nil
}
