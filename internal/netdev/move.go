package netdev

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Mover moves devices from the network namespace of its maker into another.
// While it is open, the other namespace lives on, so that devices can be given
// back after the last process of it has ended.
type Mover struct {
	host, there     *socket
	hostNS, thereNS int
}

// errSame is a namespace that is no other.
type errSame struct{}

func (errSame) Error() string {
	return "the container's network namespace is the runtime's own, so there is nowhere to move it to"
}

// NewMover opens both namespaces; there is the path of the other one.
func NewMover(there string) (*Mover, error) {
	m := &Mover{hostNS: -1, thereNS: -1}
	err := m.open(there)
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

func (m *Mover) open(there string) (err error) {
	var a, b unix.Stat_t
	if m.hostNS, err = unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return &os.PathError{Op: "open", Path: "/proc/thread-self/ns/net", Err: err}
	}
	if m.thereNS, err = unix.Open(there, unix.O_RDONLY|unix.O_CLOEXEC, 0); err != nil {
		return &os.PathError{Op: "open", Path: there, Err: err}
	}
	if err = errors.Join(unix.Fstat(m.hostNS, &a), unix.Fstat(m.thereNS, &b)); err != nil {
		return err
	}
	if a.Ino == b.Ino && a.Dev == b.Dev {
		return errSame{}
	}
	if m.host, err = newSocket(); err != nil {
		return err
	}
	m.there, err = socketIn(m.thereNS)
	return err
}

// Close lets the other namespace go.
func (m *Mover) Close() {
	for _, s := range []*socket{m.host, m.there} {
		if s != nil {
			s.close()
		}
	}
	for _, fd := range []int{m.hostNS, m.thereNS} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	*m = Mover{hostNS: -1, thereNS: -1}
}

// Moved is a device that was moved. Its Name is the one it has now.
type Moved struct {
	Name  string
	m     *Mover
	was   link
	index int32 // where it is now
	addrs []address
}

// Move moves a device and gives it a name there, which may end in %d, and sets
// it up. When it fails, the device is back where it was.
func (m *Mover) Move(device, name string) (*Moved, error) {
	was, err := m.host.find(device, 0)
	if errors.Is(err, unix.ENODEV) {
		return nil, fmt.Errorf("there is no such device in the runtime's network namespace: %w", unix.ENODEV)
	}
	if err != nil {
		return nil, err
	}
	was.name = device
	addrs, err := m.host.addresses(was.index)
	if err != nil {
		return nil, fmt.Errorf("list its addresses: %w", err)
	}
	if !isTemplate(name) {
		taken, err := m.there.exists(name)
		if err != nil {
			return nil, err
		}
		if taken {
			return nil, errTaken(name)
		}
	}
	now, err := m.host.move(was.index, m.there, m.thereNS, passingName(was.index))
	if err != nil {
		return nil, fmt.Errorf("move: %w", errors.Join(err, m.fetch(was, now, addrs)))
	}
	d := &Moved{m: m, was: was, index: now.index, addrs: addrs}
	if err := d.settle(name); err != nil {
		return nil, errors.Join(err, d.Return())
	}
	return d, nil
}

// fetch gives back a device whose move has failed half-way: it has gone, and kept
// its own name, which then nobody had there.
func (m *Mover) fetch(was, now link, addrs []address) error {
	if here, err := m.host.exists(was.name); here || err != nil {
		return err
	}
	if now.index == 0 {
		var err error
		if now, err = m.there.find(was.name, 0); err != nil {
			return err
		}
	}
	return (&Moved{m: m, was: was, index: now.index, addrs: addrs}).Return()
}

// settle makes of a device that has arrived what it is to be.
func (d *Moved) settle(name string) error {
	var err error
	d.Name, err = d.m.there.rename(d.index, name)
	if errors.Is(err, unix.EEXIST) {
		return errTaken(name)
	}
	if err != nil {
		return fmt.Errorf("rename to %q: %w", name, err)
	}
	if err := d.address(d.m.there, d.index, d.Name); err != nil {
		return err
	}
	if err := d.m.there.setUp(d.index); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	return nil
}

func (d *Moved) address(s *socket, index int32, name string) error {
	for i := range d.addrs {
		if err := s.addAddress(index, d.addrs[i], d.was.name, name); err != nil {
			return fmt.Errorf("address %s: %w", &d.addrs[i], err)
		}
	}
	return nil
}

// Return gives the device back under the name, with the addresses, to the bridge
// and in the state it had; its routes, but those of its addresses, are lost. A
// device that does not exist any more is not an error.
func (d *Moved) Return() error {
	m := d.m
	back, err := m.there.move(d.index, m.host, m.hostNS, passingName(d.was.index))
	if errors.Is(err, unix.ENODEV) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	if _, err := m.host.rename(back.index, d.was.name); err != nil {
		return fmt.Errorf("give back as %q: %w", d.was.name, err)
	}
	err = d.address(m.host, back.index, d.was.name)
	if d.was.master != 0 {
		err = errors.Join(err, m.host.setMaster(back.index, d.was.master))
	}
	if d.was.up {
		err = errors.Join(err, m.host.setUp(back.index))
	}
	if err != nil {
		return fmt.Errorf("give back: %w", err)
	}
	return nil
}

func errTaken(name string) error {
	return fmt.Errorf("the name %q is taken in the container's network namespace: %w", name, unix.EEXIST)
}

func isTemplate(name string) bool {
	return len(name) > 2 && name[len(name)-2:] == "%d"
}

// passingName is what a device is called while it is on its way: unlike the
// names of other runtimes' devices, and at most 15 bytes long.
func passingName(index int32) string {
	return "t" + strconv.FormatInt(int64(index), 36) + "." + strconv.FormatInt(int64(os.Getpid()), 36)
}
