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
	why   string // what an older one does; "" where it does not know the option
}

// newer lists those that are set. What 3.17.1 lacks has been seen; that the versions
// named here have it has not been run.
func (o *CriuOptions) newer() (out []newerOption) {
	switch o.NetworkLock {
	case "":
	case "skip":
		out = append(out, newerOption{"--network-lock skip", criu.Version{Major: 3, Minor: 18}, ""})
	default:
		out = append(out, newerOption{"--network-lock " + o.NetworkLock, criu.Version{Major: 3, Minor: 17}, ""})
	}
	return out
}

// newerOfCheckpoint are those that only checkpoint has. An older CRIU names the table
// that locks connections after the process's id, and looks for it under the id that
// the process has after the restore: it stays, and the connections are dead.
func (o *CheckpointOptions) newerOfCheckpoint() []newerOption {
	if o.NetworkLock != "nftables" || !o.TCPEstablished || o.LeaveRunning {
		return nil
	}
	return []newerOption{{"--network-lock nftables", criu.Version{Major: 4, Minor: 1},
		"CRIU before 4.1 leaves connections locked after the restore (use iptables)"}}
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
			switch {
			case !v.Before(n.since):
			case n.why != "":
				return fmt.Errorf("%s: %s, and this one is %s", n.flag, n.why, v)
			default:
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
