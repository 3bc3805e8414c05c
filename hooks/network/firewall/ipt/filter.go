// Package ipt is the packet filter by iptables, for hosts whose other rules are
// written so. A batch of rules is one iptables-restore per family.
//
// Rules of containers carry their owner in a comment. Chains of a network are
// named by a hash, for 28 bytes do not hold its name.
package ipt

import (
	"bytes"
	"errors"
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
}

// New finds iptables. TARE_NET_IPTABLES chooses nft or legacy where the host's
// own choice is not wanted.
func New() (*Filter, error) {
	f := &Filter{flavour: os.Getenv("TARE_NET_IPTABLES")}
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

// saved is what iptables-save prints, one line each without the counters.
func (f *Filter) saved(p iptables.Protocol) (map[string][]string, error) {
	cmd := exec.Command(program(f.flavour, p) + "-save")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", cmd.Path, err, stderrOf(err))
	}
	tables, table := map[string][]string{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		} else if strings.HasPrefix(line, ":") || strings.HasPrefix(line, "-A") {
			tables[table] = append(tables[table], line)
		}
	}
	return tables, nil
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return ": " + oneLine(exit.Stderr)
	}
	return ""
}

func oneLine(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }

// batch is lines by table.
type batch struct {
	tables []string
	lines  map[string][]string
}

func (b *batch) add(table string, line ...string) {
	if b.lines == nil {
		b.lines = map[string][]string{}
	}
	if !slices.Contains(b.tables, table) {
		b.tables = append(b.tables, table)
	}
	b.lines[table] = append(b.lines[table], strings.Join(line, " "))
}

// restore applies a batch: each table all or nothing.
func (f *Filter) restore(p iptables.Protocol, b *batch) error {
	if len(b.tables) == 0 {
		return nil
	}
	var in bytes.Buffer
	for _, t := range b.tables {
		fmt.Fprintf(&in, "*%s\n", t)
		// Chains are declared before their use, and rules that jump come last.
		for _, l := range b.lines[t] {
			fmt.Fprintln(&in, l)
		}
		in.WriteString("COMMIT\n")
	}
	cmd := exec.Command(program(f.flavour, p)+"-restore", "--noflush", "-w", "10")
	cmd.Stdin = &in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, oneLine(stderr.Bytes()))
	}
	return nil
}

// EnsureNetwork makes the chains of all networks if they are missing, and those
// of this one anew.
func (f *Filter) EnsureNetwork(n firewall.Network) error {
	for _, p := range f.families(n) {
		have, err := f.saved(p)
		if err != nil {
			return err
		}
		b := &batch{}
		base(b, p, have)
		network(b, p, n, have)
		if err := f.restore(p, b); err != nil {
			return err
		}
	}
	return nil
}

// Attach adds the rules of a container.
func (f *Filter) Attach(n firewall.Network, e firewall.Endpoint) error {
	for _, p := range f.families(n) {
		have, err := f.saved(p)
		if err != nil {
			return err
		}
		b := &batch{}
		if !slices.ContainsFunc(have["nat"], func(l string) bool { return strings.HasPrefix(l, ":"+chainOf(n.Name, "P")+" ") }) {
			base(b, p, have)
			network(b, p, n, have)
		}
		for _, r := range endpoint(p, n, e) {
			if !slices.ContainsFunc(have[r.table], func(l string) bool { return same(l, r.line) }) {
				b.add(r.table, r.line)
			}
		}
		if err := f.restore(p, b); err != nil {
			return err
		}
	}
	return nil
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
	var errs []error
	for _, p := range f.all() {
		have, err := f.saved(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b := &batch{}
		for table, lines := range have {
			for _, l := range lines {
				if o := ownerOf(l); o != "" && slices.Contains(owners, o) {
					b.add(table, "-D", strings.TrimPrefix(l, "-A "))
				}
			}
		}
		errs = append(errs, f.restore(p, b))
	}
	return errors.Join(errs...)
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
			if !slices.ContainsFunc(have["nat"], func(l string) bool { return strings.HasPrefix(l, ":"+c+" ") }) {
				missing = append(missing, "iptables: chain "+c+" is missing")
			}
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
	var errs []error
	for _, p := range f.all() {
		have, err := f.saved(p)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b := &batch{}
		remove(b, have, n, last)
		errs = append(errs, f.restore(p, b))
	}
	return errors.Join(errs...)
}

var _ firewall.Filter = (*Filter)(nil)
