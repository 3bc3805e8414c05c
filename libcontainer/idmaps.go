package libcontainer

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/sys"
)

// writeIDMaps maps the ids of the init's new user namespace. Each file takes one
// write (user_namespaces(7)), by us or by who may map what we may not.
func writeIDMaps(pid int, op *plan.Op) error {
	dir := "/proc/" + strconv.Itoa(pid)
	uids, gids := op.IDMapArgs()
	if op.Has(plan.FlagDenySetgrp) {
		if err := sys.WriteFile(dir+"/setgroups", "deny"); err != nil {
			return err
		}
	}
	for _, m := range [...]struct {
		lines           []string
		file            string
		helped          bool
		program, ranges string
		kind, field     string
		own             int
	}{
		{uids, "/uid_map", op.Has(plan.FlagUIDHelper), "newuidmap", "/etc/subuid", "user", "linux.uidMappings", syscall.Geteuid()},
		{gids, "/gid_map", op.Has(plan.FlagGIDHelper), "newgidmap", "/etc/subgid", "group", "linux.gidMappings", syscall.Getegid()},
	} {
		if !m.helped {
			if err := sys.WriteFile(dir+m.file, strings.Join(m.lines, "\n")+"\n"); err != nil {
				if errors.Is(err, fs.ErrPermission) && m.own == 0 {
					err = fmt.Errorf("%w (who maps id 0 of the namespace outside needs CAP_SETFCAP, user_namespaces(7))", err)
				}
				return &idMapError{m.field, err}
			}
			continue
		}
		if err := runMapper(m.program, pid, m.lines); err != nil {
			if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
				err = fmt.Errorf("%s is not installed, and an ordinary user can map ids that are not his own only with it"+
					" (package uidmap or shadow-utils): install it, or map nothing but %s %d", m.program, m.kind, m.own)
			} else {
				err = fmt.Errorf("%w; %s", err, grants(m.ranges))
			}
			return &idMapError{m.field, err}
		}
	}
	return nil
}

// idMapError names the one of the two fields that an id-map op stands for.
type idMapError struct {
	field string
	err   error
}

func (e *idMapError) Error() string { return e.field + ": " + e.err.Error() }
func (e *idMapError) Unwrap() error { return e.err }

// runMapper runs newuidmap(1) or newgidmap(1), which are set-user-ID root or have
// the capability, and know what the administrator has granted.
func runMapper(program string, pid int, lines []string) error {
	path, err := exec.LookPath(program)
	if err != nil {
		return err
	}
	args := []string{program, strconv.Itoa(pid)}
	for _, l := range lines {
		args = append(args, strings.Fields(l)...)
	}
	var out bytes.Buffer
	cmd := exec.Cmd{Path: path, Args: args, Stdout: &out, Stderr: &out, Env: os.Environ()}
	if err := cmd.Run(); err != nil {
		text := strings.Join(strings.Fields(out.String()), " ")
		if text == "" {
			return fmt.Errorf("%s: %w", path, err)
		}
		return errors.New(text)
	}
	return nil
}

// grants says what /etc/subuid or /etc/subgid has for the user, for a message.
func grants(file string) string {
	uid := strconv.Itoa(syscall.Getuid())
	name := userName(uid)
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "what is granted stands in " + file
	}
	var have []string
	for _, line := range strings.Split(string(text), "\n") {
		f := strings.Split(strings.TrimSpace(line), ":")
		if len(f) == 3 && (f[0] == uid || f[0] == name) {
			have = append(have, f[1]+" and "+f[2]+" in all")
		}
	}
	if have == nil {
		return fmt.Sprintf("%s grants nothing to user %s; add a line %q", file, name, name+":100000:65536")
	}
	return fmt.Sprintf("%s grants user %s the ids from %s", file, name, strings.Join(have, ", from "))
}

// userName is a user's name in /etc/passwd, or else the number.
func userName(uid string) string {
	text, _ := os.ReadFile("/etc/passwd") // without it the number has to do
	for _, line := range strings.Split(string(text), "\n") {
		if f := strings.Split(line, ":"); len(f) > 2 && f[2] == uid {
			return f[0]
		}
	}
	return uid
}
