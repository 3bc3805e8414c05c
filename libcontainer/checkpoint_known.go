//go:build !tare_front

package libcontainer

import (
	"errors"
	"fmt"

	"github.com/tare-oci/tare/internal/criu"
)

// newerOption is one that not every CRIU has: an older one ignores it, or does not
// understand the request.
type newerOption struct {
	flag  string
	since criu.Version
}

// newer lists those that are set. The versions are those of CRIU's release notes.
func (o *CriuOptions) newer() (out []newerOption) {
	switch o.NetworkLock {
	case "":
	case "skip":
		out = append(out, newerOption{"--network-lock skip", criu.Version{Major: 3, Minor: 18}})
	default:
		out = append(out, newerOption{"--network-lock " + o.NetworkLock, criu.Version{Major: 3, Minor: 17}})
	}
	return out
}

// checkKnown asks CRIU, before it begins, whether it can do what is asked. It is only
// asked when there is something to ask.
func (o *CriuOptions) checkKnown(p criu.Program, more ...newerOption) error {
	if options := append(o.newer(), more...); len(options) > 0 {
		v, err := criu.VersionOf(p)
		if err != nil {
			return err
		}
		for _, n := range options {
			if v.Before(n.since) {
				return fmt.Errorf("%s: this CRIU does not know it: it is %s, and %s does", n.flag, v, n.since)
			}
		}
	}
	if !o.LazyPages {
		return nil
	}
	ok, err := criu.CanBringPagesLater(p)
	if err == nil && !ok {
		err = errors.New("--lazy-pages: CRIU says that it cannot on this kernel, which needs userfaultfd(2) with events (CONFIG_USERFAULTFD, Linux 4.11)")
	}
	return err
}
