package specconv

import (
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/seccomp"
)

// Input is everything a plan depends on.
type Input struct {
	ID     string
	Bundle string // absolute
	Spec   *specs.Spec
	Facts  *facts.Facts

	// Gate makes the process wait for start; without it the program runs at once.
	Gate bool
	// NoPivot changes the root by moving it over /, for a root on an initramfs.
	NoPivot bool
	// NoNewKeyring leaves the caller's session keyring in place.
	NoNewKeyring bool
	// PreserveFDs counts the descriptors from 3 on that the program inherits.
	PreserveFDs int
	// Filter is the BPF program of linux.seccomp where another compiler than ours is
	// to be used; nil otherwise.
	Filter []byte
	// SystemdCgroup asks for the systemd driver.
	SystemdCgroup bool
	// ConsoleSocket is where the terminal is sent; without one the runtime gets it.
	ConsoleSocket string
	// PidfdSocket is where a pidfd of the process is sent, if it is set.
	PidfdSocket string
	// NoCgroup asks for no cgroup at all (--cgroup-manager=disabled).
	NoCgroup bool
}

// Result is a plan with what the runtime must remember of it.
type Result struct {
	Plan *plan.Plan
	// Cgroups are the container's directories, one for each hierarchy.
	Cgroups []CgroupDir
	// HostMounts says that the container has no mount namespace of its own: its
	// mounts lie in MountNS, a joined one, or in the runtime's where that is
	// empty, below the root, and delete has to remove them.
	HostMounts bool
	MountNS    string
	// RdtGroups are the resctrl directories that the process joins.
	RdtGroups []RdtGroup
	// Unit is the container's, without a name where cgroups are not systemd's.
	Unit Unit
	// Taken says that systemd may take the process along when it moves its maker's unit.
	Taken bool
	// Warnings are for the log: what the spec says to warn about and go on.
	Warnings []string
}

// CgroupDir is one directory of the container.
type CgroupDir struct {
	Hierarchy string // facts.Hierarchy.Name
	Mount     string
	Path      string // below Mount, begins with a slash
	V2        bool
	Unit      bool // systemd makes it, and removes it with the unit
}

// RdtGroup is one group of resctrl.
type RdtGroup struct {
	Path string
	// Own says that it is named after the container, and goes with it if it was
	// made for it.
	Own bool
}

// compiler carries one compilation.
type compiler struct {
	Input
	errs        field.List
	warnings    []*field.Error
	plan        plan.Plan
	ns          namespaces
	cgroups     []CgroupDir
	hierarchies []facts.Hierarchy // all of them, those that the caller may not use too
	// cgroupsRefused says that what is wrong with the cgroups has been said.
	cgroupsRefused bool
	cgroupSlots    []plan.Slot
	unit           Unit
	taken          bool     // see Result
	scope          *plan.Op // starts the scope, with the writes that follow it
	scopeWrites    []resourceWrite
	lateLimit      *plan.Op // the limit of processes, where the process is not alone before
	filter         *seccomp.Program
	propagation    uint64 // linux.rootfsPropagation, read once
	caps           capSets
	root           string    // the host path of the root file system
	rootTree       plan.Slot // filled where the host opens the root
	fsOpens        []plan.Op // make what shows joined namespaces
	procOpen       bool      // SlotProc has been filled early
	lateNet        bool      // the network namespace comes after the first record
	named          bool      // the names of the UTS namespace are set
	rdtGroups      []rdtGroup
	hookLogs       [2]plan.Slot // for stdout and stderr of the init's hooks
	lsmDone        bool         // the labels are written already
	console        plan.Slot    // the socket that the terminal is sent to
	overlap        bool         // there is a phase beside
	beside         bool         // what is emitted belongs to it
	held           []plan.Op    // what the host does in it
	done           begun
}

// Compile turns a config into a plan. The error is a *field.Invalid with one
// entry for every mistake; then nothing else is returned.
func Compile(in Input) (*Result, error) {
	c := compile(in)
	if c.errs.Len() > 0 {
		return nil, c.errs.Err()
	}
	if err := c.plan.Validate(); err != nil {
		return nil, &field.Error{Why: err.Error(), Class: field.Bug}
	}
	res := &Result{Plan: &c.plan, Cgroups: c.cgroups, HostMounts: !c.ns.isNew(plan.NewNS), MountNS: c.ns.pathOf(plan.NewNS), Unit: c.unit, Taken: c.taken}
	for _, g := range c.rdtGroups {
		res.RdtGroups = append(res.RdtGroups, RdtGroup{Path: g.path, Own: g.own})
	}
	for _, w := range c.warnings {
		res.Warnings = append(res.Warnings, w.Error())
	}
	return res, nil
}

// Check returns what Compile would refuse, ordered by field, and what it would
// warn about, in the order in which it was found, beside errors too.
func Check(in Input) (errs, warnings []*field.Error) {
	c := compile(in)
	return c.errs.All(), c.warnings
}

