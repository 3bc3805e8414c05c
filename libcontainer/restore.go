//go:build !tare_front

package libcontainer

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/console"
	"github.com/tare-oci/tare/internal/criu"
	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/rdt"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// RestoreOptions says how to make a container from what Checkpoint has written.
type RestoreOptions struct {
	CreateOptions
	CriuOptions
	TCPClose        bool
	LSMProfile      string // KIND:LABEL, as in "selinux:system_u:…"
	LSMMountContext string
}

// Restore makes a container whose processes go on where they were when its images
// were written. The bundle is the one of that container, or one like it.
//
// The config is compiled as for create, and the host's side of the plan is walked:
// cgroups, limits and the systemd unit are made for CRIU, which then does what is
// the init's otherwise. When it fails, nothing is left of the container.
func (r *Runtime) Restore(o RestoreOptions) (*Container, error) {
	c, err := r.restore(&o)
	if err != nil {
		return nil, fmt.Errorf("restore failed: %w", err)
	}
	return c, nil
}

func (r *Runtime) restore(o *RestoreOptions) (*Container, error) {
	if err := state.CheckID(o.ID); err != nil {
		return nil, err
	}
	if o.SystemdCgroup && !o.NoCgroup && r.dialSystemd == nil {
		return nil, ErrNoSystemd
	}
	if err := o.CriuOptions.check(); err != nil {
		return nil, err
	}
	if _, err := os.Stat(o.ImageDir); err != nil {
		return nil, fmt.Errorf("--image-path: %w", err)
	}
	spec, config, err := o.load()
	if err != nil {
		return nil, err
	}
	if err := o.checkTerminal(spec, false); err != nil {
		return nil, err
	}
	f, systemd, err := r.facts(&o.CreateOptions, wantOf(spec))
	if err != nil {
		return nil, err
	}
	if systemd != nil {
		defer systemd.Close()
	}
	o.NotifySocket = "" // whoever was told is not told again
	rec, res, err := r.reserve(&o.CreateOptions, spec, config, f, false)
	if err != nil {
		return nil, err
	}
	h := newHost(res.Plan, rec, &o.CreateOptions)
	h.systemd = systemd
	s := &restoring{host: h, o: o, spec: spec, root: r.root, trees: f.Cgroup.Hierarchies}
	if err := s.run(); err != nil {
		if s.terminal != nil {
			s.terminal.Close()
		}
		h.pid, h.stage = s.container, s.container
		h.fail()
		return nil, err
	}
	h.closeSlots()
	rec.Unlock()
	return &Container{runtime: r, rec: rec, Warnings: res.Warnings, child: true, terminal: s.terminal}, nil
}

// restoring is one restore.
type restoring struct {
	*host
	o         *RestoreOptions
	spec      *specs.Spec
	root      string // the state directory
	container int    // the container's process, once CRIU has made it
	criu      int    // CRIU's own
	late      []int  // of the plan's ops, the limits of processes
	trees     []facts.Hierarchy
	terminal  *os.File
}

