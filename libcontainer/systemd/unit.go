package systemd

import (
	"errors"
	"fmt"
	"time"

	"github.com/godbus/dbus/v5"
)

// Errors of systemd that are told apart.
const (
	errUnitExists = service + ".UnitExists"
	errNoSuchUnit = service + ".NoSuchUnit"
)

// property is one of a call's array "a(sv)".
type property struct {
	Name  string
	Value dbus.Variant
}

// auxiliary is an element of "a(sa(sv))": a further unit; there never is one.
type auxiliary struct {
	Name       string
	Properties []property
}

func variants(properties []string) ([]property, error) {
	out := make([]property, len(properties))
	for i, text := range properties {
		name, v, err := variant(text)
		if err != nil {
			return nil, err
		}
		out[i] = property{name, v}
	}
	return out, nil
}

// Start starts a transient unit, with the process in it if pid is not 0, and
// returns when the job is done. A unit of the name that has failed before, and is
// only remembered, is forgotten first.
func (c *conn) Start(unit string, properties []string, pid int) error {
	props, err := variants(properties)
	if err != nil {
		return err
	}
	if pid != 0 {
		props = append(props, property{"PIDs", dbus.MakeVariant([]uint32{uint32(pid)})})
	}
	end := time.Now().Add(c.wait)
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		err = c.job("start", unit, func() (dbus.ObjectPath, error) {
			var job dbus.ObjectPath
			err := c.call("StartTransientUnit", []any{&job}, unit, "fail", props, []auxiliary{})
			return job, err
		})
		if errorName(err) != errUnitExists {
			break
		}
		if gone, why := c.forget(unit); why != nil {
			return fmt.Errorf("start: %w", why)
		} else if !gone && time.Now().After(end) {
			break
		}
		time.Sleep(pause) // it is on its way out
	}
	if err != nil {
		return fmt.Errorf("systemd cannot start unit %q: %w", unit, err)
	}
	return nil
}

// forget makes room for a unit of the same name: one that has failed stays known
// until it is reset.
func (c *conn) forget(unit string) (gone bool, err error) {
	state, err := c.activeState(unit)
	switch {
	case errorName(err) == errNoSuchUnit:
		return true, nil
	case err != nil:
		return false, fmt.Errorf("unit %q: %w", unit, err)
	case state == "failed":
		return false, c.reset(unit)
	case state == "inactive" || state == "deactivating":
		return false, nil
	}
	return false, fmt.Errorf("unit %q exists already, and is %s", unit, state)
}

func (c *conn) activeState(unit string) (state string, err error) {
	var path dbus.ObjectPath
	if err := c.call("GetUnit", []any{&path}, unit); err != nil {
		return "", err
	}
	return state, c.property(path, service+".Unit", "ActiveState", &state)
}

// reset has systemd forget that a unit has failed; one that it does not know has not.
func (c *conn) reset(unit string) error {
	err := c.call("ResetFailedUnit", nil, unit)
	if err != nil && errorName(err) != errNoSuchUnit {
		return fmt.Errorf("reset unit %q: %w", unit, err)
	}
	return nil
}

// Stop stops a unit and has systemd forget it. One that is not there is no error.
func (c *conn) Stop(unit string) error {
	err := c.job("stop", unit, func() (dbus.ObjectPath, error) {
		var job dbus.ObjectPath
		err := c.call("StopUnit", []any{&job}, unit, "replace")
		return job, err
	})
	if err != nil && errorName(err) != errNoSuchUnit {
		return fmt.Errorf("systemd cannot stop unit %q: %w", unit, err)
	}
	return c.reset(unit)
}

// Set changes properties of a running unit until it is gone. When it returns,
// systemd has written what follows from them to the cgroup: it does that between
// one message and the next.
func (c *conn) Set(unit string, properties []string) error {
	if len(properties) == 0 {
		return nil
	}
	props, err := variants(properties)
	if err != nil {
		return err
	}
	if err := c.call("SetUnitProperties", nil, unit, true, props); err != nil {
		return fmt.Errorf("systemd cannot change unit %q: %w", unit, err)
	}
	if _, err := c.activeState(unit); err != nil {
		return fmt.Errorf("unit %q: %w", unit, err)
	}
	return nil
}

// JobError says how a job of systemd ended, which is not "done".
type JobError struct {
	What, Unit string
	Result     string // "failed", "timeout", "canceled", "dependency", ...
}

func (e *JobError) Error() string {
	return "the job to " + e.What + " it ended with " + e.Result + " (systemctl status " + e.Unit + ", or the journal, may say why)"
}

// errSlow is a job that takes too long.
var errSlow = errors.New("the job is not done")

// job has systemd do something that takes time, and waits for its end.
func (c *conn) job(what, unit string, begin func() (dbus.ObjectPath, error)) error {
	if !c.peer {
		// Sent ahead, answers unseen: who gets no signals runs into the time limit,
		// and looks at the unit then.
		rule := "type='signal',interface='" + managerIface + "',member='JobRemoved',path='" + string(managerPath) + "'"
		c.bus.BusObject().Go("org.freedesktop.DBus.AddMatch", 0, nil, rule)
		c.bus.Object(service, managerPath).Go(managerIface+".Subscribe", 0, nil)
	}
	job, err := begin()
	if err != nil {
		if c.lost() {
			return c.again(what, unit)
		}
		return err
	}
	limit := time.NewTimer(c.wait)
	defer limit.Stop()
	for {
		select {
		case s, open := <-c.signals:
			if !open {
				return c.again(what, unit)
			}
			if result, ours := jobResult(s, job); !ours {
				continue
			} else if result != "done" {
				_ = c.reset(unit) // a failed unit would only be in the way
				return &JobError{What: what, Unit: unit, Result: result}
			}
			return nil
		case <-limit.C:
			return fmt.Errorf("%w within %v: job to %s %s", errSlow, c.wait, what, unit)
		}
	}
}

// jobResult reads JobRemoved(u id, o job, s unit, s result).
func jobResult(s *dbus.Signal, job dbus.ObjectPath) (result string, ours bool) {
	if s.Name != jobRemoved || len(s.Body) != 4 {
		return "", false
	}
	path, _ := s.Body[1].(dbus.ObjectPath)
	result, _ = s.Body[3].(string)
	return result, path == job
}

// again connects anew when the connection was lost in the middle, and looks how
// far the unit has come: its job goes on without us.
func (c *conn) again(what, unit string) error {
	end := time.Now().Add(c.wait)
	want := map[string]string{"start": "active", "stop": "inactive"}[what]
	var err error
	for pause := 10 * time.Millisecond; time.Now().Before(end); pause = min(2*pause, 200*time.Millisecond) {
		if c.bus == nil || c.lost() {
			c.Close()
			if err = c.dial(); err != nil {
				time.Sleep(pause)
				continue
			}
		}
		var state string
		state, err = c.activeState(unit)
		switch {
		case err == nil && state == want:
			return nil
		case err == nil && state == "failed":
			_ = c.reset(unit)
			return &JobError{What: what, Unit: unit, Result: "failed"}
		case errorName(err) == errNoSuchUnit && what == "stop":
			return nil
		case errorName(err) == errNoSuchUnit:
			return errors.New("the connection was lost, and systemd does not know the unit")
		}
		time.Sleep(pause)
	}
	if err == nil {
		err = errSlow
	}
	return fmt.Errorf("the connection was lost: %w within %v", err, c.wait)
}
