package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/netns"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Attach gives a container its networks. Done twice it changes nothing; a
// failure leaves nothing.
func (e *Engine) Attach(s *State) error {
	req, err := config.ParseAnnotations(s.Annotations)
	if err != nil {
		return &Problem{"attach", s.ID, "", "configuration", err}
	}
	if req == nil {
		return nil // the container wants no network of ours
	}
	fail := func(step string, err error) error { return &Problem{"attach", s.ID, "", step, err} }
	if s.Pid == 0 {
		return fail("container", errors.New("pid 0: it does not run"))
	}
	init, err := record.Identify(s.Pid)
	if err != nil {
		return fail("container", fmt.Errorf("pid %d: %w", s.Pid, err))
	}
	ns, err := netns.OfProcess(s.Pid)
	if err != nil {
		return fail("network namespace", err)
	}
	defer ns.Close()
	own, err := netns.Own()
	if err != nil {
		return fail("network namespace", err)
	}
	defer own.Close()
	// A runtime that was killed leaves a hook at work, and another one comes to
	// undo it.
	if e.turn, err = e.takeTurn(s.ID, e.LockWait); err != nil {
		return fail("container", err)
	}
	e.turnOf = s.ID
	defer func() { e.turn.End(); e.turnOf = "" }()
	bundle := readBundle(s.Bundle)
	var done []*record.Attachment
	for i := range req.Networks {
		leg := &req.Networks[i]
		w := &work{Engine: e, state: s, req: req, leg: leg, first: i == 0, init: init, ns: ns, bundle: bundle}
		a, err := w.attach(own.ID == ns.ID)
		if err != nil {
			for _, d := range done {
				err = errors.Join(err, e.detachOne(d, nil))
			}
			p := &Problem{"attach", s.ID, leg.Network, w.step, err}
			e.store.Log(map[string]any{"op": "attach", "id": s.ID, "network": leg.Network, "error": p.Error()})
			return p
		}
		if a != nil {
			done = append(done, a)
		}
	}
	return nil
}

// work is the attachment of one container to one network.
type work struct {
	*Engine
	state  *State
	req    *config.Request
	leg    *config.Leg
	first  bool // what belongs to the container as a whole comes with this one
	init   record.Process
	ns     *netns.Namespace
	bundle *bundle

	n    *config.Network
	m    *made
	a    *record.Attachment
	lock *record.Lock
	step string
	undo []func() error

	recorded bool // there is a record
}

// at names the step that follows, for the error, and is where tests let it fail.
func (w *work) at(step string) error {
	w.step = step
	return fault(step)
}

func (w *work) later(f func() error) { w.undo = append(w.undo, f) }

// attach returns the record of what it has done, or nil when nothing had to be
// done.
func (w *work) attach(hostNS bool) (a *record.Attachment, err error) {
	if err := w.at("configuration"); err != nil {
		return nil, err
	}
	if w.n, err = w.network(w.leg.Network); err != nil {
		return nil, err
	}
	if err := w.n.Permit(w.req, w.leg); err != nil {
		return nil, err
	}
	switch {
	case w.n.Driver == config.Host && hostNS && w.class() == 0:
		return nil, nil // the host's network is there
	case w.n.Driver == config.Host && hostNS:
	case w.n.Driver == config.Host:
		return nil, errors.New("driver host: the container has a network namespace of its own")
	case hostNS:
		return nil, fmt.Errorf("the container shares the host's network; remove %snetworks or add a network namespace", config.Prefix)
	}
	if err := w.turn.Take(turnOfKey(record.Key(w.n.Name, w.state.ID, w.leg.IfName)), w.LockWait); err != nil {
		return nil, err
	}
	if err := w.moved(); err != nil {
		return nil, err
	}
	if err := w.at("lock"); err != nil {
		return nil, err
	}
	if w.lock, err = w.store.Lock("net-"+w.n.Name, w.LockWait); err != nil {
		return nil, err
	}
	defer func() { w.lock.Unlock() }()
	if known, err := w.known(); known || err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.undoAll())
		}
	}()
	return w.a, w.do()
}

// undoAll takes the steps back, the last one first. Where one of them fails it stops:
// what is left still has its record, with the addresses and ports that nobody else may
// have before, and is undone by detach or gc.
func (w *work) undoAll() error {
	for i := len(w.undo) - 1; i >= 0; i-- {
		if err := w.undo[i](); err != nil {
			if w.recorded {
				err = errors.Join(err, w.store.Save(w.a))
			}
			return err
		}
	}
	return nil
}

// moved detaches what a container of the same id has had in another network, whose
// lock is not waited for while this one's is held.
func (w *work) moved() error {
	old, err := w.store.Load(w.state.ID, w.leg.IfName)
	if err != nil || old.Network == w.n.Name {
		return nil //nolint:nilerr // none, or none that can be read: known tells
	}
	return w.detachOne(old, nil)
}

