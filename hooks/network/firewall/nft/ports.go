package nft

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/firewall"
)

// PortsTable is the table of family bridge beside a filter of another kind.
const PortsTable = "tare-net-ports"

// Ports is the check of each bridge port for itself: of the station and the
// addresses that may send. iptables has none, for it sees packets of a bridge and
// not who has brought them; a table of family bridge stands in nobody's way.
//
// Where the kernel has no nf_tables, or not for bridges, there is no such check.
type Ports struct{ f *Filter } // nil without nfnetlink

// NewPorts opens the socket in the network namespace of the caller.
func NewPorts() (*Ports, error) {
	c, err := nftables.New(nftables.AsLasting())
	if Lacking(err) {
		return &Ports{}, nil
	}
	if err != nil {
		return nil, fmt.Errorf("nf_tables: %w", err)
	}
	return &Ports{&Filter{c: c, l: newLayout(PortsTable)}}, nil
}

// Close closes the socket; see Filter.Close.
func (p *Ports) Close() {
	if p.f != nil {
		p.f.Close()
	}
}

// Attach guards a container's port; the table is made when it is missing.
func (p *Ports) Attach(e firewall.Endpoint) error {
	if p.f == nil {
		return nil
	}
	try := func() error {
		for _, s := range p.f.ofPort(e) {
			if err := p.f.c.SetAddElements(s.set, s.els); err != nil {
				return err
			}
		}
		return p.f.c.Flush()
	}
	err := try()
	if errors.Is(err, unix.ENOENT) {
		if err = p.f.l.spoof(p.f.c); err == nil {
			err = try()
		}
	}
	if Lacking(err) {
		return nil
	}
	return p.f.fail(err)
}

// Detach opens it again.
func (p *Ports) Detach(e firewall.Endpoint) error {
	if p.f == nil {
		return nil
	}
	return p.f.drop(p.f.ofPort(e))
}

// Check lists what a port lacks.
func (p *Ports) Check(e firewall.Endpoint) []string {
	if p.f == nil {
		return nil
	}
	if _, err := p.f.c.ListTablesOfFamily(nftables.TableFamilyBridge); err != nil {
		return nil // the kernel has none
	}
	return p.f.lacks(p.f.ofPort(e))
}

func (p *Ports) table() tables { return tables{p.f.l.bridge: p.f.l.bridgeSets()} }

// Owners counts elements by owner.
func (p *Ports) Owners() map[string]int {
	out := map[string]int{}
	if p.f == nil {
		return out
	}
	// Without the table there are none.
	_ = p.f.each(p.table(), func(_ *nftables.Set, el nftables.SetElement) {
		if el.Comment != "" {
			out[el.Comment]++
		}
	})
	return out
}

// Sweep removes the elements of owners.
func (p *Ports) Sweep(owners []string) error {
	if p.f == nil {
		return nil
	}
	return p.f.sweep(p.table(), owners)
}

// Remove removes the table.
func (p *Ports) Remove() error {
	if p.f == nil {
		return nil
	}
	p.f.c.DelTable(p.f.l.bridge)
	return p.f.fail(gone(p.f.c.Flush()))
}
