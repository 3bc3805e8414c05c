package network

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall/ipt"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
)

// A network's file may have changed since the network was made. What can be changed
// while containers are attached is made over it; what the old file alone wanted goes
// afterwards, or, as long as a container needs it, with the network.

// place is how containers of a network are reached: by which bridge, if any, and by
// rules of which name.
func (m *made) place() string {
	switch {
	case m.Bridge != "":
		return fmt.Sprintf("bridge %q", m.Bridge)
	case m.Network.Routed:
		return "a link for each container"
	}
	return "no link of the host"
}

// replace removes a network that its file wants elsewhere. While a container is
// attached there it stays, and the change is refused: its rules would be the other
// ones, by the same name.
func (e *Engine) replace(n *config.Network, m *made, place string) error {
	e.gcNetwork(n.Name)
	for _, a := range e.store.All() {
		if a.Network == n.Name && a.ID != e.turnOf {
			return fmt.Errorf("its file says %s now, and container %q is attached to %s: detach it, or change the file back", place, a.ID, m.place())
		}
	}
	unlock, err := e.structure()
	if err != nil {
		return err
	}
	defer unlock()
	if err := e.dismantle(n.Name, m); err != nil {
		return err
	}
	return os.Remove(e.madeFile(n.Name))
}

// dismantle removes all that was made of a network.
func (e *Engine) dismantle(name string, m *made) error {
	errs := []error{e.removeRules(name, m.filters(), m), ipt.CloseForward(m.Network, m.Opened), e.unshapeDevice(name, m.Shaped)}
	if m.Bridge != "" {
		errs = append(errs, e.links.Delete(link.VXLANName(m.Bridge)), e.removeOwnBridge(name, m.Bridge))
	}
	return errors.Join(errs...)
}

// keep takes over what the old file's network may have.
func (b *begun) keep(n *config.Network, m *made) {
	b.Opened, b.Also = union(b.Opened, m.Opened), union(b.Also, m.filters())
	if n.Shape != nil && n.Shape.Device == m.Shaped && m.Tree {
		b.Shaped, b.Tree = m.Shaped, true // its classes may be others: it is made anew
	}
}

// retire removes what only the old file wanted, after the new one has been made.
func (e *Engine) retire(name string, m *made, b *begun) error {
	old := b.Also
	b.Also = nil
	own := b.made.filters()
	for _, kind := range old {
		if slices.Contains(own, kind) {
			continue
		}
		used := slices.ContainsFunc(e.store.All(), func(a *record.Attachment) bool { return a.Network == name && a.ID != e.turnOf && a.Firewall == kind })
		if !used {
			err := e.removeRules(name, []string{kind}, m)
			if err == nil {
				continue
			}
			e.store.Log(map[string]any{"op": "network", "network": name, "warning": err.Error()})
		}
		b.Also = append(b.Also, kind) // goes with the network
	}
	errs := []error{}
	if m.Shaped != b.Shaped {
		errs = append(errs, e.unshapeDevice(name, m.Shaped))
	}
	if gone := minus(m.Network.Subnets, b.Network.Subnets); b.Network.Routed && len(gone) > 0 {
		old := m.Network
		old.Subnets = gone
		errs = append(errs, ipt.CloseForward(old, m.Opened))
	}
	return errors.Join(errs...)
}

// minus is what of a is not in b.
func minus[T comparable](a, b []T) (out []T) {
	for _, x := range a {
		if !slices.Contains(b, x) {
			out = append(out, x)
		}
	}
	return out
}
