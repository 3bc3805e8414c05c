package specconv

import (
	"path"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// checkProcess refuses what no later step could make sense of. The wordings
// of the first four are those that engines and their users know.
func (c *compiler) checkProcess() {
	p := c.Spec.Process
	if p == nil {
		c.errs.Add("process", "", "process property must not be empty")
		c.Spec = withProcess(c.Spec)
		return
	}
	if len(p.Args) == 0 {
		c.errs.Add("process.args", "", "args must not be empty")
	} else if p.Args[0] == "" {
		c.errs.Add("process.args[0]", "", "is the program and must not be empty")
	}
	for i, a := range p.Args {
		c.noNUL(field.Index("process.args", i), a)
	}
	switch {
	case p.Cwd == "":
		c.errs.Add("process.cwd", "", "Cwd property must not be empty")
	case !strings.HasPrefix(p.Cwd, "/"):
		c.errs.Add("process.cwd", p.Cwd, "Cwd must be an absolute path")
	default:
		c.noNUL("process.cwd", p.Cwd)
	}
	for i, e := range p.Env {
		f := field.Index("process.env", i)
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" {
			c.errs.Add(f, e, "is not of the form NAME=value")
		}
		c.noNUL(f, e)
	}
	c.checkConsole()
	if s := p.OOMScoreAdj; s != nil && (*s < -1000 || *s > 1000) {
		c.errs.Add("process.oomScoreAdj", strconv.Itoa(*s), "must be between -1000 and 1000")
	}
}

func withProcess(s *specs.Spec) *specs.Spec {
	cp := *s
	cp.Process = &specs.Process{Cwd: "/", Args: []string{"none"}}
	return &cp
}

func (c *compiler) emitOomScore() {
	if s := c.Spec.Process.OOMScoreAdj; s != nil {
		c.add(plan.OomScore("process.oomScoreAdj", strconv.Itoa(*s)))
	}
}

// emitLock gives privilege up. What needs it comes first; the program is looked
// up last, as the user who runs it. A container's own process finds its directory
// made; one that is started later in the container does not, as with other
// runtimes: a mistyped name must not make a directory of root's.
func (c *compiler) emitLock(makeCwd bool) {
	p := c.Spec.Process
	if !c.done.bounding {
		c.caps = c.readCaps()
	}
	caps := c.caps
	c.readSeccomp()
	if !c.lsmDone {
		c.emitLsm()
	}
	// Without no_new_privs only a privileged process may install a filter, and the
	// filter comes as late as it can, so that profiles break little of what tare
	// does. So CAP_SYS_ADMIN stays until then; nothing but the init runs with it.
	if c.filterNeedsPrivilege() {
		bit, _ := plan.CapBit("CAP_SYS_ADMIN")
		if !c.userns() && c.Facts.Caps>>bit&1 == 0 {
			c.errs.AddHost("linux.seccomp", "", "needs CAP_SYS_ADMIN, or process.noNewPrivileges (seccomp(2))")
		}
		caps.permitted |= 1 << bit
		caps.effective |= 1 << bit
	}
	if !c.done.bounding {
		c.add(plan.CapsBound("process.capabilities.bounding", caps.bounding))
	}
	env := lastValues(p.Env)
	if !hasHome(env) {
		c.add(plan.HomeFind("process.user.uid", p.User.UID))
	}
	cwd := path.Clean("/" + p.Cwd)
	if cwd != "/" {
		if makeCwd {
			c.add(plan.CwdMake("process.cwd", cwd))
		}
		// As root, for a directory that only root may search ...
		early := plan.Cwd("process.cwd", cwd)
		early.Flags |= plan.FlagIgnore
		c.add(early)
	}
	c.emitRlimits()
	c.emitIdentity()
	c.add(plan.CapsSet("process.capabilities", caps.permitted, caps.effective, caps.inheritable, caps.ambient))
	// ... and as the user, for one that root may not (NFS with root_squash).
	c.add(plan.Cwd("process.cwd", cwd))
	if p.NoNewPrivileges {
		c.add(plan.NoNewPrivs("process.noNewPrivileges"))
	}
	c.add(plan.Env("process.env", withoutEmptyHome(env)))
	if len(p.Args) > 0 {
		c.add(plan.ExecFind("process.args[0]", orNone(p.Args[0]), searchPath(p.Env)))
	}
}

