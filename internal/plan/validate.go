package plan

import "fmt"

// Validate proves what holds for every plan, whatever the config: phases only
// go forward, every slot is filled once and before it is used, the mandatory
// ops are there exactly once, nothing but the listed kinds follows the lock, the
// process is dumpable in no namespace of others, and is forked into those of a container
// that runs only where that one's root is its own.
// An error here is a bug of specconv, never the user's fault.
func (p *Plan) Validate() error {
	if len(p.Ops) > MaxOps {
		return fmt.Errorf("plan: %d ops, at most %d", len(p.Ops), MaxOps)
	}
	if p.SlotCount() > MaxSlots {
		return fmt.Errorf("plan: %d descriptors, at most %d", p.SlotCount(), MaxSlots)
	}
	filled := make([]bool, p.SlotCount())
	var count [opCount]int
	var last Phase
	spawned := false
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
		if op.at < r.phase || op.at > r.lastPhase() {
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
		}
		if op.Flags&^r.flagMask() != 0 {
			return fail("flags %#x", op.Flags)
		}
		if why := r.checkArgs(op, p.SlotCount()); why != "" {
			return fail("%s", why)
		}
		for _, s := range r.uses {
			if !filled[s] {
				return fail("slot %s is used before it is filled", p.SlotName(s))
			}
		}
		for j := range r.args {
			a := &r.args[j]
			s := Slot(op.Num[a.at])
			switch a.kind {
			case argSlotIn, argSlotOpt:
				if s != NoSlot && !filled[s] {
					return fail("slot %s is used before it is filled", p.SlotName(s))
				}
			case argSlotOut:
				if filled[s] {
					return fail("slot %s is filled twice", p.SlotName(s))
				}
				if spawned && r.side == Host {
					return fail("a host descriptor made after the spawn cannot be inherited")
				}
				filled[s] = true
			}
		}
		for _, s := range r.fills {
			if filled[s] {
				return fail("slot %s is filled twice", p.SlotName(s))
			}
			filled[s] = true
		}
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
