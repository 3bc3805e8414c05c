package main

import (
	"bytes"
	"fmt"
)

// archive is a cpio archive in the "newc" format, which the kernel unpacks as an
// initramfs (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct {
	buf bytes.Buffer
	ino int
}

// add appends a file or, with S_IFDIR in the mode, a directory.
func (a *archive) add(name string, mode uint32, data []byte) {
	a.ino++
	fmt.Fprintf(&a.buf, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		a.ino, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	a.buf.WriteString(name)
	a.buf.WriteByte(0)
	a.pad()
	a.buf.Write(data)
	a.pad()
}

func (a *archive) pad() {
	for a.buf.Len()%4 != 0 {
		a.buf.WriteByte(0)
	}
}

// bytes ends the archive.
func (a *archive) bytes() []byte {
	a.add("TRAILER!!!", 0, nil)
	return a.buf.Bytes()
}
