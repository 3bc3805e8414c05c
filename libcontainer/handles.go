package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// openNamespace opens a namespace file and proves that it is one, of the type
// that the config says. One that is to be changed must not be the runtime's own.
func openNamespace(path string, nstype uint64, foreign bool) (int, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	got, err := unix.IoctlRetInt(fd, unix.NS_GET_NSTYPE)
	if err != nil {
		unix.Close(fd)
		return -1, errors.New("is not a namespace file (namespaces(7))")
	}
	if uint64(got) != nstype {
		unix.Close(fd)
		return -1, fmt.Errorf("is a namespace of another type (CLONE flag %#x, expected %#x)", got, nstype)
	}
	if foreign {
		if own, err := ownNamespace(fd, nstype); err != nil || own {
			unix.Close(fd)
			if err != nil {
				return -1, err
			}
			return -1, errors.New("is the runtime's own namespace, and what the config sets in it would be set for the host")
		}
	}
	return fd, nil
}

// ownNamespace says that fd is the namespace that the runtime itself is in.
func ownNamespace(fd int, nstype uint64) (bool, error) {
	name := "/proc/self/ns/uts"
	switch nstype {
	case plan.NewNet:
		name = "/proc/self/ns/net"
	case plan.NewIPC:
		name = "/proc/self/ns/ipc"
	case plan.NewUser:
		name = "/proc/self/ns/user"
	}
	var given, own unix.Stat_t
	if err := unix.Fstat(fd, &given); err != nil {
		return false, &fs.PathError{Op: "fstat", Path: name, Err: err}
	}
	if err := unix.Stat(name, &own); err != nil {
		return false, &fs.PathError{Op: "stat", Path: name, Err: err}
	}
	return given.Dev == own.Dev && given.Ino == own.Ino, nil
}

func openTree(path string, recursive bool) (int, error) {
	flags := uint(unix.OPEN_TREE_CLONE | unix.OPEN_TREE_CLOEXEC)
	if recursive {
		flags |= unix.AT_RECURSIVE
	}
	fd, err := unix.OpenTree(unix.AT_FDCWD, path, flags)
	if err != nil {
		return -1, &fs.PathError{Op: "open_tree", Path: path, Err: err}
	}
	return fd, nil
}

// idmapTree maps the owners of a detached tree through a user namespace: that of
// the container, or one that exists only to carry the map.
func (h *host) idmapTree(op *plan.Op) error {
	tree, slot, uids, gids := op.TreeIdmapArgs()
	ns := h.slots[slot]
	if slot == plan.NoSlot {
		var err error
		if ns, err = h.mapNamespace(uids, gids); err != nil {
			return err
		}
	}
	flags := uint(unix.AT_EMPTY_PATH)
	if op.Has(plan.FlagRecursive) {
		flags |= unix.AT_RECURSIVE
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_IDMAP, Userns_fd: uint64(ns)}
	if err := unix.MountSetattr(h.slots[tree], "", flags, &attr); err != nil {
		return fmt.Errorf("mount_setattr for an id-mapped mount (its file system must support it): %w", err)
	}
	return nil
}

// mapNamespace returns the user namespace with these maps; mounts with the same
// maps share it.
func (h *host) mapNamespace(uids, gids []string) (int, error) {
	key := strings.Join(uids, ",") + ";" + strings.Join(gids, ",")
	if ns, ok := h.idmaps[key]; ok {
		return ns, nil
	}
	ns, err := newMapNamespace(uids, gids)
	if err != nil {
		return -1, err
	}
	if h.idmaps == nil {
		h.idmaps = make(map[string]int)
	}
	h.idmaps[key] = ns
	return ns, nil
}

// newMapNamespace makes a user namespace with the maps, held by a short-lived
// process that does nothing.
func newMapNamespace(uids, gids []string) (int, error) {
	var h host
	exe, err := h.openInit(16)
	if err != nil {
		return -1, err
	}
	defer unix.Close(exe)
	r, w, err := os.Pipe()
	if err != nil {
		return -1, err
	}
	defer r.Close()
	defer w.Close()
	pid, err := syscall.ForkExec("/proc/self/fd/"+strconv.Itoa(exe), []string{"tare-init", "hold"},
		&syscall.ProcAttr{Env: []string{}, Files: []uintptr{r.Fd(), ^uintptr(0), ^uintptr(0)}, Sys: &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWUSER, UidMappings: idMap(uids), GidMappings: idMap(gids), GidMappingsEnableSetgroups: true}})
	if err != nil {
		return -1, fmt.Errorf("user namespace for the map: %w", err)
	}
	defer func() {
		w.Close() // the end of its stdin ends it
		reap(pid)
	}()
	fd, err := unix.Open("/proc/"+strconv.Itoa(pid)+"/ns/user", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("user namespace for the map: %w", err)
	}
	return fd, nil
}

func idMap(lines []string) []syscall.SysProcIDMap {
	out := make([]syscall.SysProcIDMap, len(lines))
	for i, l := range lines {
		f := strings.Fields(l)
		out[i].ContainerID, _ = strconv.Atoi(f[0])
		out[i].HostID, _ = strconv.Atoi(f[1])
		out[i].Size, _ = strconv.Atoi(f[2])
	}
	return out
}
