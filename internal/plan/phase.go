package plan

// Phase orders a plan. An op belongs to one phase, and a list whose phases go
// backwards is refused by Validate and by the init's reader.
type Phase uint8

// The phases, in order.
const (
	PhasePrepare Phase = iota // host: everything made before the process exists
	PhaseSpawn                // host: the process is made
	PhaseBeside               // both at once: the init does what needs nothing of the host, which makes the rest
	PhaseEnter                // cgroups, namespaces, id maps, identity of the namespaces
	PhaseMounts               // the mount tree
	PhaseDevices              // device nodes and links
	PhaseHooks                // prestart, createRuntime, createContainer
	PhaseSwitch               // the root is changed
	PhaseSeal                 // read-only, masked, sysctl: nothing privileged is set up after
	PhaseLock                 // credentials are given up
	PhaseGate                 // wait for start
	PhaseExec                 // startContainer hooks and execve
	phaseCount
)

var phaseNames = [phaseCount]string{
	"prepare", "spawn", "beside", "enter", "mounts", "devices", "hooks", "switch", "seal", "lock", "gate", "exec",
}

// String returns the phase's name.
func (p Phase) String() string {
	if p < phaseCount {
		return phaseNames[p]
	}
	return "unknown"
}

// Side says who runs an op.
type Side uint8

// The sides. Sync ops are run by both.
const (
	Host Side = iota
	Init
	Both
)

// String returns "host", "init" or "both".
func (s Side) String() string {
	switch s {
	case Host:
		return "host"
	case Init:
		return "init"
	default:
		return "both"
	}
}
