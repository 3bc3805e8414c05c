package network

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/tare-oci/tare/hooks/network/record"
)

// A container may join the network namespace of another one, as those of a pod
// do. Only the first makes links; the others are noted as users, and the last
// one to go takes the links with it.

func (e *Engine) spaceFile(ns record.NetNS) string {
	return filepath.Join(e.StateDir, "ns", strconv.FormatUint(ns.Ino, 10))
}

func (e *Engine) userFile(id string) string { return filepath.Join(e.StateDir, "users", id) }

func (e *Engine) readName(file string) string {
	return record.Text(file)
}

func writeName(file, name string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	return record.WriteFile(file, []byte(name+"\n"))
}

// join finds a container that has a link in this namespace, and becomes a user
// of it. Otherwise the namespace is this container's.
func (w *work) join() (bool, error) {
	owner := w.readName(w.spaceFile(w.ns.ID))
	if owner == "" || owner == w.state.ID {
		return false, nil
	}
	joined := false
	for _, a := range w.store.Of(owner) {
		if a.NetNS != w.ns.ID || a.Boot != w.boot || !w.complete(a) {
			continue
		}
		joined = true
		if a.Network != w.n.Name {
			continue // this container's other networks are looked at in their turn
		}
		if !slices.ContainsFunc(a.Users, func(u record.User) bool { return u.ID == w.state.ID }) {
			a.Users = append(a.Users, record.User{ID: w.state.ID, Init: w.init})
			if err := w.store.Save(a); err != nil {
				return false, err
			}
		}
		return true, writeName(w.userFile(w.state.ID), owner)
	}
	if joined {
		return false, errors.New("the namespace belongs to container \"" + owner + "\", which is not in this network")
	}
	return false, nil
}

// leave takes a container from the users of another one's links.
func (e *Engine) leave(id string) error {
	owner := e.readName(e.userFile(id))
	if owner == "" {
		return nil
	}
	turn, err := e.takeTurn(owner, e.LockWait)
	if err != nil {
		return err
	}
	defer turn.End()
	var errs []error
	for _, a := range e.store.Of(owner) {
		lock, err := e.store.Lock("net-"+a.Network, e.LockWait)
		if err != nil {
			return err
		}
		if a, err = e.store.Load(a.ID, a.IfName); err == nil {
			a.Users = slices.DeleteFunc(a.Users, func(u record.User) bool { return u.ID == id })
			if len(a.Users) == 0 && a.Init.Pid == 0 {
				errs = append(errs, e.detachLocked(a))
			} else {
				errs = append(errs, e.store.Save(a))
			}
		}
		lock.Unlock()
	}
	return errors.Join(append(errs, os.Remove(e.userFile(id)))...)
}

// handOver keeps a link whose first container has gone while others use it. It
// says whether there are any.
func (e *Engine) handOver(a *record.Attachment) (bool, error) {
	a.Users = slices.DeleteFunc(a.Users, func(u record.User) bool { return !u.Init.Alive() })
	if len(a.Users) == 0 {
		return false, nil
	}
	err := e.unlinkNamespace(a)
	a.Init, a.NSLink = record.Process{}, "" // its own container has gone
	return true, errors.Join(err, e.store.Save(a))
}

func (e *Engine) forgetSpace(a *record.Attachment) {
	file := e.spaceFile(a.NetNS)
	if e.readName(file) == a.ID {
		_ = os.Remove(file) // another one of its records may have done so
	}
}
