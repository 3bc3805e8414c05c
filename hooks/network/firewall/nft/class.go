package nft

import (
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// ClassByNetCls sorts what local sockets send by the class id of their cgroup,
// as tc's cgroup classifier does: a priority of MAJOR:MINOR selects that class.
func (f *Filter) ClassByNetCls() error {
	if err := f.l.base(f.c); err != nil {
		return f.fail(err)
	}
	b := &builder{c: f.c}
	b.hook(f.l.inet, "net_cls", nftables.ChainTypeFilter, nftables.ChainHookPostrouting, -150,
		rules(meta(expr.MetaKeyCGROUP, r0), unequal(r0, native(0)), rule{&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: r0}}))
	return f.fail(f.c.Flush())
}

// ClassByPath does it on a host without net_cls: by the cgroup of the unified
// hierarchy that a socket was made in, at its depth, by its number.
func (f *Filter) ClassByPath(owner string, depth uint32, id uint64, class uint32) error {
	if err := f.l.base(f.c); err != nil {
		return f.fail(err)
	}
	if slices.ContainsFunc(f.classRules(), func(r *nftables.Rule) bool { return ruleOwner(r) == owner }) {
		return nil
	}
	chain := f.classChain()
	f.c.AddChain(chain)
	key := append(native(uint32(id)), native(uint32(id>>32))...)
	if native(1)[0] == 0 {
		key = append(native(uint32(id>>32)), native(uint32(id))...)
	}
	f.c.AddRule(&nftables.Rule{Table: f.l.inet, Chain: chain, UserData: userdata.AppendString(nil, userdata.TypeComment, owner), Exprs: rule{
		&expr.Socket{Key: expr.SocketKeyCgroupv2, Level: depth, Register: r0},
		&expr.Cmp{Op: expr.CmpOpEq, Register: r0, Data: key},
		&expr.Immediate{Register: r0, Data: native(class)},
		&expr.Meta{Key: expr.MetaKeyPRIORITY, SourceRegister: true, Register: r0},
	}})
	return f.fail(f.c.Flush())
}

func (f *Filter) classChain() *nftables.Chain {
	return &nftables.Chain{Name: "cgroup2", Table: f.l.inet, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookOutput,
		Priority: nftables.ChainPriorityRef(-150)}
}

// classRules lists the rules that ClassByPath has made.
func (f *Filter) classRules() []*nftables.Rule {
	rs, err := f.c.GetRules(f.l.inet, f.classChain())
	if err != nil {
		return nil // no such chain
	}
	return rs
}

func ruleOwner(r *nftables.Rule) string {
	s, _ := userdata.GetString(r.UserData, userdata.TypeComment)
	return s
}

// DropClass removes the rules of an owner.
func (f *Filter) DropClass(owner string) error {
	for _, r := range f.classRules() {
		if ruleOwner(r) != owner {
			continue
		}
		if err := f.c.DelRule(r); err != nil {
			return err
		}
		// One by one: a batch is all or none, and one of them may be gone.
		if err := gone(f.c.Flush()); err != nil {
			return f.fail(err)
		}
	}
	return nil
}
