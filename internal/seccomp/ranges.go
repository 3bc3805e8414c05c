package seccomp

import (
	"slices"

	"github.com/tare-oci/tare/internal/field"
)

// decision is what happens to a system call. Those without a chain are told
// apart by the action alone.
type decision struct {
	chain  *level // tried first; nil if the arguments do not matter
	action action
	rules  []ruleRef // what the chain was made of
	wide   bool      // what it was made for
}

// ruleRef names one conjunction of the profile, for one call.
type ruleRef struct {
	block, when int32
	name        int32  // the index in names; no part of the meaning
	operation   uint8  // of i386's multiplexers, the value of argument 0; else 0
	nr          uint32 // no part of the meaning
}

// span is a range of numbers, up to the start of the next one.
type span struct {
	start    uint32
	decision int32 // an index in compiler.decisions
}

// spanList is ordered by start.
type spanList []span

// compiler builds the program of one profile.
type compiler struct {
	p         *profile
	errs      *field.List
	decisions []decision
	asm       assembler
	written   map[codeKey]label
}

// badABI is what libseccomp does to calls from an ABI that was not added.
const badABI = retKillThread

// compile makes the program. It records contradicting rules, and a program that
// the kernel would refuse for its length.
func (p *profile) compile(targets []target, errs *field.List) []byte {
	c := &compiler{p: p, errs: errs}
	before := errs.Len()
	spans := make([]spanList, len(targets))
	for i, t := range targets {
		if i == 0 || p.listed[t.main] {
			spans[i] = c.spans(t)
		}
	}
	if errs.Len() > before {
		return nil
	}
	c.emit(targets, spans)
	if c.asm.full() {
		errs.Add(path, "", "makes a program of more than 4096 instructions, the most that the kernel takes")
		return nil
	}
	return c.asm.bytes()
}

// spans covers all 32-bit numbers of one audit architecture, in order.
func (c *compiler) spans(t target) spanList {
	s := make(spanList, 0, 256)
	absent := c.plain(retErrno | enosys)
	newest := c.p.newest(t.main)
	s = c.calls(s, t.main, 0)
	if newest >= 0 {
		s = s.from(uint32(newest)+1, absent)
	}
	if !t.x32 {
		return s.compact()
	}
	// x32 shares the audit architecture and has bit 30 set. Where it is not
	// listed, all of it is refused but -1, which a tracer writes to skip a call.
	// The numbers with bit 31 are no calls, and ENOSYS looks at bit 30 only.
	other := c.plain(badABI)
	skipped := c.plain(c.p.defaultAction)
	upper := other
	if c.p.listed[abiX32] {
		other, upper = skipped, skipped
		s = c.calls(s, abiX32, x32Bit)
		if n := c.p.newest(abiX32); n >= 0 {
			upper, skipped = absent, absent
			s = s.from(uint32(n)+1, absent)
		}
	} else {
		s = s.from(x32Bit, other)
	}
	if newest >= 0 {
		other = absent
	}
	return s.from(2*x32Bit, other).from(3*x32Bit, upper).from(^uint32(0), skipped).compact()
}

// from decides all numbers from start on.
func (s spanList) from(start uint32, decision int32) spanList {
	for len(s) > 0 && s[len(s)-1].start >= start {
		s = s[:len(s)-1]
	}
	return append(s, span{start, decision})
}

// compact joins neighbours that are decided alike.
func (s spanList) compact() spanList {
	return slices.CompactFunc(s, func(a, b span) bool { return a.decision == b.decision })
}

// calls appends the spans of one ABI, whose numbers begin with first, with the
// default action around its calls.
func (c *compiler) calls(s spanList, a abi, first uint32) spanList {
	deny := c.plain(c.p.defaultAction)
	s = s.from(first, deny)
	for rules := c.p.rules(a); len(rules) > 0; {
		nr, n := rules[0].nr, 1
		for n < len(rules) && rules[n].nr == nr {
			n++
		}
		s = s.from(nr, c.decide(rules[:n], a)).from(nr+1, deny)
		rules = rules[n:]
	}
	return s
}

