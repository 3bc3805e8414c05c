//go:build !tare_front

package libcontainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sys"
)

// openFile is a descriptor of a process in the container.
type openFile struct {
	fd    int
	name  string // what /proc says, and of a file on no mount of the container, what CRIU calls it
	flags uint64 // open(2)
}

func (f *openFile) reads() bool  { return f.flags&unix.O_ACCMODE != unix.O_WRONLY }
func (f *openFile) writes() bool { return f.flags&unix.O_ACCMODE != unix.O_RDONLY }

// nameStreams returns the names of a process's standard streams, by which they are
// found again in the images: those of pipes, and those of files that lie on no mount
// of the container, as CRIU is told of them (criu(8), --external file[mnt_id:inode]).
// The processes stand still.
//
// A shell that redirects a command of its own has its stream at another number
// meanwhile, from 10 on, and closed for programs: there it is looked for, too.
func nameStreams(pid int, all []int, points []mountPoint) (names []string, err error) {
	files, err := openFiles(pid, points)
	if err != nil {
		return nil, err
	}
	names = make([]string, 3)
	var kept []openFile
	for _, f := range files {
		if f.fd < len(names) {
			names[f.fd] = f.name
		} else if f.fd >= 10 && f.flags&unix.O_CLOEXEC != 0 && handed(f.name) {
			kept = append(kept, f)
		}
	}
	if len(kept) == 0 {
		return names, nil
	}
	for i, name := range names {
		if handed(name) {
			continue
		}
		for j, f := range kept {
			fits := i == 0 && f.reads() || i > 0 && f.writes()
			if fits && !slices.Contains(names, f.name) && otherEndOutside(f, all, points) {
				names[i], kept = f.name, slices.Delete(kept, j, j+1)
				break
			}
		}
	}
	return names, nil
}

// otherEndOutside says that nobody in the container has the other end of a pipe.
func otherEndOutside(end openFile, all []int, points []mountPoint) bool {
	if !strings.HasPrefix(end.name, "pipe:") {
		return true
	}
	for _, pid := range all {
		files, err := openFiles(pid, points)
		if err != nil {
			return false
		}
		for _, f := range files {
			if f.name == end.name && f.flags&unix.O_ACCMODE != end.flags&unix.O_ACCMODE {
				return false
			}
		}
	}
	return true
}

// openFiles are a process's descriptors, in their order.
func openFiles(pid int, points []mountPoint) ([]openFile, error) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var out []openFile
	for _, e := range entries {
		f, err := openFileAt(pid, dir+e.Name(), points)
		if os.IsNotExist(err) {
			continue // closed meanwhile, where nothing keeps the processes still
		}
		if err != nil {
			return nil, err
		}
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b openFile) int { return a.fd - b.fd })
	return out, nil
}

func openFileAt(pid int, at string, points []mountPoint) (f openFile, err error) {
	if f.fd, err = strconv.Atoi(filepath.Base(at)); err != nil {
		return f, err
	}
	if f.name, err = os.Readlink(at); err != nil {
		return f, err
	}
	data, err := sys.ReadFile(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, f.fd), maxConfig)
	if err != nil {
		return f, err
	}
	info := string(data)
	if f.flags, err = strconv.ParseUint(infoOf(info, "flags:"), 8, 32); err != nil {
		return f, fmt.Errorf("fdinfo of descriptor %d: flags: %w", f.fd, err)
	}
	if strings.HasPrefix(f.name, "/") {
		err = f.nameOutside(at, infoOf(info, "mnt_id:"), points)
	}
	return f, err
}

// nameOutside renames a file that lies on no mount of the container.
func (f *openFile) nameOutside(at, mount string, points []mountPoint) error {
	if mount == "" || slices.ContainsFunc(points, func(p mountPoint) bool { return p.id == mount }) {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Stat(at, &st); err != nil {
		return &os.PathError{Op: "stat", Path: at, Err: err}
	}
	id, err := strconv.ParseUint(mount, 10, 32)
	if err != nil {
		return fmt.Errorf("fdinfo of descriptor %d: mnt_id: %w", f.fd, err)
	}
	f.name = fmt.Sprintf("file[%x:%x]", id, st.Ino)
	return nil
}

// infoOf is a value of fdinfo (proc_pid_fdinfo(5)).
func infoOf(info, key string) string {
	for line := range strings.Lines(info) {
		if v, ok := strings.CutPrefix(line, key); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// handed says that a stream comes from outside, and which name it has in the images.
func handed(name string) bool {
	return strings.HasPrefix(name, "pipe:") || strings.HasPrefix(name, "file[")
}

func writeStreams(imageDir string, names []string) error {
	data, err := json.Marshal(names)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(imageDir, descriptorsFile), data, 0o600)
}

// removeStreams takes them away where there is no image that they are of.
func removeStreams(imageDir string) {
	_ = os.Remove(filepath.Join(imageDir, descriptorsFile)) // why there is none is what the caller is told
}

// readStreams reads them; without the file there are none.
func readStreams(imageDir string) (names []string, err error) {
	file := filepath.Join(imageDir, descriptorsFile)
	data, err := sys.ReadFile(file, maxConfig)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &names)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return names, nil
}
