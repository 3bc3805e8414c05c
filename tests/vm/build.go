package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// image is what qemu boots.
type image struct{ kernel, initrd, disk string }

const diskSize = "2G"

// cacheDir is where images are kept.
func cacheDir() (string, error) {
	if d := os.Getenv("TARE_VM_CACHE"); d != "" {
		return d, os.MkdirAll(d, 0o755)
	}
	d, err := filepath.Abs("build/vm")
	if err != nil {
		return "", err
	}
	return d, os.MkdirAll(d, 0o755)
}

// buildImage returns the image of the current recipe, and makes it first where it
// is missing. Of several callers one makes it and the others wait.
func buildImage(ctx context.Context, cache string) (image, error) {
	dir := filepath.Join(cache, "image-"+recipe())
	img := image{dir + "/vmlinuz", dir + "/initrd", dir + "/root.ext4"}
	unlock, err := lock(filepath.Join(cache, "build.lock"), unix.LOCK_EX)
	if err != nil {
		return img, err
	}
	defer unlock()
	now := time.Now()
	if os.Chtimes(dir, now, now) == nil {
		return img, nil
	}
	if err := forgetImages(cache, now); err != nil {
		return img, err
	}
	work, err := os.MkdirTemp(cache, "making-")
	if err != nil {
		return img, err
	}
	defer os.RemoveAll(work)
	if err := makeImage(ctx, work); err != nil {
		return img, err
	}
	return img, os.Rename(work+"/out", dir)
}

// forgetImages removes those of other recipes that nobody has used for a week.
func forgetImages(cache string, now time.Time) error {
	old, err := filepath.Glob(filepath.Join(cache, "image-*"))
	if err != nil {
		return err
	}
	for _, o := range old {
		if st, err := os.Stat(o); err == nil && now.Sub(st.ModTime()) > 7*24*time.Hour {
			if err := os.RemoveAll(o); err != nil {
				return err
			}
		}
	}
	return nil
}

func makeImage(ctx context.Context, work string) error {
	root, out := work+"/root", work+"/out"
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	fmt.Fprintln(os.Stderr, "vm: making the image, once: debootstrap, kernel, disk")
	kernel, err := fetchKernel(ctx, work)
	if err != nil {
		return err
	}
	if err := do(ctx, "", "debootstrap", "--variant=minbase", "--include="+strings.Join(packages, ","), suite, root); err != nil {
		return err
	}
	if err := installKernel(ctx, kernel, root, out); err != nil {
		return err
	}
	if err := configure(root); err != nil {
		return err
	}
	return do(ctx, "", "mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-d", root, out+"/root.ext4", diskSize)
}

// fetchKernel unpacks the kernel's package and returns where.
func fetchKernel(ctx context.Context, work string) (string, error) {
	name := newestKernel(ctx)
	if name == "" { // the package lists are not there, as in a fresh image
		if err := do(ctx, "", "apt-get", "-qq", "update"); err != nil {
			return "", err
		}
		if name = newestKernel(ctx); name == "" {
			return "", fmt.Errorf("apt knows of no package that %s depends on", kernelPackage)
		}
	}
	if err := do(ctx, work, "apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", name); err != nil {
		return "", err
	}
	debs, err := filepath.Glob(work + "/linux-image-*.deb")
	if err != nil || len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages (%v)", name, len(debs), err)
	}
	return work + "/kernel", do(ctx, "", "dpkg-deb", "-x", debs[0], work+"/kernel")
}

// newestKernel is what kernelPackage stands for at the moment, "" if apt does not
// know.
func newestKernel(ctx context.Context) (name string) {
	out, _ := exec.CommandContext(ctx, "apt-cache", "depends", "--important", kernelPackage).Output()
	for line := range strings.Lines(string(out)) {
		if _, dep, ok := strings.Cut(strings.TrimSpace(line), "Depends: "); ok && strings.HasPrefix(dep, "linux-image-") {
			name = dep
		}
	}
	return name
}

