// Package initproto is the Go half of the init's only message, struct report of
// init/ctx.h: 512 bytes, one datagram each, or the same bytes through the start
// gate once the creator is gone.
package initproto

import (
	"encoding/binary"
	"errors"
	"syscall"
)

// Size is the length of a report in bytes.
const Size = 512

const magic = 0x74617265

// Kind says what a report is about.
type Kind uint32

// The kinds.
const (
	Sync   Kind = 1 // the op of this index has been reached
	Forked Kind = 2 // the container's process is Value
	Failed Kind = 3 // the op failed at Step with Errno
)

// Report is one message of the init.
type Report struct {
	Kind   Kind
	Op     uint32 // index in the plan
	Step   uint32 // plan.Step
	Errno  syscall.Errno
	Value  uint64
	Detail string // what the numbers do not say; may be empty
}

// ErrFormat is returned for bytes that are no report.
var ErrFormat = errors.New("init sent a malformed report")

// Parse reads one report.
func Parse(b []byte) (Report, error) {
	le := binary.LittleEndian
	if len(b) != Size || le.Uint32(b) != magic {
		return Report{}, ErrFormat
	}
	r := Report{Kind: Kind(le.Uint32(b[4:])), Op: le.Uint32(b[8:]), Step: le.Uint32(b[12:]), Value: le.Uint64(b[24:])}
	if e := int32(le.Uint32(b[16:])); e < 0 {
		r.Errno = syscall.Errno(-e)
	}
	n := le.Uint32(b[20:])
	if r.Kind < Sync || r.Kind > Failed || n > Size-32 {
		return Report{}, ErrFormat
	}
	r.Detail = string(b[32 : 32+n])
	return r, nil
}
