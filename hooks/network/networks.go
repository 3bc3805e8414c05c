package network

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"golang.org/x/crypto/blake2s"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/firewall/ipt"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/internal/version"
)

// DefaultNetwork is written on its first use.
const DefaultNetwork = "default"

// defaultRanges are tried one after the other (RFC 1918).
var defaultRanges = []string{"172.29.0.0/16", "172.30.0.0/16", "172.31.0.0/16", "10.88.0.0/16", "10.89.0.0/16", "192.168.88.0/24"}

func (e *Engine) writeDefault() error {
	lock, err := e.store.Lock("net-"+DefaultNetwork, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	path := filepath.Join(e.ConfigDir, DefaultNetwork+".json")
	if _, err := os.Stat(path); err == nil {
		return nil // another one was first
	}
	var candidates []netip.Prefix
	for _, r := range defaultRanges {
		candidates = append(candidates, netip.MustParsePrefix(r))
	}
	free, err := e.links.Free(candidates)
	if err != nil {
		return err
	}
	doc := map[string]any{"name": DefaultNetwork, "bridge": "tare0", "subnets": []map[string]string{{"subnet": free.String()}}}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(e.ConfigDir, 0o755); err != nil {
		return err
	}
	if err := record.WriteFile(path, append(data, '\n')); err != nil {
		return err
	}
	return os.Chmod(path, 0o644)
}

// made is how a network was made; while it holds nothing has to be looked at.
type made struct {
	Bridge   string           `json:"bridge"`
	Index    int              `json:"index"`
	Digest   string           `json:"digest"` // of the configuration
	Firewall string           `json:"firewall"`
	Boot     string           `json:"boot"`
	Network  firewall.Network `json:"network"`
	Opened   []string         `json:"opened,omitempty"` // foreign chains that got a rule
	Shaped   string           `json:"shaped,omitempty"` // the link with the classes
	Rung     string           `json:"rung,omitempty"`   // what sorts by cgroup
}

// filters are those that have something of the network.
func (m *made) filters() (out []string) {
	if m.Firewall != "" && m.Firewall != "none" {
		out = append(out, m.Firewall)
	}
	if m.Shaped != "" && m.Firewall != "nftables" {
		out = append(out, "nftables") // by the path of a cgroup, if not by its class id
	}
	if m.Rung == "iptables" && m.Firewall != "iptables" {
		out = append(out, "iptables")
	}
	return out
}

func (e *Engine) madeFile(name string) string {
	return filepath.Join(e.store.NetDir(name), "network.json")
}

func (e *Engine) readMade(name string) *made {
	b, err := os.ReadFile(e.madeFile(name))
	m := &made{}
	if err != nil || json.Unmarshal(b, m) != nil || m.Boot != e.boot {
		return nil
	}
	return m
}

func (e *Engine) writeMade(name string, m *made) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return record.WriteFile(e.madeFile(name), data)
}

// digest changes with the network's file, and with the version of this program,
// whose defaults may be others.
func digest(n *config.Network) string {
	sum := blake2s.Sum256(append([]byte(version.Version()+"\x00"), n.Text()...))
	return hex.EncodeToString(sum[:8])
}

// structure is the lock of what networks share: the chains and tables that come
// with the first and go with the last one, the host's parameters and the rules in
// foreign chains. The caller holds a network's lock.
func (e *Engine) structure() (unlock func(), err error) { return e.inherited("networks") }

// ensure makes the bridge and the rules of a network unless they are there. The
// caller holds the network's lock.
func (e *Engine) ensure(n *config.Network) (*made, error) {
	want := digest(n)
	if m := e.readMade(n.Name); m != nil && m.Digest == want {
		if m.Bridge == "" {
			return m, nil
		}
		if index, _, err := link.Index(m.Bridge); err == nil && index != 0 && index == m.Index {
			return m, nil
		}
	}
	unlock, err := e.structure()
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := os.MkdirAll(e.store.NetDir(n.Name), 0o700); err != nil {
		return nil, err
	}
	m := &made{Digest: want, Boot: e.boot}
	if n.Driver == config.Bridge || n.Driver == config.VXLAN {
		if err := e.ensureBridge(n, m); err != nil {
			return nil, err
		}
	}
	if n.Driver == config.PTP {
		m.Network = firewall.Of(n, "")
		m.Network.Links = record.LinkPrefix
	}
	if err := e.ensureRules(n, m); err != nil {
		return nil, err
	}
	if n.Shape != nil {
		if err := e.ensureShape(n, m); err != nil {
			return nil, err
		}
	}
	return m, e.writeMade(n.Name, m)
}

