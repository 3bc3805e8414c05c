package libcontainer

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/aside"
	"github.com/tare-oci/tare/internal/initbin"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/sys"
)

// spawn starts the init: its descriptors are the standard streams, those to be
// preserved, the socket, the plan, and what the host ops have opened.
func (h *host) spawn(op *plan.Op) error {
	flags, cg := op.SpawnArgs()
	h.beside = h.plan.Passes()
	if !h.exec && !h.beside && !h.scopeFollows() { // a scope's come later (startUnit)
		if err := h.ownCgroups(); err != nil {
			return err
		}
	}
	if err := h.collectNetwork(); err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return os.NewSyscallError("socketpair", err)
	}
	h.sync = pair[0]
	defer unix.Close(pair[1])
	planFD, err := planFile(h.plan)
	if err != nil {
		return err
	}
	defer unix.Close(planFD)

	base := 3 + h.opts.ListenFDs + h.opts.PreserveFDs
	files := make([]uintptr, 0, base+2+len(h.order))
	files = append(files, stdio(h.opts.Stdin, 0), stdio(h.opts.Stdout, 1), stdio(h.opts.Stderr, 2))
	for fd := 3; fd < base; fd++ {
		if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
			if fd < 3+h.opts.ListenFDs {
				return fmt.Errorf("LISTEN_FDS %d: descriptor %d is not open", h.opts.ListenFDs, fd)
			}
			return fmt.Errorf("--preserve-fds %d: descriptor %d is not open", h.opts.PreserveFDs, fd)
		}
		files = append(files, uintptr(fd))
	}
	files = append(files, uintptr(pair[1]), uintptr(planFD))
	top := 0
	for _, fd := range h.order {
		files = append(files, uintptr(fd))
	}
	for _, fd := range files {
		top = max(top, int(fd))
	}
	exe, err := h.openInit(max(top, len(files)) + len(files) + 2)
	if err != nil {
		return err
	}
	defer unix.Close(exe)

	group := -1
	if cg != plan.NoSlot {
		group = h.slots[cg]
	}
	// The init dies with the thread that cloned it. The main thread is good for
	// that; any other must be kept, which makes the Go runtime start another.
	tid := os.Getpid()
	if h.locked {
		tid = 0
		sys.OwnSlack()
	}
	pid, err := h.startInit(exe, base, files, flags, group, tid)
	if err == syscall.ESRCH && !h.locked {
		runtime.LockOSThread()
		h.locked = true
		sys.OwnSlack()
		pid, err = h.startInit(exe, base, files, flags, group, 0)
	}
	if err != nil {
		return h.cloneError(op.Value(), err)
	}
	h.stage, h.pid = pid, pid
	h.restoreAffinity()
	// The init has its own copies; ours would keep namespaces and trees alive.
	h.closeSlots()
	return nil
}

// ownCgroups writes down that from here on what is in the cgroups is the container's,
// to be killed with it. Only a digit of the record changes.
func (h *host) ownCgroups() error {
	h.rec.CgroupsMade = true
	return h.rec.Begin()
}

// startInit clones a child with the namespaces of flags, born into a cgroup
// unless that is -1, and has it execute exe with files as its descriptors 0, 1…
func (h *host) startInit(exe, base int, files []uintptr, flags uint64, group, tid int) (int, error) {
	path, argv := "/proc/self/fd/"+strconv.Itoa(exe), []string{"tare-init", strconv.Itoa(base)}
	m := &aside.Memory{}
	calls := arrange(files)
	if was := &aside.Files; was.Soft != was.Hard {
		calls = append(calls, aside.Call{NR: unix.SYS_PRLIMIT64, Args: [6]uintptr{0, unix.RLIMIT_NOFILE, uintptr(unsafe.Pointer(was))}})
	}
	calls = append(calls, aside.Call{NR: unix.SYS_EXECVE, Args: [6]uintptr{m.String(path), m.List(argv...), m.List()}}) // no environment
	syscall.ForkLock.Lock()
	pid, failed, e := h.clone(flags, group, tid, calls, m)
	syscall.ForkLock.Unlock()
	runtime.KeepAlive(m)
	if e == 0 {
		return pid, nil
	}
	if failed >= 0 {
		reap(pid)
		return 0, syscall.Errno(e)
	}
	if e != aside.Errno(unix.ENOSYS) && e != aside.Errno(unix.EPERM) {
		return 0, syscall.Errno(e)
	}
	// A filter around this runtime may know no clone3(2).
	if tid != 0 {
		return 0, syscall.ESRCH // the fallback takes any thread
	}
	attr := &syscall.SysProcAttr{Cloneflags: uintptr(flags), UseCgroupFD: group >= 0, CgroupFD: group}
	return syscall.ForkExec(path, argv, &syscall.ProcAttr{Env: []string{}, Files: files, Sys: attr})
}

