package initproto

import (
	"encoding/binary"
	"errors"
	"syscall"
	"testing"
)

func encode(kind, op, step uint32, errno int32, detail string) []byte {
	b := make([]byte, Size)
	le := binary.LittleEndian
	le.PutUint32(b, magic)
	le.PutUint32(b[4:], kind)
	le.PutUint32(b[8:], op)
	le.PutUint32(b[12:], step)
	le.PutUint32(b[16:], uint32(errno))
	le.PutUint32(b[20:], uint32(len(detail)))
	le.PutUint64(b[24:], 4711)
	copy(b[32:], detail)
	return b
}

func TestParse(t *testing.T) {
	r, err := Parse(encode(3, 41, 7, -13, "why"))
	if err != nil {
		t.Fatal(err)
	}
	want := Report{Kind: Failed, Op: 41, Step: 7, Errno: syscall.EACCES, Value: 4711, Detail: "why"}
	if r != want {
		t.Errorf("got %+v, want %+v", r, want)
	}
}

func TestParseRefuses(t *testing.T) {
	good := encode(1, 0, 0, 0, "")
	for name, change := range map[string]func([]byte) []byte{
		"short":         func(b []byte) []byte { return b[:Size-1] },
		"long":          func(b []byte) []byte { return append(b, 0) },
		"magic":         func(b []byte) []byte { b[0]++; return b },
		"kind 0":        func(b []byte) []byte { b[4] = 0; return b },
		"kind 4":        func(b []byte) []byte { b[4] = 4; return b },
		"detail length": func(b []byte) []byte { binary.LittleEndian.PutUint32(b[20:], Size-31); return b },
		"huge length":   func(b []byte) []byte { binary.LittleEndian.PutUint32(b[20:], 1<<31); return b },
	} {
		if _, err := Parse(change(append([]byte(nil), good...))); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(encode(3, 41, 7, -13, "why"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Parse(b)
		if err == nil && len(r.Detail) > Size-32 {
			t.Errorf("detail of %d bytes", len(r.Detail))
		}
	})
}
