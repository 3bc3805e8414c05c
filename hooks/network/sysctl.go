package network

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/record"
)

// changed is a parameter of the host that a network needed otherwise.
type changed struct {
	Before  string `json:"before"`
	Set     string `json:"set"`
	Network string `json:"network"` // that needed it first
}

func (e *Engine) sysctlFile() string { return filepath.Join(e.StateDir, "sysctl.json") }

func (e *Engine) changedSysctls() map[string]changed {
	m := map[string]changed{}
	if b, err := os.ReadFile(e.sysctlFile()); err == nil {
		_ = json.Unmarshal(b, &m) // of another version: begun anew
	}
	return m
}

// hostSysctl sets a parameter of the host and remembers what it was.
func (e *Engine) hostSysctl(network, key, value string) error {
	now, err := link.Get(key)
	if err != nil || now == value {
		return err
	}
	l, err := e.store.Lock("sysctl", e.LockWait)
	if err != nil {
		return err
	}
	defer l.Unlock()
	m := e.changedSysctls()
	if _, ok := m[key]; !ok {
		m[key] = changed{Before: now, Set: value, Network: network}
		data, err := json.MarshalIndent(m, "", " ")
		if err == nil {
			err = record.WriteFile(e.sysctlFile(), data)
		}
		if err != nil {
			return err
		}
		e.store.Log(map[string]any{"op": "sysctl", "key": key, "before": now, "set": value, "network": network})
	}
	return link.Set(key, value)
}

// restoreSysctls gives back what nobody needs any more and nobody has changed
// since.
func (e *Engine) restoreSysctls() error {
	l, err := e.store.Lock("sysctl", e.LockWait)
	if err != nil {
		return err
	}
	defer l.Unlock()
	all := e.changedSysctls()
	for _, key := range link.InOrder(all) {
		c := all[key]
		now, gerr := link.Get(key)
		if errors.Is(gerr, link.ErrNoSysctl) || now != c.Set {
			continue
		}
		err = errors.Join(err, link.Set(key, c.Before))
		e.store.Log(map[string]any{"op": "sysctl", "key": key, "restored": c.Before})
	}
	return errors.Join(err, os.Remove(e.sysctlFile()))
}

// forwarding lets the host route, for the families of a network.
func (e *Engine) forwarding(network string, four, six bool) error {
	if four {
		if err := e.hostSysctl(network, "net.ipv4.ip_forward", "1"); err != nil {
			return err
		}
	}
	if !six {
		return nil
	}
	const all = "net.ipv6.conf.all.forwarding"
	if now, err := link.Get(all); err != nil || now == "1" {
		return err
	}
	// A host that routes ignores router advertisements unless accept_ra is 2, and
	// would lose its own default route (ip-sysctl.rst).
	links, err := e.links.All()
	if err != nil {
		return err
	}
	for _, k := range links {
		key := "net.ipv6.conf." + k.Attrs().Name + ".accept_ra"
		if v, err := link.Get(key); err == nil && v == "1" && k.Attrs().Name != "lo" && k.Type() != "bridge" && k.Type() != "veth" {
			if err := e.hostSysctl(network, key, "2"); err != nil {
				return err
			}
		}
	}
	return e.hostSysctl(network, all, "1")
}
