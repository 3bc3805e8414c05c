//go:build linux && amd64

package seccomp

import (
	"runtime"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/field"
)

// filters of Docker's default profile, by who has compiled them; nil is for none.
// libseccomp's is the one on record, with the rule for newer calls in front, as runc
// installs it.
func dockerFilters(b *testing.B) map[string][]byte {
	b.Helper()
	r := readRecord(b)
	s := sample{"docker-amd64", "amd64", without(readProfile(b, "docker-amd64"), r.Unknown)}
	var errs field.List
	ours, theirs := Compile(s.cfg, "amd64", &errs), Adopt(s.cfg, "amd64", r.Answers[question(s)].Filter, &errs)
	if ours == nil || theirs == nil {
		b.Fatal(errs.Err())
	}
	return map[string][]byte{"none": nil, "tare": ours.Filter, "libseccomp": theirs.Filter}
}

// inFork runs a number of installations and then of calls in a process of its own, and
// returns the processor time that it took, which other programs' load is no part of.
func inFork(b *testing.B, filter []byte, installs, calls int, nr, arg uintptr) time.Duration {
	b.Helper()
	var prog unix.SockFprog
	if filter != nil {
		prog = unix.SockFprog{Len: uint16(len(filter) / 8), Filter: (*unix.SockFilter)(unsafe.Pointer(&filter[0]))}
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	pid, _, errno := syscall.RawSyscall6(unix.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		b.Fatalf("fork: %v", errno)
	}
	if pid == 0 {
		status := uintptr(0)
		syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0)
		for i := 0; i < installs && filter != nil; i++ {
			if _, _, e := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, flagSpecAllow, uintptr(unsafe.Pointer(&prog))); e != 0 {
				status = installFailed
			}
		}
		for range calls {
			if _, _, e := syscall.RawSyscall(nr, arg, 0, 0); e != 0 {
				status = uintptr(e)
			}
		}
		for {
			syscall.RawSyscall(unix.SYS_EXIT_GROUP, status, 0, 0)
		}
	}
	var ws unix.WaitStatus
	var used unix.Rusage
	for {
		if _, err := unix.Wait4(int(pid), &ws, 0, &used); err == nil {
			break
		}
	}
	runtime.KeepAlive(filter)
	if !ws.Exited() || ws.ExitStatus() != 0 {
		b.Fatalf("the process ended with %#x", ws)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// perCall reports processor time, without what a process costs that does nothing.
func perCall(b *testing.B, took, empty time.Duration) {
	b.ReportMetric(float64((took-empty).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFilterCost is what Docker's default profile adds to a system call: to one
// that is always allowed, which the kernel knows without running the filter since
// 5.11, and to one that is allowed for some arguments.
func BenchmarkFilterCost(b *testing.B) {
	filters := dockerFilters(b)
	for _, c := range []struct {
		name    string
		nr, arg uintptr
	}{{"getppid", unix.SYS_GETPPID, 0}, {"personality", unix.SYS_PERSONALITY, 0xffffffff}} {
		for _, who := range []string{"none", "tare", "libseccomp"} {
			b.Run(c.name+"/"+who, func(b *testing.B) {
				perCall(b, inFork(b, filters[who], 1, b.N, c.nr, c.arg), inFork(b, filters[who], 1, 0, 0, 0))
			})
		}
	}
}

// BenchmarkFilterInstall is what seccomp(2) takes to install the profile, which every
// container and every exec pays once. A process has room for some twenty filters.
func BenchmarkFilterInstall(b *testing.B) {
	const each = 20
	filters := dockerFilters(b)
	for _, who := range []string{"tare", "libseccomp"} {
		b.Run(who, func(b *testing.B) {
			var took, empty time.Duration
			for i := 0; i < b.N; i += each {
				took += inFork(b, filters[who], min(each, b.N-i), 0, 0, 0)
				empty += inFork(b, nil, 0, 0, 0, 0)
			}
			perCall(b, took, empty)
		})
	}
}
