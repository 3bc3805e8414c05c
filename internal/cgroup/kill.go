package cgroup

import (
	"os"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// maxPidfds bounds how many processes are held open at a time.
const maxPidfds = 256

// freezeAfter is the round from which on the v1 freezer is used: processes that
// fork faster than they are found must be held still.
const freezeAfter = 3

// The back-off between two looks at a cgroup that is not empty yet.
const (
	minPause = 200 * time.Microsecond
	maxPause = 50 * time.Millisecond
)

// Kill ends every process in the container's cgroups, given one for each
// hierarchy, and returns when they are gone. Cgroups that do not exist are
// fine. A frozen cgroup is thawed, because its processes could not die. The
// caller itself is never killed. At the deadline the error is a *BusyError.
//
// Where a v2 cgroup has the processes, the kernel kills them all at once
// (cgroup.kill, Linux 5.14). Elsewhere each process is held by a pidfd, its
// membership is read again, and only then it is signalled, so that a number
// that was given to another process meanwhile cannot hit that one.
func Kill(deadline time.Time, dirs ...Dir) error {
	open := make([]openDir, 0, len(dirs))
	defer func() {
		for _, d := range open {
			unix.Close(d.fd)
		}
	}()
	for _, d := range dirs {
		o, err := d.open()
		if isGone(err) {
			continue
		}
		if err != nil {
			return err
		}
		open = append(open, o)
	}
	pause := minPause
	for round := 0; ; round++ {
		left, err := killOnce(open, round >= freezeAfter)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			return nil
		}
		if !time.Now().Before(deadline) {
			return busy(open[0].dir, left)
		}
		waitLeft(open, min(pause, time.Until(deadline)))
		pause = min(2*pause, maxPause)
	}
}

// waitLeft waits until the processes have had time to die: where one of the
// cgroups is v2's, as on a hybrid host, the kernel tells when the last has left.
func waitLeft(open []openDir, pause time.Duration) {
	for _, o := range open {
		if o.v2 {
			o.waitChange(pause)
			return
		}
	}
	time.Sleep(pause)
}

type openDir struct {
	dir Dir
	fd  int
	v2  bool
}

func (d Dir) open() (openDir, error) {
	t, err := openTree(d.Mount)
	if err != nil {
		return openDir{}, err
	}
	defer t.close()
	fd, err := t.openDir(d.Rel)
	return openDir{dir: d, fd: fd, v2: t.v2}, err
}

// killOnce signals everything that it finds and returns what it found.
func killOnce(open []openDir, freeze bool) ([]int, error) {
	for _, d := range open {
		if d.v2 {
			if err := killV2(d.fd); err != nil {
				return nil, &Error{Op: "write \"1\" to", Path: d.dir.Path() + "/cgroup.kill", Err: err}
			}
		}
	}
	if freeze {
		setFreezers(open, "FROZEN")
	}
	pids, err := members(open)
	for i := 0; err == nil && i < len(pids); i += maxPidfds {
		err = signal(open, pids[i:min(i+maxPidfds, len(pids))])
	}
	if freeze || len(pids) > 0 {
		setFreezers(open, "THAWED")
	}
	return pids, err
}

// killV2 kills what is in a v2 cgroup. An older kernel has no such file, and
// the loop does the work.
func killV2(dirfd int) error {
	var buf [128]byte
	events, err := readAt(dirfd, "cgroup.events", buf[:])
	if err == nil && flag(events, "populated") {
		err = writeAt(dirfd, "cgroup.kill", []byte("1"))
	}
	if isGone(err) || err == unix.EOPNOTSUPP { // a threaded cgroup is not killed by itself
		return nil
	}
	return err
}

// members returns the processes of all cgroups without the caller.
func members(open []openDir) ([]int, error) {
	var pids []int
	for _, d := range open {
		var err error
		if pids, err = pidsBelow(d.fd, pids); err != nil && !isGone(err) {
			return nil, &Error{Op: "read processes of", Path: d.dir.Path(), Err: err}
		}
	}
	slices.Sort(pids)
	pids = slices.Compact(pids)
	self := os.Getpid()
	return slices.DeleteFunc(pids, func(pid int) bool { return pid == self }), nil
}

// signal sends SIGKILL to those of pids that are members for certain.
func signal(open []openDir, pids []int) error {
	fds := make([]int, len(pids))
	defer func() {
		for _, fd := range fds {
			if fd >= 0 {
				unix.Close(fd)
			}
		}
	}()
	for i, pid := range pids {
		fd, err := unix.PidfdOpen(pid, 0)
		if err != nil && err != unix.ESRCH && err != unix.EINVAL { // EINVAL: a thread of a dead leader
			fds = fds[:i]
			return &Error{Op: "open process in", Path: open[0].dir.Path(), Err: err}
		}
		fds[i] = fd
	}
	// If the number is still listed now and the process behind the pidfd is
	// alive when the signal arrives, it has been this process all the time.
	still, err := members(open)
	if err != nil {
		return err
	}
	for i, fd := range fds {
		if fd < 0 {
			continue
		}
		if _, listed := slices.BinarySearch(still, pids[i]); !listed {
			continue
		}
		if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && err != unix.ESRCH {
			return &Error{Op: "kill processes of", Path: open[0].dir.Path(), Err: err}
		}
	}
	return nil
}

// setFreezers sets the state of the container's v1 freezer cgroups, those below
// included. It does not wait: what is being killed leaves by itself.
func setFreezers(open []openDir, state string) {
	for _, d := range open {
		if !d.v2 {
			setFreezer(d.fd, state)
		}
	}
}

func setFreezer(dirfd int, state string) {
	if state == "THAWED" { // a cgroup below that was frozen by itself would stay so
		_ = walk(dirfd, func(fd int) error { return writeAt(fd, "freezer.state", []byte(state)) }, nil)
		return
	}
	_ = writeAt(dirfd, "freezer.state", []byte(state)) // another hierarchy has no such file
}
