package devfilter

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// programName is what `bpftool prog` shows, and how a program of an earlier
// container in the same cgroup is recognized.
const programName = "tare_devices"

// Attach loads the program and attaches it to the cgroup at dir, a path on cgroup
// v2. Programs of others stay and have to allow an access as well; one that this
// function has attached there before is replaced in one step, so that at no
// moment there is none.
func Attach(dir string, program []Instruction) error {
	cgroup, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: dir, Err: err}
	}
	defer unix.Close(cgroup)
	fd, err := load(program)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	old, err := attached(cgroup)
	if err != nil {
		return err
	}
	attr := attachAttr{target: uint32(cgroup), program: uint32(fd), kind: unix.BPF_CGROUP_DEVICE, flags: unix.BPF_F_ALLOW_MULTI}
	if old >= 0 {
		defer unix.Close(old)
		attr.flags |= unix.BPF_F_REPLACE
		attr.replace = uint32(old)
	}
	if _, err := bpf(unix.BPF_PROG_ATTACH, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return fmt.Errorf("attach the device program to %s: %w%s", dir, err, attachHint(err))
	}
	return nil
}

func attachHint(err error) string {
	if err == unix.EPERM {
		return " (it needs CAP_BPF and CAP_NET_ADMIN in the first user namespace, and no program on a cgroup above that forbids others)"
	}
	return ""
}

// load hands the program to the kernel. Only a refusal is worth the verifier's
// log, which takes a second attempt.
func load(program []Instruction) (int, error) {
	license := [...]byte{'A', 'p', 'a', 'c', 'h', 'e', '-', '2', '.', '0', 0}
	attr := loadAttr{kind: unix.BPF_PROG_TYPE_CGROUP_DEVICE, count: uint32(len(program)), attachKind: unix.BPF_CGROUP_DEVICE,
		program: pointer(unsafe.Pointer(&program[0])), license: pointer(unsafe.Pointer(&license[0]))}
	copy(attr.name[:], programName)
	fd, err := bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
	if err == unix.EPERM { // before 5.11 programs counted as locked memory
		_ = withLockedMemory(func() {
			fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr))
		}) // the answer of the second attempt is what counts
	}
	if err == unix.EINVAL || err == unix.EACCES {
		var log [16 << 10]byte
		attr.logLevel, attr.logSize, attr.log = 1, uint32(len(log)), pointer(unsafe.Pointer(&log[0]))
		if fd, err = bpf(unix.BPF_PROG_LOAD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
			text, _, _ := strings.Cut(string(log[:]), "\x00")
			return -1, fmt.Errorf("load the device program: %w: %s", err, lastLine(text))
		}
	}
	runtime.KeepAlive(program)
	if err != nil {
		return -1, fmt.Errorf("load the device program: %w", err)
	}
	return fd, nil
}

// lastLine is what the verifier said before its statistics.
func lastLine(log string) string {
	log, _, _ = strings.Cut(log, "\nprocessed ")
	return log[strings.LastIndexByte(log, '\n')+1:]
}

// withLockedMemory runs f with as little of a limit on locked memory as this
// process may have.
func withLockedMemory(f func()) error {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &before); err != nil {
		return err
	}
	wide := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
	err := unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &wide, nil)
	if err == unix.EPERM { // without CAP_SYS_RESOURCE
		wide = unix.Rlimit{Cur: before.Max, Max: before.Max}
		err = unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &wide, nil)
	}
	if err != nil {
		return err
	}
	f()
	return unix.Prlimit(0, unix.RLIMIT_MEMLOCK, &before, nil)
}

// attached returns the program of this package that the cgroup has, -1 for none.
func attached(cgroup int) (int, error) {
	ids := make([]uint32, 64) // the kernel's limit
	q := queryAttr{target: uint32(cgroup), kind: unix.BPF_CGROUP_DEVICE, ids: pointer(unsafe.Pointer(&ids[0])), count: uint32(len(ids))}
	if _, err := bpf(unix.BPF_PROG_QUERY, unsafe.Pointer(&q), unsafe.Sizeof(q)); err != nil {
		return -1, fmt.Errorf("list the device programs of the cgroup: %w", err)
	}
	runtime.KeepAlive(ids)
	for _, id := range ids[:min(int(q.count), len(ids))] {
		get := idAttr{id: id}
		fd, err := bpf(unix.BPF_PROG_GET_FD_BY_ID, unsafe.Pointer(&get), unsafe.Sizeof(get))
		if errors.Is(err, unix.ENOENT) {
			continue // it has gone meanwhile
		}
		if err != nil {
			return -1, fmt.Errorf("open device program %d of the cgroup: %w", id, err)
		}
		name, err := nameOf(fd)
		if err == nil && name == programName {
			return fd, nil
		}
		unix.Close(fd)
		if err != nil {
			return -1, fmt.Errorf("look at device program %d of the cgroup: %w", id, err)
		}
	}
	return -1, nil
}

func nameOf(program int) (string, error) {
	var info programInfo
	attr := infoAttr{fd: uint32(program), size: uint32(unsafe.Sizeof(info)), info: pointer(unsafe.Pointer(&info))}
	if _, err := bpf(unix.BPF_OBJ_GET_INFO_BY_FD, unsafe.Pointer(&attr), unsafe.Sizeof(attr)); err != nil {
		return "", err
	}
	name, _, _ := strings.Cut(string(info.name[:]), "\x00")
	return name, nil
}

// bpf is bpf(2). Loading may be interrupted by a signal that the Go runtime sends
// to itself.
func bpf(command int, attr unsafe.Pointer, size uintptr) (int, error) {
	for {
		n, _, errno := unix.Syscall(unix.SYS_BPF, uintptr(command), uintptr(attr), size)
		switch errno {
		case 0:
			return int(n), nil
		case unix.EINTR, unix.EAGAIN:
		default:
			return -1, errno
		}
	}
}
