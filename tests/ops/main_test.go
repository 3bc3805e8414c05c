package ops

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The test binary has two more lives: as the launcher, which stands between the
// tests and the init where a system call is to fail, and as the program that a
// plan ends with.
const (
	launchEnv = "TARE_OPS_LAUNCH"
	probeEnv  = "TARE_OPS_PROBE"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(launchEnv) != "":
		launch(os.Getenv(launchEnv))
	case os.Getenv(probeEnv) != "":
		probe()
	case !strings.Contains(os.Args[0], "/"):
		// Run as the program of a plan that lost its environment: not to begin anew.
		fmt.Println("neither test, launcher nor probe")
		os.Exit(3)
	default:
		if os.Geteuid() != 0 {
			fmt.Println("tests/ops needs root")
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
}

// launchOptions say what the world of the init lacks.
type launchOptions struct {
	Exe    int          // descriptor of the init
	Base   string       // its argument
	Chroot string       // its root, "" for the test's
	Fail   []injectCall // system calls that fail
	Flags  []flaggedCall
}

// flaggedCall makes a system call fail where one argument has this value.
type flaggedCall struct {
	Call, Arg, Value, Errno uint32
}

// injectCall makes one system call fail with Errno.
type injectCall struct {
	Call  uint32
	Errno uint32
}

// launch becomes the init, under a seccomp filter that stands for an older
// kernel or a refusing host. It never returns.
func launch(text string) {
	runtime.LockOSThread()
	var o launchOptions
	check := func(what string, err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "launcher:", what, err)
			os.Exit(126)
		}
	}
	check("options", json.Unmarshal([]byte(text), &o))
	if o.Chroot != "" {
		check("chroot", unix.Chroot(o.Chroot))
		check("chdir", unix.Chdir("/"))
	}
	argv := [...]*byte{mustPtr("tare-init"), mustPtr(o.Base), nil}
	envv := [...]*byte{nil}
	empty := mustPtr("")
	_, err := unix.FcntlInt(uintptr(o.Exe), unix.F_SETFD, unix.FD_CLOEXEC)
	check("fcntl", err)
	if len(o.Fail)+len(o.Flags) > 0 {
		prog := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}}
		for _, f := range o.Fail {
			prog = append(prog,
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: f.Call},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | f.Errno})
		}
		for _, f := range o.Flags {
			prog = append(prog,
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 4, K: f.Call},
				unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 16 + 8*f.Arg},
				unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: 0, Jf: 1, K: f.Value},
				unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | f.Errno},
				unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0})
		}
		prog = append(prog, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW})
		fprog := unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}
		_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, uintptr(unsafe.Pointer(&fprog)))
		if e != 0 {
			check("seccomp", e)
		}
	}
	_, _, e := unix.RawSyscall6(unix.SYS_EXECVEAT, uintptr(o.Exe), uintptr(unsafe.Pointer(empty)), uintptr(unsafe.Pointer(&argv[0])),
		uintptr(unsafe.Pointer(&envv[0])), unix.AT_EMPTY_PATH, 0)
	check("execveat", e)
}

func mustPtr(s string) *byte {
	p, err := unix.BytePtrFromString(s)
	if err != nil {
		panic(err)
	}
	return p
}

// probed is what the program sees of itself.
type probed struct {
	Args    []string
	Env     []string
	Cwd     string
	Fds     map[string]string // number to target, without those of the probe itself
	Keyring string            // KEYCTL_DESCRIBE of the session keyring
	SigIgn  string
	SigBlk  string
	Caps    map[string]string
	Pdeath  int // the signal it gets when its parent dies
}

// probe prints what the kernel says about this process and ends.
func probe() {
	p := probed{Args: os.Args, Fds: map[string]string{}}
	p.Cwd, _ = os.Getwd()
	// Not os.Environ, which leaves doubles out.
	if env, err := os.ReadFile("/proc/self/environ"); err == nil {
		p.Env = strings.Split(strings.TrimSuffix(string(env), "\x00"), "\x00")
	}
	if dir, err := os.ReadDir("/proc/self/fd"); err == nil {
		for _, e := range dir {
			to, err := os.Readlink("/proc/self/fd/" + e.Name())
			// Go's runtime opens an eventpoll, an eventfd and its CPU limit.
			if err == nil && !strings.HasPrefix(to, "anon_inode:[event") && !strings.HasPrefix(to, "/sys/fs/cgroup/cpu/cpu.") {
				p.Fds[e.Name()] = to
			}
		}
	}
	buf := make([]byte, 256)
	if n, err := unix.KeyctlBuffer(unix.KEYCTL_DESCRIBE, unix.KEY_SPEC_SESSION_KEYRING, buf, 0); err == nil && n > 0 {
		p.Keyring = string(buf[:n-1])
	}
	if status, err := os.ReadFile("/proc/self/status"); err == nil {
		p.SigIgn, p.SigBlk = statusField(status, "SigIgn"), statusField(status, "SigBlk")
		p.Caps = map[string]string{}
		for _, name := range []string{"CapPrm", "CapEff", "CapInh", "CapAmb", "CapBnd"} {
			p.Caps[name] = statusField(status, name)
		}
	}
	var sig int32
	if unix.Prctl(unix.PR_GET_PDEATHSIG, uintptr(unsafe.Pointer(&sig)), 0, 0, 0) == nil {
		p.Pdeath = int(sig)
	}
	out, err := json.Marshal(p)
	if err != nil {
		panic(err)
	}
	fmt.Println(string(out))
}
