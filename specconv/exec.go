package specconv

import (
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// Target is what an exec depends on besides configs: a container that is there.
type Target struct {
	Pid   int    // of its process, on the host
	Start uint64 // that process's start time in clock ticks
	// Cgroups are the directories to join, one for each hierarchy.
	Cgroups []CgroupDir
	// SharesUserNS says that the container's user namespace is the caller's; it
	// cannot be joined then (setns(2)).
	SharesUserNS bool
	// NewKeyring says that the container has a session keyring of its own.
	NewKeyring bool
	// Tight says that a limit of processes has room for one more and no second one.
	Tight bool
	// Taken says that its maker was in a unit of systemd on a host without cgroup v2,
	// and so, in all likelihood, is whoever starts a process in it.
	Taken bool
	// RdtGroups are the resctrl directories to join.
	RdtGroups []string
}

// ExecInput is everything that the plan of an exec depends on.
type ExecInput struct {
	ID string
	// Spec is the config that the container was created with. What Process leaves
	// out is taken from its process: see FillProcess.
	Spec    *specs.Spec
	Process *specs.Process
	Facts   *facts.Facts
	Target  Target

	PreserveFDs   int
	ConsoleSocket string // as in Input
	PidfdSocket   string
	Filter        []byte // as in Input
}

// FillProcess completes the process of an exec from that of the container. What
// an engine leaves out it means to be as in the container: capabilities, limits,
// LSM labels, scheduling. What has a zero value that means something, the user,
// noNewPrivileges and the environment, is taken as it is.
func FillProcess(container, exec *specs.Process) *specs.Process {
	p := *exec
	if container == nil {
		return &p
	}
	if p.Capabilities == nil {
		p.Capabilities = container.Capabilities
	}
	if len(p.Rlimits) == 0 {
		p.Rlimits = container.Rlimits
	}
	if p.ApparmorProfile == "" {
		p.ApparmorProfile = container.ApparmorProfile
	}
	if p.SelinuxLabel == "" {
		p.SelinuxLabel = container.SelinuxLabel
	}
	if p.OOMScoreAdj == nil {
		p.OOMScoreAdj = container.OOMScoreAdj
	}
	if p.Scheduler == nil {
		p.Scheduler = container.Scheduler
	}
	if p.IOPriority == nil {
		p.IOPriority = container.IOPriority
	}
	if p.ExecCPUAffinity == nil {
		p.ExecCPUAffinity = container.ExecCPUAffinity
	}
	return &p
}

// CompileExec turns a process into the plan by which it joins a container. The
// plan has the ops of a container's last phases; instead of those that make
// namespaces and mounts it has those that enter them.
func CompileExec(in ExecInput) (*Result, error) {
	spec := *in.Spec
	spec.Process = FillProcess(in.Spec.Process, in.Process)
	spec.Hooks = nil
	c := &compiler{Input: Input{ID: in.ID, Spec: &spec, Facts: in.Facts, PreserveFDs: in.PreserveFDs,
		ConsoleSocket: in.ConsoleSocket, PidfdSocket: in.PidfdSocket, NoNewKeyring: !in.Target.NewKeyring, Filter: in.Filter}}
	c.checkProcess()
	c.plan.Ops = make([]plan.Op, 0, 64)
	c.ns = c.readNamespaces()

	// prepare
	e := &execCompiler{compiler: c, target: &in.Target, fork: c.ns.own(plan.NewPID)}
	// Only the host's root can show a process of the container a directory without
	// showing what lies above it.
	e.late = e.fork && in.Target.Tight && c.privileged() && c.Facts.Kernel(5, 12)
	e.emitTarget()
	c.emitConsoleOpen()
	initial := e.readAffinity()

	// spawn: on v2 it is in its cgroup from the beginning, so that the CPUs that it
	// is to begin on are set before. Where there is no room for a process and its
	// sibling, only the latter is.
	if initial != nil {
		c.add(*initial)
	}
	c.cgroups, c.taken = in.Target.Cgroups, in.Target.Taken
	born := e.unified()
	if e.late {
		born = plan.NoSlot
	}
	c.add(plan.Spawn("linux.namespaces", 0, born))

	// enter: cgroups, with them the CPUs, and the OOM score as the host's root, then
	// the namespaces.
	c.add(plan.FdSeal(3 + c.PreserveFDs))
	if !e.fork {
		e.emitJoin()
	}
	c.emitOwnFiles(shape{})
	e.emitEnter()
	for _, g := range in.Target.RdtGroups {
		c.add(plan.RdtJoin("linux.intelRdt", g))
	}
	c.add(plan.Session())
	if !c.NoNewKeyring {
		c.add(plan.Keyring("_ses." + c.ID))
	}

	// switch, seal, lock: as for a container's own process.
	c.emitConsole(0)
	c.emitScheduler()
	c.emitIOPriority()
	c.emitPersonality()
	c.emitMemoryPolicy()
	c.emitStdioOwner()
	c.emitLock(false)
	c.emitPidfdSend("setns")
	if c.keepsLate() {
		c.add(plan.SyncArrive("in-container"))
		c.emitLateKeep()
	}
	if len(in.Target.RdtGroups) > 0 || in.PidfdSocket != "" || c.keepsLate() {
		c.add(plan.SyncAwait(SyncRecorded)) // for what the host does with the process
	}
	c.add(plan.Outlive())
	c.emitInherited()
	c.add(plan.Exec("process.args", c.Spec.Process.Args))

	if c.errs.Len() > 0 {
		return nil, c.errs.Err()
	}
	if err := c.plan.Validate(); err != nil {
		return nil, &field.Error{Why: err.Error(), Class: field.Bug}
	}
	res := &Result{Plan: &c.plan}
	for _, w := range c.warnings {
		res.Warnings = append(res.Warnings, w.Error())
	}
	return res, nil
}

// execCompiler is a compilation with a container to go to.
type execCompiler struct {
	*compiler
	target *Target
	pidfd  plan.Slot
	root   plan.Slot // of a container without a mount namespace
	cpus   *specs.CPUAffinity
	final  []byte
	fork   bool // a sibling goes on
	late   bool // only it is ever in the v2 cgroup
}

// emitTarget opens all that leads into the container.
func (e *execCompiler) emitTarget() {
	t := e.target
	e.pidfd = e.plan.NewSlot("container")
	e.add(plan.TargetOpen("linux.namespaces", t.Pid, t.Start, e.pidfd))
	if !e.ns.own(plan.NewNS) {
		e.root = e.plan.NewSlot("container-root")
		e.add(plan.RootOpen("root.path", t.Pid, e.root))
	}
	for i := range t.Cgroups {
		g := &t.Cgroups[i]
		label, open := strings.TrimPrefix(g.Hierarchy, "name="), "tasks"
		if g.V2 {
			label, open = "unified", ""
		}
		slot := e.plan.NewSlot("cgroup-" + label)
		e.cgroupSlots = append(e.cgroupSlots, slot)
		op := plan.CgroupOpen("linux.cgroupsPath", label, g.Mount+g.Path, open, slot)
		if g.V2 && e.late {
			// The sibling has it open for a moment, in the container's pid namespace: who
			// may trace it there must not find the way to the host (CVE-2024-21626).
			op.Flags |= plan.FlagDetached
		}
		e.add(op)
	}
}

// unified is the slot of the v2 cgroup.
func (e *execCompiler) unified() plan.Slot {
	for i := range e.cgroups {
		if e.cgroups[i].V2 {
			return e.cgroupSlots[i]
		}
	}
	return plan.NoSlot
}

// emitJoin joins the cgroups of v1; those of v2 the process is born into. The CPUs
// are set behind that, because joining gives it every CPU of the cgroup.
func (e *execCompiler) emitJoin() {
	e.emitCgroupJoin()
	e.emitAffinity()
}

// emitEnter joins every namespace that the config lists, whether the container
// made it or joined it, and takes its root. The pid namespace holds for children only,
// so that a sibling goes on; it alone joins the container's cgroups of v1, and where it
// matters those of v2, so that a limit of processes need not have room for two.
//
// Whoever may trace all processes of the container sees the sibling from its birth on,
// and through it whatever it sees (CVE-2016-9962). So it is born where the container's
// processes are, and what needs the host's files comes before: the labels, which a
// child inherits, are written by its parent.
func (e *execCompiler) emitEnter() {
	e.emitLabels()
	var types uint64
	for _, t := range nsTypes {
		if e.ns.own(t.flag) {
			types |= t.flag
		}
	}
	if e.target.SharesUserNS {
		types &^= plan.NewUser
	}
	first, last := types, uint64(0)
	if e.late {
		// Nobody gets into a v2 cgroup from behind the cgroup namespace, nor as a user
		// who does not own it.
		last = plan.NewCgroup
		if e.privileged() {
			last |= plan.NewUser
		}
		first, last = types&^last, types&last
	}
	e.enter(first, e.target.Pid, last == 0)
	e.add(plan.RootEnter("root.path", e.root))
	if e.fork {
		into := plan.NoSlot
		if e.late {
			into = e.unified()
		}
		e.add(plan.Fork("linux.namespaces", 0, into))
		e.emitJoin()
	}
	pid := e.target.Pid
	if first&plan.NewNS != 0 {
		pid = 0 // the /proc that is at hand by now is the container's
	}
	e.enter(last, pid, true)
}

// enter joins namespaces of the container, and takes id 0 of its user namespace.
// pid is for kernels that know no setns(2) by pidfd, unless it is 0.
func (e *execCompiler) enter(types uint64, pid int, all bool) {
	if types == 0 {
		return
	}
	var flags uint32
	if e.keepGroups() {
		flags = plan.FlagKeepGroups
	}
	enter := plan.NsEnter("linux.namespaces", types, e.pidfd, pid, flags)
	if all {
		enter.Flags |= plan.FlagClose
	}
	e.add(enter)
	if types&plan.NewUser != 0 {
		top := plan.BecomeRoot("linux.uidMappings")
		top.Flags |= flags
		e.add(top)
	}
}

// emitLabels has the program labelled, and the session keyring, which is joined later,
// with a handle of procfs that the last of its ops closes.
func (e *execCompiler) emitLabels() {
	e.lsmDone = true
	p := e.Spec.Process
	name := "process.apparmorProfile"
	switch {
	case p.ApparmorProfile == "" && p.SelinuxLabel == "":
		return
	case p.ApparmorProfile == "":
		name = "process.selinuxLabel"
	}
	e.add(plan.ProcOpen(name))
	if e.labelsKeys() && !e.NoNewKeyring {
		e.add(plan.LsmExec("process.selinuxLabel", "keycreate", p.SelinuxLabel))
	}
	e.emitLsm()
	if last := &e.plan.Ops[len(e.plan.Ops)-1]; last.Code == plan.OpLsmExec {
		last.Flags |= plan.FlagClose
	}
}

// readAffinity checks process.execCPUAffinity (config.md, Process) and returns
// the op for its initial part.
func (e *execCompiler) readAffinity() *plan.Op {
	e.cpus = e.Spec.Process.ExecCPUAffinity
	if e.cpus == nil {
		return nil
	}
	const f = "process.execCPUAffinity"
	initial, _ := e.bitList(f+".initial", e.cpus.Initial, maxCPU)
	e.final, _ = e.bitList(f+".final", e.cpus.Final, maxCPU)
	if initial == nil {
		return nil
	}
	op := plan.SpawnAffinity(f+".initial", e.cpus.Initial, initial)
	return &op
}

// emitAffinity sets the final part; without one the process gets every CPU of
// its cgroup, whatever the caller was pinned to.
func (e *execCompiler) emitAffinity() {
	if e.final != nil {
		e.add(plan.CPUEnter("process.execCPUAffinity.final", e.cpus.Final, e.final, 0))
		return
	}
	e.add(plan.CPUEnter("linux.resources.cpu.cpus", "all", everyCPU(), plan.FlagIgnore))
}
