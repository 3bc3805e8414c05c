package netdev

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// address is one address of a device, as the kernel says it and takes it back.
type address struct {
	family, prefix byte
	flags          uint32
	label          string
	values         []value
}

type value struct {
	typ   uint16
	bytes []byte
}

// keptFlags are those of an address that say how it is used; the others are its
// momentary state.
const keptFlags = unix.IFA_F_NODAD | unix.IFA_F_HOMEADDRESS | unix.IFA_F_MANAGETEMPADDR | unix.IFA_F_NOPREFIXROUTE | unix.IFA_F_MCAUTOJOIN

// ifaProto is IFA_PROTO of linux/if_addr.h: who has set the address.
const ifaProto = 11

// maxReads bounds how often a list is read that changes under the reader.
const maxReads = 8

// addresses lists the permanent addresses of global scope of a device: those
// that have to come along (config-linux.md, Network Devices).
func (s *socket) addresses(index int32) (out []address, err error) {
	for range maxReads {
		out = out[:0]
		err = s.do(newRequest(unix.RTM_GETADDR, unix.NLM_F_DUMP, make([]byte, unix.SizeofIfAddrmsg)), func(m message) {
			if a, ok := parseAddress(m, index); ok {
				out = append(out, a)
			}
		})
		if !errors.Is(err, errInterrupted{}) {
			break
		}
	}
	return out, err
}

func parseAddress(m message, index int32) (a address, ok bool) {
	if m.typ != unix.RTM_NEWADDR || len(m.body) < unix.SizeofIfAddrmsg || int32(binary.NativeEndian.Uint32(m.body[4:])) != index {
		return a, false
	}
	a = address{family: m.body[0], prefix: m.body[1], flags: uint32(m.body[2])}
	scope := m.body[3]
	attrs(m.body[unix.SizeofIfAddrmsg:], func(typ uint16, v []byte) {
		switch typ {
		case unix.IFA_FLAGS:
			if len(v) == 4 {
				a.flags = binary.NativeEndian.Uint32(v)
			}
		case unix.IFA_LABEL:
			a.label = text(v)
		case unix.IFA_ADDRESS, unix.IFA_LOCAL, unix.IFA_BROADCAST, unix.IFA_RT_PRIORITY, ifaProto:
			a.values = append(a.values, value{typ, append([]byte(nil), v...)})
		}
	})
	return a, a.flags&unix.IFA_F_PERMANENT != 0 && scope == unix.RT_SCOPE_UNIVERSE
}

// addAddress sets an address on a device. A label follows the device's name.
func (s *socket) addAddress(index int32, a address, was, is string) error {
	fixed := []byte{a.family, a.prefix, byte(a.flags & keptFlags), unix.RT_SCOPE_UNIVERSE}
	fixed = binary.NativeEndian.AppendUint32(fixed, uint32(index))
	r := newRequest(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_REPLACE, fixed)
	r.uint32(unix.IFA_FLAGS, a.flags&keptFlags)
	for _, v := range a.values {
		r.attr(v.typ, v.bytes)
	}
	if a.label != "" && a.label != was {
		label := a.label
		if rest, ok := strings.CutPrefix(label, was+":"); ok {
			label = is + ":" + rest
		}
		if len(label) < unix.IFNAMSIZ {
			r.str(unix.IFA_LABEL, label)
		}
	}
	return s.ack(r)
}

// String is "192.0.2.1/24" or "2001:db8:0:0:0:0:0:1/64", for messages.
func (a *address) String() string {
	var b []byte
	for _, v := range a.values {
		if v.typ == unix.IFA_LOCAL || v.typ == unix.IFA_ADDRESS && b == nil {
			b = v.bytes
		}
	}
	var parts []string
	sep := "."
	if len(b) == 16 {
		sep = ":"
		for i := 0; i < 16; i += 2 {
			parts = append(parts, strconv.FormatUint(uint64(b[i])<<8|uint64(b[i+1]), 16))
		}
	} else {
		for _, c := range b {
			parts = append(parts, strconv.Itoa(int(c)))
		}
	}
	return strings.Join(parts, sep) + "/" + strconv.Itoa(int(a.prefix))
}
