package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ociRuntime is one program under measurement.
type ociRuntime struct {
	Name    string `json:"name"`
	Version string `json:"version"` // first line of `NAME --version`

	path string // absolute path of the binary
	root string // its state directory, given as --root

	floor *floor // set for the C program that is no runtime
}

// runtimeFlag collects repeated NAME=PATH flags.
type runtimeFlag []*ociRuntime

// String returns the names, for the flag package.
func (f *runtimeFlag) String() string {
	var names []string
	for _, rt := range *f {
		names = append(names, rt.Name)
	}
	return strings.Join(names, ",")
}

// Set adds one NAME=PATH, or NAME alone for a program in PATH.
func (f *runtimeFlag) Set(value string) error {
	name, path, found := strings.Cut(value, "=")
	if !found {
		path = name
	}
	if name == "" || strings.ContainsAny(name, "/ ") {
		return fmt.Errorf("%q: want NAME=PATH", value)
	}
	path, err := exec.LookPath(path)
	if err != nil {
		return err
	}
	if path, err = filepath.Abs(path); err != nil {
		return err
	}
	*f = append(*f, &ociRuntime{Name: name, path: path})
	return nil
}

// identify reads the version and makes the state directory below states.
func (rt *ociRuntime) identify(ctx context.Context, states string) error {
	out, err := exec.CommandContext(ctx, rt.path, "--version").Output()
	if err != nil {
		return fmt.Errorf("%s --version: %w", rt.path, err)
	}
	rt.Version, _, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	rt.root = filepath.Join(states, rt.Name)
	return os.MkdirAll(rt.root, 0o700)
}

// runArgv returns the command line that runs a bundle to its end.
func (rt *ociRuntime) runArgv(bundle, id string) []string {
	if rt.floor != nil {
		return rt.floor.argv(rt.path)
	}
	return rt.argv("run", "--bundle", bundle, id)
}

// argv returns the command line of a command of the runtime.
func (rt *ociRuntime) argv(args ...string) []string {
	return append([]string{rt.path, "--root", rt.root}, args...)
}
