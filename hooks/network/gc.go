package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tare-oci/tare/hooks/network/firewall"
	"github.com/tare-oci/tare/hooks/network/ipam"
	"github.com/tare-oci/tare/hooks/network/publish"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Swept is what GC has removed, or would.
type Swept struct {
	Attachments []string `json:"attachments"` // "ID/IFNAME"
	Links       []string `json:"links"`       // without a record
	Leases      []string `json:"leases"`
	Ports       []string `json:"ports"`
	Networks    []string `json:"networks"` // half made, without containers
	Rules       int      `json:"rules"`
	Files       int      `json:"files"`
}

// Empty says that there was nothing.
func (s *Swept) Empty() bool {
	return len(s.Attachments)+len(s.Links)+len(s.Networks)+len(s.Leases)+len(s.Ports)+s.Rules+s.Files == 0
}

// dead says that nobody will ever detach it: the machine was started again, the
// hook died over it, or the container is gone and nothing else is in its network
// namespace.
func (e *Engine) dead(a *record.Attachment) bool {
	if a.Boot != e.boot {
		return true
	}
	if a.Phase == record.Intent {
		return a.Hook != e.me && !a.Hook.Alive()
	}
	if a.Init.Alive() {
		return false
	}
	if slices.ContainsFunc(a.Users, func(u record.User) bool { return u.Init.Alive() }) {
		return false
	}
	return !inhabited(a.NetNS, e.StateDir)
}

// inhabited says whether a process lives in a network namespace, or a mount that
// is not ours holds it.
func inhabited(ns record.NetNS, own string) bool {
	want := fmt.Sprintf("net:[%d]", ns.Ino)
	links, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, l := range links {
		if to, err := os.Readlink(l); err == nil && to == want {
			return true
		}
	}
	mounts, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, " "+want+" ") && !strings.Contains(line, " "+own+"/") {
			return true
		}
	}
	return false
}

// gcNetwork detaches the dead of a network whose lock the caller holds. busy says
// that others are detaching some, for which they need that lock.
func (e *Engine) gcNetwork(name string) (freed int, busy bool) {
	for _, a := range e.store.All() {
		if a.Network != name || !e.dead(a) {
			continue
		}
		// Whoever has the turn may wait for the network's lock, so nobody waits
		// here for the turn.
		err := e.inTurn(a.ID, 0, func() error {
			now, err := e.store.Load(a.ID, a.IfName)
			if err != nil || now.Key != a.Key || !e.dead(now) {
				return nil // another one has done it
			}
			return e.detachLocked(now)
		})
		if err == nil {
			freed++
		}
		busy = busy || errors.Is(err, record.ErrBusy)
	}
	return freed, busy
}

// gcDead detaches all that are dead; the caller holds no lock of a network.
func (e *Engine) gcDead() (freed int, busy bool) {
	for _, a := range e.store.All() {
		if !e.dead(a) {
			continue
		}
		// The caller has a turn, for which the other one may wait.
		err := e.inTurn(a.ID, 0, func() error { return e.detachOne(a, e.dead) })
		if err == nil {
			freed++
		}
		busy = busy || errors.Is(err, record.ErrBusy)
	}
	return freed, busy
}

// busyPatience bounds the wait for what others are detaching.
const busyPatience = 2 * time.Second

// GC removes what no living container owns. kept also frees the addresses that
// wait for their containers.
func (e *Engine) GC(dry, kept bool) (*Swept, error) {
	s := &Swept{}
	var errs []error
	for _, a := range e.store.All() {
		if !e.dead(a) {
			continue
		}
		s.Attachments = append(s.Attachments, a.ID+"/"+a.IfName)
		if !dry {
			if err := e.inTurn(a.ID, e.LockWait, func() error { return e.detachOne(a, e.dead) }); err != nil {
				errs = append(errs, &Problem{"gc", a.ID, a.Network, "", err})
			}
		}
	}
	// What has no record. A record is written before all of these are made, so
	// they are listed first and the records afterwards.
	errs = append(errs, e.sweepLinks(s, dry), e.sweepRules(s, dry), e.sweepPorts(s, dry), e.sweepLeases(s, dry, kept), e.sweepNetworks(s, dry), e.sweepFiles(s, dry))
	if !dry {
		errs = append(errs, e.sweepPlugins())
	}
	if err := errors.Join(errs...); err != nil {
		return s, err
	}
	if !s.Empty() && !dry {
		e.store.Log(map[string]any{"op": "gc", "swept": s})
	}
	return s, nil
}

func (e *Engine) keys() map[string]bool {
	out := map[string]bool{}
	for _, a := range e.store.All() {
		out[a.Key] = true
	}
	return out
}

func (e *Engine) sweepLinks(s *Swept, dry bool) error {
	links, err := e.links.All()
	if err != nil {
		return err
	}
	keys := e.keys()
	for _, k := range links {
		name := k.Attrs().Name
		key, ours := strings.CutPrefix(name, record.LinkPrefix)
		if !ours {
			key, ours = strings.CutPrefix(name, record.IFBPrefix)
		}
		if !ours || keys[key] || !e.links.Ours(k) {
			continue
		}
		if dry {
			s.Links = append(s.Links, name)
			continue
		}
		err = errors.Join(err, e.sweepLink(s, name, key))
	}
	return err
}

func (e *Engine) sweepLink(s *Swept, name, key string) error {
	turn, err := e.store.Turn()
	if err != nil {
		return err
	}
	defer turn.End()
	if len(e.nobodys(turn, []string{key})) == 0 {
		return nil
	}
	s.Links = append(s.Links, name)
	return e.links.DeleteOurs(name)
}