// installKernel gives the guest its modules, and qemu the kernel and an initramfs.
func installKernel(ctx context.Context, kernel, root, out string) error {
	found, err := filepath.Glob(kernel + "/lib/modules/*")
	if err != nil || len(found) != 1 {
		return fmt.Errorf("the kernel's package has %d versions (%v)", len(found), err)
	}
	version := filepath.Base(found[0])
	if err := os.MkdirAll(root+"/usr/lib/modules", 0o755); err != nil {
		return err
	}
	if err := os.Rename(found[0], root+"/usr/lib/modules/"+version); err != nil {
		return err
	}
	if err := do(ctx, "", "chroot", root, "/sbin/depmod", version); err != nil {
		return err
	}
	if err := os.Rename(kernel+"/boot/vmlinuz-"+version, out+"/vmlinuz"); err != nil {
		return err
	}
	initrd, err := initramfs(root, root+"/usr/lib/modules/"+version)
	if err != nil {
		return err
	}
	return os.WriteFile(out+"/initrd", initrd, 0o644)
}

func initramfs(root, modules string) ([]byte, error) {
	var a archive
	for _, d := range []string{"bin", "dev", "proc", "sysroot", "modules"} {
		a.add(d, unix.S_IFDIR|0o755, nil)
	}
	busybox, err := os.ReadFile(root + "/bin/busybox")
	if err != nil {
		return nil, err
	}
	a.add("bin/busybox", unix.S_IFREG|0o755, busybox)
	a.add("init", unix.S_IFREG|0o755, []byte(renderInit()))
	for _, m := range bootModules {
		path := ""
		err := filepath.WalkDir(modules, func(p string, d os.DirEntry, err error) error {
			if err == nil && d.Name() == m+".ko" {
				path = p
			}
			return err
		})
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("module %s: %w", m, err)
		}
		a.add("modules/"+m+".ko", unix.S_IFREG|0o644, data)
	}
	return a.bytes(), nil
}

// configure makes the tree boot into nothing but the test.
func configure(root string) error {
	var errs []error
	file := func(path, data string, mode os.FileMode) {
		errs = append(errs, os.MkdirAll(filepath.Dir(root+path), 0o755), os.WriteFile(root+path, []byte(data), mode))
	}
	file("/usr/lib/tare-vm/run", guestScript, 0o755)
	file("/etc/systemd/system/tare-vm.service", unitService, 0o644)
	file("/etc/systemd/system/tare-vm.target", unitTarget, 0o644)
	file("/etc/fstab", "", 0o644)
	file("/etc/hostname", "vm\n", 0o644)
	file("/etc/hosts", "127.0.0.1 localhost vm\n", 0o644)
	file("/etc/machine-id", strings.Repeat("1", 32)+"\n", 0o444)
	file("/etc/systemd/journald.conf.d/vm.conf", "[Journal]\nStorage=volatile\n", 0o644)
	for _, unit := range masked {
		link := root + "/etc/systemd/system/" + unit
		_ = os.Remove(link) // it may be there with another target
		errs = append(errs, os.Symlink("/dev/null", link))
	}
	// What was needed to install packages is not needed to run.
	for _, dir := range []string{"/var/cache/apt", "/var/lib/apt/lists", "/usr/share/doc", "/usr/share/man", "/usr/share/locale"} {
		errs = append(errs, os.RemoveAll(root+dir))
	}
	return errors.Join(errs...)
}

// do runs a command whose output matters only when it fails.
func do(ctx context.Context, dir string, words ...string) error {
	c := exec.CommandContext(ctx, words[0], words[1:]...)
	c.Dir = dir
	c.Env = append(os.Environ(), "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive")
	out, err := c.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, tail(out))
	}
	return nil
}

func tail(out []byte) []byte {
	const most = 4000
	return out[max(0, len(out)-most):]
}

// lock takes a lock on a file, which it makes, and returns what gives it back.
func lock(path string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), how)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, &os.PathError{Op: "flock", Path: path, Err: err}
	}
	return func() { f.Close() }, nil
}
