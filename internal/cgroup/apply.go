package cgroup

import (
	"bytes"
	"errors"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Change is a value for a file of a cgroup, as Write takes them. Optional says
// that a failure is harmless.
type Change struct {
	Dir         string
	File, Value string
	Optional    bool
}

// Applied are changes that have been made and can be taken back.
type Applied struct{ undo []restore }

// restore is what a file has to be given for its old value: one line each.
type restore struct {
	dir, file string
	lines     []string
}

// Apply makes all changes, in their order, or none: if one fails, those before
// it are taken back, the last first. The error is a *ChangeError.
func Apply(changes []Change) (*Applied, error) {
	a := new(Applied)
	for i, c := range changes {
		file, value, old, err := lookUp(c)
		if err == nil && file == "" {
			continue // an alternative that may be missing, and is
		}
		if err == nil {
			err = Write(c.Dir, file, value)
		}
		switch {
		case err == nil:
			a.undo = append(a.undo, old...)
		case !c.Optional:
			return nil, &ChangeError{Index: i, Err: err, Undo: a.Undo()}
		}
	}
	return a, nil
}

// ChangeError is the change that failed, and what keeps the ones before it from
// being taken back, if anything does.
type ChangeError struct {
	Index int
	Err   error
	Undo  error
}

// Error says both.
func (e *ChangeError) Error() string {
	s := e.Err.Error()
	if e.Undo != nil {
		s += "; an earlier change stays: " + e.Undo.Error()
	}
	return s
}

// Unwrap returns the change's own error.
func (e *ChangeError) Unwrap() error { return e.Err }

// Undo takes all changes back, the last first: each step of the way there was a
// state that the kernel accepts. One that is refused does not keep the others.
func (a *Applied) Undo() error {
	var errs []error
	for i := len(a.undo) - 1; i >= 0; i-- {
		u := &a.undo[i]
		for _, line := range u.lines {
			errs = append(errs, Write(u.dir, u.file, line))
		}
	}
	a.undo = nil
	return errors.Join(errs...)
}

// lookUp finds out which of a change's alternatives there is, and what has to be
// written to have the old values back. file is "" when there may be none.
func lookUp(c Change) (file, value string, old []restore, err error) {
	files, values := strings.Split(c.File, "|"), strings.Split(c.Value, "|")
	several := len(files) > 1 && len(values) > 1
	for i, name := range files {
		if name == "" {
			return "", "", nil, nil
		}
		v := c.Value
		if several {
			v = values[min(i, len(values)-1)]
		}
		text, err := readFile(c.Dir, name)
		if err == unix.ENOENT && i+1 < len(files) {
			continue
		}
		if err != nil && err != unix.ENOENT { // cannot be read, and so not be restored
			return name, v, nil, nil
		}
		if err == unix.ENOENT {
			return name, v, nil, nil // Write says what is missing
		}
		// Whoever makes a cgroup idle loses its weight.
		if name == "cpu.idle" && text == "0" {
			for _, weight := range [...]string{"cpu.weight", "cpu.shares"} {
				if text, err := readFile(c.Dir, weight); err == nil {
					old = append(old, restore{c.Dir, weight, []string{text}})
				}
			}
		}
		return name, v, append(old, restore{c.Dir, name, oldLines(name, v, text)}), nil
	}
	return "", "", nil, nil
}

// readFile reads a file of a cgroup and verifies that it is one. Names have no
// slashes: see Writer.Write, which refuses them.
func readFile(dir, name string) (string, error) {
	if strings.IndexByte(name, '/') >= 0 {
		return "", unix.EINVAL
	}
	fd, err := retry(func() (int, error) {
		return unix.Open(dir+"/"+name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if _, err := verify(fd); err != nil {
		return "", err
	}
	var buf [1024]byte
	text, err := readAll(fd, buf[:])
	return string(bytes.TrimRight(text, "\n")), err
}

// ReadFile reads a small file of the cgroup at dir, a path on a cgroup file
// system, without the end of its last line. A file that is not there gives
// os.ErrNotExist.
func ReadFile(dir, name string) (string, error) {
	text, err := readFile(dir, name)
	if err != nil {
		return "", &Error{Op: "read", Path: dir + "/" + name, Err: err}
	}
	return text, nil
}

// oldLines are the lines that give a file its old text back after value has been
// written. Most files have one value and take it as they show it. Some have a
// line for each device, and a write changes the line of one.
func oldLines(name, value, text string) []string {
	key, rest, _ := strings.Cut(strings.TrimLeft(value, " "), " ")
	switch {
	case name == "memory.oom_control": // cgroup v1: "oom_kill_disable 0", and what cannot be written
		for line := range strings.Lines(text) {
			if f := strings.Fields(line); len(f) == 2 && f[0] == "oom_kill_disable" {
				return []string{f[1]}
			}
		}
		return nil
	case !hasKeys(name):
		return []string{text}
	case strings.HasPrefix(name, "io.") && strings.HasSuffix(name, "weight") && rest == "":
		key = "default" // "100" is short for "default 100"
	}
	for line := range strings.Lines(text) {
		k, old, _ := strings.Cut(strings.TrimSpace(line), " ")
		if k == key {
			return []string{k + " " + old}
		}
	}
	// Not there before: what "no limit" is called.
	switch {
	case strings.HasPrefix(name, "blkio.") || name == "net_prio.ifpriomap":
		return []string{key + " 0"}
	case name == "io.max" || name == "rdma.max" || name == "misc.max" || name == "io.latency":
		return []string{key + " " + allMax(rest)}
	case strings.Contains(key, ":"):
		return []string{key + " default"} // io.weight, io.bfq.weight
	}
	return []string{text}
}

// hasKeys says that a file's lines begin with what they are about: a device
// number, an interface, an RDMA device, a resource.
func hasKeys(name string) bool {
	switch name {
	case "io.max", "io.weight", "io.bfq.weight", "io.latency", "io.cost.qos", "io.cost.model", "rdma.max", "misc.max", "net_prio.ifpriomap":
		return true
	}
	return strings.HasPrefix(name, "blkio.throttle.") || strings.HasSuffix(name, "weight_device")
}

// allMax makes "rbps=max wiops=max" of "rbps=1 wiops=2", and "max" of "3".
func allMax(settings string) string {
	fields := strings.Fields(settings)
	for i, f := range fields {
		if k, _, ok := strings.Cut(f, "="); ok {
			fields[i] = k + "=max"
		} else {
			fields[i] = "max"
		}
	}
	return strings.Join(fields, " ")
}

// IsGone reports that an error is about a cgroup that has been removed.
func IsGone(err error) bool { return isGone(err) || errors.Is(err, os.ErrNotExist) }
