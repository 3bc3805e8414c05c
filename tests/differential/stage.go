package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/tests/cgroupview"
	"golang.org/x/sys/unix"
)

// stage is where the runtimes run.
type stage struct {
	dir    string // everything that is written
	prober string
	parent string // name of the cgroup above all containers
}

func openStage() (*stage, error) {
	dir, err := os.MkdirTemp("", "tare-differential-")
	if err != nil {
		return nil, err
	}
	s := &stage{dir: dir, prober: filepath.Join(dir, "prober"), parent: "differential-" + strconv.Itoa(os.Getpid())}
	err = os.Chmod(dir, 0o755) // root of a user namespace has to come through
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_SLAVE|unix.MS_REC, "")
	}
	if err == nil {
		_, err = cgroupview.Enter(dir)
	}
	// What most hosts have, and what makes a leaking mount visible.
	if err == nil {
		err = unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, "")
	}
	if err == nil {
		err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
	}
	if err == nil {
		err = s.ownDevices()
	}
	if err == nil {
		err = s.buildProber()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return s, nil
}

// ownDevices puts device nodes of its own in the place of the host's. With a user
// namespace runtimes bind those, and crun 1.8 gives the null device away that is
// the program's input: on the host it would stay the user's.
func (s *stage) ownDevices() error {
	at := filepath.Join(s.dir, "dev")
	if err := os.Mkdir(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", at, "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=755"); err != nil {
		return fmt.Errorf("mount tmpfs on %s: %w", at, err)
	}
	for _, d := range []struct {
		name         string
		major, minor uint32
	}{{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}, {"fuse", 10, 229}} {
		path := filepath.Join(at, d.name)
		if err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor))); err != nil {
			return fmt.Errorf("mknod %s: %w", path, err)
		}
		if err := os.Chmod(path, 0o666); err != nil {
			return err
		}
	}
	err := os.Symlink("/proc/self/fd", filepath.Join(at, "fd"))
	for _, name := range []string{"pts", "shm", "mqueue"} {
		err = errors.Join(err, os.Mkdir(filepath.Join(at, name), 0o755))
	}
	return errors.Join(err, unix.Mount(at, "/dev", "", unix.MS_BIND, ""))
}

func (s *stage) buildProber() error {
	sources, err := filepath.Glob("tests/prober/*.c")
	if err != nil || len(sources) == 0 {
		return errors.New("no sources of the prober: run it from the top of the source tree")
	}
	args := append([]string{"-std=gnu17", "-Os", "-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-static", "-nostdlib", "-nostartfiles",
		"-s", "-Wl,--build-id=none", "-o", s.prober}, sources...)
	if out, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile the prober: %w\n%s", err, out)
	}
	return nil
}

// bundle makes a fresh bundle below the directory of one runtime.
func (s *stage) bundle(runtime string) (string, error) {
	dir := filepath.Join(s.dir, runtime)
	if err := clear(dir); err != nil {
		return "", err
	}
	if err := os.Chown(os.DevNull, 0, 0); err != nil { // what the one before has done
		return "", err
	}
	for _, d := range []string{"dev", "etc", "proc", "sys", "tmp", "work", "data/sub"} {
		if err := os.MkdirAll(filepath.Join(dir, "rootfs", d), 0o755); err != nil {
			return "", err
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "volume/below"), 0o755); err != nil {
		return "", err
	}
	err := os.Link(s.prober, filepath.Join(dir, "rootfs/prober"))
	for _, f := range []string{"volume/file", "rootfs/data/file", "rootfs/etc/plain"} {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, f), []byte("x"), 0o644))
	}
	return dir, err
}

// clear removes a directory. What a runtime has left mounted below it belongs to
// the host, and is never walked.
func clear(dir string) error {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	lines := strings.Split(string(info), "\n")
	for _, line := range slices.Backward(lines) { // the last one is on top
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir+"/") {
			if err := unix.Unmount(f[4], unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", f[4], err)
			}
		}
	}
	return os.RemoveAll(dir)
}

// close removes everything. Mounts go with the mount namespace.
func (s *stage) close() error {
	return errors.Join(cgroupview.Sweep(s.parent), clear(s.dir))
}