func (e *Engine) sweepRules(s *Swept, dry bool) (err error) {
	used := map[string]bool{}
	dirs, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	for _, d := range dirs {
		if m := e.readMade(d.Name()); m != nil {
			for _, f := range m.filters() {
				used[f] = true
			}
		}
	}
	for name := range used {
		f, ferr := e.removing(name)
		if ferr != nil {
			err = errors.Join(err, ferr)
			continue
		}
		owners, ferr := f.Owners()
		err = errors.Join(err, ferr, e.sweepOwners(s, f, owners, dry))
	}
	return err
}

// nobodys returns the keys that still have no record when their turn has been
// taken: a container of the same name may come at any time, and is not to lose
// what it makes.
func (e *Engine) nobodys(turn *record.Turn, keys []string) []string {
	keys = slices.DeleteFunc(keys, func(k string) bool { return turn.Take(turnOfKey(k), 0) != nil })
	now := e.keys()
	return slices.DeleteFunc(keys, func(k string) bool { return now[k] })
}

// sweepOwners removes the rules of owners without a record.
func (e *Engine) sweepOwners(s *Swept, f firewall.Filter, owners map[string]int, dry bool) error {
	var orphans []string
	keys := e.keys()
	for owner := range owners {
		if !keys[owner] {
			orphans = append(orphans, owner)
		}
	}
	if len(orphans) > 0 && !dry {
		turn, err := e.store.Turn()
		if err != nil {
			return err
		}
		defer turn.End()
		orphans = e.nobodys(turn, orphans)
	}
	for _, o := range orphans {
		s.Rules += owners[o]
	}
	if len(orphans) == 0 || dry {
		return nil
	}
	return f.Sweep(orphans)
}

func (e *Engine) sweepPorts(s *Swept, dry bool) error {
	lock, err := e.store.Lock("ports", e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	owners := e.book().Owners()
	keys := e.keys()
	for key, files := range owners {
		if keys[key] {
			continue
		}
		for _, f := range files {
			s.Ports = append(s.Ports, filepath.Base(filepath.Dir(f)))
			if !dry {
				err = errors.Join(err, publish.Drop(f))
			}
		}
	}
	return err
}

func (e *Engine) sweepLeases(s *Swept, dry, kept bool) (err error) {
	dirs, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	for _, d := range dirs {
		lock, lerr := e.store.Lock("net-"+d.Name(), e.LockWait)
		if lerr != nil {
			return lerr
		}
		err = errors.Join(err, e.sweepPool(s, d.Name(), dry, kept))
		lock.Unlock()
	}
	return err
}

// sweepPool frees the leases of one network, whose lock the caller holds. An attach
// that waits for a second address has given up that lock, and has no record yet; but
// it has its turn.
func (e *Engine) sweepPool(s *Swept, network string, dry, kept bool) (err error) {
	turn, err := e.store.Turn()
	if err != nil {
		return err
	}
	defer turn.End()
	leases := ipam.Leases(e.store.NetDir(network))
	keys := e.keys()
	for a, o := range leases {
		if keys[o.Key] && !o.Kept || o.Kept && !kept || turn.Take(turnOfKey(o.Key), 0) != nil {
			continue
		}
		s.Leases = append(s.Leases, a.String())
		if !dry {
			err = errors.Join(err, ipam.Free(e.store.NetDir(network), a, o))
		}
	}
	return err
}

// sweepNetworks removes what killed hooks have made of networks. A hook that makes
// one now holds its lock.
func (e *Engine) sweepNetworks(s *Swept, dry bool) (err error) {
	dirs, _ := os.ReadDir(filepath.Join(e.StateDir, "nets"))
	for _, d := range dirs {
		if e.readBegun(d.Name()) != nil {
			err = errors.Join(err, e.sweepNetwork(s, d.Name(), dry))
		}
	}
	return err
}

func (e *Engine) sweepNetwork(s *Swept, name string, dry bool) error {
	lock, err := e.store.Lock("net-"+name, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	b, m := e.readBegun(name), e.readMade(name)
	if b == nil || m == nil && e.user(name) != "" {
		return nil // made meanwhile, or still needed
	}
	s.Networks = append(s.Networks, name)
	if dry {
		return nil
	}
	unlock, err := e.structure()
	if err != nil {
		return err
	}
	defer unlock()
	if m == nil && len(ipam.Leases(e.store.NetDir(name))) == 0 {
		return e.removeNetwork(name)
	}
	return e.withdraw(name, b)
}

// sweepFiles removes names of containers that have no records. An attach writes its
// record first: so the names are listed before the records.
func (e *Engine) sweepFiles(s *Swept, dry bool) error {
	ids := map[string]string{} // of the container, by file
	for _, dir := range []string{"ns", "users"} {
		files, _ := filepath.Glob(filepath.Join(e.StateDir, dir, "*"))
		for _, f := range files {
			if id := e.readName(f); id != "" {
				ids[f] = id
			}
		}
	}
	named, _ := filepath.Glob(filepath.Join(e.StateDir, "nets", "*", "named", "*"))
	for _, f := range named {
		ids[f] = filepath.Base(f)
	}
	if err := fault("sweep-files"); err != nil {
		return err
	}
	there := map[string]bool{}
	for _, a := range e.store.All() {
		there[a.ID] = true
	}
	for f, id := range ids {
		if there[id] {
			continue
		}
		if dry {
			s.Files++
			continue
		}
		_ = e.inTurn(id, 0, func() error { // whoever has the turn writes them anew
			if len(e.store.Of(id)) == 0 && os.Remove(f) == nil {
				s.Files++
			}
			return nil
		})
	}
	if !dry {
		s.Files += e.store.Rubbish()
	}
	return nil
}
