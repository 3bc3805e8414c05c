package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/firewall"
)

// elements of one set.
type elements struct {
	set *nftables.Set
	els []nftables.SetElement
}

// atOnce is how many elements one message carries; its length has 16 bits.
const atOnce = 200

// of lists what a container has in each set.
func (f *Filter) of(n firewall.Network, e firewall.Endpoint) []elements {
	var out []elements
	if n.Routed {
		// Its link stands where other networks have their bridge.
		for _, el := range f.linkElements(n, e.Veth) {
			el.els[0].Comment = e.Owner
			out = append(out, el)
		}
	}
	add := func(s *nftables.Set, key, val []byte) {
		el := nftables.SetElement{Key: key, Val: val, Comment: e.Owner}
		if n := len(out) - 1; n >= 0 && out[n].set == s && len(out[n].els) < atOnce {
			out[n].els = append(out[n].els, el)
			return
		}
		out = append(out, elements{s, []nftables.SetElement{el}})
	}
	for _, six := range []bool{false, true} {
		ip := e.IP4()
		plain, bound := f.l.pub4, f.l.pub4ip
		if six {
			ip, plain, bound = e.IP6(), f.l.pub6, f.l.pub6ip
		}
		if !ip.IsValid() {
			continue
		}
		for _, p := range e.Ports {
			if p.IP.IsValid() && p.IP.Is6() != six {
				continue
			}
			for i := range p.Count {
				key := append(word(protoNumber[p.Proto]), short(p.Host+i)...)
				set := plain
				if p.IP.IsValid() {
					key, set = append(p.IP.AsSlice(), key...), bound
				}
				add(set, key, append(ip.AsSlice(), short(p.Container+i)...))
			}
		}
	}
	if e.Floating.IsValid() && e.IP4().IsValid() {
		add(f.l.floatIn, e.Floating.AsSlice(), e.IP4().AsSlice())
		add(f.l.floatOut, e.IP4().AsSlice(), e.Floating.AsSlice())
	}
	if e.Class != 0 && e.IP4().IsValid() {
		add(f.l.prio4, e.IP4().AsSlice(), native(e.Class))
	}
	return append(out, f.ofPort(e)...)
}

// ofPort lists what may come from a container's port of the bridge.
func (f *Filter) ofPort(e firewall.Endpoint) []elements {
	if !e.Spoof || e.Veth == "" {
		return nil
	}
	var out []elements
	add := func(s *nftables.Set, key []byte) {
		el := nftables.SetElement{Key: key, Comment: e.Owner}
		if n := len(out) - 1; n >= 0 && out[n].set == s {
			out[n].els = append(out[n].els, el)
			return
		}
		out = append(out, elements{s, []nftables.SetElement{el}})
	}
	name := ifname(e.Veth)
	add(f.l.guarded, name)
	mac := append(append([]byte{}, e.MAC...), 0, 0)
	add(f.l.okMAC, append(ifname(e.Veth), mac...))
	for _, ip := range e.IPs {
		s := f.l.okIP4
		if ip.Is6() {
			s = f.l.okIP6
		}
		add(s, append(ifname(e.Veth), ip.AsSlice()...))
	}
	if e.IP4().IsValid() {
		// An ARP probe (RFC 5227) and DHCP have no source address.
		add(f.l.okIP4, append(ifname(e.Veth), netip.IPv4Unspecified().AsSlice()...))
	}
	return out
}

// word and short pad a field of a concatenation to four bytes.
func word(b uint8) []byte { return []byte{b, 0, 0, 0} }

func short(v uint16) []byte { return append(binary.BigEndian.AppendUint16(nil, v), 0, 0) }

// Attach adds the elements of a container in one batch: all or none. When the
// tables or the network's chains are missing they are made first.
func (f *Filter) Attach(n firewall.Network, e firewall.Endpoint) error {
	try := func() error {
		f.proof(n)
		for _, s := range f.of(n, e) {
			if err := f.c.SetAddElements(s.set, s.els); err != nil {
				return err
			}
		}
		return f.c.Flush()
	}
	err := try()
	if errors.Is(err, unix.ENOENT) {
		if err := f.EnsureNetwork(n); err != nil {
			return err
		}
		err = try()
	}
	if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY) {
		return fmt.Errorf("nf_tables: a port, floating address or address is already mapped to another container: %w", err)
	}
	return f.fail(err)
}