func (s *restoring) run() (err error) {
	if err := makeTargets(s.rec.Rootfs, s.rec.Bundle, s.spec.Mounts); err != nil {
		return err
	}
	opts, err := s.o.common(s.spec)
	if err != nil {
		return err
	}
	p := criu.Program{Path: s.o.Criu, Stdin: os.Stdin}
	if err := s.inherit(&p, opts); err != nil {
		return err
	}
	defer closeAll(p.Files[3:])
	opts.LogFile = new(restoreLog)
	opts.RstSibling = new(true) // a child of this program, as one that create has made
	opts.TcpClose = new(s.o.TCPClose)
	if s.o.LSMProfile != "" {
		opts.LsmProfile = new(s.o.LSMProfile)
	}
	if s.o.LSMMountContext != "" {
		opts.LsmMountContext = new(s.o.LSMMountContext)
	}
	opts.ExtMnt = sourcesOutside(s.rec, s.spec)

	if err := s.o.checkKnown(criu.Program{Path: s.o.Criu}, s.o.newerOfRestore()...); err != nil {
		return err
	}
	var session *criu.Session
	var dirs []*os.File
	opts.Root = new(filepath.Join(s.root, "root"))
	err = underRoot(s.root, s.rec.Rootfs,
		func() (err error) { dirs, err = openDirs(&s.o.CriuOptions, opts); return err },
		func() (err error) { session, err = criu.Start(p); return err })
	defer closeAll(dirs)
	if err != nil {
		return err
	}
	defer session.Close()
	s.criu = session.Pid()
	if err := s.prepareFor(s.criu); err != nil {
		return err
	}
	if s.o.ManageCgroups != "ignore" {
		opts.CgRoot = cgroupRoots(s.criu)
	}
	err = session.Do(criu.Restore, opts, criu.Events{Namespaces: s.hooks, Restored: s.restored, Resuming: s.resuming, Terminal: s.takeTerminal})
	if err == nil && s.container == 0 {
		err = errors.New("criu has said nothing of the process that it has made")
	}
	if err == nil {
		_ = session.Close() // it has answered: how it ends changes nothing
		err = s.limitProcesses()
	}
	return criu.Explain(err, filepath.Join(s.o.WorkDir, restoreLog))
}

// newerOfRestore are those that only restore has.
func (o *RestoreOptions) newerOfRestore() []newerOption {
	if o.LSMMountContext == "" {
		return nil
	}
	return []newerOption{{"--lsm-mount-context", criu.Version{Major: 3, Minor: 16}, ""}}
}

// inherit hands over what the images refer to by name: the standard streams that
// were pipes, and the namespaces that were joined.
func (s *restoring) inherit(p *criu.Program, opts *criu.Options) error {
	p.Files = []*os.File{os.Stdin, os.Stdout, os.Stderr}
	for i, f := range []*os.File{s.opts.Stdin, s.opts.Stdout, s.opts.Stderr} {
		if f != nil {
			p.Files[i] = f
		}
	}
	give := func(key string, file int) {
		opts.InheritFd = append(opts.InheritFd, &criu.InheritFD{Key: new(key), Fd: new(int32(criu.FirstFile + file))})
	}
	names, err := readStreams(s.o.ImageDir)
	if err != nil {
		return err
	}
	for i, name := range names {
		if i < 3 && handed(name) && !slices.Contains(names[:i], name) {
			give(name, i)
		}
	}
	for _, n := range externalNamespaces(s.spec) {
		f, err := os.Open(n.path)
		if err != nil {
			closeAll(p.Files[3:])
			return err
		}
		give(n.key, len(p.Files))
		p.Files = append(p.Files, f)
	}
	return nil
}

// prepareFor walks the host's side of the plan for CRIU's process, which takes the
// place of the init: what it makes is born into its cgroups.
func (s *restoring) prepareFor(pid int) error {
	s.host.pid = pid
	defer func() { s.host.pid = 0 }()
	for i := range s.plan.Ops {
		op := &s.plan.Ops[i]
		var err error
		switch op.Code {
		case plan.OpSpawn, plan.OpFdPass: // all its cgroups are there at the latter of them
			if op.Code == plan.OpFdPass || !s.plan.Passes() {
				err = s.enterCgroups(pid)
			}
		case plan.OpCgroupWrite:
			if _, file, _ := op.CgroupWriteArgs(); file == pidsLimit {
				err = s.postpone(i, op)
			} else {
				err = s.do(i, op)
			}
		case plan.OpCgroupMake, plan.OpUnitStart, plan.OpDeviceFilter, plan.OpCgroupOwner, plan.OpRdtGroup, plan.OpRdtSchema:
			err = s.do(i, op)
		case plan.OpRdtJoin:
			err = rdt.Join(op.RdtJoinArgs(), pid)
		}
		if err != nil && !op.Has(plan.FlagIgnore) {
			return err
		}
	}
	return nil
}