// known handles what is there already of this link.
func (w *work) known() (bool, error) {
	old, err := w.store.Load(w.state.ID, w.leg.IfName)
	if err == nil {
		same := old.NetNS == w.ns.ID && old.Boot == w.boot && old.Init == w.init && old.Network == w.n.Name
		switch {
		case same && old.Phase == record.Done && w.complete(old):
			return true, nil
		}
		// Of a container of the same id that has died, or half done.
		if err = w.detachLocked(old); err != nil {
			return false, err
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if w.n.Driver == config.Host {
		return false, nil
	}
	return w.join()
}

// complete says whether the link of a finished attachment is really there.
func (w *work) complete(a *record.Attachment) bool {
	if a.Link == "" {
		return true
	}
	k, err := w.links.ByName(a.Link)
	return err == nil && k != nil
}

func (w *work) do() error {
	key := record.Key(w.n.Name, w.state.ID, w.leg.IfName)
	w.a = &record.Attachment{ID: w.state.ID, Network: w.n.Name, IfName: w.leg.IfName, Driver: w.n.Driver, Phase: record.Intent,
		Key: key, Bundle: w.state.Bundle, Hook: w.me, Init: w.init, NetNS: w.ns.ID, Boot: w.boot, Keep: w.req.Keep,
		Hostname: w.req.Hostname, Aliases: w.req.Aliases}
	if w.first && w.n.Driver != config.Host {
		w.a.NSLink = w.a.ID
	}
	if w.a.Hostname == "" {
		w.a.Hostname = w.bundle.Hostname
	}
	if err := w.addresses(); err != nil {
		return err
	}
	if err := w.at("record"); err != nil {
		return err
	}
	w.recorded = true
	w.later(func() error {
		w.recorded = false
		return w.store.Remove(w.a)
	})
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	if w.n.Driver != config.Host {
		if err := writeName(w.spaceFile(w.ns.ID), w.a.ID); err != nil {
			return err
		}
		w.later(func() error { w.forgetSpace(w.a); return nil })
	}
	if err := w.at("network"); err != nil {
		return err
	}
	var err error
	if w.n.Driver != config.None && w.n.Driver != config.CNI {
		if w.m, err = w.ensure(w.n); err != nil {
			return err
		}
		w.a.Bridge, w.a.Firewall = w.m.Bridge, w.m.Firewall
	}
	w.lock.Unlock()
	if err := w.connect(); err != nil {
		return err
	}
	if err := w.container(); err != nil {
		return err
	}
	// The runtime may have been killed while we worked: then nobody will call us
	// again for this container.
	if err := w.at("verify"); err != nil {
		return err
	}
	if !w.init.Alive() {
		return fmt.Errorf("the container's process %d has died meanwhile", w.init.Pid)
	}
	w.a.Phase = record.Done
	if err := w.at("done"); err != nil {
		return err
	}
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	if err := w.tellPeers(w.n.Name, w.a.ID); err != nil {
		return err
	}
	w.store.Log(map[string]any{"op": "attach", "id": w.a.ID, "network": w.a.Network, "ips": w.a.IPs})
	return nil
}

// container does what belongs to the container and not to one link.
func (w *work) container() error {
	if !w.first {
		return nil
	}
	if err := w.at("names"); err != nil {
		return err
	}
	if err := w.nameFiles(); err != nil {
		return err
	}
	if err := w.at("netns-name"); err != nil {
		return err
	}
	if w.a.NSLink != "" {
		w.linkNamespace()
	}
	if err := w.cgroupClass(); err != nil {
		return err
	}
	return w.startProxy()
}

// linkNamespace lets `ip netns exec ID` work. A link and not a mount: it holds
// no namespace alive.
func (w *work) linkNamespace() {
	if err := os.MkdirAll(w.NetNSDir, 0o755); err != nil {
		return
	}
	path := w.NetNSDir + "/" + w.a.ID
	if st, err := os.Lstat(path); err == nil {
		if st.Mode()&os.ModeSymlink == 0 {
			return // a namespace that somebody has mounted
		}
		_ = os.Remove(path) // of a container before this one
	}
	_ = os.Symlink(fmt.Sprintf("/proc/%d/ns/net", w.init.Pid), path) // a convenience, worth no failure
	w.later(func() error { return w.unlinkNamespace(w.a) })
}

func (e *Engine) unlinkNamespace(a *record.Attachment) error {
	if a.NSLink == "" {
		return nil
	}
	path := e.NetNSDir + "/" + a.NSLink
	to, err := os.Readlink(path)
	if err != nil || to != fmt.Sprintf("/proc/%d/ns/net", a.Init.Pid) {
		return nil // gone, or of another container of that id
	}
	return os.Remove(path)
}
