package network

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	Rules       int      `json:"rules"`
	Files       int      `json:"files"`
}

// Empty says that there was nothing.
func (s *Swept) Empty() bool {
	return len(s.Attachments)+len(s.Links)+len(s.Leases)+len(s.Ports)+s.Rules+s.Files == 0
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

// gcNetwork detaches the dead of a network whose lock the caller holds.
func (e *Engine) gcNetwork(name string) int {
	n := 0
	for _, a := range e.store.All() {
		if a.Network == name && e.dead(a) && e.detachLocked(a) == nil {
			n++
		}
	}
	return n
}

// gcDead detaches all that are dead; the caller holds no lock.
func (e *Engine) gcDead() int {
	n := 0
	for _, a := range e.store.All() {
		if e.dead(a) && e.detachOne(a, e.dead) == nil {
			n++
		}
	}
	return n
}

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
			if err := e.detachOne(a, e.dead); err != nil {
				errs = append(errs, &Problem{"gc", a.ID, a.Network, "", err})
			}
		}
	}
	// What has no record. A record is written before all of these are made, so
	// they are listed first and the records afterwards.
	errs = append(errs, e.sweepLinks(s, dry), e.sweepRules(s, dry), e.sweepPorts(s, dry), e.sweepLeases(s, dry, kept), e.sweepFiles(s, dry))
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
		if !ours || len(key) != 13 || keys[key] || strings.HasPrefix(name, record.LinkPrefix) && !strings.HasPrefix(k.Attrs().Alias, "tare-net:") && k.Attrs().Alias != "" {
			continue
		}
		s.Links = append(s.Links, name)
		if !dry {
			err = errors.Join(err, e.links.Delete(name))
		}
	}
	return err
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
		f, ferr := e.filter(name)
		if ferr != nil {
			err = errors.Join(err, ferr)
			continue
		}
		owners, ferr := f.Owners()
		err = errors.Join(err, ferr)
		keys := e.keys()
		var orphans []string
		for owner, n := range owners {
			if !keys[owner] {
				orphans = append(orphans, owner)
				s.Rules += n
			}
		}
		if len(orphans) > 0 && !dry {
			err = errors.Join(err, f.Sweep(orphans))
		}
	}
	return err
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
		leases := ipam.Leases(e.store.NetDir(d.Name()))
		keys := e.keys()
		for a, o := range leases {
			if keys[o.Key] && !o.Kept || o.Kept && !kept {
				continue
			}
			s.Leases = append(s.Leases, a.String())
			if !dry {
				err = errors.Join(err, ipam.Free(e.store.NetDir(d.Name()), a, o))
			}
		}
		lock.Unlock()
	}
	return err
}

// sweepFiles removes names of containers that have no records.
func (e *Engine) sweepFiles(s *Swept, dry bool) error {
	ids := map[string]bool{}
	for _, a := range e.store.All() {
		ids[a.ID] = true
	}
	drop := func(file, id string) {
		if ids[id] {
			return
		}
		s.Files++
		if !dry {
			_ = os.Remove(file) // gone is what it should be
		}
	}
	for _, dir := range []string{"ns", "users"} {
		files, _ := filepath.Glob(filepath.Join(e.StateDir, dir, "*"))
		for _, f := range files {
			// The name of an attach that runs now is there before its record.
			if id := e.readName(f); id != "" {
				drop(f, id)
			}
		}
	}
	named, _ := filepath.Glob(filepath.Join(e.StateDir, "nets", "*", "named", "*"))
	for _, f := range named {
		drop(f, filepath.Base(f))
	}
	if !dry {
		s.Files += e.store.Rubbish()
	}
	return nil
}
