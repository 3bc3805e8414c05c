package nft

import (
	"bytes"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// firewalld keeps its rules in a table of this name.
const firewalld = "firewalld"

// FirewalldRejects says whether there is a firewalld that has no rule for a bridge:
// then it rejects what leaves it, for every base chain of the kernel has to accept.
// Its rules are its own, so that only its administrator can change that.
func FirewalldRejects(bridge string) bool {
	c, err := nftables.New()
	if err != nil {
		return false
	}
	chains, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return false // without nf_tables it has none
	}
	rejects := false
	for _, k := range chains {
		if k.Table.Name != firewalld || !strings.HasPrefix(k.Name, "filter_F") { // FORWARD, and FWD of its zones
			continue
		}
		rejects = true
		rules, err := c.GetRules(k.Table, k)
		if err != nil {
			continue // reloaded meanwhile
		}
		for _, r := range rules {
			for _, e := range r.Exprs {
				if cmp, ok := e.(*expr.Cmp); ok && cmp.Op == expr.CmpOpEq && bytes.Equal(cmp.Data, ifname(bridge)) {
					return false
				}
			}
		}
	}
	return rejects
}
