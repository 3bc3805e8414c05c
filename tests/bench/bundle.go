package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// The bundles are pinned here and in testdata: a change of `runc spec` or of a
// host's defaults must not move the figures.
var (
	//go:embed testdata/default.json
	defaultConfig []byte
	//go:embed testdata/seccomp.json
	seccompProfile []byte
	//go:embed testdata/payload.c
	payloadSource []byte
	//go:embed testdata/maxrss.c
	maxrssSource []byte
)

// variant is one kind of container that is measured.
type variant string

const (
	// minimalBundle has a pid and a mount namespace and a proc mount.
	minimalBundle variant = "minimal"
	// defaultBundle is what `tare spec` writes, as testdata/default.json keeps it.
	defaultBundle variant = "default"
	// dockerBundle has 20 mounts, masked paths, limits, device rules,
	// capabilities and the system call filter as Docker writes them.
	dockerBundle variant = "docker"
	// seccompBundle is defaultBundle with an allow list of system calls.
	seccompBundle variant = "seccomp"
	// bindsBundle is defaultBundle with 200 bind mounts.
	bindsBundle variant = "binds"
)

// variants lists the bundles in the order of the tables.
var variants = []variant{minimalBundle, defaultBundle, dockerBundle, seccompBundle, bindsBundle}

// payload holds the command lines inside the container.
type payload struct {
	exit   []string // ends with status 0 at once
	wait   []string // sleeps until it is killed
	exit37 []string // ends with status 37: a zero status could come from a runtime that lies
	kind   string   // how it was made, for the report
}

// rootfs is the root file system shared by all bundles.
type rootfs struct {
	dir     string
	payload payload
	maxrss  string // path of the built testdata/maxrss.c; empty without a C compiler
}

// busyboxPaths are the places where distributions install a static busybox.
var busyboxPaths = []string{"/usr/bin/busybox", "/bin/busybox"}

// makeRootfs builds the root file system in dir/rootfs: busybox, the payload
// and an empty target for each mount of every variant.
func makeRootfs(dir string) (rootfs, error) {
	fs := rootfs{dir: filepath.Join(dir, "rootfs")}
	for _, sub := range []string{"bin", "dev", "etc", "proc", "sys", "tmp"} {
		if err := os.MkdirAll(filepath.Join(fs.dir, sub), 0o755); err != nil {
			return fs, err
		}
	}
	for i := range manyBinds {
		if err := os.MkdirAll(filepath.Join(fs.dir, volumePath(i)), 0o755); err != nil {
			return fs, err
		}
	}
	for _, name := range etcFiles {
		if err := os.WriteFile(filepath.Join(fs.dir, "etc", name), nil, 0o644); err != nil {
			return fs, err
		}
	}
	if err := installBusybox(fs.dir); err != nil {
		return fs, err
	}
	if buildC(payloadSource, filepath.Join(fs.dir, "bin/payload"), "-nostdlib", "-s", "-Wl,--build-id=none", "-Wl,-z,noseparate-code") == nil {
		fs.payload = payload{
			exit:   []string{"/bin/payload"},
			wait:   []string{"/bin/payload", "wait"},
			exit37: []string{"/bin/payload", "exit37"},
			kind:   "static program without libc",
		}
	} else {
		fs.payload = payload{
			exit:   []string{"/bin/true"},
			wait:   []string{"/bin/sleep", "100000"},
			exit37: []string{"/bin/sh", "-c", "exit 37"},
			kind:   "busybox",
		}
	}
	if tool := filepath.Join(dir, "maxrss"); buildC(maxrssSource, tool) == nil {
		fs.maxrss = tool
	}
	return fs, nil
}

// installBusybox copies the host's static busybox into root/bin with the
// applets the fallback payload needs.
func installBusybox(root string) error {
	var binary []byte
	var err error
	for _, path := range busyboxPaths {
		if binary, err = os.ReadFile(path); err == nil {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("a static busybox is needed: %w", err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), binary, 0o755); err != nil {
		return err
	}
	for _, applet := range []string{"sh", "sleep", "true"} {
		if err := os.Symlink("busybox", filepath.Join(root, "bin", applet)); err != nil {
			return err
		}
	}
	return nil
}

// buildC compiles source to a static program at out.
func buildC(source []byte, out string, flags ...string) error {
	file := out + ".c"
	if err := os.WriteFile(file, source, 0o644); err != nil {
		return err
	}
	defer os.Remove(file)
	args := append([]string{"-static", "-Os", "-o", out, file}, flags...)
	if text, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("cc %s: %w: %s", out, err, text)
	}
	return nil
}

// bundleOptions are the parts of a config that differ between the bundles of
// one variant.
type bundleOptions struct {
	args        []string
	cgroupsPath string // linux.cgroupsPath
	memoryLimit int64  // linux.resources.memory.limit in bytes; 0 leaves the variant's own
}

// writeBundle writes dir/config.json for the variant and returns dir.
func (fs rootfs) writeBundle(dir string, v variant, o bundleOptions) (string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	if err := writeSources(dir, v); err != nil {
		return "", err
	}
	config, err := makeConfig(v, fs.dir, dir, o)
	if err != nil {
		return "", err
	}
	text, err := json.MarshalIndent(config, "", "\t")
	if err != nil {
		return "", err
	}
	return dir, os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644)
}
