// Command differential holds tare against other runtimes: it gives the same
// generated configs, valid and broken, to all of them, and compares whether they
// take a config, the exit code, and what a program in the container observes.
//
//	go run ./tests/differential [--runtime tare=./tare] [--peer runc=PATH] [--peer crun=PATH] [--only WORD] [--list] [-v]
//
// Every difference has to be explained by a rule (rules.go), which says who is
// right and where that can be read; a rule that explains nothing fails the run
// too. It needs root, and changes nothing that it does not put back. The last
// line is "N passed, N failed, N skipped": passed are configs.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// runtimes are NAME=PATH flags, in the order given.
type runtimes []program

type program struct{ name, path string }

func (r *runtimes) String() string { return "" }

func (r *runtimes) Set(s string) error {
	name, path, ok := strings.Cut(s, "=")
	if !ok || name == "" || path == "" {
		return errors.New("want NAME=PATH")
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	*r = append(*r, program{name, path})
	return nil
}

type options struct {
	tare    runtimes
	peers   runtimes
	only    string
	list    bool
	verbose bool
}

func main() {
	var o options
	flag.Var(&o.tare, "runtime", "the runtime under test, `NAME=PATH` (default tare=./tare)")
	flag.Var(&o.peers, "peer", "a runtime to compare with, `NAME=PATH`; repeatable (default: runc and crun, where installed)")
	flag.StringVar(&o.only, "only", "", "run only configs whose name contains `WORD`; then unused rules are no failure")
	flag.BoolVar(&o.list, "list", false, "list the configs and end")
	flag.BoolVar(&o.verbose, "v", false, "print explained differences, too")
	flag.Parse()
	code, err := run(&o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
		code = 2
	}
	os.Exit(code)
}

func run(o *options) (int, error) {
	cases := generate()
	if o.list {
		for _, c := range cases {
			fmt.Println(c.name())
		}
		return 0, nil
	}
	if os.Geteuid() != 0 {
		return 0, errors.New("needs root")
	}
	if os.Getenv(insideEnv) == "" {
		return enter()
	}
	if len(o.tare) == 0 {
		if err := o.tare.Set("tare=./tare"); err != nil {
			return 0, err
		}
	}
	if len(o.peers) == 0 {
		for _, name := range []string{"runc", "crun"} {
			_ = o.peers.Set(name + "=" + name) // one that is not installed is left out
		}
	}
	if len(o.peers) == 0 {
		fmt.Println("neither runc nor crun is installed: there is nothing to compare with")
		fmt.Println("0 passed, 0 failed, 1 skipped")
		return 0, nil
	}
	s, err := openStage()
	if err != nil {
		return 0, err
	}
	v := s.compare(o, cases)
	if err := s.close(); err != nil {
		return 0, err
	}
	return v.print(os.Stdout, o), nil
}

// insideEnv marks the process that runs in namespaces of its own.
const insideEnv = "TARE_DIFFERENTIAL_INSIDE"

// enter runs this program again where a runtime that takes a config which it
// should have refused can rename or mount what it likes.
func enter() (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), insideEnv+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:    syscall.SIGKILL,
	}
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() >= 0 {
		return exit.ExitCode(), nil
	}
	return 0, err
}
