package netdev

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// request builds one rtnetlink message: header, fixed part, attributes.
type request struct{ b []byte }

func newRequest(typ, flags uint16, fixed []byte) *request {
	r := &request{b: make([]byte, unix.SizeofNlMsghdr, 128)}
	binary.NativeEndian.PutUint16(r.b[4:], typ)
	binary.NativeEndian.PutUint16(r.b[6:], flags|unix.NLM_F_REQUEST)
	r.b = append(r.b, fixed...)
	return r
}

// attr adds an attribute. Attributes begin at multiples of four bytes.
func (r *request) attr(typ uint16, value []byte) *request {
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
	r.b = binary.NativeEndian.AppendUint16(r.b, uint16(unix.SizeofRtAttr+len(value)))
	r.b = binary.NativeEndian.AppendUint16(r.b, typ)
	r.b = append(r.b, value...)
	return r
}

func (r *request) str(typ uint16, s string) *request { return r.attr(typ, append([]byte(s), 0)) }

func (r *request) uint32(typ uint16, v uint32) *request {
	return r.attr(typ, binary.NativeEndian.AppendUint32(nil, v))
}

// bytes completes the header.
func (r *request) bytes(seq uint32) []byte {
	for len(r.b)%4 != 0 {
		r.b = append(r.b, 0)
	}
	binary.NativeEndian.PutUint32(r.b, uint32(len(r.b)))
	binary.NativeEndian.PutUint32(r.b[8:], seq)
	return r.b
}

// ifinfo is a struct ifinfomsg.
func ifinfo(index int32, flags, change uint32) []byte {
	b := make([]byte, unix.SizeofIfInfomsg)
	binary.NativeEndian.PutUint32(b[4:], uint32(index))
	binary.NativeEndian.PutUint32(b[8:], flags)
	binary.NativeEndian.PutUint32(b[12:], change)
	return b
}

// attrs calls f with each attribute; one that does not fit ends the list.
func attrs(b []byte, f func(typ uint16, value []byte)) {
	for len(b) >= unix.SizeofRtAttr {
		n := int(binary.NativeEndian.Uint16(b))
		if n < unix.SizeofRtAttr || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[unix.SizeofRtAttr:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// text is a string attribute without its NUL.
func text(b []byte) string {
	for i, c := range b {
		if c == 0 {
			return string(b[:i])
		}
	}
	return string(b)
}

// message is one received message.
type message struct {
	typ, flags uint16
	seq        uint32
	body       []byte
}

// split cuts what one recvmsg(2) has brought into messages.
func split(b []byte) []message {
	var out []message
	for len(b) >= unix.SizeofNlMsghdr {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.SizeofNlMsghdr || n > len(b) {
			break
		}
		out = append(out, message{typ: binary.NativeEndian.Uint16(b[4:]), flags: binary.NativeEndian.Uint16(b[6:]), seq: binary.NativeEndian.Uint32(b[8:]), body: b[unix.SizeofNlMsghdr:n]})
		b = b[min((n+3)&^3, len(b)):]
	}
	return out
}
