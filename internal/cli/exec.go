package cli

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/libcontainer"
)

func runExec(c *call) error {
	r, err := c.runtime()
	if err != nil {
		return err
	}
	ctr := r.Find(c.args[0])
	o, err := c.execOptions(ctr)
	if err != nil {
		return fmt.Errorf("exec failed: %w", err)
	}
	if o.Detach {
		p, err := ctr.Exec(o)
		if err == nil {
			c.warn(p.Warnings)
		}
		return err
	}
	k, err := newKeeper()
	if err != nil {
		return err
	}
	o.BeforeStart = k.begin
	if o.Process.Terminal && o.Process.ConsoleSize == nil {
		o.Process.ConsoleSize = ownSize()
	}
	p, err := ctr.Exec(o)
	if err != nil {
		return err
	}
	c.warn(p.Warnings)
	code, err := k.attend(c.stdout, p.Terminal(), func(s syscall.Signal) { _ = p.Signal(s) }, p.Ended)
	if err != nil {
		return err
	}
	return exitCode(code)
}

// execOptions reads the flags and the process that they are about.
func (c *call) execOptions(ctr *libcontainer.Container) (libcontainer.ExecOptions, error) {
	f := &c.flags
	o := libcontainer.ExecOptions{SeccompCompiler: c.global.str("seccomp-compiler"), PreserveFDs: f.int("preserve-fds"), Cgroups: f.list("cgroup"), Paused: f.bool("ignore-paused"),
		Detach: f.bool("detach"), Program: c.program}
	if err := checkPreserved(o.PreserveFDs, 0); err != nil {
		return o, err
	}
	if err := c.sockets(&o.PidFile, &o.ConsoleSocket, &o.PidfdSocket); err != nil {
		return o, err
	}
	var err error
	o.Process, err = c.process(ctr)
	return o, err
}

// sockets reads the flags of create, run and exec that say what goes where.
func (c *call) sockets(pidFile, console, pidfd *string) error {
	return errors.Join(c.path("pid-file", pidFile), c.path("console-socket", console), c.path("pidfd-socket", pidfd))
}

// path reads a flag with a path, which is resolved before anything else happens.
func (c *call) path(flag string, to *string) (err error) {
	if !c.flags.isSet(flag) {
		return nil
	}
	if c.flags.str(flag) == "" {
		return fmt.Errorf("--%s must not be empty", flag)
	}
	*to, err = absolute(c.flags.str(flag))
	return err
}

// process is that of --process, or the container's own with another command.
func (c *call) process(ctr *libcontainer.Container) (*specs.Process, error) {
	f := &c.flags
	var p *specs.Process
	if f.isSet("process") {
		var err error
		if p, err = libcontainer.LoadProcess(f.str("process")); err != nil {
			return nil, err
		}
		if len(c.args) > 1 {
			p.Args = c.args[1:]
		}
		if f.isSet("tty") {
			p.Terminal = f.bool("tty")
		}
	} else {
		own, err := ctr.Process()
		if err != nil {
			return nil, err
		}
		if own == nil {
			own = &specs.Process{Cwd: "/"}
		}
		p = own
		p.Args = c.args[1:]
		p.Terminal = f.bool("tty")
		p.ConsoleSize = nil
	}
	return p, c.changeProcess(p)
}

// changeProcess does what flags say to a process.
func (c *call) changeProcess(p *specs.Process) error {
	f := &c.flags
	if f.isSet("cwd") {
		p.Cwd = f.str("cwd")
	}
	p.Env = append(slices.Clip(p.Env), f.list("env")...)
	if f.isSet("apparmor") {
		p.ApparmorProfile = f.str("apparmor")
	}
	if f.isSet("process-label") {
		p.SelinuxLabel = f.str("process-label")
	}
	if f.isSet("no-new-privs") {
		p.NoNewPrivileges = f.bool("no-new-privs")
	}
	if f.isSet("user") {
		if err := setUser(p, f.str("user")); err != nil {
			return err
		}
	}
	for _, g := range f.list("additional-gids") {
		gid, err := id(g)
		if err != nil {
			return fmt.Errorf("--additional-gids %q: %w", g, err)
		}
		p.User.AdditionalGids = append(slices.Clip(p.User.AdditionalGids), gid)
	}
	addCaps(p, f.list("cap"))
	return nil
}

// addCaps makes capabilities permitted and effective. None becomes inheritable,
// which would hand it on to programs that do not expect it (CVE-2022-29162).
func addCaps(p *specs.Process, names []string) {
	if len(names) == 0 {
		return
	}
	caps := specs.LinuxCapabilities{}
	if p.Capabilities != nil {
		caps = *p.Capabilities
	}
	for _, n := range names {
		n = strings.ToUpper(n)
		if !strings.HasPrefix(n, "CAP_") {
			n = "CAP_" + n
		}
		for _, set := range []*[]string{&caps.Bounding, &caps.Effective, &caps.Permitted} {
			if !slices.Contains(*set, n) {
				*set = append(slices.Clip(*set), n)
			}
		}
	}
	p.Capabilities = &caps
}

func setUser(p *specs.Process, user string) error {
	uid, gid, both := strings.Cut(user, ":")
	n, err := id(uid)
	if err != nil {
		return fmt.Errorf("--user %q: %w", user, err)
	}
	p.User.UID = n
	if both {
		if n, err = id(gid); err != nil {
			return fmt.Errorf("--user %q: %w", user, err)
		}
		p.User.GID = n
	}
	return nil
}

// id reads a user or group: a whole number and nothing else (CVE-2026-30892).
func id(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q is not the number of a user or group", s)
	}
	return uint32(n), nil
}
