// Package initbin holds the init, the small static C program that runs inside
// a container, and hands it out as a sealed file in memory.
//
// `make` compiles the program into bin/ before it builds tare. Without it the
// packages still build and vet, and Open says what is missing.
package initbin

import (
	"embed"
	"errors"
	"fmt"
	"runtime"

	"golang.org/x/sys/unix"
)

// ErrMissing is returned by Open when tare was built without its init.
var ErrMissing = errors.New("tare was built without its init program; build it with make")

// Open returns a descriptor of the init, close-on-exec, that nobody can change:
// a container that gets hold of its own /proc/self/exe finds a sealed file and
// not a file of the host (CVE-2019-5736).
func Open() (int, error) {
	data, err := read(files, runtime.GOARCH)
	if err != nil {
		return -1, err
	}
	fd, err := unix.MemfdCreate("tare-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before 6.3, where every memfd may be executed
		fd, err = unix.MemfdCreate("tare-init", unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err == unix.EACCES { // vm.memfd_noexec=2
		return openTmpfs(data)
	}
	if err != nil {
		return -1, fmt.Errorf("memfd_create: %w", err)
	}
	if err := writeAll(fd, data); err != nil {
		unix.Close(fd)
		return -1, err
	}
	const seals = unix.F_SEAL_SEAL | unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("seal init: %w", err)
	}
	return fd, nil
}

func read(fs embed.FS, arch string) ([]byte, error) {
	data, err := fs.ReadFile("bin/" + arch + "/init")
	if err != nil || len(data) == 0 {
		return nil, ErrMissing
	}
	return data, nil
}

func writeAll(fd int, data []byte) error {
	for len(data) > 0 {
		n, err := unix.Write(fd, data)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("write init: %w", err)
		}
		data = data[n:]
	}
	return nil
}

// openTmpfs is for hosts that forbid executable memfds: a file on a tmpfs that
// is mounted nowhere, opened again read-only, on a mount that then is too.
func openTmpfs(data []byte) (int, error) {
	fail := func(step string, err error) (int, error) {
		return -1, fmt.Errorf("init without an executable memfd (vm.memfd_noexec is 2): %s: %w", step, err)
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
	w, err := unix.Openat(mnt, "init", unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o500)
	if err != nil {
		return fail("create", err)
	}
	err = writeAll(w, data)
	unix.Close(w) // an open writer would make the execve fail with ETXTBSY
	if err != nil {
		return fail("write", err)
	}
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(mnt, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return fail("mount_setattr", err)
	}
	fd, err := unix.Openat(mnt, "init", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fail("open", err)
	}
	return fd, nil
}
