//go:build cgo && libseccomp

// Tare-seccomp compiles the seccomp section of a config with libseccomp: the
// back-end of tare --seccomp-compiler libseccomp. It reads the config.json
// from stdin and writes the BPF program to stdout. It is a program of its own so
// that tare itself need be linked with no library.
//
// It says to libseccomp what runc says. What that leaves out, the rule for calls
// that are newer than the profile, is put in front by tare (internal/seccomp).
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/opencontainers/runtime-spec/specs-go"
	libseccomp "github.com/seccomp/libseccomp-golang"
)

// maxInput bounds the config, in bytes.
const maxInput = 16 << 20

func main() {
	if len(os.Args) == 2 && os.Args[1] == "--version" {
		major, minor, micro := libseccomp.GetLibraryVersion()
		fmt.Printf("tare-seccomp with libseccomp %d.%d.%d\n", major, minor, micro)
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 1 {
		return errors.New("usage: tare-seccomp <config.json >program.bpf")
	}
	data, err := io.ReadAll(io.LimitReader(os.Stdin, maxInput))
	if err != nil {
		return err
	}
	var config struct { // of the rest of the config nothing is asked
		Linux struct {
			Seccomp *specs.LinuxSeccomp `json:"seccomp"`
		} `json:"linux"`
	}
	if err := json.Unmarshal(data, &config); err != nil {
		return err
	}
	if config.Linux.Seccomp == nil {
		return errors.New("the config has no linux.seccomp")
	}
	filter, err := compile(config.Linux.Seccomp)
	if err != nil {
		return err
	}
	defer filter.Release()
	return filter.ExportBPF(os.Stdout)
}

// compile makes the filter. Names that this libseccomp does not know are left
// out; tare warns about those that it does not know itself.
func compile(s *specs.LinuxSeccomp) (*libseccomp.ScmpFilter, error) {
	fallback, err := action(s.DefaultAction, s.DefaultErrnoRet)
	if err != nil {
		return nil, fmt.Errorf("defaultAction: %w", err)
	}
	filter, err := libseccomp.NewFilter(fallback)
	if err != nil {
		return nil, err
	}
	for _, name := range s.Architectures {
		if arch, ok := native()[name]; ok { // a call can come from no other
			if err := filter.AddArch(arch); err != nil {
				return nil, fmt.Errorf("architectures: %s: %w", name, err)
			}
		}
	}
	for i, call := range s.Syscalls {
		act, err := action(call.Action, call.ErrnoRet)
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d].action: %w", i, err)
		}
		if act == fallback {
			continue
		}
		rules, err := conditions(call.Args)
		if err != nil {
			return nil, fmt.Errorf("syscalls[%d].args: %w", i, err)
		}
		for _, name := range call.Names {
			nr, err := libseccomp.GetSyscallFromName(name)
			if err != nil {
				continue
			}
			for _, when := range rules {
				if len(when) == 0 {
					err = filter.AddRule(nr, act)
				} else {
					err = filter.AddRuleConditional(nr, act, when)
				}
				if err != nil {
					return nil, fmt.Errorf("syscalls[%d]: %s: libseccomp: %w", i, name, err)
				}
			}
		}
	}
	return filter, nil
}
