package devfilter

import "unsafe"

// The members of union bpf_attr in linux/bpf.h that are used here. The kernel
// takes what is behind the given size for zeroes.

// pointer is an address in a field that is 64 bits wide on every machine. It
// stays an unsafe.Pointer, so that what it points to is kept.
type pointer = unsafe.Pointer

type loadAttr struct {
	kind     uint32
	count    uint32
	program  pointer
	license  pointer
	logLevel uint32
	logSize  uint32
	log      pointer
	_        [2]uint32 // kern_version, prog_flags
	name     [16]byte
	_        uint32 // prog_ifindex

	attachKind uint32
}

type attachAttr struct{ target, program, kind, flags, replace uint32 }

type queryAttr struct {
	target, kind, queryFlags, attachFlags uint32
	ids                                   pointer
	count                                 uint32
	_                                     uint32
}

type idAttr struct{ id, next, openFlags uint32 }

type infoAttr struct {
	fd, size uint32
	info     pointer
}

// programInfo begins like struct bpf_prog_info.
type programInfo struct {
	_    [64]byte
	name [16]byte
}
