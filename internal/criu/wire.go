package criu

import (
	"errors"
	"fmt"
	"os"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"
)

// maxMessage is how long CRIU's longest message may be, in bytes
// (CR_MAX_MSG_SIZE in its cr-service.c is 1 KiB, plus the log of a failure).
const maxMessage = 64 << 10

// errGone says that CRIU has closed its end.
var errGone = errors.New("criu ended without an answer")

func (s *Session) send(req *rpc.CriuReq) error {
	data, err := req.MarshalVT()
	if err != nil {
		return fmt.Errorf("encode a request to CRIU: %w", err)
	}
	for {
		err := unix.Send(s.conn, data, unix.MSG_NOSIGNAL)
		switch err {
		case unix.EINTR:
			continue
		case unix.EPIPE, unix.ECONNRESET:
			return s.gone()
		}
		return os.NewSyscallError("send to CRIU", err)
	}
}

// receive returns a message, and the descriptor that came with it or -1.
func (s *Session) receive() (*rpc.CriuResp, int, error) {
	buf, oob := make([]byte, maxMessage), make([]byte, unix.CmsgSpace(4))
	for {
		n, oobn, flags, _, err := unix.Recvmsg(s.conn, buf, oob, unix.MSG_CMSG_CLOEXEC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.ECONNRESET, err == nil && n == 0:
			return nil, -1, s.gone()
		case err != nil:
			return nil, -1, os.NewSyscallError("receive from CRIU", err)
		}
		fd := received(oob[:oobn])
		resp := &rpc.CriuResp{}
		if err = resp.UnmarshalVT(buf[:n]); err == nil && flags&unix.MSG_TRUNC != 0 {
			err = fmt.Errorf("it is longer than %d bytes", maxMessage)
		}
		if err != nil {
			closeFD(fd)
			return nil, -1, fmt.Errorf("an answer of CRIU: %w", err)
		}
		return resp, fd, nil
	}
}

// gone says how CRIU has ended.
func (s *Session) gone() error {
	if err := s.Close(); err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return errGone
}

// received is the descriptor of a control message, -1 without one.
func received(oob []byte) int {
	msgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(msgs) == 0 {
		return -1
	}
	fds, err := unix.ParseUnixRights(&msgs[0])
	if err != nil || len(fds) == 0 {
		return -1
	}
	return fds[0]
}
