package shape

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// loadClassifier loads `call bpf_get_cgroup_classid; exit` as a program of type
// SCHED_CLS (bpf(2)). Without direct-action its result is the class.
func loadClassifier() (int, error) {
	const (
		progLoad      = 5
		typeSchedCls  = 3
		callCode      = 0x85
		exitCode      = 0x95
		getCgroupCls  = 17
		instructionNo = 2
	)
	insns := make([]byte, 0, 16)
	insns = append(insns, callCode, 0, 0, 0)
	insns = binary.NativeEndian.AppendUint32(insns, getCgroupCls)
	insns = append(insns, exitCode, 0, 0, 0, 0, 0, 0, 0)
	license := []byte("GPL\x00")
	// The beginning of union bpf_attr (linux/bpf.h).
	attr := struct {
		progType, insnCnt uint32
		insns, license    uint64
		logLevel, logSize uint32
		logBuf            uint64
		kernVersion       uint32
		progFlags         uint32
	}{progType: typeSchedCls, insnCnt: instructionNo, insns: uint64(uintptr(unsafe.Pointer(&insns[0]))), license: uint64(uintptr(unsafe.Pointer(&license[0])))}
	fd, _, errno := unix.Syscall(unix.SYS_BPF, progLoad, uintptr(unsafe.Pointer(&attr)), unsafe.Sizeof(attr))
	runtime.KeepAlive(insns)
	runtime.KeepAlive(license)
	if errno != 0 {
		return -1, fmt.Errorf("bpf classifier: %w", errno)
	}
	unix.CloseOnExec(int(fd))
	return int(fd), nil
}
