// Package plan is the list of operations that turns a bundle into a container.
//
// A plan is written by specconv, which knows what a config means; it is run by
// two interpreters that do not: the host side (libcontainer, Go) and the init
// (init/, C), which runs inside the new namespaces. Both see the same list, in
// the same order, and meet at the sync ops. This package holds the one table of
// operations (ops.go), the constructors that specconv calls (build_*.go), the
// wire form (encode.go, decode.go), the checks (validate.go) and the text form
// (format.go). The C header is generated from the same table.
//
// The package is a leaf and makes no system calls.
package plan

// Slot is a late value: a file descriptor that one op fills and later ops use.
// Slots number the init's descriptor table; those filled by host ops before the
// spawn are inherited by the init, and those filled after it are passed.
type Slot uint32

// The slots every plan has. Dynamic ones follow from FirstDynamic.
const (
	NoSlot       Slot = 0
	SlotRoot     Slot = 1 // the container's root directory, O_PATH
	SlotProc     Slot = 2 // a private handle of procfs, its magic verified
	SlotNull     Slot = 3 // the host's /dev/null, proven to be char 1:3
	SlotMask     Slot = 4 // an empty read-only tmpfs that covers masked directories
	SlotGate     Slot = 5 // the start gate: a fifo, open for reading and writing
	SlotTime     Slot = 6 // the file of this process's clock offsets
	SlotState    Slot = 7 // the state for hooks that run under a limit on files
	FirstDynamic Slot = 8
)

// MaxSlots bounds the init's descriptor table.
const MaxSlots = 4096

// MaxPassed is how many descriptors one message can pass (SCM_MAX_FD, unix(7)).
const MaxPassed = 253

// MaxOps bounds a plan; a config with more mounts than this is refused.
const MaxOps = 16384

var fixedSlots = [...]string{"none", "root", "proc", "null", "mask", "gate", "time", "state"}

// Op is one operation. It is made by the constructors, never by hand: they know
// which argument lies where.
type Op struct {
	Code  Code
	Flags uint32
	Num   [4]uint64
	Str   [3]string
	Blob  [2][]byte
	Field string // the config field that asked for this op; not sent to the init
	at    Phase  // set by Add
}

// Phase is where the op stands in its plan.
func (op *Op) Phase() Phase { return op.at }

// Plan is an ordered list of ops with the names of its dynamic slots.
type Plan struct {
	Ops   []Op
	Slots []string // names of the dynamic slots, FirstDynamic first
}

// NewSlot adds a dynamic slot. The name is shown by Format.
func (p *Plan) NewSlot(name string) Slot {
	p.Slots = append(p.Slots, name)
	return FirstDynamic + Slot(len(p.Slots)) - 1
}

// SlotName returns the name shown by Format.
func (p *Plan) SlotName(s Slot) string {
	if s < FirstDynamic {
		return fixedSlots[s]
	}
	if i := int(s - FirstDynamic); i < len(p.Slots) {
		return p.Slots[i]
	}
	return "unknown"
}

// SlotCount is the size of the descriptor table.
func (p *Plan) SlotCount() int { return int(FirstDynamic) + len(p.Slots) }

// AddBeside appends an op to the phase beside.
func (p *Plan) AddBeside(op Op) {
	op.at = PhaseBeside
	p.Ops = append(p.Ops, op)
}

// Passes says that the init is passed descriptors after its spawn, and works until
// then beside the host.
func (p *Plan) Passes() bool {
	for i := range p.Ops {
		switch p.Ops[i].at {
		case PhasePrepare, PhaseSpawn:
		case PhaseBeside:
			return true
		default:
			return false
		}
	}
	return false
}

// Add appends an op. One that may stand in several phases joins the phase of
// the op before it; Validate refuses what ends up in a wrong one.
func (p *Plan) Add(op Op) {
	if r, ok := row(op.Code); ok {
		op.at = r.phase
		if n := len(p.Ops); n > 0 {
			prev := p.Ops[n-1].at
			switch prev {
			case PhaseBeside: // which AddBeside is for
				prev = PhaseEnter
			case PhaseGate: // in which the gate stands alone
				prev = PhaseExec
			}
			if prev > op.at && prev <= r.lastPhase() {
				op.at = prev
			}
		}
	}
	p.Ops = append(p.Ops, op)
}