// orNone keeps a plan of a config that is refused anyway well formed.
func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// SyncRecorded is the last sync of a create: the host answers it when the record
// is saved and the pid file written.
const SyncRecorded = "recorded"

// SyncCreated is where the init of a create says that it is ready.
const SyncCreated = "created"

// filterNeedsPrivilege says that the filter is installed with CAP_SYS_ADMIN and
// not with no_new_privs.
func (c *compiler) filterNeedsPrivilege() bool {
	return c.filter != nil && !c.Spec.Process.NoNewPrivileges
}

// emitInherited makes final what the program inherits: descriptors, signals, the
// filter, and the capabilities without the one that the filter needed.
func (c *compiler) emitInherited() {
	c.add(plan.FdClose(3 + c.PreserveFDs))
	switch f := c.filter; {
	case f == nil:
	case f.Listener:
		c.add(plan.SeccompNotify("linux.seccomp.listenerPath", f.ListenerPath, f.ListenerMetadata, f.Filter, uint64(f.Flags)))
		c.emitLateLimit()
		// Nothing that the filter may ask about happens before the agent can answer.
		c.add(plan.SyncAwait("agent"))
	default:
		c.add(plan.Seccomp("linux.seccomp", f.Filter, uint64(f.Flags)))
	}
	if c.filterNeedsPrivilege() {
		c.add(plan.CapsTrim("process.capabilities", c.caps.permitted, c.caps.effective, c.caps.inheritable))
	}
}

// emitStart is the gate and what happens after it.
func (c *compiler) emitStart() {
	c.emitPidfdSend("standard")
	listens := c.filter != nil && c.filter.Listener // which takes a second thread
	if !c.Gate {
		if late := c.lateLimit != nil && !listens; late || c.keepsLate() {
			c.add(plan.SyncArrive("alone"))
			c.emitLateKeep()
			if late {
				c.emitLateLimit()
			}
		}
		// The host says so as soon as it has recorded the process; nobody waits.
		c.add(plan.SyncAwait(SyncRecorded))
	}
	c.add(plan.Outlive())
	// The process may wait at the gate for days. Unfiltered and with CAP_SYS_ADMIN
	// it would be a prize for whoever may ptrace it: one with CAP_SYS_PTRACE over
	// it in a pid namespace that the container joins. So both end before it waits,
	// and what is left to do, the last sync, the gate and the hooks, is for the
	// filter to allow. With no_new_privs there is no privilege to guard, and the
	// filter need allow the execve alone. A listener is handed over by the creator,
	// which is gone behind the gate, so its filter is always early.
	early := c.filterNeedsPrivilege() || listens
	if early {
		c.emitInherited()
	}
	if c.Gate {
		c.add(plan.SyncArrive(SyncCreated))
		c.emitLateKeep()
		c.emitLateLimit()
		// The host answers when the state is saved and the pid file written; if it
		// dies before, so does the process.
		c.add(plan.SyncAwait(SyncRecorded))
		c.add(plan.Gate().WithOutput(c.gateLogs()))
	}
	c.emitStartHooks()
	if !early {
		c.emitInherited()
	}
	c.add(plan.Exec("process.args", c.Spec.Process.Args))
}

func hasHome(env []string) bool {
	for _, e := range env {
		if strings.HasPrefix(e, "HOME=") && len(e) > len("HOME=") {
			return true
		}
	}
	return false
}

// withoutEmptyHome leaves out an empty HOME, which the one of the passwd file
// replaces: of two, programs take the first.
func withoutEmptyHome(env []string) []string {
	for i, e := range env {
		if e == "HOME=" {
			return append(append([]string(nil), env[:i]...), withoutEmptyHome(env[i+1:])...)
		}
	}
	return env
}

// lastValues gives a variable that is set more than once its last value, at its
// first place, as other runtimes do: engines append to the environment of an
// image. Programs would take the first, and PATH would mean one thing to exec
// and another to the program.
func lastValues(env []string) []string {
	at := make(map[string]int, len(env))
	out := make([]string, 0, len(env))
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		if i, ok := at[name]; ok {
			out[i] = e
			continue
		}
		at[name] = len(out)
		out = append(out, e)
	}
	return out
}

// searchPath is PATH from the environment, the last one if it is set twice.
func searchPath(env []string) string {
	p := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			p = v
		}
	}
	return p
}
