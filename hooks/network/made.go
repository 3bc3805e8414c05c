package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/firewall/ipt"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
)

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
	Tree     bool             `json:"tree,omitempty"`   // the classes were not there before
	Rung     string           `json:"rung,omitempty"`   // what sorts by cgroup
	Also     []string         `json:"also,omitempty"`   // filters that have something of what it was before
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
	return union(out, m.Also)
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

// begun is what of a network may be there while it is being made. It is written
// before anything is made, so that what a killed hook leaves is found, and is gone
// when the network has been made.
type begun struct {
	made
	Tried []string `json:"tried,omitempty"` // filters that may have something
}

func (b *begun) filters() []string { return union(b.made.filters(), b.Tried) }

func union(a, b []string) []string {
	for _, x := range b {
		if !slices.Contains(a, x) {
			a = append(a, x)
		}
	}
	return a
}

func (e *Engine) begunFile(name string) string {
	return filepath.Join(e.store.NetDir(name), "begun.json")
}

func (e *Engine) readBegun(name string) *begun {
	data, err := os.ReadFile(e.begunFile(name))
	b := &begun{}
	if err != nil || json.Unmarshal(data, b) != nil || b.Boot != e.boot {
		return nil
	}
	return b
}

// note writes a change of what may be there before it is.
func (e *Engine) note(name string, b *begun, change func()) error {
	change()
	data, err := json.Marshal(b)
	if err != nil {
		return err
	}
	return record.WriteFile(e.begunFile(name), data)
}

// planned is what a network will be by its file.
func planned(n *config.Network) (m made) {
	switch n.Driver {
	case config.Bridge, config.VXLAN:
		m.Bridge, m.Network = n.Bridge, firewall.Of(n, n.Bridge)
	case config.PTP:
		m.Network = firewall.Of(n, "")
		m.Network.Links = record.LinkPrefix
	}
	return m
}

// begin notes that a network is being made; what a killed hook has begun is taken
// over.
func (e *Engine) begin(n *config.Network, want string) (*begun, error) {
	if err := os.MkdirAll(e.store.NetDir(n.Name), 0o700); err != nil {
		return nil, err
	}
	b := &begun{made: planned(n)}
	b.Digest, b.Boot = want, e.boot
	if old := e.readBegun(n.Name); old != nil {
		if old.Bridge != b.Bridge {
			if err := e.withdraw(n.Name, old); err != nil {
				return nil, err
			}
		} else {
			b.Tried, b.Opened, b.Shaped = old.Tried, old.Opened, old.Shaped
		}
	}
	if m := e.readMade(n.Name); m != nil {
		b.keep(n, m)
	}
	return b, e.note(n.Name, b, func() {})
}

// finish notes that a network is there.
func (e *Engine) finish(name string, b *begun) error {
	if err := e.writeMade(name, &b.made); err != nil {
		return err
	}
	return os.Remove(e.begunFile(name))
}

// withdraw removes what of a network has been made. Where it was there before, and
// was only to be changed, its rules stay: they have its name. The caller holds the
// locks of the network and of the structure.
func (e *Engine) withdraw(name string, b *begun) error {
	var errs []error
	m := e.readMade(name)
	if m == nil {
		m = &made{}
	}
	errs = append(errs, e.removeRules(name, minus(b.filters(), m.filters()), &b.made))
	if m.Bridge != b.Bridge {
		errs = append(errs, ipt.CloseForward(b.Network, b.Opened), e.removeOwnBridge(name, b.Bridge))
	} else {
		errs = append(errs, ipt.CloseForward(b.Network, minus(b.Opened, m.Opened)))
	}
	if m.Shaped != b.Shaped {
		errs = append(errs, e.unshapeDevice(name, b.Shaped))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("network %q: %w", name, err) // the note stays, so that it can be tried again
	}
	if err := os.Remove(e.begunFile(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// removeOwnBridge removes a bridge that was made for this network. What else has
// its name was there before: the network found it with its own address, or could not
// be made because of it.
func (e *Engine) removeOwnBridge(network, bridge string) error {
	if bridge == "" {
		return nil
	}
	own, err := e.links.MadeFor(bridge, network)
	if !own || err != nil {
		return err
	}
	return errors.Join(e.links.Delete(link.VXLANName(bridge)), e.links.Delete(bridge))
}

// others are the other networks, those that are begun too.
func (e *Engine) others(name string) (out []*begun) {
	entries, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	for _, d := range entries {
		if d.Name() == name {
			continue
		}
		if m := e.readMade(d.Name()); m != nil {
			out = append(out, &begun{made: *m})
		}
		if b := e.readBegun(d.Name()); b != nil {
			out = append(out, b)
		}
	}
	return out
}

// removeRules removes a network's rules from filters, and with the last network
// that has rules there what all share.
func (e *Engine) removeRules(name string, filters []string, m *made) error {
	var others []string
	for _, o := range e.others(name) {
		others = append(others, o.filters()...)
	}
	var errs []error
	for _, kind := range filters {
		f, err := e.removing(kind)
		if err == nil {
			err = f.RemoveNetwork(m.Network, !slices.Contains(others, kind))
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// RemoveNetwork removes the bridge and the rules of a network without containers,
// or what a killed hook has made of it.
func (e *Engine) RemoveNetwork(name string) error {
	if err := config.ValidName(name, 64); err != nil {
		return fmt.Errorf("network %q %w", name, err)
	}
	lock, err := e.store.Lock("net-"+name, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if id := e.user(name); id != "" {
		return fmt.Errorf("network %q: container %q is attached", name, id)
	}
	unlock, err := e.structure()
	if err != nil {
		return err
	}
	defer unlock()
	return e.removeNetwork(name)
}

// user is a container that is attached to a network, or "".
func (e *Engine) user(network string) string {
	for _, a := range e.store.All() {
		if a.Network == network {
			return a.ID
		}
	}
	return ""
}

func (e *Engine) removeNetwork(name string) error {
	if b := e.readBegun(name); b != nil {
		if err := e.withdraw(name, b); err != nil {
			return err
		}
	}
	if m := e.readMade(name); m != nil {
		if err := e.dismantle(name, m); err != nil {
			return fmt.Errorf("network %q: %w", name, err)
		}
	}
	if err := os.RemoveAll(e.store.NetDir(name)); err != nil {
		return err
	}
	entries, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	if len(entries) == 0 && len(e.changedSysctls()) > 0 {
		return e.restoreSysctls()
	}
	return nil
}
