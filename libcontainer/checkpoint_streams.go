//go:build !tare_front

package libcontainer

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sys"
)

// nameStreams returns the names of a process's standard streams, by which they are
// found again in the images: those of pipes, and those of files that lie on no mount
// of the container, as CRIU is told of them (criu(8), --external file[mnt_id:inode]).
func nameStreams(pid int, points []mountPoint) (names []string, err error) {
	names = make([]string, 3)
	for i := range names {
		at := fmt.Sprintf("/proc/%d/fd/%d", pid, i)
		if names[i], err = os.Readlink(at); os.IsNotExist(err) {
			continue // closed
		} else if err != nil {
			return nil, err
		}
		if !strings.HasPrefix(names[i], "/") {
			continue
		}
		mount := mountOf(pid, i)
		if mount == "" || slices.ContainsFunc(points, func(p mountPoint) bool { return p.id == mount }) {
			continue
		}
		var st unix.Stat_t
		var id uint64
		if err := unix.Stat(at, &st); err != nil {
			return nil, &os.PathError{Op: "stat", Path: at, Err: err}
		}
		if _, err := fmt.Sscan(mount, &id); err != nil {
			return nil, fmt.Errorf("fdinfo of descriptor %d: mnt_id %q: %w", i, mount, err)
		}
		names[i] = fmt.Sprintf("file[%x:%x]", id, st.Ino)
	}
	return names, nil
}

// mountOf is the mount that an open file lies on, by its number in mountinfo.
func mountOf(pid, fd int) string {
	for line := range strings.Lines(sys.Text(fmt.Sprintf("/proc/%d/fdinfo/%d", pid, fd))) {
		if id, ok := strings.CutPrefix(line, "mnt_id:"); ok {
			return strings.TrimSpace(id)
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
