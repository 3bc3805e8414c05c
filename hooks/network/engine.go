// Package network attaches containers to networks and detaches them: the parts
// below it each know one subject, this one knows the order.
//
// Any step may be the last one before the process is killed. Therefore a record
// is written before the first link is made, all names follow from the container's
// id, every step may be repeated, and GC undoes what has no living owner.
package network

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/firewall/nft"
	"github.com/tare-oci/tare/hooks/network/link"
	"github.com/tare-oci/tare/hooks/network/publish"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Options are the places on the host.
type Options struct {
	StateDir  string // /run/tare-net
	ConfigDir string // /etc/tare-net/networks.d
	NetNSDir  string // /run/netns, what ip-netns(8) reads
	CNIConf   string // /etc/cni/net.d
	CNIBin    []string
	Self      string        // this program, for the proxy
	LockWait  time.Duration // 30 s when 0
}

// Engine does the work in the network namespace of its process.
type Engine struct {
	Options
	store *record.Store
	links *link.Links
	nft   *nft.Filter
	ipt   *guarded
	boot  string
	me    record.Process

	turn   *record.Turn // while it attaches a container,
	turnOf string       // this one
}

// many containers are so many that a procfs of its own pays for a hook. (Containers
// that something else than this hook connects count as well, but nobody counts them.)
const many = 100

// New opens the state directory and rtnetlink.
func New(o Options) (*Engine, error) {
	if o.LockWait == 0 {
		o.LockWait = record.Patience
	}
	store, err := record.Open(o.StateDir)
	if errors.Is(err, fs.ErrPermission) {
		return nil, fmt.Errorf("state directory %s: no permission, root is needed: %w", o.StateDir, err)
	}
	if err != nil {
		return nil, fmt.Errorf("state directory %s: %w", o.StateDir, err)
	}
	boot := record.BootID()
	links, err := link.Here(boot)
	if err != nil {
		return nil, err
	}
	me, err := record.Identify(os.Getpid())
	if err != nil {
		return nil, err
	}
	link.OwnProcfs(store.Containers() >= many)
	return &Engine{Options: o, store: store, links: links, boot: boot, me: me}, nil
}

// Close closes the sockets; see nft.Filter.Close for why not under a lock.
func (e *Engine) Close() {
	e.links.Close()
	if e.nft != nil {
		e.nft.Close()
	}
	if e.ipt != nil {
		e.ipt.ports.Close()
	}
}

// inTurn does something with a container while nobody else does; wait is 0 for
// only trying.
func (e *Engine) inTurn(id string, wait time.Duration, f func() error) error {
	if e.turnOf == id {
		return f() // its own
	}
	turn, err := e.takeTurn(id, wait)
	if err != nil {
		return err
	}
	defer turn.End()
	return f()
}

func (e *Engine) takeTurn(id string, wait time.Duration) (*record.Turn, error) {
	turn, err := e.store.Turn()
	if err != nil {
		return nil, err
	}
	if err := turn.Take("id "+id, wait); err != nil {
		for _, a := range e.store.Of(id) {
			if a.Phase == record.Intent && a.Hook.Alive() {
				err = fmt.Errorf("pid %d is attaching it: %w", a.Hook.Pid, err)
			}
		}
		if wait == 0 {
			turn.End() // otherwise a thread waits with it
		}
		return nil, err
	}
	return turn, nil
}

// inherited takes a lock that the programs which are run under it hold as well.
func (e *Engine) inherited(name string) (unlock func(), err error) {
	lock, err := e.store.Lock(name, e.LockWait)
	if err != nil {
		return nil, err
	}
	if err := lock.Inherit(); err != nil {
		lock.Unlock()
		return nil, err
	}
	return lock.Unlock, nil
}

func turnOfKey(key string) string { return "key " + key }

// Store is the state directory.
func (e *Engine) Store() *record.Store { return e.store }

