package plan

import "fmt"

// holder says which sides have a descriptor.
type holder uint8

const (
	byNone holder = iota
	byHost
	byBoth
)

// Validate proves what holds for every plan, whatever the config: phases only
// go forward, every slot is filled once and before it is used, what the host opens
// after the spawn is passed before the init uses it, the mandatory
// ops are there exactly once, the process is dumpable in no namespace of others, and it is
// forked into those of a container that runs only where that one's root is its own.
// An error here is a bug of specconv, never the user's fault.
func (p *Plan) Validate() error {
	if len(p.Ops) > MaxOps {
		return fmt.Errorf("plan: %d ops, at most %d", len(p.Ops), MaxOps)
	}
	if p.SlotCount() > MaxSlots {
		return fmt.Errorf("plan: %d descriptors, at most %d", p.SlotCount(), MaxSlots)
	}
	filled := make([]holder, p.SlotCount())
	var count [opCount]int
	var last Phase
	spawned, passed, passes := false, false, 0
	for i := range p.Ops {
		op := &p.Ops[i]
		r, ok := row(op.Code)
		fail := func(format string, a ...any) error {
			return fmt.Errorf("plan: op %d %s: %s", i, op.Code.Name(), fmt.Sprintf(format, a...))
		}
		if !ok {
			return fail("unknown code %d", op.Code)
		}
		count[op.Code]++
		if !r.stands(op.at) {
			return fail("stands in phase %s", op.at)
		}
		if op.at < last {
			return fail("phase %s after %s", op.at, last)
		}
		last = op.at
		switch {
		case op.Code == OpSpawn:
			spawned = true
		case op.Code == OpExpose && count[OpNsJoin]+count[OpNsEnter]+count[OpBecomeRoot]+count[OpSession] > 0:
			return fail("in a namespace where others could trace the process")
		case op.Code == OpFork && count[OpNsEnter] > 0 && count[OpRootEnter] == 0:
			return fail("before the container's root is entered: who traces the sibling there would see the host's")
		case op.Code == OpNsEnter && count[OpRootEnter] > 0 && op.Num[0]&NewNS != 0:
			return fail("a mount namespace is joined after its root has been entered")
		case r.side != Host && !spawned:
			return fail("before the spawn")
		case op.Code == OpFdPass:
			passed = true
			for s, h := range filled {
				if h == byHost {
					filled[s] = byBoth
				}
			}
		}
		// fill and use return why not, or "".
		fill := func(s Slot) string {
			switch {
			case filled[s] != byNone:
				return "slot " + p.SlotName(s) + " is filled twice"
			case r.side != Host || !spawned:
				filled[s] = byBoth
			case passed:
				return "a host descriptor made when none are passed any more"
			default:
				filled[s] = byHost
				passes++
			}
			return ""
		}
		use := func(s Slot) string {
			switch {
			case filled[s] == byNone:
				return "slot " + p.SlotName(s) + " is used before it is filled"
			case filled[s] == byHost && r.side != Host:
				return "slot " + p.SlotName(s) + " is used before it is passed"
			}
			return ""
		}
		if op.Flags&^r.flagMask() != 0 {
			return fail("flags %#x", op.Flags)
		}
		if why := r.checkArgs(op, p.SlotCount()); why != "" {
			return fail("%s", why)
		}
		for _, s := range r.uses {
			if why := use(s); why != "" {
				return fail("%s", why)
			}
		}
		for j := range r.args {
			a := &r.args[j]
			s := Slot(op.Num[a.at])
			switch a.kind {
			case argSlotIn, argSlotOpt:
				if s == NoSlot {
					continue
				}
				if why := use(s); why != "" {
					return fail("%s", why)
				}
			case argSlotOut:
				if why := fill(s); why != "" {
					return fail("%s", why)
				}
			}
		}
		for _, s := range r.fills {
			if why := fill(s); why != "" {
				return fail("%s", why)
			}
		}
	}
	if passes > 0 && (!passed || count[OpFdPass] > 1) || passes > MaxPassed {
		return fmt.Errorf("plan: %d descriptors to be passed by %d ops fd-pass, need at most %d by exactly 1", passes, count[OpFdPass], MaxPassed)
	}
	for _, c := range mandatory {
		if count[c] != 1 {
			return fmt.Errorf("plan: %d ops %s, need exactly 1", count[c], c.Name())
		}
	}
	if n := len(p.Ops); p.Ops[n-1].Code != OpExec {
		return fmt.Errorf("plan: last op is %s, need exec", p.Ops[n-1].Code.Name())
	}
	return nil
}