// pidsLimit is the file of a cgroup's limit of processes.
const pidsLimit = "pids.max"

// postpone leaves a limit of processes for later: CRIU is in the container's cgroups
// while it makes its processes, with helpers of its own. systemd has set the limit with
// the unit.
func (s *restoring) postpone(i int, op *plan.Op) error {
	s.late = append(s.late, i)
	if !s.o.SystemdCgroup {
		return nil
	}
	dir, file, _ := op.CgroupWriteArgs()
	return s.limits.Write(dir, file, "max")
}

// resuming sets the limits of processes while the container's stand still and CRIU
// makes no more. CRIU itself would be counted, so it goes back to where tare is; where
// no process may be moved to (a v2 cgroup that passes controllers on), the limits wait
// until it has ended.
func (s *restoring) resuming() error {
	for _, i := range s.late {
		dir, _, _ := s.plan.Ops[i].CgroupWriteArgs()
		for j := range s.trees {
			h := &s.trees[j]
			if below(dir, []string{h.Mount}) && cgroup.Write(h.Mount+h.Own, "cgroup.procs", strconv.Itoa(s.criu)) != nil {
				return nil
			}
		}
	}
	return s.limitProcesses()
}

// limitProcesses sets what postpone has left.
func (s *restoring) limitProcesses() error {
	for _, i := range s.late {
		op := &s.plan.Ops[i]
		if err := s.do(i, op); err != nil && !op.Has(plan.FlagIgnore) {
			return err
		}
	}
	s.late = nil
	return nil
}

// enterCgroups puts CRIU into the cgroups that there are by now; it passes them on to what
// it restores. Those of a scope that systemd looks after come with the scope; the others
// are here, and nobody else joins them.
func (s *restoring) enterCgroups(pid int) error {
	s.rec.CgroupsMade = !s.scopeFollows()
	if err := s.rec.Begin(); err != nil {
		return err
	}
	for i := range s.made {
		g := &s.made[i]
		if err := cgroup.Write(g.Mount+g.Path, "cgroup.procs", strconv.Itoa(pid)); err != nil {
			return err
		}
	}
	return nil
}

// cgroupRoots are the cgroups in whose place those of the images are put.
func cgroupRoots(pid int) []*criu.CgroupRoot {
	var out []*criu.CgroupRoot
	for line := range strings.Lines(sys.Text("/proc/" + strconv.Itoa(pid) + "/cgroup")) {
		if _, rest, ok := strings.Cut(strings.TrimSuffix(line, "\n"), ":"); ok {
			controllers, at, _ := strings.Cut(rest, ":")
			out = append(out, &criu.CgroupRoot{Ctrl: new(controllers), Path: new(at)})
		}
	}
	return out
}

// hooks runs those of the runtime's namespaces: the container's exist.
func (s *restoring) hooks(pid int) error {
	s.host.pid = pid
	defer func() { s.host.pid = 0 }()
	for i := range s.plan.Ops {
		if op := &s.plan.Ops[i]; op.Code == plan.OpHook {
			if err := s.do(i, op); err != nil {
				return err
			}
		}
	}
	return nil
}

// restored writes down which process it is, before it goes on.
func (s *restoring) restored(pid int) error {
	s.container, s.host.pid = pid, pid
	if err := s.save(); err != nil {
		return err
	}
	if s.o.PidfdSocket != "" {
		if err := sendPidfd(s.o.PidfdSocket, "standard", pid); err != nil {
			return err
		}
	}
	return s.recorded()
}

// takeTerminal keeps the terminal's master, or sends it to the engine.
func (s *restoring) takeTerminal(fd int) error {
	f := os.NewFile(uintptr(fd), "/dev/ptmx")
	if s.o.ConsoleSocket == "" {
		s.terminal = f
		return nil
	}
	defer f.Close()
	socket, err := console.Dial(s.o.ConsoleSocket)
	if err != nil {
		return err
	}
	defer unix.Close(socket)
	return console.Send(socket, f.Name(), fd)
}
