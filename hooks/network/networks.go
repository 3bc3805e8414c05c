package network

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"golang.org/x/crypto/blake2s"
	"net/netip"
	"os"
	"path/filepath"

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
	old := e.readMade(n.Name)
	if old != nil && old.Digest == want {
		if old.Bridge == "" {
			return old, nil
		}
		if index, _, err := link.Index(old.Bridge); err == nil && index != 0 && index == old.Index {
			return old, nil
		}
	}
	if now := planned(n); old != nil && old.place() != now.place() {
		if err := e.replace(n, old, now.place()); err != nil {
			return nil, err
		}
		old = nil
	}
	unlock, err := e.structure()
	if err != nil {
		return nil, err
	}
	defer unlock()
	b, err := e.begin(n, want)
	if err != nil {
		return nil, err
	}
	if err := e.make(n, b); err != nil {
		return nil, errors.Join(err, e.withdraw(n.Name, b))
	}
	if old != nil {
		if err := e.retire(n.Name, old, b); err != nil {
			return nil, err // what was begun is still noted
		}
	}
	return &b.made, e.finish(n.Name, b)
}

// make makes what a network needs, or what is missing of it. Before each part its
// note says that it may be there.
func (e *Engine) make(n *config.Network, b *begun) error {
	if err := fault("network-begun"); err != nil {
		return err
	}
	if b.Bridge != "" {
		if err := e.ensureBridge(n, b); err != nil {
			return err
		}
	}
	if err := e.ensureRules(n, b); err != nil {
		return err
	}
	if n.Shape == nil {
		return nil
	}
	if err := e.ensureShape(n, b); err != nil {
		return err
	}
	return fault("network-shape")
}

func (e *Engine) ensureBridge(n *config.Network, b *begun) error {
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
	b.Index = index
	if err := fault("network-bridge"); err != nil {
		return err
	}
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

func (e *Engine) ensureRules(n *config.Network, b *begun) error {
	if b.Network.Name == "" {
		b.Firewall = "none"
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
	var errs []error // why not by the first ones
	var err error
	for _, name := range names {
		var f firewall.Filter
		if f, err = e.filter(name); err != nil {
			errs = append(errs, err)
			continue
		}
		if err := e.note(n.Name, b, func() { b.Tried = union(b.Tried, []string{name}) }); err != nil {
			return err
		}
		if err = f.EnsureNetwork(b.Network); err == nil || errors.Is(err, unix.EPERM) {
			b.Firewall = name
			break
		}
		errs = append(errs, err)
	}
	if b.Firewall == "" {
		return errors.Join(errs...)
	}
	if err == nil {
		err = fault("network-rules")
	}
	if err != nil || b.Firewall == "none" || n.Internal {
		return err
	}
	// Another filter's policy (Docker's, ufw's) would drop what ours lets through.
	_, err = ipt.OpenForward(b.Network, func(places []string) error {
		return e.note(n.Name, b, func() { b.Opened = union(b.Opened, places) })
	})
	if err == nil {
		err = fault("network-forward")
	}
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
