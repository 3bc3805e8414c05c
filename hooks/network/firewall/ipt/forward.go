package ipt

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
	"github.com/google/nftables"

	"github.com/tare-oci/tare/hooks/network/firewall"
)

// Another packet filter of the host may have the policy DROP for what is
// forwarded: Docker's and ufw's have. A chain of ours that accepts does not help
// there, for every base chain has to; so their own place for it gets two rules,
// written by their own program, whose listing would not understand foreign ones.

// forwardRules are those two for what a network sends and gets. Containers without
// a bridge have a link each, all of one prefix, and their network's addresses; that
// nobody else sends by such a link is what our guard sees to.
func forwardRules(n firewall.Network, p iptables.Protocol) [][]string {
	rules := func(note string, from, to []string) [][]string {
		tail := []string{"-j", "ACCEPT", "-m", "comment", "--comment", "tare-net:forward:" + note}
		known := []string{"-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED,DNAT"}
		return [][]string{slices.Concat(from, tail), slices.Concat(to, known, tail)}
	}
	if !n.Routed {
		return rules(n.Bridge, []string{"-i", n.Bridge}, []string{"-o", n.Bridge})
	}
	var out [][]string
	for _, s := range n.Subnets {
		if s.Addr().Is6() == (p == iptables.ProtocolIPv6) {
			out = append(out, rules(n.Name, []string{"-s", s.String(), "-i", n.Links + "+"}, []string{"-d", s.String(), "-o", n.Links + "+"})...)
		}
	}
	return out
}

type place struct {
	program string
	proto   iptables.Protocol
	chain   string
}

func (p place) String() string {
	return fmt.Sprintf("%s %d %s", p.program, p.proto, p.chain)
}

func parsePlace(s string) (p place, ok bool) {
	n, err := fmt.Sscanf(s, "%s %d %s", &p.program, &p.proto, &p.chain)
	return p, n == 3 && err == nil
}

// dropping finds the filters whose policy is DROP. It asks the kernel and runs no
// program while there is none.
func dropping() ([]place, error) {
	var out []place
	c, err := nftables.New()
	if err != nil {
		return nil, err
	}
	for family, proto := range map[nftables.TableFamily]iptables.Protocol{
		nftables.TableFamilyIPv4: iptables.ProtocolIPv4, nftables.TableFamilyIPv6: iptables.ProtocolIPv6,
	} {
		chains, err := c.ListChainsOfTableFamily(family)
		if err != nil {
			continue // without nf_tables nobody uses it
		}
		at := ""
		for _, k := range chains {
			if k.Table.Name != "filter" {
				continue
			}
			if k.Name == "FORWARD" && k.Policy != nil && *k.Policy == nftables.ChainPolicyDrop && at == "" {
				at = "FORWARD"
			}
		}
		for _, k := range chains {
			if at != "" && k.Table.Name == "filter" && k.Name == "DOCKER-USER" {
				at = "DOCKER-USER"
			}
		}
		if at != "" {
			out = append(out, place{"nft", proto, at})
		}
	}
	for file, proto := range map[string]iptables.Protocol{"ip_tables_names": iptables.ProtocolIPv4, "ip6_tables_names": iptables.ProtocolIPv6} {
		names, _ := os.ReadFile("/proc/thread-self/net/" + file)
		if !strings.Contains(string(names), "filter") {
			continue
		}
		t, err := open("legacy", proto)
		if err != nil {
			continue // loaded by hand; whoever did so has the program
		}
		rules, err := t.List("filter", "FORWARD")
		if err != nil || len(rules) == 0 || rules[0] != "-P FORWARD DROP" {
			continue
		}
		at := "FORWARD"
		if ok, _ := t.ChainExists("filter", "DOCKER-USER"); ok {
			at = "DOCKER-USER"
		}
		out = append(out, place{"legacy", proto, at})
	}
	return out, nil
}

// open finds iptables-nft or iptables-legacy, or for "" what the host calls
// iptables.
func open(flavour string, proto iptables.Protocol) (*iptables.IPTables, error) {
	t, err := iptables.New(iptables.IPFamily(proto), iptables.Timeout(10), iptables.Path(program(flavour, proto)))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", program(flavour, proto), err)
	}
	return t, nil
}

func program(flavour string, proto iptables.Protocol) string {
	name := "iptables"
	if proto == iptables.ProtocolIPv6 {
		name = "ip6tables"
	}
	if flavour != "" {
		name += "-" + flavour
	}
	return name
}

// OpenForward lets a network through foreign filters that drop by policy, and
// returns where. Before it changes something it says where it will.
func OpenForward(n firewall.Network, will func(places []string) error) ([]string, error) {
	places, err := dropping()
	if err != nil {
		return nil, nil //nolint:nilerr // without netfilter nothing drops
	}
	var names, done []string
	for _, p := range places {
		names = append(names, p.String())
	}
	if len(names) > 0 && will != nil {
		if err := will(names); err != nil {
			return nil, err
		}
	}
	for _, p := range places {
		t, err := open(p.program, p.proto)
		if err != nil {
			return done, fmt.Errorf("the host's FORWARD chain drops by policy and cannot be changed: %w", err)
		}
		for _, r := range forwardRules(n, p.proto) {
			if err := putIn(t, p.chain, r); err != nil {
				return done, fmt.Errorf("%s: %w", p, err)
			}
		}
		done = append(done, p.String())
	}
	return done, nil
}

// putIn inserts a rule unless it is there. The chain's owner may be making it anew.
func putIn(t *iptables.IPTables, chain string, rule []string) (err error) {
	for range tries {
		if err = t.InsertUnique("filter", chain, 1, rule...); err == nil {
			return nil
		}
	}
	return err
}

// CloseForward takes the rules out again.
func CloseForward(n firewall.Network, opened []string) error {
	var errs []error
	for _, s := range opened {
		p, ok := parsePlace(s)
		if !ok {
			continue
		}
		t, err := open(p.program, p.proto)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		for _, r := range forwardRules(n, p.proto) {
			errs = append(errs, takeOut(t, p.chain, r))
		}
	}
	return errors.Join(errs...)
}

// takeOut removes a rule that, as its chain, the owner of the chain may have
// removed, or removes just now.
func takeOut(t *iptables.IPTables, chain string, rule []string) (err error) {
	for range tries {
		if ok, cerr := t.ChainExists("filter", chain); cerr != nil || !ok {
			return nil //nolint:nilerr // without the table there is no rule
		}
		if err = t.DeleteIfExists("filter", chain, rule...); err == nil {
			return nil
		}
	}
	return err
}

// Dropping names, for people, the foreign chains that drop what a network sends.
func Dropping(n firewall.Network) []string {
	places, _ := dropping()
	var out []string
	for _, p := range places {
		t, err := open(p.program, p.proto)
		if err != nil {
			out = append(out, p.String()+": policy DROP")
			continue
		}
		for _, r := range forwardRules(n, p.proto) {
			if ok, err := t.Exists("filter", p.chain, r...); err != nil || !ok {
				out = append(out, fmt.Sprintf("%s: policy DROP, and no rule lets network %s through", p, n.Name))
				break
			}
		}
	}
	return out
}