func (e *Engine) ensureBridge(n *config.Network, m *made) error {
	if n.Parent != "" && n.Driver == config.Bridge {
		if err := e.links.UplinkFree(n.Parent, n.UplinkOK); err != nil {
			return err
		}
	}
	// Who is interested in a group is found out by a querier, and among containers
	// alone there is none: a bridge sends everything everywhere then. A container
	// that plays one would only get what is meant for others.
	spec := link.BridgeSpec{Name: n.Bridge, Network: n.Name, MTU: mtu(n, nil), Snooping: n.Driver == config.VXLAN || n.Parent != ""}
	for _, s := range n.Subnets {
		spec.Gateways = append(spec.Gateways, netip.PrefixFrom(s.Gateway, s.Subnet.Bits()))
	}
	index, _, err := e.links.EnsureBridge(spec)
	if err != nil {
		return err
	}
	m.Bridge, m.Index, m.Network = n.Bridge, index, firewall.Of(n, n.Bridge)
	conf4, conf6 := "net.ipv4.conf."+n.Bridge+".", "net.ipv6.conf."+n.Bridge+"."
	// From the host itself to a published port: 127.0.0.1 has to be routed here.
	// The guard chain drops what others send there.
	if err := link.Set(conf4+"route_localnet", "1"); err != nil {
		return err
	}
	if err := link.Set(conf6+"accept_ra", "0"); err != nil && (n.Subnet6() != nil || !errors.Is(err, link.ErrNoSysctl)) {
		return err
	}
	if n.Driver == config.VXLAN {
		if err := e.links.EnsureVXLAN(n.Bridge, index, n.Parent, *n.VXLAN, mtu(n, nil)); err != nil {
			return err
		}
	}
	if n.Parent != "" && n.Driver == config.Bridge {
		if err := e.links.AddPort(n.Parent, index); err != nil {
			return err
		}
	}
	if n.Internal {
		return nil
	}
	return e.forwarding(n.Name, n.Subnet4() != nil, n.Subnet6() != nil)
}

func (e *Engine) ensureRules(n *config.Network, m *made) error {
	if m.Network.Name == "" {
		m.Firewall = "none"
		return nil
	}
	if n.Driver == config.PTP && !n.Internal {
		if err := e.forwarding(n.Name, n.Subnet4() != nil, n.Subnet6() != nil); err != nil {
			return err
		}
	}
	names := []string{n.Firewall}
	if n.Firewall == "auto" || n.Firewall == "" {
		names = []string{"nftables", "iptables"}
	}
	var err error
	for _, name := range names {
		var f firewall.Filter
		if f, err = e.filter(name); err != nil {
			continue
		}
		if err = f.EnsureNetwork(m.Network); err == nil || errors.Is(err, unix.EPERM) {
			m.Firewall = name
			break
		}
	}
	if err != nil {
		return err
	}
	if m.Firewall == "none" || n.Internal {
		return nil
	}
	// Another filter's policy (Docker's, ufw's) would drop what ours lets through.
	m.Opened, err = ipt.OpenForward(m.Network)
	return err
}

// mtu is that of a network's links; 0 is the kernel's default.
func mtu(n *config.Network, r *config.Request) int {
	switch {
	case r != nil && r.MTU != 0:
		return r.MTU
	case n.MTU != 0:
		return n.MTU
	case n.Driver == config.VXLAN:
		return 1450 // 50 bytes less for the outer headers (RFC 7348, 4.3)
	}
	return 1500
}

// RemoveNetwork removes the bridge and the rules of a network without containers.
func (e *Engine) RemoveNetwork(name string) error {
	if err := config.ValidName(name, 64); err != nil {
		return fmt.Errorf("network %q %w", name, err)
	}
	lock, err := e.store.Lock("net-"+name, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	for _, a := range e.store.All() {
		if a.Network == name {
			return fmt.Errorf("network %q: container %q is attached", name, a.ID)
		}
	}
	unlock, err := e.structure()
	if err != nil {
		return err
	}
	defer unlock()
	m := e.readMade(name)
	if m == nil {
		return os.RemoveAll(e.store.NetDir(name))
	}
	var others []*made
	entries, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	for _, d := range entries {
		if o := e.readMade(d.Name()); o != nil && d.Name() != name {
			others = append(others, o)
		}
	}
	var errs []error
	for _, kind := range m.filters() {
		last := !slices.ContainsFunc(others, func(o *made) bool { return slices.Contains(o.filters(), kind) })
		f, err := e.filter(kind)
		if err == nil {
			err = f.RemoveNetwork(m.Network, last)
		}
		errs = append(errs, err)
	}
	errs = append(errs, ipt.CloseForward(m.Network, m.Opened))
	if m.Shaped != "" {
		errs = append(errs, unshapeDevice(m.Shaped))
	}
	if m.Bridge != "" {
		errs = append(errs, e.links.Delete(link.VXLANName(m.Bridge)), e.links.Delete(m.Bridge))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("network %q: %w", name, err)
	}
	if err := os.RemoveAll(e.store.NetDir(name)); err != nil {
		return err
	}
	entries, _ = os.ReadDir(filepath.Join(e.StateDir, "nets"))
	if len(entries) == 0 && len(e.changedSysctls()) > 0 {
		return e.restoreSysctls()
	}
	return nil
}
