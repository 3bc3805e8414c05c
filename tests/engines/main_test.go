package engines

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// update makes runc's transcripts the wanted ones.
var update = flag.Bool("update", false, "write NAME.want from what runc's transcript says")

// stageEnv tells a process of this program which part it plays.
const stageEnv = "TARE_ENGINES_STAGE"

// needed are the programs that the tests are about, and the packages that have them.
var needed = map[string]string{
	"dockerd": "docker.io", "docker": "docker.io", "containerd": "containerd", "ctr": "containerd", "podman": "podman",
	"buildah": "buildah", "umoci": "umoci", "conmon": "conmon", "runc": "runc", "newuidmap": "uidmap", "iptables": "iptables",
}

func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "pty":
		os.Exit(ptyMain(os.Args[1:]))
	}
	switch os.Getenv(stageEnv) {
	case "":
		os.Exit(outside())
	case "init":
		os.Exit(initOfMachine())
	}
	flag.Parse()
	os.Exit(inside(m))
}

// missing names the packages that are not installed.
func missing() []string {
	var out []string
	for program, pkg := range needed {
		if _, err := lookPath(program); err != nil {
			out = append(out, pkg+" ("+program+")")
		}
	}
	return out
}

// searchPath is that of the machine: only what Debian's packages install.
const searchPath = "/usr/sbin:/usr/bin:/sbin:/bin"

func lookPath(program string) (string, error) {
	for _, dir := range strings.Split(searchPath, ":") {
		if p := filepath.Join(dir, program); unix.Access(p, unix.X_OK) == nil {
			return p, nil
		}
	}
	return "", fmt.Errorf("%s: not in %s", program, searchPath)
}

// outside makes the cgroups and namespaces of the machine, and removes what is
// left of it afterwards. It is the only part that sees the host.
func outside() int {
	if os.Geteuid() != 0 {
		fmt.Println("the tests with engines need root: skipped")
		return 0
	}
	runtimePath := os.Getenv("TARE")
	if runtimePath == "" {
		runtimePath = "../../tare"
	}
	runtimePath, err := filepath.Abs(runtimePath)
	if err == nil {
		_, err = os.Stat(runtimePath)
	}
	if err != nil {
		fmt.Println("engines: the runtime, built by `make`:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "tare-engines-")
	if err != nil {
		fmt.Println("engines:", err)
		return 1
	}
	defer os.RemoveAll(dir)
	if out, err := exec.Command("go", "-C", "cri", "build", "-trimpath", "-o", dir+"/cri", ".").CombinedOutput(); err != nil {
		fmt.Printf("engines: build the client of the CRI: %v\n%s", err, out)
		return 1
	}
	// An interrupted run ends its machine, and then cleans up as always.
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, os.Interrupt, syscall.SIGTERM)
	if err := privateMounts(); err != nil {
		fmt.Println("engines:", err)
		return 1
	}
	cgroups, err := makeCgroups()
	if err == nil {
		var code int
		code, err = startMachine(ended,
			"TARE="+runtimePath, "TARE_ENGINES_CRI="+dir+"/cri", "TARE_ENGINES_CGROUPS="+strings.Join(cgroups, "\n"))
		if err == nil {
			if err := removeCgroups(cgroups); err != nil {
				fmt.Println("engines:", err)
				return 1
			}
			return code
		}
	}
	fmt.Println("engines:", err)
	_ = removeCgroups(cgroups)
	return 1
}

// startMachine runs this program again as process 1 of new namespaces, until it
// ends or a signal ends it, and returns its exit code.
func startMachine(ended <-chan os.Signal, env ...string) (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(append(os.Environ(), stageEnv+"=init"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWNET | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	select {
	case s := <-ended:
		_ = cmd.Process.Kill() // and with it everything in its pid namespace
		<-done
		return 1, fmt.Errorf("ended by %v", s)
	case err := <-done:
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			return exit.ExitCode(), nil
		}
		return 0, err
	}
}

// initOfMachine is process 1 of the machine. It goes into the machine's cgroups,
// which become the root of its cgroup namespace, and then only reaps.
func initOfMachine() int {
	for _, dir := range strings.Split(os.Getenv("TARE_ENGINES_CGROUPS"), "\n") {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0); err != nil {
			fmt.Println("engines:", err)
			return 1
		}
	}
	os.Setenv(stageEnv, "tests")
	attr := &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
		Sys:   &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWCGROUP},
	}
	child, err := os.StartProcess("/proc/self/exe", os.Args, attr)
	if err != nil {
		fmt.Println("engines: start the tests:", err)
		return 1
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Println("engines: wait:", err)
			return 1
		case pid == child.Pid && status.Exited():
			return status.ExitStatus()
		case pid == child.Pid:
			fmt.Println("engines: the tests ended by", status.Signal())
			return 1
		}
	}
}

// inside runs the tests in the machine.
func inside(m *testing.M) int {
	if lacking := missing(); len(lacking) > 0 {
		lack = strings.Join(lacking, ", ")
		return m.Run() // every test says so
	}
	if err := furnish(); err != nil {
		fmt.Println("engines: make the machine:", err)
		return 1
	}
	if command := os.Getenv("TARE_ENGINES_SHELL"); command != "" { // to look around, and to try a script
		sh := exec.Command("/bin/sh", "-c", command)
		sh.Stdin, sh.Stdout, sh.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := sh.Run(); err != nil {
			fmt.Println("engines:", err)
		}
		return 0
	}
	first = census()
	code := m.Run()
	if left := stopDaemons(); len(left) > 0 {
		for _, l := range left {
			fmt.Println("left behind by the tests:", l)
		}
		code = 1
	}
	return code
}

// lack is what the host has not installed; empty when the tests can run.
var lack string

func needEngines(t *testing.T) {
	t.Helper()
	if lack != "" {
		t.Skip("not installed: " + lack)
	}
}
