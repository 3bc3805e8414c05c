package integration

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// insideEnv marks the process that runs in the namespaces made for the tests.
const insideEnv = "TARE_TEST_INSIDE"

func TestMain(m *testing.M) {
	os.Exit(testMain(m))
}

func testMain(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("the integration tests need root: skipped")
		return 0
	}
	if os.Getenv(insideEnv) == "" {
		return enter()
	}
	outerPid = os.Getppid()
	if err := setup(); err != nil {
		fmt.Println("integration tests:", err)
		return 1
	}
	before := snapshot("")
	code := m.Run()
	// What is still mounted there is a finding of its own, and never to be walked.
	var leaked []string
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) { // what is killed takes a moment to die
		if leaked = before.compare(snapshot("")); len(leaked) == 0 || time.Now().After(end) {
			break
		}
	}
	detachAll(workDir)
	if err := os.RemoveAll(workDir); err != nil {
		fmt.Println("integration tests:", err)
		code = 1
	}
	for _, line := range leaked {
		fmt.Println("left behind by the tests:", line)
		code = 1
	}
	return code
}

// enter runs this program again in a mount and a network namespace of its own.
func enter() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	err := cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode()
	case err != nil:
		fmt.Println("integration tests: new namespaces:", err)
		return 1
	}
	return 0
}

func setup() error {
	// A shared tree is what most hosts have, and what makes leaks visible.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("share the mounts: %w", err)
	}
	// Containers outlive the create that made them; this process inherits them.
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("become subreaper: %w", err)
	}
	binary = os.Getenv("TARE")
	if binary == "" {
		binary = os.Getenv("RUNTIME")
	}
	if binary == "" {
		binary = "../../tare"
	}
	var err error
	if binary, err = filepath.Abs(binary); err != nil {
		return err
	}
	if _, err := os.Stat(binary); err != nil {
		return fmt.Errorf("the runtime, built by `make`: %w", err)
	}
	isTare = !strings.Contains(filepath.Base(binary), "runc") && !strings.Contains(filepath.Base(binary), "crun")
	if workDir, err = os.MkdirTemp("", "tare-integration-"); err != nil {
		return err
	}
	// A container's root in a user namespace has to come through.
	if err := os.Chmod(workDir, 0o711); err != nil {
		return err
	}
	proberAt = os.Getenv("PROBER")
	if proberAt != "" { // where there is no compiler
		_, err = os.Stat(proberAt)
		return err
	}
	return buildProber()
}

func buildProber() error {
	sources, err := filepath.Glob("../prober/*.c")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no sources of the prober: %w", err)
	}
	proberAt = filepath.Join(workDir, "prober")
	args := append([]string{"-std=gnu17", "-Os", "-Wall", "-Wextra", "-Werror", "-Wvla", "-ffreestanding", "-fno-builtin",
		"-fno-stack-protector", "-static", "-nostdlib", "-nostartfiles", "-s", "-Wl,--build-id=none", "-o", proberAt}, sources...)
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "gcc"
	}
	if out, err := exec.Command(cc, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile the prober: %w\n%s", err, out)
	}
	return nil
}
