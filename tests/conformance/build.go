package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
)

// module is the home of the validation programs; go.mod names its version.
const module = "github.com/opencontainers/runtime-tools"

// prober is the program that runs inside the containers.
const prober = "runtimetest"

// build compiles the programs that go.mod lists as tools into a folder below
// cache, and returns the folder and the names of the validation programs. What
// is there and up to date already is not linked again.
func build(cache string) (bin string, programs []string, err error) {
	bin = filepath.Join(cache, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return "", nil, err
	}
	if _, err := goTool("build", "-trimpath", "-ldflags=-s -w", "-o", bin+"/", "tool"); err != nil {
		return "", nil, fmt.Errorf("build the programs (in the folder of this command?): %w", err)
	}
	list, err := goTool("list", "tool")
	if err != nil {
		return "", nil, err
	}
	for _, pkg := range strings.Fields(list) {
		if strings.HasPrefix(pkg, module+"/validation/") {
			programs = append(programs, path.Base(pkg))
		}
	}
	return bin, programs, nil
}

// furnish puts beside the programs what they look for in their working
// directory: the packed root file systems and the prober.
func furnish(work, bin string) error {
	dir, err := goTool("list", "-m", "-f", "{{.Dir}}", module)
	if err != nil {
		return err
	}
	archives, err := filepath.Glob(filepath.Join(strings.TrimSpace(dir), "rootfs-*.tar.gz"))
	if err != nil || len(archives) == 0 {
		return fmt.Errorf("no rootfs-*.tar.gz in %s", strings.TrimSpace(dir))
	}
	for _, from := range archives {
		if err := os.Symlink(from, filepath.Join(work, filepath.Base(from))); err != nil {
			return err
		}
	}
	// The prober must be a plain file: the programs copy a link as a link.
	data, err := os.ReadFile(filepath.Join(bin, prober))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(work, prober), data, 0o755)
}

// goTool runs the go command in the current folder and returns its output. The
// prober has to be static: the root file systems have no C library of the host.
func goTool(args ...string) (string, error) {
	cmd := exec.Command("go", args...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(out), nil
}