// rules lists what the profile says about each number of an ABI: ordered by
// number, and the rules of one number in the order of the config.
func (p *profile) rules(a abi) []ruleRef {
	out := make([]ruleRef, 0, 512)
	for i := range p.blocks {
		b := &p.blocks[i]
		if b.action == p.defaultAction {
			continue
		}
		for j, call := range b.calls {
			if call == nil {
				continue
			}
			for k := range b.when {
				r := ruleRef{block: int32(i), when: int32(k), name: int32(j)}
				if a == abiI386 && call.socketcall != 0 {
					r.nr, r.operation = nrSocketcall, call.socketcall
					out = append(out, r)
				}
				if a == abiI386 && call.ipc != 0 {
					r.nr, r.operation = nrIPC, call.ipc
					out = append(out, r)
				}
				if call.nr[a] >= 0 {
					r.nr, r.operation = uint32(call.nr[a]), 0
					out = append(out, r)
				}
			}
		}
	}
	return byNumber(out)
}

// byNumber sorts rules by number and keeps the order of the rules of a number.
// It sorts integers, which takes a fifth of the time of a stable sort.
func byNumber(rules []ruleRef) []ruleRef {
	keys := make([]uint64, len(rules))
	for i := range rules {
		keys[i] = uint64(rules[i].nr)<<32 | uint64(i)
	}
	slices.Sort(keys)
	out := make([]ruleRef, len(rules))
	for i, key := range keys {
		out[i] = rules[uint32(key)]
	}
	return out
}

// plain returns the decision of an action without conditions.
func (c *compiler) plain(act action) int32 {
	for i := range c.decisions {
		if c.decisions[i].chain == nil && c.decisions[i].action == act {
			return int32(i)
		}
	}
	c.decisions = append(c.decisions, decision{action: act})
	return int32(len(c.decisions) - 1)
}

// decide joins the rules of one number. The first rule that does not look at
// arguments wins over all others; those before it must still not contradict.
func (c *compiler) decide(rules []ruleRef, a abi) int32 {
	first := slices.IndexFunc(rules, func(r ruleRef) bool { return c.always(r, a) })
	switch {
	case first == 0:
		return c.plain(c.p.blocks[rules[0].block].action)
	case first > 0:
		c.join(rules[:first], a)
		return c.plain(c.p.blocks[rules[first].block].action)
	}
	for i := range c.decisions {
		if d := &c.decisions[i]; d.chain != nil && d.wide == a.wide() && slices.EqualFunc(d.rules, rules, ruleRef.same) {
			return int32(i)
		}
	}
	c.decisions = append(c.decisions, decision{chain: c.join(rules, a), action: c.p.defaultAction, rules: rules, wide: a.wide()})
	return int32(len(c.decisions) - 1)
}

// join makes one chain of rules that all look at arguments.
func (c *compiler) join(rules []ruleRef, a abi) *level {
	var chain *level
	for _, r := range rules {
		l := newChain(c.conjunction(r), a.wide(), c.p.blocks[r.block].action)
		if chain == nil {
			chain = l
		} else if !chain.add(l) {
			c.contradiction(r)
		}
	}
	return chain
}

func (r ruleRef) same(o ruleRef) bool {
	return r.block == o.block && r.when == o.when && r.operation == o.operation
}

// always reports whether a rule does not look at arguments.
func (c *compiler) always(r ruleRef, a abi) bool {
	if r.operation != 0 {
		return false
	}
	for _, cmp := range c.p.blocks[r.block].when[r.when] {
		mask := cmp.mask
		if !a.wide() {
			mask &= 0xffffffff
		}
		if cmp.op != cmpMaskedEQ || mask != 0 {
			return false
		}
	}
	return true
}

// conjunction returns the comparisons of a rule. For i386's multiplexers, the
// operation takes the place of argument 0, and the rest is left as it is.
func (c *compiler) conjunction(r ruleRef) conjunction {
	when := c.p.blocks[r.block].when[r.when]
	if r.operation == 0 {
		return when
	}
	out := conjunction{{arg: 0, op: cmpEQ, mask: ^uint64(0), datum: uint64(r.operation)}}
	if len(when) > 0 && when[0].arg == 0 {
		when = when[1:]
	}
	return append(out, when...)
}

// contradiction records a rule that libseccomp refuses, once.
func (c *compiler) contradiction(r ruleRef) {
	b := &c.p.blocks[r.block]
	at := field.Index(field.Index(path+".syscalls", int(r.block))+".names", int(r.name))
	for _, e := range c.errs.All() {
		if e.Path == at {
			return
		}
	}
	c.errs.Add(at, b.names[r.name], "contradicts an earlier rule, which has another action for the same arguments")
}
