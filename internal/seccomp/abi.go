package seccomp

//go:generate go run ../gen/seccomptab syscalls_table.go

// abi is a column of the table of system calls: a way to enter the kernel.
type abi uint8

const (
	abiX86_64 abi = iota
	abiI386
	abiX32
	abiAARCH64
	abiARM
	abiCount
)

// wide reports whether the ABI passes 64-bit arguments. On the others only the
// low word of an argument is compared, as libseccomp does; that includes x32.
func (a abi) wide() bool { return a == abiX86_64 || a == abiAARCH64 }

// The AUDIT_ARCH_* numbers of linux/audit.h, which the kernel puts into
// struct seccomp_data.
const (
	auditX86_64  = 0xc000003e
	auditI386    = 0x40000003
	auditAARCH64 = 0xc00000b7
	auditARM     = 0x40000028
)

// x32Bit is set in the number of every x32 call; the audit architecture of x32
// is that of x86_64.
const x32Bit = 1 << 30

// target is one audit architecture that the native machine can report.
type target struct {
	audit uint32
	main  abi // the ABI of its numbers
	x32   bool
}

// nativeTargets lists what can reach a filter on a machine, native ABI first.
// It is nil for a machine for which no code can be made.
func nativeTargets(nativeArch string) []target {
	switch nativeArch {
	case "amd64":
		return []target{{auditX86_64, abiX86_64, true}, {auditI386, abiI386, false}}
	case "arm64":
		return []target{{auditAARCH64, abiAARCH64, false}, {auditARM, abiARM, false}}
	default:
		return nil
	}
}

// entry is a line of the table of system calls.
type entry struct {
	name string
	nr   [abiCount]int32 // -1 where the ABI does not have the call
	// i386 calls that were once only reached through socketcall(2) or ipc(2)
	// have the number of the operation, the first argument of those; else 0.
	socketcall, ipc uint8
}

// The numbers of i386's two multiplexers.
const (
	nrSocketcall = 102
	nrIPC        = 117
)

// findSyscall returns the line of a name, or nil.
func findSyscall(name string) *entry {
	lo, hi := 0, len(syscalls)
	for lo < hi {
		mid := int(uint(lo+hi) / 2)
		switch s := &syscalls[mid]; {
		case s.name == name:
			return s
		case s.name < name:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return nil
}
