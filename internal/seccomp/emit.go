package seccomp

// codeKey identifies the code of one comparison: what is compared, where each
// outcome goes, and whether the word is in the accumulator already. Levels that
// came to say the same, on different branches, share their code by it.
type codeKey struct {
	arg         uint8
	high        bool
	loaded      bool
	code        uint16
	mask, datum uint32
	yes, no     label
}

// emit writes the program: the audit architecture chooses a tree over numbers.
// A target without spans was not listed.
func (c *compiler) emit(targets []target, spans []spanList) {
	c.asm.code = make([]instruction, 0, 512)
	other := returns(badABI)
	for i := len(targets) - 1; i >= 0; i-- {
		if spans[i] == nil {
			continue
		}
		tree := c.tree(spans[i])
		if !tree.ret {
			tree = c.asm.put(instruction{code: codeLoad, k: offsetNr})
		}
		other = c.asm.branch(codeJEQ, targets[i].audit, tree, other)
	}
	c.asm.put(instruction{code: codeLoad, k: offsetArch})
}

// tree writes a binary search over spans. The number is in the accumulator.
func (c *compiler) tree(s spanList) label {
	switch {
	case len(s) == 1:
		return c.leaf(s[0].decision)
	case len(s) == 3 && s[0].decision == s[2].decision && s[1].start+1 == s[2].start:
		one, rest := c.leaf(s[1].decision), c.leaf(s[0].decision)
		return c.asm.branch(codeJEQ, s[1].start, one, rest)
	}
	mid := len(s) / 2
	high := c.tree(s[mid:])
	low := c.tree(s[:mid])
	return c.asm.branch(codeJGE, s[mid].start, high, low)
}

func (c *compiler) leaf(i int32) label {
	d := &c.decisions[i]
	other := returns(d.action)
	if d.chain == nil {
		return other
	}
	return c.level(d.chain, other)
}

// level writes the alternatives of a chain, the last one first.
func (c *compiler) level(l *level, other label) label {
	next := other
	for i := len(l.nodes) - 1; i >= 0 && !c.asm.full(); i-- {
		n := l.nodes[i]
		yes, no := c.follow(&n.yes, next), c.follow(&n.no, next)
		if n.mask == 0 {
			next = yes // nothing is compared
			continue
		}
		loaded := i > 0 && l.nodes[i-1].leavesWord(n)
		next = c.compare(codeKey{n.arg, n.high, loaded, n.op.code(), n.mask, n.datum, yes, no})
	}
	return next
}

// compare writes one comparison, unless it stands already.
func (c *compiler) compare(key codeKey) label {
	at, ok := c.written[key]
	if ok {
		return at
	}
	at = c.asm.branch(key.code, key.datum, key.yes, key.no)
	if !key.loaded {
		if key.mask != ^uint32(0) {
			c.asm.put(instruction{code: codeAnd, k: key.mask})
		}
		at = c.asm.put(instruction{code: codeLoad, k: key.offset()})
	}
	if c.written == nil {
		c.written = make(map[codeKey]label)
	}
	c.written[key] = at
	return at
}

// follow returns where a branch goes, next being the next alternative.
func (c *compiler) follow(b *branch, next label) label {
	switch {
	case b.below != nil:
		return c.level(b.below, next)
	case b.final:
		return returns(b.action)
	default:
		return next
	}
}

// leavesWord reports whether n, the next sibling of x, finds its masked word in
// the accumulator: x loaded it and nothing ran in between.
func (x *node) leavesWord(n *node) bool {
	return x.leaf() && x.arg == n.arg && x.high == n.high && x.mask == n.mask
}

// offset is where the word of the argument is in struct seccomp_data.
func (key *codeKey) offset() uint32 {
	at := offsetArgs + 8*uint32(key.arg)
	if key.high {
		at += 4
	}
	return at
}

// code is the jump of an operator that a node can have.
func (op operator) code() uint16 {
	switch op {
	case cmpGT:
		return codeJGT
	case cmpGE:
		return codeJGE
	default:
		return codeJEQ
	}
}