// proof adds an element of the network that is there already: the batch fails with
// ENOENT where the network's chains have been flushed. One is enough, for they are
// made in one batch; each costs a message, and its answer.
func (f *Filter) proof(n firewall.Network) {
	if n.Routed {
		return
	}
	all := f.linkElements(n, n.Bridge)
	e := all[len(all)-1]
	_ = f.c.SetAddElements(e.set, e.els) // fails for anonymous sets only
}

// Detach removes the elements of a container. The kernel compares keys alone,
// so the caller makes sure that the keys are this container's.
func (f *Filter) Detach(n firewall.Network, e firewall.Endpoint) error {
	return f.drop(f.of(n, e))
}

// drop removes elements, of which some may be gone.
func (f *Filter) drop(all []elements) error {
	for _, s := range all {
		_ = f.c.SetDeleteElements(s.set, s.els)
	}
	err := f.c.Flush()
	if !errors.Is(err, unix.ENOENT) {
		return f.fail(gone(err))
	}
	// Some are gone, and the batch was all or none: one by one.
	for _, s := range all {
		for _, el := range s.els {
			_ = f.c.SetDeleteElements(s.set, []nftables.SetElement{el})
			if err := gone(f.c.Flush()); err != nil {
				return f.fail(err)
			}
		}
	}
	return nil
}

// Check lists what a container lacks.
func (f *Filter) Check(n firewall.Network, e firewall.Endpoint) []string {
	want := f.of(n, e)
	if !n.Routed {
		want = append(want, f.linkElements(n, n.Bridge)...)
	}
	return f.lacks(want)
}

// lacks says which elements are missing.
func (f *Filter) lacks(want []elements) (missing []string) {
	for _, s := range want {
		have, err := f.c.GetSetElements(s.set)
		if err != nil {
			missing = append(missing, fmt.Sprintf("nf_tables: set %s is missing", s.set.Name))
			continue
		}
		keys := map[string]bool{}
		for _, h := range have {
			keys[string(h.Key)] = true
		}
		for _, el := range s.els {
			if !keys[string(el.Key)] {
				missing = append(missing, fmt.Sprintf("nf_tables: an element of set %s is missing", s.set.Name))
			}
		}
	}
	return missing
}

// Owners counts the elements by the comment that says whose they are.
func (f *Filter) Owners() (map[string]int, error) {
	out := map[string]int{}
	err := f.each(f.l.both(), func(_ *nftables.Set, el nftables.SetElement) {
		if el.Comment != "" {
			out[el.Comment]++
		}
	})
	for _, r := range f.classRules() {
		out[ruleOwner(r)]++
	}
	return out, err
}

// Sweep removes the elements of owners without a record.
func (f *Filter) Sweep(owners []string) error {
	err := f.sweep(f.l.both(), owners)
	for _, o := range owners {
		err = errors.Join(err, f.DropClass(o))
	}
	return err
}

// sweep removes the elements of owners from tables.
func (f *Filter) sweep(from tables, owners []string) error {
	var del []elements
	err := f.each(from, func(s *nftables.Set, el nftables.SetElement) {
		if slices.Contains(owners, el.Comment) {
			del = append(del, elements{s, []nftables.SetElement{{Key: el.Key}}})
		}
	})
	for _, d := range del {
		_ = f.c.SetDeleteElements(d.set, d.els)
		if e := gone(f.c.Flush()); e != nil {
			err = errors.Join(err, f.fail(e))
		}
	}
	return err
}

// tables with their sets.
type tables map[*nftables.Table][]*nftables.Set

func (l *layout) both() tables { return tables{l.inet: l.inetSets(), l.bridge: l.bridgeSets()} }

// each visits all elements that there are.
func (f *Filter) each(in tables, visit func(*nftables.Set, nftables.SetElement)) error {
	for t, sets := range in {
		there, err := f.c.ListTablesOfFamily(t.Family)
		if lackingList(err) {
			continue // then it has none
		}
		if err != nil {
			return f.fail(err)
		}
		if !slices.ContainsFunc(there, func(h *nftables.Table) bool { return h.Name == t.Name }) {
			continue
		}
		have, err := f.c.GetSets(t)
		if err != nil {
			return f.fail(err)
		}
		for _, s := range sets {
			if !slices.ContainsFunc(have, func(h *nftables.Set) bool { return h.Name == s.Name }) {
				continue
			}
			els, err := f.c.GetSetElements(s)
			if err != nil {
				return f.fail(err)
			}
			for _, el := range els {
				visit(s, el)
			}
		}
	}
	return nil
}
