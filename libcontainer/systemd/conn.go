// Package systemd talks to systemd over D-Bus: the part of the systemd cgroup
// driver that starts, changes and stops a container's unit. Only who wants that
// driver imports it:
//
//	r := libcontainer.New(root).WithSystemd(systemd.Dial)
//
// A connection is private to its user, and nothing here is global.
package systemd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/tare-oci/tare/libcontainer"
)

// Names of systemd's interface (org.freedesktop.systemd1(5)).
const (
	service      = "org.freedesktop.systemd1"
	managerPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface = service + ".Manager"
	jobRemoved   = managerIface + ".JobRemoved"
	getProperty  = "org.freedesktop.DBus.Properties.Get"
)

// Wait bounds a job, and each call by itself: a manager that does not answer, or
// never runs the job, must not hold a container up for ever.
const Wait = 30 * time.Second

// address is one place where a manager may answer.
type address struct {
	where string // "unix:path=/run/systemd/private"
	peer  bool   // the manager itself, without a bus between
}

// conn is a connection to one manager.
type conn struct {
	bus     *dbus.Conn
	peer    bool
	signals chan *dbus.Signal
	user    bool
	at      []address
	wait    time.Duration
}

// Dial connects to the system's manager, or with user to the caller's own.
func Dial(user bool) (libcontainer.Systemd, error) {
	at := systemAddresses()
	if user {
		at = userAddresses()
	}
	c := &conn{user: user, at: at, wait: Wait}
	if err := c.dial(); err != nil {
		return nil, err
	}
	return c, nil
}

// systemAddresses: the manager's own socket first. It needs no bus daemon, whose
// restart would break the connection, and saves two processes on each way.
func systemAddresses() []address {
	if a := os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"); a != "" {
		return []address{{where: a}}
	}
	return []address{
		{"unix:path=/run/systemd/private", true},
		{"unix:path=/run/dbus/system_bus_socket", false},
		{"unix:path=/var/run/dbus/system_bus_socket", false},
	}
}

// userAddresses does not rely on the session bus's variable: engines clear the
// environment but for XDG_RUNTIME_DIR.
func userAddresses() []address {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		dir = "/run/user/" + strconv.Itoa(os.Geteuid())
	}
	at := []address{{"unix:path=" + dir + "/systemd/private", true}}
	if a := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); a != "" {
		at = append(at, address{where: a})
	}
	return append(at, address{"unix:path=" + dir + "/bus", false})
}

// dial tries the addresses in their order.
func (c *conn) dial() error {
	var errs []string
	for _, a := range c.at {
		err := c.dialOne(a)
		if err == nil {
			return nil
		}
		text := err.Error()
		if !strings.HasPrefix(text, "dial ") { // which names it
			text = a.where + ": " + text
		}
		errs = append(errs, text)
	}
	text := "systemd cannot be reached: " + strings.Join(errs, "; ")
	if c.user {
		text += " (a user's systemd needs XDG_RUNTIME_DIR or DBUS_SESSION_BUS_ADDRESS, and a session or loginctl enable-linger)"
	}
	return errors.New(text)
}

func (c *conn) dialOne(a address) error {
	ctx, cancel := context.WithCancel(context.Background())
	limit := time.AfterFunc(c.wait, cancel) // of a peer that takes the connection and says nothing
	bus, err := dialRetry(ctx, a.where)
	if err == nil {
		if err = bus.Auth(nil); err == nil && !a.peer {
			err = bus.Hello()
		}
		if err != nil {
			_ = bus.Close()
		}
	}
	if !limit.Stop() && err != nil {
		err = fmt.Errorf("no answer within %v", c.wait)
	}
	if err != nil {
		cancel()
		return err
	}
	c.bus, c.peer = bus, a.peer
	c.signals = make(chan *dbus.Signal, 64)
	bus.Signal(c.signals)
	return nil
}

// dialRetry tries again while the other side has too many connections waiting.
func dialRetry(ctx context.Context, where string) (*dbus.Conn, error) {
	for pause := time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		bus, err := dbus.Dial(where, dbus.WithContext(ctx))
		if !errors.Is(err, syscall.EAGAIN) || ctx.Err() != nil {
			return bus, err
		}
		time.Sleep(pause)
	}
}

// Close ends the connection.
func (c *conn) Close() {
	if c.bus != nil {
		_ = c.bus.Close()
		c.bus = nil
	}
}

// call calls a method of the manager and stores its results.
func (c *conn) call(method string, out []any, args ...any) error {
	return c.callOn(managerPath, managerIface+"."+method, out, args...)
}

func (c *conn) callOn(path dbus.ObjectPath, method string, out []any, args ...any) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.wait)
	defer cancel()
	call := c.bus.Object(service, path).CallWithContext(ctx, method, 0, args...)
	if errors.Is(call.Err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no answer within %v", method, c.wait)
	}
	if call.Err != nil {
		return call.Err
	}
	return call.Store(out...)
}

func (c *conn) property(path dbus.ObjectPath, iface, name string, out any) error {
	var v dbus.Variant
	if err := c.callOn(path, getProperty, []any{&v}, iface, name); err != nil {
		return err
	}
	return dbus.Store([]any{v.Value()}, out)
}

// Manager returns systemd's version, and the cgroup that the manager and its
// units are in, "" for the top.
func (c *conn) Manager() (version int, root string, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), c.wait)
	defer cancel()
	var text string
	// Both questions on their way before the first answer.
	names, values := [...]string{"Version", "ControlGroup"}, [...]*string{&text, &root}
	var asked [len(names)]*dbus.Call
	for i, name := range names {
		asked[i] = c.bus.Object(service, managerPath).GoWithContext(ctx, getProperty, 0, nil, managerIface, name)
	}
	for i, call := range asked {
		var v dbus.Variant
		err := (<-call.Done).Store(&v)
		if err == nil {
			err = dbus.Store([]any{v.Value()}, values[i])
		}
		if err != nil {
			return 0, "", fmt.Errorf("property %s of systemd: %w", names[i], err)
		}
	}
	return versionNumber(text), strings.TrimSuffix(root, "/"), nil
}

// versionNumber reads "252.39-1~deb12u1", "v245.4-4ubuntu3" or "systemd 219".
func versionNumber(text string) int {
	text = strings.TrimLeftFunc(text, func(r rune) bool { return r < '0' || r > '9' })
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	v, _ := strconv.Atoi(text[:n])
	return v
}

// errorName is the D-Bus name of an error, "" if it has none.
func errorName(err error) string {
	var e dbus.Error
	if errors.As(err, &e) {
		return e.Name
	}
	return ""
}

// lost says that the connection is gone, as when systemd executes itself again
// or the bus daemon was restarted.
func (c *conn) lost() bool { return !c.bus.Connected() }
