package link

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/tare-oci/tare/hooks/network/netns"
)

// Inside is a container's end of a link.
type Inside struct {
	Name      string
	Addresses []netip.Prefix
	Routes    []Hop
	Sysctl    map[string]string
	// Without IPv6 it has no link-local address either, if none of Addresses is of
	// that family. On a bridge each end that comes up would tell the others of its
	// groups, and ask who has its address, by multicast: six packets or so, to every
	// port. Beside 950 containers that was 54 ms of a processor for each new one.
	Only4 bool
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
	six := false
	for _, a := range in.Addresses {
		six = six || a.Addr().Is6()
	}
	var index, lo int
	var up, loUp bool
	b, err := batchIn(n, func() (err error) {
		if index, up, err = Index(in.Name); err != nil {
			return err
		}
		if index == 0 {
			return fmt.Errorf("link %q: is not in the container", in.Name)
		}
		if lo, loUp, err = Index("lo"); err != nil {
			return err
		}
		conf := "net.ipv6.conf." + in.Name + "."
		settings := [][2]string{{conf + "accept_ra", "0"}}
		switch {
		case six:
			settings = append(settings, [2]string{conf + "disable_ipv6", "0"})
		case in.Only4:
			settings = append(settings, [2]string{conf + "disable_ipv6", "1"})
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
	defer b.close()
	for _, a := range in.Addresses {
		b.address(in.Name, index, a)
	}
	if !loUp {
		b.up("lo", lo)
	}
	if !up {
		b.up(in.Name, index)
	}
	for _, r := range in.Routes {
		b.route(index, r)
	}
	if err := b.send(); err != nil {
		return err
	}
	if len(in.Sysctl) == 0 {
		return nil
	}
	return n.Do(func() error {
		for _, key := range InOrder(in.Sysctl) {
			if err := Set(key, in.Sysctl[key]); err != nil {
				return err
			}
		}
		return nil
	})
}
