package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// listenerWait bounds how long the init may take to hand the listener over, and an
// agent to take it.
const listenerWait = 10 * time.Second

// listener passes the seccomp listener of op i from the init to the agent. The
// container is "creating" for it, and for the one of an exec "running".
func (h *host) listener(i int, op *plan.Op) error {
	fd, err := h.receiveFD(i)
	if err == errGone {
		return h.died()
	}
	var failed *OpError
	if errors.As(err, &failed) {
		return err // names its op itself
	}
	if err == nil {
		path, metadata := op.SeccompNotifyArgs()
		status := Creating
		if h.exec {
			status = Running
		}
		err = sendListener(path, processState(h.rec, status, h.pid, metadata), fd)
		unix.Close(fd)
	}
	if err != nil {
		return hostError(h.plan, i, err)
	}
	return nil
}

// receiveFD is receive for the one report that brings a descriptor.
func (h *host) receiveFD(i int) (int, error) {
	tv := unix.NsecToTimeval(listenerWait.Nanoseconds())
	if err := unix.SetsockoptTimeval(h.sync, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return -1, os.NewSyscallError("setsockopt", err)
	}
	defer func() { _ = unix.SetsockoptTimeval(h.sync, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{}) }()
	var buf [initproto.Size + 1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	var err error
	for {
		n, oobn, _, _, err = unix.Recvmsg(h.sync, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		if err != unix.EINTR {
			break
		}
	}
	switch {
	case err == unix.EAGAIN:
		return -1, fmt.Errorf("the init has not handed the listener over in %v", listenerWait)
	case err != nil:
		return -1, fmt.Errorf("receive from init: %w", err)
	case n == 0:
		return -1, errGone
	}
	fds := rights(oob[:oobn])
	r, err := h.parse(buf[:n])
	switch {
	case err == nil && (r.Kind != initproto.Sync || int(r.Op) != i || len(fds) != 1):
		err = fmt.Errorf("init reported kind %d at op %d with %d descriptors, expected op %d with one", r.Kind, r.Op, len(fds), i)
		fallthrough
	case err != nil:
		for _, fd := range fds {
			unix.Close(fd)
		}
		return -1, err
	}
	return fds[0], nil
}

func rights(oob []byte) []int {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 {
		return nil
	}
	fds, _ := unix.ParseUnixRights(&messages[0])
	return fds
}

// processState is the container process state that goes with the descriptor, whose
// name is seccompFd.
func processState(rec *state.Record, status Status, pid int, metadata string) []byte {
	container := pid
	if status == Running {
		container = rec.Pid
	}
	var w ojson.Writer
	w.Object()
	w.Key("ociVersion").String(specs.Version)
	w.Key("fds").Array()
	w.String(specs.SeccompFdName)
	w.End()
	w.Key("pid").Int(int64(pid))
	if metadata != "" {
		w.Key("metadata").String(metadata)
	}
	w.Key("state")
	writeState(&w, rec, status, container)
	w.End()
	return w.Bytes()
}

// sendListener makes one connection to the agent, for one state, and ends it.
func sendListener(path string, message []byte, fd int) error {
	conn, err := sys.DialUnix(path, unix.SOCK_STREAM, listenerWait)
	if err != nil {
		return err
	}
	defer unix.Close(conn)
	rights := unix.UnixRights(fd)
	for len(message) > 0 {
		n, err := unix.SendmsgN(conn, message, rights, nil, unix.MSG_NOSIGNAL)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return fmt.Errorf("the agent has not read the state in %v", listenerWait)
		case err != nil:
			return os.NewSyscallError("sendmsg", err)
		}
		message, rights = message[n:], nil
	}
	return nil
}