// clone waits for the execve, unless the init is to be at work beside; then a failure
// of what m is for is found when the process has ended (unborn).
func (h *host) clone(flags uint64, group, tid int, calls []aside.Call, m *aside.Memory) (pid, failed int, e aside.Errno) {
	if !h.beside {
		return aside.Spawn(flags, group, tid, calls)
	}
	h.memory = m
	pid, h.born, e = aside.Begin(flags, group, tid, calls)
	return pid, -1, e
}

// arrange gives files, which are all different from the numbers they get unless
// they are the same, those numbers, without close-on-exec. A file that is in the
// way of another is moved out of it first.
func arrange(files []uintptr) []aside.Call {
	calls := make([]aside.Call, 0, 2*len(files)+2)
	from := slices.Clone(files)
	above := uintptr(len(files))
	for _, fd := range files {
		above = max(above, fd+1)
	}
	for i, fd := range from {
		if fd < uintptr(i) { // will be taken by the time it is wanted
			calls = append(calls, aside.Call{NR: unix.SYS_DUP3, Args: [6]uintptr{fd, above, unix.O_CLOEXEC}})
			from[i] = above
			above++
		}
	}
	for i, fd := range from {
		if fd == uintptr(i) {
			calls = append(calls, aside.Call{NR: unix.SYS_FCNTL, Args: [6]uintptr{fd, unix.F_SETFD, 0}})
		} else {
			calls = append(calls, aside.Call{NR: unix.SYS_DUP3, Args: [6]uintptr{fd, uintptr(i), 0}})
		}
	}
	return calls
}

// openInit returns the init at a descriptor above those that the child arranges
// its own over, so that its path stays true until the execve.
func (h *host) openInit(above int) (int, error) {
	fd, err := initbin.Open()
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	high, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, above)
	if err != nil {
		return -1, os.NewSyscallError("fcntl", err)
	}
	return high, nil
}

func stdio(f *os.File, fd uintptr) uintptr {
	if f != nil {
		return f.Fd()
	}
	return fd
}

func (h *host) closeSlots() {
	h.limits.Close()
	_ = h.collectNetwork() // a namespace nobody waited for
	for i, fd := range h.slots {
		if fd >= 0 {
			unix.Close(fd)
			h.slots[i] = -1
		}
	}
	for key, ns := range h.idmaps {
		unix.Close(ns)
		delete(h.idmaps, key)
	}
	h.order = nil
}

// planFile puts the plan into a sealed file in memory: the init checks it once
// and can rely on it from then on.
func planFile(p *plan.Plan) (int, error) {
	fd, err := unix.MemfdCreate("tare-plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_NOEXEC_SEAL)
	if err == unix.EINVAL { // before 6.3
		fd, err = unix.MemfdCreate("tare-plan", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return -1, os.NewSyscallError("memfd_create", err)
	}
	data := p.Encode()
	for done := 0; done < len(data); {
		n, err := unix.Write(fd, data[done:])
		if err != nil && err != unix.EINTR {
			unix.Close(fd)
			return -1, os.NewSyscallError("write", err)
		}
		done += max(n, 0)
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, unix.F_SEAL_SEAL|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_WRITE); err != nil {
		unix.Close(fd)
		return -1, os.NewSyscallError("fcntl", err)
	}
	return fd, nil
}

func reap(pid int) {
	for {
		if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
			return
		}
	}
}
