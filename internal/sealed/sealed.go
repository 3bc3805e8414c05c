// Package sealed makes programs in memory that can be executed and not changed.
package sealed

import (
	"fmt"
	"io"

	"golang.org/x/sys/unix"
)

// Open returns a descriptor of a program, close-on-exec, that can be executed
// through /proc/self/fd and that nobody can write to: a memfd with all seals,
// memfd_create(2), or where those may not be executed (the sysctl
// vm.memfd_noexec is 2), a file on a read-only tmpfs that is mounted nowhere.
// name is for people who look at the process. data is read once, in pieces: a
// copy of the whole would be memory that the caller pays for.
func Open(name string, data io.Reader) (int, error) {
	file := "tare-" + name
	fd, err := unix.MemfdCreate(file, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before 6.3, where every memfd may be executed
		fd, err = unix.MemfdCreate(file, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err == unix.EACCES { // vm.memfd_noexec=2
		return openTmpfs(name, data)
	}
	if err != nil {
		return -1, fmt.Errorf("%s: memfd_create: %w", name, err)
	}
	if err := copyAll(fd, data); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: %w", name, err)
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("%s: seal: %w", name, err)
	}
	return fd, nil
}

// piece is how much is copied at once, in bytes.
const piece = 16 << 10

func copyAll(fd int, data io.Reader) error {
	buf := make([]byte, piece)
	for {
		n, err := data.Read(buf)
		for rest := buf[:n]; len(rest) > 0; {
			n, err := unix.Write(fd, rest)
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return fmt.Errorf("write: %w", err)
			}
			rest = rest[n:]
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read: %w", err)
		}
	}
}

// openTmpfs is for hosts that forbid executable memfds: a file on a tmpfs that
// is mounted nowhere, opened again read-only, on a mount that then is too.
func openTmpfs(name string, data io.Reader) (int, error) {
	fail := func(step string, err error) (int, error) {
		return -1, fmt.Errorf("%s without an executable memfd (vm.memfd_noexec is 2): %s: %w", name, step, err)
	}
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return fail("fsopen", err)
	}
	defer unix.Close(fs)
	if err := unix.FsconfigCreate(fs); err != nil {
		return fail("fsconfig", err)
	}
	mnt, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return fail("fsmount", err)
	}
	defer unix.Close(mnt)
	w, err := unix.Openat(mnt, name, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return fail("create", err)
	}
	err = copyAll(w, data)
	unix.Close(w) // an open writer would make the execve fail with ETXTBSY
	if err != nil {
		return fail("write", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(mnt, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fail("mount_setattr", err)
	}
	fd, err := unix.Openat(mnt, name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	return fd, nil
}
