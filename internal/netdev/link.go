package netdev

import (
	"encoding/binary"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// link is what a move has to know of a device.
type link struct {
	index  int32
	name   string
	up     bool
	master uint32 // index of the bridge or bond that it is a port of, 0 for none
}

// find looks a device up by its name, or by its index where name is empty. The
// error wraps ENODEV when there is none.
func (s *socket) find(name string, index int32) (link, error) {
	r := newRequest(unix.RTM_GETLINK, 0, ifinfo(index, 0, 0))
	if name != "" {
		r.str(unix.IFLA_IFNAME, name)
	}
	l := link{}
	binary.NativeEndian.PutUint16(r.b[6:], binary.NativeEndian.Uint16(r.b[6:])|unix.NLM_F_ACK)
	err := s.do(r, func(m message) {
		if m.typ != unix.RTM_NEWLINK || len(m.body) < unix.SizeofIfInfomsg {
			return
		}
		l.index = int32(binary.NativeEndian.Uint32(m.body[4:]))
		l.up = binary.NativeEndian.Uint32(m.body[8:])&unix.IFF_UP != 0
		attrs(m.body[unix.SizeofIfInfomsg:], func(typ uint16, value []byte) {
			switch {
			case typ == unix.IFLA_IFNAME:
				l.name = text(value)
			case typ == unix.IFLA_MASTER && len(value) == 4:
				l.master = binary.NativeEndian.Uint32(value)
			}
		})
	})
	if err == nil && l.index == 0 {
		err = unix.ENODEV
	}
	return l, err
}

// exists says that a name is taken.
func (s *socket) exists(name string) (bool, error) {
	_, err := s.find(name, 0)
	if errors.Is(err, unix.ENODEV) {
		return false, nil
	}
	return err == nil, err
}

// move gives the device to the namespace of another socket, under a name that is
// free there, and returns what it is there.
func (s *socket) move(index int32, to *socket, ns int, name string) (link, error) {
	r := newRequest(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0))
	r.uint32(unix.IFLA_NET_NS_FD, uint32(ns))
	r.str(unix.IFLA_IFNAME, name)
	err := s.ack(r)
	// A device that arrives and cannot be renamed is there all the same, under
	// the name it had.
	l, found := to.find(name, 0)
	if err == nil && found != nil {
		err = fmt.Errorf("is not there after the move: %w", found)
	}
	return l, err
}

// rename gives a device another name, and returns the one it has got: the
// kernel puts a number in the place of %d.
func (s *socket) rename(index int32, name string) (string, error) {
	if err := s.ack(newRequest(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0)).str(unix.IFLA_IFNAME, name)); err != nil {
		return "", err
	}
	l, err := s.find("", index)
	return l.name, err
}

func (s *socket) setUp(index int32) error {
	return s.ack(newRequest(unix.RTM_NEWLINK, 0, ifinfo(index, unix.IFF_UP, unix.IFF_UP)))
}

func (s *socket) setMaster(index int32, master uint32) error {
	return s.ack(newRequest(unix.RTM_NEWLINK, 0, ifinfo(index, 0, 0)).uint32(unix.IFLA_MASTER, master))
}
