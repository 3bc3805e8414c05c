// Package criu asks CRIU (Checkpoint/Restore In Userspace) to write the processes
// of a container to files, and to make them again from these.
//
// CRIU is started once for each request, as `criu swrk 3`: it reads requests from
// descriptor 3, a socket, and answers there (https://criu.org/RPC). In between it
// tells how far it has come, and waits for the word to go on.
package criu

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/checkpoint-restore/go-criu/v8/rpc"
	"golang.org/x/sys/unix"
)

// The names of the protocol that callers need; each is described in CRIU's
// rpc.proto and criu(8).
type (
	Options    = rpc.CriuOpts
	Mount      = rpc.ExtMountMap
	InheritFD  = rpc.InheritFd
	CgroupRoot = rpc.CgroupRoot
	CgroupMode = rpc.CriuCgMode
	PageServer = rpc.CriuPageServerInfo
	Kind       = rpc.CriuReqType
)

// The requests.
const (
	Dump    = rpc.CriuReqType_DUMP
	PreDump = rpc.CriuReqType_PRE_DUMP
	Restore = rpc.CriuReqType_RESTORE
)

// CgroupModes are what CRIU may do with cgroups, by their names in criu(8).
var CgroupModes = map[string]CgroupMode{
	"soft": rpc.CriuCgMode_SOFT, "full": rpc.CriuCgMode_FULL, "strict": rpc.CriuCgMode_STRICT, "ignore": rpc.CriuCgMode_IGNORE,
}

// NetworkLocks are the ways to keep packets from connections that stand still.
var NetworkLocks = map[string]rpc.CriuNetworkLockMethod{
	"iptables": rpc.CriuNetworkLockMethod_IPTABLES, "nftables": rpc.CriuNetworkLockMethod_NFTABLES, "skip": rpc.CriuNetworkLockMethod_SKIP,
}

// DefaultProgram is looked for in PATH.
const DefaultProgram = "criu"

// FirstFile is the number that the first of Program.Files has in CRIU.
const FirstFile = 4

// Program is how CRIU is started.
type Program struct {
	Path  string     // DefaultProgram if it is ""
	Stdin *os.File   // whose terminal a shell job gets; nil for none
	Files []*os.File // inherited, from FirstFile on
}

// Session is one CRIU that waits for a request.
type Session struct {
	conn int
	cmd  *exec.Cmd
}

// ErrMissing says that there is no CRIU to start.
var ErrMissing = errors.New("checkpoint and restore are done by CRIU, which is not installed (the package criu of most distributions)")

// Start starts CRIU in the calling thread's namespaces. It does not end with the
// caller: killed in the middle it would leave processes stopped that it has
// changed. Without anybody at the socket it undoes what it has begun.
func Start(p Program) (*Session, error) {
	name := p.Path
	if name == "" {
		name = DefaultProgram
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrMissing)
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "criu")
	defer theirs.Close()
	cmd := exec.Command(path, "swrk", "3")
	cmd.Stdin = nil
	if p.Stdin != nil {
		cmd.Stdin = p.Stdin
	}
	cmd.ExtraFiles = append([]*os.File{theirs}, p.Files...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt at the keyboard is not for it
	if err := cmd.Start(); err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start CRIU: %w", err)
	}
	return &Session{pair[0], cmd}, nil
}

// Pid is CRIU's own process.
func (s *Session) Pid() int { return s.cmd.Process.Pid }

// Events are called when CRIU says how far it has come; each may be nil. An error
// ends the request, and CRIU undoes what it has done.
type Events struct {
	// Step: before every other, and at each one that has no other.
	Step func() error
	// Namespaces: the first process is in its namespaces, which are still empty.
	Namespaces func(pid int) error
	// Restored: all processes are there, and stand still.
	Restored func(pid int) error
	// Resuming: they go on next, and CRIU starts nothing any more.
	Resuming func() error
	// Terminal: the other end of the container's terminal, which the callee owns.
	Terminal func(fd int) error
}

// Do makes a request and waits for its end.
func (s *Session) Do(kind Kind, o *Options, e Events) error {
	req := &rpc.CriuReq{Type: new(kind), Opts: o}
	var failed error // of an event; what CRIU tells from then on is how it undoes its work
	for {
		if err := s.send(req); err != nil {
			return errors.Join(failed, err)
		}
		resp, fd, err := s.receive()
		if err != nil {
			return errors.Join(failed, err)
		}
		if n := resp.GetNotify(); resp.GetType() == rpc.CriuReqType_NOTIFY && resp.GetSuccess() {
			if failed == nil {
				failed = e.tell(n.GetScript(), int(n.GetPid()), fd)
				err = failed
			} else {
				closeFD(fd)
			}
			req = &rpc.CriuReq{Type: new(rpc.CriuReqType_NOTIFY), NotifySuccess: new(err == nil)}
			continue
		}
		closeFD(fd)
		switch {
		case failed != nil && (kind == Restore || !resp.GetSuccess()):
			return failed
		case !resp.GetSuccess():
			return &Error{Kind: kind, Errno: syscall.Errno(resp.GetCrErrno()), Message: strings.TrimSpace(resp.GetCrErrmsg())}
		}
		return nil
	}
}

// tell hands an event on. The descriptor is -1 if none came with it.
func (e *Events) tell(script string, pid, fd int) error {
	if e.Step != nil {
		if err := e.Step(); err != nil {
			closeFD(fd)
			return err
		}
	}
	switch {
	case script == "orphan-pts-master" && fd >= 0 && e.Terminal != nil:
		return e.Terminal(fd)
	case script == "setup-namespaces" && e.Namespaces != nil:
		return e.Namespaces(pid)
	case script == "post-restore" && e.Restored != nil:
		return e.Restored(pid)
	case script == "pre-resume" && e.Resuming != nil:
		return e.Resuming()
	}
	closeFD(fd)
	return nil
}

func closeFD(fd int) {
	if fd >= 0 {
		unix.Close(fd)
	}
}

// Close ends CRIU, which has answered or never will, and waits for it.
func (s *Session) Close() error {
	if s.conn < 0 {
		return nil
	}
	unix.Close(s.conn)
	s.conn = -1
	return s.cmd.Wait()
}

// Error is CRIU's own.
type Error struct {
	Kind    Kind
	Errno   syscall.Errno // 0 if it did not say
	Message string
	Log     string // where it has written what it did
	Lines   []string
}

// Error prints what was asked, what CRIU said, and the errors of its log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("criu " + strings.ToLower(strings.ReplaceAll(e.Kind.String(), "_", "-")))
	if e.Errno != 0 {
		b.WriteString(": " + e.Errno.Error())
	}
	if len(e.Lines) > 0 {
		b.WriteString(": " + strings.Join(e.Lines, "; "))
	} else if e.Message != "" { // which is the first of the lines
		b.WriteString(": " + e.Message)
	}
	if e.Log != "" {
		b.WriteString(" (all of it in " + e.Log + ")")
	}
	return b.String()
}

// Unwrap returns the errno.
func (e *Error) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}
