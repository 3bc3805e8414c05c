// Package ipt is the packet filter by iptables, for hosts whose other rules are
// written so. A batch of rules is one iptables-restore per family.
//
// Rules of containers carry their owner in a comment. Chains of a network are
// named by a hash, for 28 bytes do not hold its name.
package ipt

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"

	"github.com/tare-oci/tare/hooks/network/firewall"
)

// Filter runs iptables of one flavour.
type Filter struct {
	flavour string // "", nft, legacy
	six     bool   // there is an ip6tables that works
	lock    Locker
}

// Locker takes the lock under which rules are listed and changed, and returns what
// gives it back. Programs that are run meanwhile hold it too.
type Locker func() (unlock func(), err error)

// New finds iptables. TARE_NET_IPTABLES chooses nft or legacy where the host's
// own choice is not wanted.
func New(lock Locker) (*Filter, error) {
	f := &Filter{flavour: os.Getenv("TARE_NET_IPTABLES"), lock: lock}
	if f.flavour != "" && f.flavour != "nft" && f.flavour != "legacy" {
		return nil, fmt.Errorf("TARE_NET_IPTABLES %q: is neither nft nor legacy", f.flavour)
	}
	if _, err := exec.LookPath(program(f.flavour, iptables.ProtocolIPv4) + "-restore"); err != nil {
		return nil, fmt.Errorf("firewall iptables: %w", err)
	}
	_, err := exec.LookPath(program(f.flavour, iptables.ProtocolIPv6) + "-restore")
	f.six = err == nil
	return f, nil
}

// Name is iptables.
func (f *Filter) Name() string { return "iptables" }

// families are those of a network that has a subnet of them.
func (f *Filter) families(n firewall.Network) []iptables.Protocol {
	var out []iptables.Protocol
	for _, s := range n.Subnets {
		p := iptables.ProtocolIPv4
		if s.Addr().Is6() {
			p = iptables.ProtocolIPv6
		}
		out = append(out, p)
	}
	return out
}

// EnsureNetwork makes the chains of all networks if they are missing, and those
// of this one anew.
func (f *Filter) EnsureNetwork(n firewall.Network) error {
	return f.change(f.families(n), func(p iptables.Protocol, b *batch, have rulesOf) {
		base(b, p, have)
		network(b, p, n, have)
	})
}

// Attach adds the rules of a container.
func (f *Filter) Attach(n firewall.Network, e firewall.Endpoint) error {
	return f.change(f.families(n), func(p iptables.Protocol, b *batch, have rulesOf) {
		if !declared(have["nat"], chainOf(n.Name, "P")) || len(unguarded(p, have)) > 0 {
			base(b, p, have)
			network(b, p, n, have)
		}
		for _, r := range endpoint(p, n, e) {
			b.once(have, r)
		}
	})
}

// once adds a line unless it is there.
func (b *batch) once(have rulesOf, r line) {
	if !slices.ContainsFunc(have[r.table], func(l string) bool { return same(l, r.line) }) {
		b.add(r.table, r.line)
	}
}

// same compares what was asked for with what iptables-save prints, which adds
// matches and masks: by the comment, the destination port and the target.
func same(saved, wanted string) bool {
	key := func(s string) string {
		w := strings.Fields(strings.ReplaceAll(s, `"`, ""))
		var out []string
		for i, x := range w {
			switch x {
			case "-I": // with a place; what is saved has been appended
				if i+1 < len(w) {
					out = append(out, "-A", w[i+1])
				}
			case "-A", "--comment", "--dport", "-p", "-d", "--to-destination", "--to-source", "-j", "--set-class":
				if i+1 < len(w) {
					out = append(out, x, strings.TrimSuffix(strings.TrimSuffix(w[i+1], "/32"), "/128"))
				}
			}
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	return key(saved) == key(wanted)
}

// Detach removes the rules that carry the container's comment.
func (f *Filter) Detach(_ firewall.Network, e firewall.Endpoint) error {
	return f.Sweep([]string{e.Owner})
}

// Sweep removes the rules of owners.
func (f *Filter) Sweep(owners []string) error {
	return f.change(f.all(), func(_ iptables.Protocol, b *batch, have rulesOf) {
		for table, lines := range have {
			for _, l := range lines {
				if o := ownerOf(l); o != "" && slices.Contains(owners, o) {
					b.add(table, "-D", strings.TrimPrefix(l, "-A "))
				}
			}
		}
	})
}

func (f *Filter) all() []iptables.Protocol {
	if f.six {
		return []iptables.Protocol{iptables.ProtocolIPv4, iptables.ProtocolIPv6}
	}
	return []iptables.Protocol{iptables.ProtocolIPv4}
}

const commentPrefix = "tare-net:c:"

// ownerOf reads the owner from a line of iptables-save.
func ownerOf(line string) string {
	_, rest, ok := strings.Cut(line, commentPrefix)
	if !ok || !strings.HasPrefix(line, "-A ") {
		return ""
	}
	owner, _, _ := strings.Cut(rest, " ")
	return strings.Trim(owner, `"`)
}

// Owners counts rules by owner.
func (f *Filter) Owners() (map[string]int, error) {
	out := map[string]int{}
	for _, p := range f.all() {
		have, err := f.saved(p)
		if err != nil {
			return out, err
		}
		for _, lines := range have {
			for _, l := range lines {
				if o := ownerOf(l); o != "" {
					out[o]++
				}
			}
		}
	}
	return out, nil
}

// Check lists what a container lacks.
func (f *Filter) Check(n firewall.Network, e firewall.Endpoint) []string {
	var missing []string
	for _, p := range f.families(n) {
		have, err := f.saved(p)
		if err != nil {
			return []string{err.Error()}
		}
		for _, c := range []string{chainOf(n.Name, "P"), "TARE-PUB"} {
			if !declared(have["nat"], c) {
				missing = append(missing, "iptables: chain "+c+" is missing")
			}
		}
		for _, r := range unguarded(p, have) {
			missing = append(missing, "iptables: a rule is missing: "+r)
		}
		for _, r := range endpoint(p, n, e) {
			if !slices.ContainsFunc(have[r.table], func(l string) bool { return same(l, r.line) }) {
				missing = append(missing, "iptables: a rule is missing: "+r.line)
			}
		}
	}
	return missing
}

// RemoveNetwork removes the chains of a network and, with the last one, all.
func (f *Filter) RemoveNetwork(n firewall.Network, last bool) error {
	return f.change(f.all(), func(_ iptables.Protocol, b *batch, have rulesOf) { remove(b, have, n, last) })
}

var _ firewall.Filter = (*Filter)(nil)
