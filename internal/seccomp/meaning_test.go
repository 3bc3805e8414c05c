package seccomp

import (
	"slices"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A plainRule is one rule for one call, as the config has it.
type plainRule struct {
	call   *entry
	args   []specs.LinuxSeccompArg
	action action
}

// plainRules lists the rules of a profile that are not the default.
func plainRules(s sample) []plainRule {
	var out []plainRule
	for _, rule := range s.cfg.Syscalls {
		act := action(wireAction(rule.Action, rule.ErrnoRet))
		if act == fallback(s) {
			continue
		}
		for _, name := range rule.Names {
			if call := findSyscall(name); call != nil {
				out = append(out, plainRule{call, rule.Args, act})
			}
		}
	}
	return out
}

// meaning reads a profile the plain way: it returns the actions of all rules
// that match a call, whatever their order. No rule matches if it is empty.
func meaning(s sample, rules []plainRule, c *call) []action {
	a, known := abiOf(s, c)
	if !known {
		return nil
	}
	var out []action
	for i := range rules {
		if rules[i].match(a, c) {
			out = append(out, rules[i].action)
		}
	}
	return out
}

func fallback(s sample) action {
	return action(wireAction(s.cfg.DefaultAction, s.cfg.DefaultErrnoRet))
}

// abiOf tells the ABI of a call, if the profile filters it.
func abiOf(s sample, c *call) (abi, bool) {
	listed := func(a specs.Arch) bool { return slices.Contains(s.cfg.Architectures, a) }
	switch {
	case s.native == "amd64" && c.arch == auditX86_64 && c.nr < x32Bit:
		return abiX86_64, true
	case s.native == "amd64" && c.arch == auditX86_64:
		return abiX32, listed(specs.ArchX32)
	case s.native == "amd64" && c.arch == auditI386:
		return abiI386, listed(specs.ArchX86)
	case s.native == "arm64" && c.arch == auditAARCH64:
		return abiAARCH64, true
	case s.native == "arm64" && c.arch == auditARM:
		return abiARM, listed(specs.ArchARM)
	}
	return 0, false
}

// match reports whether a rule says something about a call.
func (r *plainRule) match(a abi, c *call) bool {
	entry, args := r.call, r.args
	if entry.nr[a] >= 0 && uint32(entry.nr[a]) == c.nr {
		return holds(a, args, c.args, -1)
	}
	if a == abiI386 && entry.socketcall != 0 && c.nr == 102 {
		return uint32(c.args[0]) == uint32(entry.socketcall) && holds(a, args, c.args, 0)
	}
	if a == abiI386 && entry.ipc != 0 && c.nr == 117 {
		return uint32(c.args[0]) == uint32(entry.ipc) && holds(a, args, c.args, 0)
	}
	return false
}

// holds evaluates args on the values of a call, leaving out argument skip.
// Comparisons are joined by "and", and by "or" if an argument is repeated.
func holds(a abi, args []specs.LinuxSeccompArg, values [6]uint64, skip int) bool {
	var seen [6]int
	repeated := false
	for _, arg := range args {
		seen[arg.Index]++
		repeated = repeated || seen[arg.Index] > 1
	}
	all, some := true, len(args) == 0
	for _, arg := range args {
		v, x, y := values[arg.Index], arg.Value, arg.ValueTwo
		if !a.wide() {
			v, x, y = v&0xffffffff, x&0xffffffff, y&0xffffffff
		}
		is := int(arg.Index) == skip
		switch {
		case is:
		case arg.Op == specs.OpNotEqual:
			is = v != x
		case arg.Op == specs.OpLessThan:
			is = v < x
		case arg.Op == specs.OpLessEqual:
			is = v <= x
		case arg.Op == specs.OpEqualTo:
			is = v == x
		case arg.Op == specs.OpGreaterEqual:
			is = v >= x
		case arg.Op == specs.OpGreaterThan:
			is = v > x
		case arg.Op == specs.OpMaskedEqual:
			is = v&x == y&x
		}
		all, some = all && is, some || is
	}
	if repeated {
		return some
	}
	return all
}
