package plan

func (r *opRow) lastPhase() Phase {
	if r.last > r.phase {
		return r.last
	}
	return r.phase
}

// stands says that the op may stand in a phase.
func (r *opRow) stands(p Phase) bool {
	return p >= r.phase && p <= r.lastPhase() || r.early && p == PhaseBeside
}

func (r *opRow) flagMask() uint32 {
	var m uint32
	for _, f := range r.flags {
		m |= uint32(f.bit)
	}
	return m
}

// checkArgs verifies what an op carries against its row: nothing in arguments
// that the row does not have, slots in range, lists closed by a NUL. The init's
// reader makes the same checks from the generated table.
func (r *opRow) checkArgs(op *Op, slots int) string {
	var nums, strs, blobs [4]bool
	for i := range r.args {
		a := &r.args[i]
		switch a.kind {
		case argStr:
			strs[a.at] = true
			if op.Str[a.at] == "" {
				return a.name + " is empty"
			}
		case argStrOpt:
			strs[a.at] = true
		case argList:
			blobs[a.at] = true
			if b := op.Blob[a.at]; len(b) > 0 && b[len(b)-1] != 0 {
				return a.name + " is not closed"
			}
		case argBytes:
			blobs[a.at] = true
		case argSlotIn, argSlotOut:
			nums[a.at] = true
			if op.Num[a.at] == 0 || op.Num[a.at] >= uint64(slots) {
				return a.name + " is no slot"
			}
		case argSlotOpt:
			nums[a.at] = true
			if op.Num[a.at] >= uint64(slots) {
				return a.name + " is no slot"
			}
		default:
			nums[a.at] = true
		}
	}
	for i, n := range op.Num {
		if n != 0 && !nums[i] {
			return "unused number"
		}
	}
	for i, s := range op.Str {
		if s != "" && !strs[i] {
			return "unused string"
		}
	}
	for i, b := range op.Blob {
		if len(b) != 0 && !blobs[i] {
			return "unused blob"
		}
	}
	return ""
}
