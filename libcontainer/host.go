package libcontainer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/aside"
	"github.com/tare-oci/tare/internal/cgroup"
	"github.com/tare-oci/tare/internal/entry"
	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/netdev"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/internal/rdt"
	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
	"github.com/tare-oci/tare/specconv"
)

// host runs the host's side of a plan. Each op that changes the host declares
// its undo beside its do.
type host struct {
	plan  *plan.Plan
	rec   *state.Record
	opts  *CreateOptions
	slots []int // descriptors by slot, -1 when not open on this side
	order []int // those that the init inherits, in its numbering

	sync    int    // our end of the socket to the init
	console int    // our end of the socket that a terminal for this program comes by
	exec    bool   // the container is there already, and its record is left alone
	cpus    []byte // of this thread, while the init is given others
	// locked says that the goroutine is tied to its thread, because the init dies
	// with the thread that started it, until its outlive op.
	locked bool

	// pidFile says that the pid file has been written; made are the cgroups that
	// exist by now, with the directories that were made for each.
	pidFile bool
	told    bool // BeforeStart has been called
	made    []state.Cgroup

	// beside says that the init is at work already, and is to be passed what is opened;
	// born is the process then, and memory what it executes the init with.
	beside bool
	born   *aside.Child
	memory *aside.Memory

	stage int // the process that was spawned
	pid   int // the container's process: stage, or its sibling after a fork op
	// saved says that a record with the pid is on disk; hooked, that a hook was
	// started, so that the poststop hooks are due if the container fails.
	saved, hooked bool
	undo          []func() error
	netMade       bool          // by this side: its inode is known
	net           *network      // the network namespace that is being made
	systemd       Systemd       // nil without
	limits        cgroup.Writer // keeps a file open over the many lines of a device list
	devices       *netdev.Mover // open while devices may have to be given back
	idmaps        map[string]int
	rdtMade       []string // resctrl groups that were not there before
}

func newHost(p *plan.Plan, rec *state.Record, o *CreateOptions) *host {
	h := &host{plan: p, rec: rec, opts: o, slots: make([]int, p.SlotCount()), sync: -1, console: -1}
	for i := range h.slots {
		h.slots[i] = -1
	}
	return h
}

// run executes the list in its order: host ops are done, init ops are the
// init's, and at sync ops the two meet.
func (h *host) run() error {
	for i := range h.plan.Ops {
		op := &h.plan.Ops[i]
		if op.Code.Side() == plan.Init {
			continue
		}
		err := h.do(i, op)
		if err == nil || op.Has(plan.FlagIgnore) && op.Code.Side() == plan.Host {
			continue
		}
		return err
	}
	return nil
}

func (h *host) do(i int, op *plan.Op) error {
	switch op.Code {
	case plan.OpSyncArrive:
		return h.await(i)
	case plan.OpSyncAwait:
		if op.Value() == specconv.SyncRecorded && !h.exec {
			// The pid file is the last thing that create writes: an engine takes
			// its presence for success.
			if err := h.recorded(); err != nil {
				return err
			}
		}
		return h.release(i)
	case plan.OpFork:
		return h.awaitFork(i)
	case plan.OpFdPass:
		return h.pass(i)
	case plan.OpSeccompNotify:
		return h.listener(i, op)
	case plan.OpSpawn:
		if err := h.spawn(op); err != nil {
			return hostError(h.plan, i, err)
		}
		return nil
	}
	fd, err := h.prepare(op)
	if err != nil {
		var he *hooks.Error
		if errors.As(err, &he) {
			return err // names its field itself
		}
		return hostError(h.plan, i, err)
	}
	if outs := op.Outs(); len(outs) > 0 {
		h.slots[outs[0]] = fd
		h.order = append(h.order, fd)
	}
	return nil
}

