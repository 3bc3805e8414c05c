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
type Lock struct{ f *os.File }

// Patience bounds the wait for a lock; what is done under one takes milliseconds.
const Patience = 30 * time.Second

// Lock takes the lock of a name, or says after wait who holds it.
func (s *Store) Lock(name string, wait time.Duration) (*Lock, error) {
	f, err := os.OpenFile(filepath.Join(s.Dir, "locks", name), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
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
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	// Only for the message above.
	_, _ = f.WriteAt([]byte(fmt.Sprintf("%-10d", os.Getpid())), 0)
	return &Lock{f}, nil
}

func flock(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			return err
		}
	}
}

func readPid(f *os.File) string {
	b := make([]byte, 10)
	n, _ := f.ReadAt(b, 0)
	if p, err := strconv.Atoi(strings.TrimSpace(string(b[:n]))); err == nil {
		return strconv.Itoa(p)
	}
	return "unknown"
}

// Unlock gives the lock back; a second time does nothing.
func (l *Lock) Unlock() {
	if l != nil && l.f != nil {
		l.f.Close()
		l.f = nil
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
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return Process{}, err
	}
	// The name in parentheses may have any character.
	i := strings.LastIndexByte(string(data), ')')
	fields := strings.Fields(string(data[i+1:]))
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
	b, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	return strings.TrimSpace(string(b))
}