// compile goes through the whole config, whatever is wrong with it.
func compile(in Input) *compiler {
	c := &compiler{Input: in}
	c.checkVersion()
	c.checkPlatform()
	c.checkProcess()
	c.checkAnnotations()
	if c.Spec.Root == nil {
		c.errs.Add("root", "", "is required on Linux (config.md, Root)")
		c.Spec = withRoot(c.Spec)
	}
	c.plan.Ops = make([]plan.Op, 0, 160)

	// prepare: the host makes and opens everything that the process will need,
	// while there is no process yet that would have to be undone.
	c.delegation()
	c.ns = c.readNamespaces()
	c.overlap = c.overlaps(c.ns.shape())
	c.emitNsOpen()
	mounts := c.readMounts()
	c.emitRootTree()
	c.emitTrees(mounts)
	devices := c.readDevices()
	c.emitNodes(devices, mounts)
	c.emitCgroups()
	c.emitIntelRdt()
	c.emitHookLogs()
	c.emitConsoleOpen()
	if c.Gate && !c.overlap {
		c.add(plan.GateOpen("process"))
	}

	// spawn: from here on a process exists, and state.json names it before anything
	// that would outlive the runtime happens, so that delete can find it after a crash.
	shape := c.ns.shape()
	c.emitSpawn(shape)
	c.emitBeside(mounts, devices)

	// enter: cgroups come before the cgroup namespace, whose root is the cgroup
	// that its maker is in; oom_score_adj while the process is still the host's.
	c.emitFdSeal()
	c.emitScope(shape)
	c.emitCgroupJoin()
	c.emitSliceKeep()
	c.emitOwnFiles(shape)
	c.emitEnter(shape)
	c.emitHostPart()
	c.emitSession()
	c.emitNames()

	// mounts, devices: the tree is built inside the root, which is not yet "/".
	c.emitRoot()
	c.emitMounts(mounts[c.done.mounts:])
	if !c.done.devices {
		c.emitDevices(devices, mounts)
	}

	// hooks: the namespaces and the mounts are there, the old root still is too.
	c.emitRuntimeHooks()

	// switch, seal: what is sealed is sealed in the final root, after every hook.
	c.emitRootSwitch()
	c.emitConsole(plan.FlagBind)
	c.emitSeal(mounts)

	// lock, gate, exec: privilege goes away, then the program is looked up as the
	// user who will run it.
	c.emitLock(true)
	c.emitStart()
	return c
}

func (c *compiler) add(op plan.Op) {
	if c.beside {
		c.plan.AddBeside(op)
		return
	}
	c.plan.Add(op)
}

// warn records what the spec says to warn about and go on.
func (c *compiler) warn(path, value, why string) {
	c.warnings = append(c.warnings, &field.Error{Path: path, Value: value, Why: why})
}

// warnHost is warn for something that is due to this host.
func (c *compiler) warnHost(path, value, why string) {
	c.warnings = append(c.warnings, &field.Error{Path: path, Value: value, Why: why, Class: field.Host})
}

// checkVersion accepts every 1.x: engines write versions newer and older than
// the one the runtime was built with, and minor versions only add fields.
func (c *compiler) checkVersion() {
	v := c.Spec.Version
	if v == "" {
		c.errs.Add("ociVersion", "", "is required")
		return
	}
	major, rest, ok := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	_, err := strconv.ParseUint(minor, 10, 32)
	switch {
	case !ok || err != nil || strings.Trim(major, "0123456789") != "" || major == "":
		c.errs.Add("ociVersion", v, "is not a version of the form 1.x.y")
	case major != "1":
		c.errs.Add("ociVersion", v, "only versions 1.x are supported")
	}
}

// checkPlatform names sections that belong to other systems. An unknown field
// is ignored, as the spec says; a known one that cannot be honoured is not.
func (c *compiler) checkPlatform() {
	s := c.Spec
	if s.Solaris != nil {
		c.errs.Add("solaris", "", "is for Solaris containers; tare runs Linux containers")
	}
	if s.Windows != nil {
		c.errs.Add("windows", "", "is for Windows containers; tare runs Linux containers")
	}
	if s.VM != nil {
		c.errs.Add("vm", "", "is for virtual machine runtimes; tare runs Linux containers")
	}
	if s.FreeBSD != nil {
		c.errs.Add("freebsd", "", "is for FreeBSD jails; tare runs Linux containers")
	}
	if s.ZOS != nil {
		c.errs.Add("zos", "", "is for z/OS containers; tare runs Linux containers")
	}
	for k := range s.Annotations {
		if k == "" {
			c.errs.Add("annotations", "", "a key is empty (config.md, Annotations)")
		}
	}
}

func withRoot(s *specs.Spec) *specs.Spec {
	cp := *s
	cp.Root = &specs.Root{Path: "rootfs"}
	return &cp
}

// linux returns the linux section, which may be absent.
func (c *compiler) linux() *specs.Linux {
	if c.Spec.Linux != nil {
		return c.Spec.Linux
	}
	return &specs.Linux{}
}

// noNUL refuses strings that no system call can carry.
func (c *compiler) noNUL(path, s string) bool {
	if strings.IndexByte(s, 0) >= 0 {
		c.errs.Add(path, s, "has a NUL byte")
		return false
	}
	return true
}