// prepare does one host op and returns the descriptor it makes, if any.
func (h *host) prepare(op *plan.Op) (int, error) {
	switch op.Code {
	case plan.OpNetMake:
		if h.net == nil {
			h.net = startNetwork()
		}
		return pendingFD, nil
	case plan.OpNsOpen:
		path, nstype := op.NsOpenArgs()
		return openNamespace(path, nstype, op.Has(plan.FlagForeign))
	case plan.OpTreeOpen:
		return openTree(op.TreeOpenArgs(), op.Has(plan.FlagRecursive))
	case plan.OpTreeIdmap:
		return -1, h.idmapTree(op)
	case plan.OpDeviceNode:
		return deviceNode(op.DeviceNodeArgs())
	case plan.OpHookLog:
		return openHookLog(op.HookLogArgs())
	case plan.OpRdtGroup:
		return -1, h.rdtGroup(op)
	case plan.OpRdtSchema:
		return -1, h.rdtSchema(op)
	case plan.OpRdtJoin:
		return -1, rdt.Join(op.RdtJoinArgs(), h.pid)
	case plan.OpNetdevMove:
		return -1, h.moveDevice(op.NetdevMoveArgs())
	case plan.OpCgroupMake:
		return h.makeCgroup(op)
	case plan.OpCgroupWrite:
		return -1, h.limits.Write(op.CgroupWriteArgs())
	case plan.OpUnitStart:
		return -1, h.startUnit(op)
	case plan.OpCgroupKeep:
		return -1, h.keepCgroups(op)
	case plan.OpDeviceFilter:
		return -1, filterDevices(op.DeviceFilterArgs())
	case plan.OpCgroupOwner:
		return -1, cgroup.Delegate(op.CgroupOwnerArgs())
	case plan.OpGateOpen:
		return h.rec.MakeGate()
	case plan.OpIDMap:
		return -1, writeIDMaps(h.stage, op)
	case plan.OpStateSave:
		return -1, h.save()
	case plan.OpHook:
		return -1, h.hook(op)
	case plan.OpTargetOpen:
		return openTarget(op.TargetOpenArgs())
	case plan.OpCgroupOpen:
		dir, file := op.CgroupOpenArgs()
		return openCgroup(dir, file, op.Has(plan.FlagDetached))
	case plan.OpRootOpen:
		return openRoot(op.RootOpenArgs(), h.rec.PidStart)
	case plan.OpConsoleOpen:
		return h.openConsole(op.ConsoleOpenArgs())
	case plan.OpSpawnAffinity:
		return -1, h.spawnAffinity(op.SpawnAffinityArgs())
	case plan.OpPidfdSend:
		path, kind := op.PidfdSendArgs()
		return -1, sendPidfd(path, kind, h.pid)
	}
	return -1, fmt.Errorf("no host handler for %s", op.Code.Name())
}

func (h *host) makeCgroup(op *plan.Op) (int, error) {
	path, open := op.CgroupMakeArgs()
	c := h.cgroupAt(path)
	if c == nil {
		return -1, fmt.Errorf("cgroup %s is not in the record", path)
	}
	fd, created, err := cgroup.MakeJoin(c.Mount, c.Path, open, op.Has(plan.FlagReady))
	if err != nil {
		if errors.Is(err, fs.ErrPermission) && probe.Rootless() {
			err = fmt.Errorf("rootless needs no limits + no cgrouppath when no permission is granted for cgroups: %w", err)
		}
		return -1, err // whatever lies there is not ours
	}
	made := *c
	made.Created = created
	h.made = append(h.made, made)
	h.undo = append(h.undo, func() error { return removeCgroup(&made, time.Now().Add(removeWait)) })
	return fd, nil
}

// save records the process. From here on delete --force finds everything.
func (h *host) save() error {
	start, _, ok := state.StartTime(h.pid)
	if !ok {
		return nil // it is dead already, and says why at the next sync
	}
	h.rec.Pid, h.rec.PidStart = h.pid, start
	for i := range h.made { // with all that was made on the way
		for j := range h.rec.Cgroups {
			if c := &h.rec.Cgroups[j]; c.Mount == h.made[i].Mount {
				*c = h.made[i]
			}
		}
	}
	if !h.netMade { // the process may have changed it since the last record
		h.rec.NetNS = inode("/proc/" + strconv.Itoa(h.pid) + "/ns/net")
	}
	if err := h.rec.Save(); err != nil {
		return err
	}
	h.saved = true
	return nil
}

func (h *host) hook(op *plan.Op) error {
	kind, index, path, args, env, timeout := op.HookArgs()
	hook := specs.Hook{Path: path, Args: args, Env: env}
	if timeout > 0 {
		hook.Timeout = &timeout
	}
	h.beforeStart()
	h.hooked = true
	// "created", because the environment is there: the hooks are steps 3 to 5 of
	// the lifecycle, and creating it is step 2 (runtime.md).
	return hooks.Run(kind, index, &hook, hookSetting(h.rec, Created, h.pid))
}

// beforeStart tells the caller that foreign code is about to run.
func (h *host) beforeStart() {
	if !h.told && h.opts.BeforeStart != nil {
		h.opts.BeforeStart()
	}
	h.told = true
}

