package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// patience bounds one call of a runtime.
const patience = time.Minute

// outcome is what one runtime made of one config.
type outcome struct {
	taken  bool   // the program ran
	code   int    // exit code of the call
	stderr string // the first line
	report *report
	took   time.Duration
}

// try gives a config to a runtime.
func (s *stage) try(p program, c *testCase) (*outcome, error) {
	dir, err := s.bundle(p.name)
	if err != nil {
		return nil, err
	}
	config := c.config()
	linux, ok := config["linux"].(map[string]any)
	if _, set := linux["cgroupsPath"]; ok && !set {
		linux["cgroupsPath"] = "/" + s.parent + "/" + p.name
	}
	text, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	text = bytes.ReplaceAll(text, []byte("BUNDLE"), []byte(dir))
	if err := os.WriteFile(filepath.Join(dir, "config.json"), text, 0o644); err != nil {
		return nil, err
	}
	root, id := filepath.Join(s.dir, "state-"+p.name), s.parent
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := os.Create(filepath.Join(dir, "stdout"))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return nil, err
	}
	defer errs.Close()
	cmd := exec.CommandContext(ctx, p.path, "--root", root, "run", "--bundle", dir, id)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, out, errs // files: what inherits a pipe keeps its reader waiting
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	start := time.Now()
	err = cmd.Run()
	o := &outcome{took: time.Since(start), code: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("%s: no end after %s", p.name, patience)
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return nil, err
	}
	message, err := os.ReadFile(errs.Name())
	if err != nil {
		return nil, err
	}
	o.stderr, _, _ = strings.Cut(string(message), "\n")
	printed, err := os.ReadFile(out.Name())
	if err != nil {
		return nil, err
	}
	r := &report{}
	if json.Unmarshal(printed, r) == nil && r.Args != nil {
		o.taken, o.report = true, r
	} else {
		// A container that could not be made may have left a state behind.
		_ = exec.CommandContext(ctx, p.path, "--root", root, "delete", "--force", id).Run()
	}
	return o, nil
}
