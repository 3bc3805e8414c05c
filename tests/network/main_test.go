package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/tests/cgroupview"
)

const insideEnv = "TARE_TEST_INSIDE"

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Geteuid() != 0 {
		fmt.Println("the network tests need root: skipped")
		return 0
	}
	if os.Getenv(lackingEnv) != "" {
		fmt.Println("network tests:", lacking(os.Args[1:]))
		return 1
	}
	if os.Getenv(insideEnv) == "" {
		return enter()
	}
	if err := setup(); err != nil {
		fmt.Println("network tests:", err)
		if workDir != "" {
			_ = os.RemoveAll(workDir) // the other error is the one that counts
		}
		return 1
	}
	code := m.Run()
	if err := os.RemoveAll(workDir); err != nil {
		fmt.Println("network tests:", err)
		code = 1
	}
	return code
}

// enter runs this program again in a mount and a network namespace of its own:
// what it mounts and every name of a namespace is seen by nobody else.
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
		fmt.Println("network tests: new namespaces:", err)
		return 1
	}
	return 0
}

func setup() (err error) {
	if err := unix.Mount("", "/", "", unix.MS_PRIVATE|unix.MS_REC, ""); err != nil {
		return err
	}
	if err := os.MkdirAll("/run/netns", 0o755); err != nil {
		return err
	}
	if err := emptyUnified(); err != nil {
		return err
	}
	// Names of namespaces, and what iptables locks.
	for _, dir := range []string{"/run/netns"} {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=755"); err != nil {
			return err
		}
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return err
	}
	place := func(env, name string) (string, error) {
		p := os.Getenv(env)
		if p == "" {
			p = filepath.Join("..", "..", name)
		}
		if p, err = filepath.Abs(p); err == nil {
			_, err = os.Stat(p)
		}
		return p, err
	}
	if runtimes["tare"], err = place("TARE", "tare"); err != nil {
		return fmt.Errorf("the runtime, built by `make`: %w", err)
	}
	if hook, err = place("TARE_NET", "tare-net"); err != nil {
		return fmt.Errorf("the hook, built by `make`: %w", err)
	}
	for _, name := range []string{"runc", "crun"} {
		if p, err := exec.LookPath(name); err == nil {
			runtimes[name] = p
		}
	}
	if workDir, err = os.MkdirTemp("", "tare-network-"); err != nil {
		return err
	}
	if err := os.Chmod(workDir, 0o711); err != nil {
		return err
	}
	peerAt, faulty = filepath.Join(workDir, "peer"), filepath.Join(workDir, "tare-net-fault")
	if p := os.Getenv("TARE_NET_PEER"); p != "" { // where there is no compiler
		peerAt, faulty = p, ""
		return nil
	}
	if err := build(peerAt, "", "./peer"); err != nil {
		return err
	}
	return build(faulty, "tare_net_fault", "../../hooks/network/cmd")
}

// held keeps hierarchies that are mounted nowhere.
var held []*os.File

// emptyUnified takes the controllers of a cgroup2 beside v1 hierarchies to v1 for as long
// as this program runs: crun 1.8 refuses a host where it has some.
func emptyUnified() error {
	data, _ := os.ReadFile(cgroupview.Unified + "/cgroup.controllers")
	for _, controller := range strings.Fields(string(data)) {
		dir, err := os.MkdirTemp("", "tare-network-cgroup-")
		if err != nil {
			return err
		}
		defer os.Remove(dir)
		if err := unix.Mount("cgroup", dir, "cgroup", 0, controller); err != nil {
			return fmt.Errorf("mount cgroup v1 controller %s: %w", controller, err)
		}
		f, err := os.Open(dir)
		if err == nil {
			held = append(held, f)
		}
		if err := errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)); err != nil {
			return err
		}
	}
	return nil
}

func build(out, tags, pkg string) error {
	cmd := exec.Command("go", "build", "-tags="+tags, "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", pkg, err, text)
	}
	return nil
}
