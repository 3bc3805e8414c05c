//go:build !tare_front

package libcontainer

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/specconv"
)

// makeTargets makes what CRIU mounts on and does not make itself: create does so
// too, but the root may be a new one. Links of the root lead to where they do for
// its processes: /var/run is one to /run in most of them.
func makeTargets(rootfs, bundle string, mounts []specs.Mount) error {
	root, err := unix.Open(rootfs, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("root.path %q: %w", rootfs, err)
	}
	defer unix.Close(root)
	var places []string
	for i := range mounts {
		m := &mounts[i]
		dir := true
		if source, ok := specconv.BindSource(bundle, m); ok {
			st, err := os.Stat(source)
			dir = err != nil || st.IsDir()
		}
		at := path.Clean("/" + m.Destination)
		place, err := makeTarget(root, at, dir, places)
		if err != nil {
			return fmt.Errorf("mounts[%d].destination %q: %w", i, m.Destination, err)
		}
		places = append(places, at, place)
	}
	return nil
}

// makeTarget makes one, unless it lies on an earlier mount, whose content CRIU
// restores or the host has. It returns its path in the root, free of links.
func makeTarget(root int, at string, dir bool, places []string) (string, error) {
	if below(at, places) { // whatever the root has there
		return at, nil
	}
	fd, missing, err := nearest(root, at)
	if err != nil {
		return "", err
	}
	defer func() { unix.Close(fd) }()
	place := path.Join(placeOf(root, fd), path.Join(missing...))
	if len(missing) == 0 || below(place, places) {
		return place, nil
	}
	last := len(missing) - 1
	for i, name := range missing {
		if i == last && !dir {
			file, err := unix.Openat(fd, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
			if err != nil {
				return "", &os.PathError{Op: "open", Path: place, Err: err}
			}
			unix.Close(file)
			break
		}
		if err := unix.Mkdirat(fd, name, 0o755); err != nil && err != unix.EEXIST {
			return "", &os.PathError{Op: "mkdir", Path: place, Err: err}
		}
		// One that has taken its place is not followed.
		next, err := unix.Openat(fd, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", &os.PathError{Op: "open", Path: place, Err: err}
		}
		unix.Close(fd)
		fd = next
	}
	return place, nil
}

func below(at string, places []string) bool {
	return slices.ContainsFunc(places, func(p string) bool { return strings.HasPrefix(at, p+"/") })
}

// maxLinks is how many links to what is missing are followed, as many as the kernel
// follows of others (path_resolution(7)).
const maxLinks = 40

// nearest opens what there is of a path in the root, and returns the names behind
// it that are missing, none of which is a link.
func nearest(root int, at string) (int, []string, error) {
	for range maxLinks {
		names := slices.DeleteFunc(strings.Split(at, "/"), func(s string) bool { return s == "" || s == "." })
		fd, n := -1, len(names)
		err := error(unix.ENOENT)
		for ; n >= 0; n-- {
			if fd, err = openInRoot(root, strings.Join(names[:n], "/")); err != unix.ENOENT {
				break
			}
		}
		if err != nil {
			return -1, nil, &os.PathError{Op: "openat2", Path: at, Err: err}
		}
		missing := names[n:]
		if len(missing) == 0 {
			return fd, nil, nil
		}
		to := make([]byte, unix.PathMax)
		length, err := unix.Readlinkat(fd, missing[0], to)
		if err != nil { // there is no link
			if slices.Contains(missing, "..") {
				unix.Close(fd)
				return -1, nil, &os.PathError{Op: "openat2", Path: at, Err: unix.ENOENT}
			}
			return fd, missing, nil
		}
		unix.Close(fd)
		// Joined without cleaning: ".." behind a link is of what the link leads to.
		rest := append([]string{string(to[:length])}, missing[1:]...)
		if to[0] != '/' {
			rest = append(names[:n:n], rest...)
		}
		at = "/" + strings.Join(rest, "/")
	}
	return -1, nil, &os.PathError{Op: "openat2", Path: at, Err: unix.ELOOP}
}

// openInRoot opens a path as processes in the root find it; errors are bare errnos.
func openInRoot(root int, at string) (fd int, err error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	for range 100 { // EAGAIN: something was renamed while the kernel walked up
		if fd, err = unix.Openat2(root, "/"+at, &how); err != unix.EAGAIN {
			break
		}
	}
	return fd, err
}

// placeOf is the path of a descriptor in the root; both are paths of this process's
// mount namespace.
func placeOf(root, fd int) string {
	name := func(fd int) string { return strings.TrimSuffix(realPath("/proc/self/fd/"+strconv.Itoa(fd)), "/") }
	return path.Join("/", strings.TrimPrefix(name(fd), name(root)))
}
