// Package sys wraps a few system calls for small files. Package os would
// register every descriptor with the runtime's poller, which costs a handful of
// system calls the first time, on each command.
package sys

import (
	"bytes"
	"io/fs"
	"syscall"
)

// Open opens a file, close-on-exec, and goes on when a signal interrupts.
// Errors are bare errnos.
func Open(path string, flags int, mode uint32) (int, error) {
	for {
		fd, err := syscall.Open(path, flags|syscall.O_CLOEXEC, mode)
		if err != syscall.EINTR {
			return fd, err
		}
	}
}

// ReadAll reads a descriptor from its beginning to its end, up to limit bytes;
// a longer file gives EFBIG.
func ReadAll(fd, limit int) ([]byte, error) {
	// Most of what is read here is a line or two of procfs; a config has a few KiB.
	first := 1024
	if limit > smallFile {
		first = 8192
	}
	return readInto(make([]byte, 0, first), fd, limit, false)
}

// ReadLine reads a descriptor from its beginning up to the first newline, which is
// not part of the result, or to its end; more than limit bytes give EFBIG.
func ReadLine(fd, limit int) ([]byte, error) {
	return readInto(make([]byte, 0, 4096), fd, limit, true)
}

func readInto(buf []byte, fd, limit int, line bool) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, make([]byte, len(buf))...)[:len(buf)]
		}
		n, err := syscall.Read(fd, buf[len(buf):cap(buf)])
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if line {
			if i := bytes.IndexByte(buf[len(buf):len(buf)+n], '\n'); i >= 0 {
				return buf[:len(buf)+i], nil
			}
		}
		if n == 0 {
			return buf, nil
		}
		if buf = buf[:len(buf)+n]; len(buf) > limit {
			return nil, syscall.EFBIG
		}
	}
}

// ReadFile reads a file of at most limit bytes. Errors are *fs.PathError.
func ReadFile(path string, limit int) ([]byte, error) {
	fd, err := Open(path, syscall.O_RDONLY, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	data, err := ReadAll(fd, limit)
	if err != nil {
		return nil, &fs.PathError{Op: "read", Path: path, Err: err}
	}
	return data, nil
}

// smallFile bounds what is read from files of kernel file systems.
const smallFile = 1 << 20

// Text reads a file of a kernel file system; one that cannot be read is empty.
func Text(path string) string {
	data, err := ReadFile(path, smallFile)
	if err != nil {
		return ""
	}
	return string(data)
}

// WriteFile writes a value to an existing file in one write(2), as the files of
// kernel file systems want it. Errors are *fs.PathError.
func WriteFile(path, value string) error {
	fd, err := Open(path, syscall.O_WRONLY, 0)
	if err != nil {
		return &fs.PathError{Op: "open", Path: path, Err: err}
	}
	defer syscall.Close(fd)
	return writeAll(fd, path, []byte(value))
}

func writeAll(fd int, path string, data []byte) error {
	for {
		n, err := syscall.Write(fd, data)
		if err == syscall.EINTR {
			continue
		}
		if err == nil && n != len(data) {
			err = syscall.EIO
		}
		if err != nil {
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
		return nil
	}
}
