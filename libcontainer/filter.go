package libcontainer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// The compilers of seccomp profiles.
const (
	// CompilerTare is built in: the zero value of CreateOptions means it.
	CompilerTare = "tare"
	// CompilerLibseccomp is the program tare-seccomp, which has libseccomp.
	CompilerLibseccomp = "libseccomp"
)

// compilerProgram is the program of CompilerLibseccomp, and compilerEnv names
// another one, by an absolute path.
const (
	compilerProgram = "tare-seccomp"
	compilerEnv     = "TARE_SECCOMP"
	selfEnv         = "TARE_SELF" // see package whole
)

// compilerWait bounds a compilation: libseccomp 2.5 never ends on some profiles.
const compilerWait = 30 * time.Second

// foreignFilter has libseccomp compile linux.seccomp of the config, whose bytes the
// program reads, where that is asked for. The result goes to specconv, which verifies it.
func foreignFilter(compiler string, spec *specs.Spec, config []byte) ([]byte, error) {
	switch compiler {
	case "", CompilerTare:
		return nil, nil
	case CompilerLibseccomp:
	default:
		return nil, fmt.Errorf("seccomp compiler %q: use %s or %s", compiler, CompilerTare, CompilerLibseccomp)
	}
	if spec.Linux == nil || spec.Linux.Seccomp == nil || spec.Linux.Seccomp.DefaultAction == "" {
		return nil, nil // no filter, or one that specconv refuses
	}
	program, err := compilerPath()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), compilerWait)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, program)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = bytes.NewReader(config), &stdout, &stderr, []string{}
	err = cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = fmt.Errorf("%s: libseccomp has not compiled the profile in %v", program, compilerWait)
	case err != nil && stderr.Len() > 0:
		err = fmt.Errorf("%s: %s", program, strings.TrimSpace(stderr.String()))
	case err != nil:
		err = fmt.Errorf("%s: %w", program, err)
	default:
		return stdout.Bytes(), nil
	}
	return nil, &field.Error{Path: "linux.seccomp", Why: err.Error(), Class: field.Host}
}

// compilerPath finds the program: where the environment says, beside this program,
// or in the libexec directory of its prefix. PATH has no say in it.
func compilerPath() (string, error) {
	if path := os.Getenv(compilerEnv); path != "" {
		if !filepath.IsAbs(path) {
			return "", fmt.Errorf("%s=%q: must be an absolute path", compilerEnv, path)
		}
		return path, nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if in := os.Getenv(selfEnv); strings.HasPrefix(self, "/memfd:") && filepath.IsAbs(in) {
		self = in // the second half of the program is executed from memory
	}
	dir := filepath.Dir(self)
	places := []string{filepath.Join(dir, compilerProgram), filepath.Join(filepath.Dir(dir), "libexec", "tare", compilerProgram)}
	for _, path := range places {
		if st, err := os.Stat(path); err == nil && st.Mode().IsRegular() {
			return path, nil
		}
	}
	return "", errors.New("--seccomp-compiler libseccomp: there is no " + strings.Join(places, " or ") +
		"; it is built with tare where a C compiler and libseccomp's header are, and " + compilerEnv + " can name it")
}
