package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// Inside is a container's end of a link.
type Inside struct {
	Name      string
	Addresses []netip.Prefix
	Routes    []Hop
	Sysctl    map[string]string
}

// Hop is one route.
type Hop struct {
	Dst    netip.Prefix
	Via    netip.Addr
	Metric int
}

// Configure gives the container's end its addresses and routes and sets it and
// lo up.
func Configure(n *netns.Namespace, in Inside) error {
	l, err := In(n)
	if err != nil {
		return err
	}
	defer l.Close()
	six := false
	for _, a := range in.Addresses {
		six = six || a.Addr().Is6()
	}
	var index int
	var up, loUp bool
	err = n.Do(func() (err error) {
		if index, up, err = Index(in.Name); err != nil {
			return err
		}
		if index == 0 {
			return fmt.Errorf("link %q: is not in the container", in.Name)
		}
		if _, loUp, err = Index("lo"); err != nil {
			return err
		}
		conf := "net.ipv6.conf." + in.Name + "."
		settings := [][2]string{{conf + "accept_ra", "0"}}
		if six {
			settings = append(settings, [2]string{conf + "disable_ipv6", "0"})
		}
		for _, s := range settings {
			if err := Set(s[0], s[1]); err != nil && (six || !errors.Is(err, ErrNoSysctl)) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	k := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Name: in.Name, Index: index}}
	for _, a := range in.Addresses {
		if err := l.AddAddress(k, a); err != nil {
			return err
		}
	}
	if !loUp {
		if err := l.Up("lo"); err != nil {
			return err
		}
	}
	if !up {
		if err := l.h.LinkSetUp(k); err != nil {
			return fmt.Errorf("link %q: up: %w", in.Name, err)
		}
	}
	for _, r := range in.Routes {
		if err := l.AddRoute(k, r.Dst, r.Via, r.Metric); err != nil {
			return err
		}
	}
	if len(in.Sysctl) == 0 {
		return nil
	}
	return n.Do(func() error {
		for key, v := range in.Sysctl {
			if err := Set(key, v); err != nil {
				return err
			}
		}
		return nil
	})
}