// await waits until the init has come to op i.
func (h *host) await(i int) error {
	if h.plan.Ops[i].Value() == specconv.SyncCreated && !h.exec {
		entry.Drop(true)
	}
	r, err := h.receive()
	if err == errGone {
		return h.died()
	}
	if err != nil {
		return err
	}
	if r.Kind != initproto.Sync || int(r.Op) != i {
		return fmt.Errorf("init reported kind %d at op %d, expected op %d", r.Kind, r.Op, i)
	}
	return nil
}

func (h *host) awaitFork(i int) error {
	r, err := h.receive()
	if err == errGone {
		return h.died()
	}
	if err != nil {
		return h.forkError(i, err)
	}
	if r.Kind != initproto.Forked || int(r.Op) != i {
		return fmt.Errorf("init reported kind %d at op %d, expected the fork at op %d", r.Kind, r.Op, i)
	}
	h.pid = int(r.Value)
	reap(h.stage) // it ends once it has reported
	h.stage = h.pid
	return nil
}

func (h *host) release(i int) error {
	return h.send(i, nil)
}

// pass releases the init with the descriptors that have been opened since the spawn.
func (h *host) pass(i int) error {
	// The cgroups are there by now, and what will be in them is the container's.
	if err := h.ownCgroups(); err != nil {
		return hostError(h.plan, i, err)
	}
	if err := h.collectNetwork(); err != nil {
		made := slices.IndexFunc(h.plan.Ops, func(op plan.Op) bool { return op.Code == plan.OpNetMake })
		return hostError(h.plan, max(made, 0), err)
	}
	err := h.send(i, unix.UnixRights(h.order...))
	h.closeSlots()
	h.beside = false
	return err
}

// send tells the init that the host has come to op i; rights are a control message, or nil.
func (h *host) send(i int, rights []byte) error {
	b := [4]byte{byte(i), byte(i >> 8), byte(i >> 16), byte(i >> 24)}
	for {
		switch err := unix.Sendmsg(h.sync, b[:], rights, nil, unix.MSG_NOSIGNAL); err {
		case nil:
			return nil
		case unix.EINTR:
		case unix.EPIPE, unix.ECONNRESET, unix.ENOTCONN:
			// It is gone; what it had to say is still there to be read.
			if _, err := h.receive(); err != nil && err != errGone {
				return err
			}
			return h.died()
		default: // it waits for what cannot be sent
			return hostError(h.plan, i, os.NewSyscallError("sendmsg", err))
		}
	}
}

// finish waits until the init has become the container's program: the execve
// closes the socket. A program that has ended by now has run all the same.
func (h *host) finish() error {
	entry.Drop(false) // perhaps until the container's program has ended
	r, err := h.receive()
	if err == errGone {
		return h.diedInInit()
	}
	if err != nil {
		return err
	}
	return fmt.Errorf("init reported kind %d at op %d, expected none", r.Kind, r.Op)
}

// patience is how long a wait for the kernel or for the init blocks without a
// word to the Go scheduler: several times what either usually takes, and no more
// than another goroutine of the program may have to wait for its turn.
const patience = 20 * time.Millisecond

// errGone says that the init's end of the socket is closed: it has become the
// container's program, or has died.
var errGone = errors.New("init closed its socket")

// receive reads one report. A failure that the init reports comes back as the
// error of its op.
func (h *host) receive() (*initproto.Report, error) {
	var buf [initproto.Size + 1]byte
	reset := false
	sys.Ready(h.sync, patience)
	for {
		n, _, err := syscall.Recvfrom(h.sync, buf[:], 0)
		if err == syscall.EINTR {
			continue
		}
		if err == syscall.ECONNRESET && !reset {
			// It ended before it read our word; its own last word comes next.
			reset = true
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("receive from init: %w", err)
		}
		if n == 0 {
			return nil, errGone
		}
		return h.parse(buf[:n])
	}
}

// parse reads a report. A failure comes back as the error of its op.
func (h *host) parse(b []byte) (*initproto.Report, error) {
	r, err := initproto.Parse(b)
	if err != nil {
		return nil, err
	}
	if r.Kind == initproto.Failed {
		h.hooked = h.hooked || hookStarted(h.plan, int(r.Op))
		return nil, reportError(h.plan, &r)
	}
	return &r, nil
}

// hookStarted says that the init, which has come to op i, has started a hook.
func hookStarted(p *plan.Plan, i int) bool {
	for j := 0; j <= i && j < len(p.Ops); j++ {
		if p.Ops[j].Code == plan.OpHookRun {
			return true
		}
	}
	return false
}
