package netdev

import (
	"encoding/binary"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// socket is an rtnetlink socket. It acts in the network namespace in which it
// was made, and keeps that namespace alive.
type socket struct {
	fd  int
	seq uint32
}

func newSocket() (*socket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// The kernel's own words for a refusal; it does without on old ones.
	_ = unix.SetsockoptInt(fd, unix.SOL_NETLINK, unix.NETLINK_EXT_ACK, 1)
	return &socket{fd: fd}, nil
}

// socketIn makes the socket in another network namespace. The thread that
// enters it is never given back: it ends with the goroutine.
func socketIn(ns int) (*socket, error) {
	type result struct {
		s   *socket
		err error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread()
		if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
			done <- result{nil, os.NewSyscallError("setns", err)}
			return
		}
		s, err := newSocket()
		done <- result{s, err}
	}()
	r := <-done
	return r.s, r.err
}

func (s *socket) close() { unix.Close(s.fd) }

// kernelError is a refusal with what the kernel says about it.
type kernelError struct {
	errno unix.Errno
	text  string // of NLMSGERR_ATTR_MSG, often empty
}

func (e *kernelError) Error() string {
	if e.text != "" {
		return e.errno.Error() + ": " + e.text
	}
	return e.errno.Error()
}

func (e *kernelError) Unwrap() error { return e.errno }

// receiveSize is more than the kernel puts into one datagram of a dump.
const receiveSize = 64 << 10

// errInterrupted says that what was listed has changed meanwhile. Constant errors
// are types here: variables would be made at every start of the program.
type errInterrupted struct{}

func (errInterrupted) Error() string { return "rtnetlink: the list changed while it was read" }

// do sends a request and calls each with the answers to it, until the kernel has
// acknowledged it or the list is at its end.
func (s *socket) do(r *request, each func(message)) error {
	s.seq++
	if err := unix.Sendto(s.fd, r.bytes(s.seq), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return os.NewSyscallError("sendto", err)
	}
	buf := make([]byte, receiveSize)
	interrupted := false
	for {
		n, _, flags, _, err := unix.Recvmsg(s.fd, buf, nil, 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return os.NewSyscallError("recvmsg", err)
		}
		if flags&unix.MSG_TRUNC != 0 {
			return fmt.Errorf("rtnetlink: an answer is longer than %d bytes", receiveSize)
		}
		for _, m := range split(buf[:n]) {
			if m.seq != s.seq {
				continue
			}
			interrupted = interrupted || m.flags&unix.NLM_F_DUMP_INTR != 0
			switch m.typ {
			case unix.NLMSG_ERROR, unix.NLMSG_DONE:
				if err := verdict(m); err != nil {
					return err
				}
				if interrupted {
					return errInterrupted{}
				}
				return nil
			default:
				if each != nil {
					each(m)
				}
			}
		}
	}
}

// ack sends a request that has no answer but success or failure.
func (s *socket) ack(r *request) error {
	binary.NativeEndian.PutUint16(r.b[6:], binary.NativeEndian.Uint16(r.b[6:])|unix.NLM_F_ACK)
	return s.do(r, nil)
}

// verdict reads the last message of an answer.
func verdict(m message) error {
	if len(m.body) < 4 {
		return nil // an old kernel's end of a list
	}
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(m.body)))
	if errno == 0 {
		return nil
	}
	e := &kernelError{errno: errno}
	at := 4 // NLMSG_DONE has the error only, NLMSG_ERROR the request's header too
	if m.typ == unix.NLMSG_ERROR {
		at += unix.SizeofNlMsghdr
		if m.flags&unix.NLM_F_CAPPED == 0 && len(m.body) >= 8 {
			at = 4 + int(binary.NativeEndian.Uint32(m.body[4:]))
		}
	}
	if m.flags&unix.NLM_F_ACK_TLVS != 0 && at >= 0 && at <= len(m.body) {
		attrs(m.body[at:], func(typ uint16, value []byte) {
			if typ == nlmsgerrAttrMsg {
				e.text = text(value)
			}
		})
	}
	return e
}

// nlmsgerrAttrMsg is NLMSGERR_ATTR_MSG of linux/netlink.h.
const nlmsgerrAttrMsg = 1
