package cgroup

import (
	"errors"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Write writes a value to a file of the cgroup at dir, a path on a cgroup file
// system. file may list alternatives, "io.bfq.weight|io.weight"; the first that
// exists is written. value may then list as many, "500|4950", and otherwise
// counts for all. After an empty last alternative, "memory.swap.max|", it is
// fine if none exists. An empty value clears the file.
func Write(dir, file, value string) error {
	var w Writer
	err := w.Write(dir, file, value)
	w.Close()
	return err
}

// Writer writes like Write, and keeps the last file open, because a list of
// device rules is many lines for one file. The zero value is ready to use.
type Writer struct {
	path string
	fd   int
}

// Close closes the file that is still open, if any.
func (w *Writer) Close() {
	if w.path != "" {
		unix.Close(w.fd)
	}
	*w = Writer{}
}

// Write is the function Write.
func (w *Writer) Write(dir, file, value string) error {
	files, values := file, value
	for {
		name, moreFiles, more := strings.Cut(files, "|")
		v, moreValues, several := values, values, false
		if strings.Contains(file, "|") {
			v, moreValues, several = strings.Cut(values, "|")
		}
		if more && name == "" || strings.IndexByte(name, '/') >= 0 {
			return &Error{Op: "write to", Path: dir + "/" + name, Err: unix.EINVAL}
		}
		err := w.write(dir, name, v)
		if !more || !errors.Is(err, unix.ENOENT) {
			return err
		}
		if moreFiles == "" {
			return nil
		}
		files = moreFiles
		if several {
			values = moreValues
		}
	}
}

func (w *Writer) write(dir, name, value string) error {
	path := dir + "/" + name
	if w.path != path {
		w.Close()
		fd, err := openFile(path)
		if err != nil {
			return &Error{Op: writeOp(value), Path: path, Hint: absentHint(dir, name, err), Err: err}
		}
		w.path, w.fd = path, fd
	}
	line := value
	if line == "" {
		line = "\n" // nothing at all would not reach the kernel
	}
	var buf [64]byte
	if err := writeAll(w.fd, append(buf[:0], line...)); err != nil {
		return &Error{Op: writeOp(value), Path: path, Hint: refusedHint(dir, name, err), Err: err}
	}
	return nil
}

// openFile opens a cgroup file and verifies that it is one.
func openFile(path string) (int, error) {
	fd, err := retry(func() (int, error) {
		return unix.Open(path, unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return -1, err
	}
	if _, err := verify(fd); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func writeOp(value string) string {
	const most = 256
	if len(value) > most {
		value = value[:most] + "..."
	}
	return "write " + strconv.Quote(value) + " to"
}
