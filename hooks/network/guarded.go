package network

import (
	"errors"

	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/firewall/ipt"
	"github.com/tare-oci/tare/hooks/network/firewall/nft"
)

// guarded is the filter by iptables with the check of bridge ports beside it.
type guarded struct {
	*ipt.Filter
	ports *nft.Ports
}

func newGuarded(lock ipt.Locker) (*guarded, error) {
	f, err := ipt.New(lock)
	if err != nil {
		return nil, err
	}
	p, err := nft.NewPorts()
	if err != nil {
		return nil, err
	}
	return &guarded{f, p}, nil
}

// Attach adds the rules of a container and guards its port.
func (g *guarded) Attach(n firewall.Network, e firewall.Endpoint) error {
	if e.Spoof {
		if err := g.ports.Attach(e); err != nil {
			return err
		}
	}
	return g.Filter.Attach(n, e)
}

// Detach removes them.
func (g *guarded) Detach(n firewall.Network, e firewall.Endpoint) error {
	err := g.Filter.Detach(n, e)
	if e.Spoof {
		err = errors.Join(err, g.ports.Detach(e))
	}
	return err
}

// RemoveNetwork removes a network, and with the last one the table of ports.
func (g *guarded) RemoveNetwork(n firewall.Network, last bool) error {
	err := g.Filter.RemoveNetwork(n, last)
	if last {
		err = errors.Join(err, g.ports.Remove())
	}
	return err
}

// Check lists what is missing.
func (g *guarded) Check(n firewall.Network, e firewall.Endpoint) []string {
	missing := g.Filter.Check(n, e)
	if e.Spoof {
		missing = append(missing, g.ports.Check(e)...)
	}
	return missing
}

// Owners counts rules and elements by owner.
func (g *guarded) Owners() (map[string]int, error) {
	all, err := g.Filter.Owners()
	for o, n := range g.ports.Owners() {
		all[o] += n
	}
	return all, err
}

// Sweep removes those of owners without a record.
func (g *guarded) Sweep(owners []string) error {
	return errors.Join(g.Filter.Sweep(owners), g.ports.Sweep(owners))
}

var _ firewall.Filter = (*guarded)(nil)