// filter opens the packet filter of a name.
func (e *Engine) filter(name string) (firewall.Filter, error) {
	switch name {
	case "nftables":
		if e.nft == nil {
			f, err := nft.New()
			if err != nil {
				return nil, err
			}
			e.nft = f
		}
		return e.nft, nil
	case "iptables":
		if e.ipt == nil {
			f, err := newGuarded(func() (func(), error) { return e.inherited("iptables") })
			if err != nil {
				return nil, err
			}
			e.ipt = f
		}
		return e.ipt, nil
	case "none":
		return nothing{}, nil
	}
	return nil, fmt.Errorf("firewall %q: is not known", name)
}

// removing opens the packet filter of a name to remove what it has: where the kernel
// lacks nf_tables it has nothing.
func (e *Engine) removing(name string) (firewall.Filter, error) {
	f, err := e.filter(name)
	if name == "nftables" && nft.Lacking(err) {
		return nothing{}, nil
	}
	return f, err
}

// nothing is the filter of networks that want none.
type nothing struct{}

func (nothing) Name() string                                       { return "none" }
func (nothing) EnsureNetwork(firewall.Network) error               { return nil }
func (nothing) Attach(firewall.Network, firewall.Endpoint) error   { return nil }
func (nothing) Detach(firewall.Network, firewall.Endpoint) error   { return nil }
func (nothing) RemoveNetwork(firewall.Network, bool) error         { return nil }
func (nothing) Check(firewall.Network, firewall.Endpoint) []string { return nil }
func (nothing) Owners() (map[string]int, error)                    { return nil, nil }
func (nothing) Sweep([]string) error                               { return nil }

func (e *Engine) book() publish.Book { return publish.Book{Dir: filepath.Join(e.StateDir, "ports")} }

// State is the container's state as a runtime writes it on the hook's stdin
// (runtime.md, State). Runtimes differ in all but these.
type State struct {
	ID          string            `json:"id"`
	Status      string            `json:"status"`
	Pid         int               `json:"pid"`
	Bundle      string            `json:"bundle"`
	Annotations map[string]string `json:"annotations"`
}

// maxState bounds what is read from stdin.
const maxState = 1 << 20

// ReadState reads and checks a state.
func ReadState(r io.Reader) (*State, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxState+1))
	if err != nil {
		return nil, fmt.Errorf("state on stdin: %w", err)
	}
	if len(data) > maxState {
		return nil, fmt.Errorf("state on stdin: has more than %d bytes", maxState)
	}
	s := &State{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("state on stdin: %w", err)
	}
	if err := record.ValidID(s.ID); err != nil {
		return nil, fmt.Errorf("state on stdin: %w", err)
	}
	if s.Pid < 0 {
		return nil, fmt.Errorf("state on stdin: pid %d: is negative", s.Pid)
	}
	return s, nil
}

// Ending says that the state is that of a container which has stopped: runc
// leaves pid out then, crun writes 0.
func (s *State) Ending() bool { return s.Status == "stopped" || s.Pid == 0 }

// Problem is an error with what it happened to; it prints as one line.
type Problem struct {
	Op, ID, Network, Step string
	Err                   error
}

func (p *Problem) Error() string {
	s := p.Op
	if p.ID != "" {
		s += " " + p.ID
	}
	if p.Network != "" {
		s += " network " + p.Network
	}
	if p.Step != "" {
		s += ": " + p.Step
	}
	return s + ": " + p.Err.Error()
}

func (p *Problem) Unwrap() error { return p.Err }

// network reads a network's file; the one called default is written when it is
// first asked for.
func (e *Engine) network(name string) (*config.Network, error) {
	n, err := config.Load(e.ConfigDir, name)
	if name == DefaultNetwork && errors.Is(err, fs.ErrNotExist) {
		if err := e.writeDefault(); err != nil {
			return nil, err
		}
		return config.Load(e.ConfigDir, name)
	}
	return n, err
}
