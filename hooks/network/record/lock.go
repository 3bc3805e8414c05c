package record

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Lock is a held flock(2). It ends with its process, however that ends.
type Lock struct{ fd int }

// Patience bounds the wait for a lock; what is done under one takes milliseconds.
const Patience = 30 * time.Second

// Lock takes the lock of a name, or says after wait who holds it.
func (s *Store) Lock(name string, wait time.Duration) (*Lock, error) {
	path := filepath.Join(s.Dir, "locks", name)
	f, err := unix.Open(path, unix.O_CREAT|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	err = unix.Flock(f, unix.LOCK_EX|unix.LOCK_NB)
	if err == unix.EWOULDBLOCK {
		// In a thread of its own, for it cannot be told to give up: the kernel
		// wakes the waiters one by one, which polling would not.
		got := make(chan error, 1)
		go func() { got <- flock(f) }()
		timer := time.NewTimer(wait)
		select {
		case err = <-got:
			timer.Stop()
		case <-timer.C:
			holder := readPid(f)
			return nil, fmt.Errorf("lock %s: held by pid %s for more than %s", name, holder, wait)
		}
	}
	if err != nil {
		unix.Close(f)
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// Only for the message above.
	_, _ = unix.Pwrite(f, []byte(fmt.Sprintf("%-10d", os.Getpid())), 0)
	return &Lock{f}, nil
}

func flock(f int) error {
	for {
		if err := unix.Flock(f, unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

func readPid(f int) string {
	b := make([]byte, 10)
	n, err := unix.Pread(f, b, 0)
	if err != nil {
		n = 0
	}
	if p, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return strconv.Itoa(p)
	}
	return "unknown"
}

// Inherit lets the programs that this process runs from now on hold the lock too:
// when this process is killed the lock ends with the last of them.
func (l *Lock) Inherit() error {
	if _, err := unix.FcntlInt(uintptr(l.fd), unix.F_SETFD, 0); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	return nil
}

// Unlock gives the lock back; a second time does nothing.
func (l *Lock) Unlock() {
	if l != nil && l.fd >= 0 {
		unix.Close(l.fd)
		l.fd = -1
	}
}

// Process is a process by its number and the time it was started at, in clock
// ticks since boot (proc_pid_stat(5), field 22): a number alone is used again.
type Process struct {
	Pid   int    `json:"pid"`
	Start uint64 `json:"start,omitempty"`
}

// NetNS is a network namespace by what fstat(2) tells of it.
type NetNS struct {
	Dev uint64 `json:"dev"`
	Ino uint64 `json:"ino"`
}

// Identify looks a process up; a dead one or a zombie is an error.
func Identify(pid int) (Process, error) {
	data := Text("/proc/" + strconv.Itoa(pid) + "/stat")
	if data == "" {
		return Process{}, fmt.Errorf("process %d: there is none", pid)
	}
	// The name in parentheses may have any character.
	i := strings.LastIndexByte(data, ')')
	fields := strings.Fields(data[i+1:])
	if i < 0 || len(fields) < 20 {
		return Process{}, errors.New("/proc/PID/stat: not understood")
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return Process{}, fmt.Errorf("process %d is dead", pid)
	}
	start, err := strconv.ParseUint(fields[19], 10, 64)
	return Process{Pid: pid, Start: start}, err
}

// Alive says whether it is the same process and not dead.
func (p Process) Alive() bool {
	if p.Pid <= 0 {
		return false
	}
	now, err := Identify(p.Pid)
	return err == nil && now.Start == p.Start
}

// BootID tells one run of the kernel from another.
func BootID() string {
	return Text("/proc/sys/kernel/random/boot_id")
}
