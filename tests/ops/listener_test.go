package ops

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// askAbout is a filter that asks about one call, and a rule for two more.
func askAbout(nr uint32, kill ...uint32) []byte {
	prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: nr}, {Code: unix.BPF_RET, K: unix.SECCOMP_RET_USER_NOTIF}}
	for _, k := range kill {
		prog = append(prog, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: k},
			unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_KILL_PROCESS})
	}
	return bpf(append(prog, unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW})...)
}

const newListener = 1 << 3 // SECCOMP_FILTER_FLAG_NEW_LISTENER

// The listener comes with the report, whatever the filter forbids: here all calls
// that could pass a descriptor on, wake a thread, or end one.
func seccompNotifyEffect(t *testing.T) {
	filter := askAbout(unix.SYS_GETCWD, unix.SYS_SENDMSG, unix.SYS_SENDTO, unix.SYS_FUTEX, unix.SYS_CLOSE, unix.SYS_SCHED_YIELD, unix.SYS_EXIT, unix.SYS_WAIT4)
	for _, before := range [][]plan.Op{nil, {plan.CapsSet("f", 0, 0, 0, 0), plan.NoNewPrivs("f")}} {
		b := newBox(t).add(before...)
		b.add(plan.SeccompNotify("f", "/agent", "", filter, newListener), plan.SyncAwait("agent"))
		at := len(b.plan.Ops) - 2
		b.add(plan.Cwd("f", "/"))
		b.start()
		var buf [initproto.Size]byte
		oob := make([]byte, unix.CmsgSpace(4))
		n, oobn, _, _, err := unix.Recvmsg(b.sync, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		for err == unix.EINTR { // with SO_RCVTIMEO the kernel does not go on by itself
			n, oobn, _, _, err = unix.Recvmsg(b.sync, buf[:], oob, unix.MSG_CMSG_CLOEXEC)
		}
		b.must("recvmsg", err)
		r, err := initproto.Parse(buf[:n])
		b.must("report", err)
		if r.Kind != initproto.Sync || int(r.Op) != at {
			t.Fatalf("got %s", b.text(&r))
		}
		messages, err := unix.ParseSocketControlMessage(oob[:oobn])
		b.must("control message", err)
		fds, err := unix.ParseUnixRights(&messages[0])
		b.must("rights", err)
		link, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fds[0]))
		b.must("readlink", err)
		equal(t, "descriptor", link, "anon_inode:seccomp notify")
		// The thread is gone, and the listener with it, as soon as it could.
		for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
			tasks, _ := os.ReadDir(b.proc("task"))
			left := b.slotFds(func(path string) bool {
				link, _ := os.Readlink(path)
				return strings.Contains(link, "seccomp notify")
			})
			if len(tasks) == 1 && len(left) == 0 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d threads, listeners open: %v", len(tasks), left)
			}
		}
		equal(t, "Seccomp", b.status("Seccomp"), "2")
		b.release(at + 1)
		p := []unix.PollFd{{Fd: int32(fds[0]), Events: unix.POLLIN}}
		asked, err := unix.Poll(p, int(patience.Milliseconds()))
		for err == unix.EINTR {
			asked, err = unix.Poll(p, int(patience.Milliseconds()))
		}
		if asked != 1 || err != nil {
			t.Errorf("the init did not ask: %v", err)
		}
		unix.Close(fds[0]) // nobody answers: ENOSYS
		b.failed("getcwd", unix.ENOSYS, "")
	}
}

func seccompNotifyFailure(t *testing.T) {
	newBox(t).add(plan.SeccompNotify("f", "/agent", "", bpf(unix.SockFilter{Code: 0xffff}), newListener)).fails("seccomp", unix.EINVAL, "")
	newBox(t).inject(unix.SYS_CLONE, unix.EAGAIN).add(plan.SeccompNotify("f", "/agent", "", askAbout(unix.SYS_GETCWD), newListener)).fails("clone", unix.EAGAIN, "")
}
