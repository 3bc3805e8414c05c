package seccomp

// Rules of one system call that look at arguments are kept as libseccomp keeps
// them, because where two rules of different actions match the same call, the
// shape of its structure decides: siblings are tried in a fixed order, not in
// the order of the config, and rules with a common beginning share nodes.
//
// A level is a list of alternative nodes. A node compares one 32-bit word of an
// argument; each outcome has an action, or leads to a level below, or to the
// next sibling. When a level below runs out, the next sibling of the node above
// is tried; when the top level runs out, the default action applies.

// level is an ordered list of alternatives.
type level struct {
	nodes []*node
}

// node is one comparison of a 32-bit word: (word & mask) op datum.
type node struct {
	arg         uint8
	high        bool     // the upper word of the argument
	op          operator // EQ, GT, GE or MASKED_EQ
	mask, datum uint32
	asked       operator // the operator of the rule
	full        uint64   // the 64-bit datum of the rule
	yes, no     branch
}

// branch is what follows an outcome; the zero value is "the next sibling".
type branch struct {
	below  *level
	action action
	final  bool // action is set
}

// newChain builds the level of one conjunction. It returns nil if every
// comparison is always true. A comparison that holds on several branches is
// followed by a level of its own on each: rules that are merged in later may
// reach only one of them.
func newChain(when conjunction, wide bool, act action) *level {
	for i := range when {
		l, open := when[i].nodes(wide)
		if l == nil {
			continue
		}
		for _, b := range open {
			if b.below = newChain(when[i+1:], wide, act); b.below == nil {
				b.action, b.final = act, true
			}
		}
		return l
	}
	return nil
}

// nodes makes the level of one comparison and lists the branches on which it
// holds. The level is nil if it always holds.
func (c *comparison) nodes(wide bool) (*level, []*branch) {
	low := c.word(false)
	if !wide {
		if c.op == cmpMaskedEQ && low.mask == 0 {
			return nil, nil
		}
		l := &level{[]*node{low}}
		switch c.op {
		case cmpNE:
			low.op = cmpEQ
			return l, []*branch{&low.no}
		case cmpLT:
			low.op = cmpGE
			return l, []*branch{&low.no}
		case cmpLE:
			low.op = cmpGT
			return l, []*branch{&low.no}
		default:
			return l, []*branch{&low.yes}
		}
	}
	if c.op == cmpMaskedEQ && c.mask == 0 {
		return nil, nil
	}
	high := c.word(true)
	l := &level{[]*node{high}}
	switch c.op {
	case cmpEQ, cmpMaskedEQ:
		high.yes.below = &level{[]*node{low}}
		return l, []*branch{&low.yes}
	case cmpNE:
		high.op, low.op = cmpEQ, cmpEQ
		high.yes.below = &level{[]*node{low}}
		return l, []*branch{&high.no, &low.no}
	}
	// An order: first the high words, and the low ones if those are equal.
	equal := c.word(true)
	high.op, equal.op = cmpGT, cmpEQ
	high.no.below = &level{[]*node{equal}}
	equal.yes.below = &level{[]*node{low}}
	switch c.op {
	case cmpGT:
		low.op = cmpGT
		return l, []*branch{&high.yes, &low.yes}
	case cmpGE:
		low.op = cmpGE
		return l, []*branch{&high.yes, &low.yes}
	case cmpLT:
		low.op = cmpGE
	default:
		low.op = cmpGT
	}
	return l, []*branch{&equal.no, &low.no}
}

// word makes the node of one half of the comparison.
func (c *comparison) word(high bool) *node {
	n := &node{arg: c.arg, high: high, op: c.op, asked: c.op, full: c.datum,
		mask: uint32(c.mask), datum: uint32(c.datum)}
	if high {
		n.mask, n.datum = uint32(c.mask>>32), uint32(c.datum>>32)
	}
	n.datum &= n.mask
	return n
}

// add merges more, the part of a new rule from here on, into l, which takes over
// its nodes. It returns false if the new rule decides otherwise than an older one
// where both say exactly the same.
func (l *level) add(more *level) bool {
	n := more.nodes[0]
	for i, x := range l.nodes {
		switch {
		case x.same(n):
			return x.join(n)
		case x.after(n):
			l.nodes = append(l.nodes, nil)
			copy(l.nodes[i+1:], l.nodes[i:])
			l.nodes[i] = n
			return true
		}
	}
	l.nodes = append(l.nodes, n)
	return true
}

// same reports whether two nodes make the same comparison.
func (x *node) same(n *node) bool {
	return x.arg == n.arg && x.high == n.high && x.op == n.op && x.datum == n.datum && x.mask == n.mask
}

// after reports whether x is tried after n: higher arguments first, then upper
// words, then equalities before upper bounds before lower bounds, and of those
// the narrower.
func (x *node) after(n *node) bool {
	switch {
	case x.arg != n.arg:
		return x.arg < n.arg
	case x.high != n.high:
		return n.high
	case x.asked.rank() != n.asked.rank():
		return x.asked.rank() < n.asked.rank()
	case x.asked == cmpLE || x.asked == cmpLT:
		return x.datum > n.datum
	default:
		return x.datum < n.datum
	}
}

func (op operator) rank() int {
	switch op {
	case cmpEQ, cmpNE, cmpMaskedEQ:
		return 3
	case cmpLE, cmpLT:
		return 2
	default:
		return 1
	}
}

// join merges n, which makes the same comparison, into x.
func (x *node) join(n *node) bool {
	if n.yes.final && x.yes.final && x.yes.action != n.yes.action && n.high && n.full > x.full {
		// Of two lower bounds in one upper word, the greater decides for all
		// greater words, as it does within the word.
		x.yes.action = n.yes.action
	} else if !x.settle(&x.yes, &n.yes, n) {
		return false
	}
	if !x.settle(&x.no, &n.no, n) {
		return false
	}
	return x.yes.descend(n.yes.below) && x.no.descend(n.no.below)
}

// settle merges the final action of a branch.
func (x *node) settle(to, from *branch, n *node) bool {
	switch {
	case !from.final:
		return true
	case !to.final:
		if !to.below.only(from.action) {
			return false
		}
		*to = *from
		return true
	default:
		return to.action == from.action || !x.leaf() && !n.leaf()
	}
}

// descend merges what a newer rule asks further, if it does. A branch that is
// final belongs to an older rule that asks for less.
func (b *branch) descend(more *level) bool {
	switch {
	case more == nil || b.final:
		return true
	case b.below == nil:
		b.below = more
		return true
	default:
		return b.below.add(more)
	}
}

func (x *node) leaf() bool { return x.yes.below == nil && x.no.below == nil }

// only reports whether every action of a level is act.
func (l *level) only(act action) bool {
	if l == nil {
		return true
	}
	for _, x := range l.nodes {
		for _, b := range [...]*branch{&x.yes, &x.no} {
			if b.final && b.action != act || !b.below.only(act) {
				return false
			}
		}
	}
	return true
}
