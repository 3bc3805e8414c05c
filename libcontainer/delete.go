package libcontainer

import (
	"errors"

	"github.com/tare-oci/tare/hooks"
	"github.com/tare-oci/tare/internal/state"
)

// DeleteOptions says how to delete.
type DeleteOptions struct {
	// Force kills a running container first, and makes a missing one no error.
	Force bool
}

// Delete removes a stopped container, or a created one, which it kills. Failed
// poststop hooks are returned as *HookWarnings: the container is gone all the
// same, and delete can be repeated to run them again.
func (r *Runtime) Delete(id string, o DeleteOptions) error {
	op := opDelete
	if o.Force {
		op = opDeleteForce
	}
	// Looked at before the lock is waited for: a hook that hangs, or a creator that
	// waits for one, holds it until the process is gone.
	if rec, err := r.load(id, false); err == nil {
		if err := r.needsSystemd(rec); err != nil {
			return err
		}
		status := derive(observe(rec))
		if err := require(op, status, id); err != nil {
			return err
		}
		if o.Force && status != Stopped && rec.Pid != 0 {
			if err := killInit(rec, status == Paused); err != nil {
				return err
			}
		}
	}
	rec, err := r.load(id, true)
	if errors.Is(err, state.ErrNotExist) {
		return r.deleteAgain(id, o, err)
	}
	var torn *state.TornError
	if o.Force && errors.As(err, &torn) {
		rec, err = r.loadTorn(id)
	}
	if err != nil {
		return err
	}
	defer rec.Unlock()
	if err := r.needsSystemd(rec); err != nil {
		return err
	}
	if o.Force && rec.Bundle == "" {
		guessCgroups(rec)
	}
	status := derive(observe(rec))
	if err := require(op, status, rec.ID); err != nil {
		return err
	}
	if status != Stopped {
		if err := killInit(rec, status == Paused); err != nil {
			return err
		}
	}
	return r.remove(rec)
}

// Delete deletes this container.
func (c *Container) Delete(o DeleteOptions) error { return c.runtime.Delete(c.rec.ID, o) }

// deleteAgain runs the poststop hooks that an earlier delete left undone.
func (r *Runtime) deleteAgain(id string, o DeleteOptions, notExist error) error {
	store, err := state.Open(r.root, false)
	if err != nil {
		return err
	}
	rec, err := store.LoadDead(id)
	if err != nil {
		if o.Force && errors.Is(err, state.ErrNotExist) {
			return nil
		}
		return notExist
	}
	defer rec.Unlock()
	return poststop(rec)
}

// remove undoes what create made: the unit, cgroups, then the record, then the hooks that
// tear down what other hooks have set up.
func (r *Runtime) remove(rec *state.Record) error {
	if !rec.PidNamespace || rec.Pid == 0 { // no first process took the others along
		if err := killCgroups(rec); err != nil {
			return err
		}
	}
	if err := removeHostMounts(rec); err != nil {
		return err
	}
	if err := r.stopUnit(rec); err != nil {
		return err
	}
	if err := removeCgroups(rec); err != nil {
		return err
	}
	if err := removeRdt(rec); err != nil {
		return err
	}
	if len(rec.Poststop) == 0 {
		return rec.Remove()
	}
	if err := rec.Bury(); err != nil {
		return err
	}
	return poststop(rec)
}

// HookWarnings are failures of poststop hooks, which do not keep a container
// from being deleted (runtime.md, Lifecycle, 13).
type HookWarnings struct{ Errs []error }

// Error prints one line for each.
func (w *HookWarnings) Error() string { return errors.Join(w.Errs...).Error() }

// Unwrap returns the failures.
func (w *HookWarnings) Unwrap() []error { return w.Errs }

func poststop(rec *state.Record) error {
	errs := hooks.RunEach("poststop", rec.Poststop, hookSetting(rec, Stopped, 0))
	if len(errs) > 0 {
		return &HookWarnings{Errs: errs}
	}
	return rec.Forget()
}

// destroy stops and removes a container whose hook has failed; the hook's error
// is the one to tell.
func (c *Container) destroy() { _ = c.Delete(DeleteOptions{Force: true}) }
