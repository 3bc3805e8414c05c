// Package ipam gives out the addresses of a network. Each is a file whose
// existence is the lease, in a directory on a tmpfs; the caller holds the
// network's lock.
package ipam

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Pool is the addresses of one subnet of a network.
type Pool struct {
	Dir    string // of the network's state
	Subnet config.Subnet
}

// Owner is who has a lease.
type Owner struct {
	Key, ID, IfName string
	Kept            bool // nobody uses it now; it waits for its container
}

// Exhausted says that no address is left.
type Exhausted struct {
	Subnet     netip.Prefix
	Used, Kept int
	Size       int
}

func (e *Exhausted) Error() string {
	s := fmt.Sprintf("pool %s exhausted: %d of %d addresses in use", e.Subnet, e.Used, e.Size)
	if e.Kept > 0 {
		s += fmt.Sprintf(", %d of them kept for containers that do not run (tare-net gc --kept frees them)", e.Kept)
	}
	return s
}

func (p *Pool) leases() string           { return filepath.Join(p.Dir, "ip") }
func (p *Pool) file(a netip.Addr) string { return filepath.Join(p.leases(), a.String()) }
func (p *Pool) keptFile(id string) string {
	return filepath.Join(p.Dir, "kept", id+p.family())
}
func (p *Pool) lastFile() string { return filepath.Join(p.Dir, "last"+p.family()) }
func (p *Pool) family() string {
	if p.Subnet.Subnet.Addr().Is6() {
		return "6"
	}
	return "4"
}

// Last is the highest address of a prefix.
func Last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// Usable says why an address is not for a container.
func (p *Pool) Usable(a netip.Addr) error {
	s := p.Subnet
	switch {
	case !s.Subnet.Contains(a):
		return fmt.Errorf("address %s: is outside %s", a, s.Subnet)
	case a == s.Gateway:
		return fmt.Errorf("address %s: is the gateway of %s", a, s.Subnet)
	case a == s.Subnet.Addr():
		return fmt.Errorf("address %s: is the address of the network %s itself", a, s.Subnet)
	case a == Last(s.Subnet) && a.Is4():
		return fmt.Errorf("address %s: is the broadcast address of %s", a, s.Subnet)
	case slices.Contains(s.Exclude, a):
		return fmt.Errorf("address %s: is excluded from %s", a, s.Subnet)
	}
	return nil
}

// Take leases want, or the address kept for the owner, or the next free one after
// the last that was given out, so that an address rests before it is used again.
func (p *Pool) Take(o Owner, want netip.Addr) (netip.Addr, error) {
	if err := os.MkdirAll(p.leases(), 0o700); err != nil {
		return want, err
	}
	if want.IsValid() {
		if err := p.Usable(want); err != nil {
			return want, err
		}
		return want, p.claim(want, o)
	}
	if text := record.Text(p.keptFile(o.ID)); text != "" {
		if a, err := netip.ParseAddr(text); err == nil && p.Usable(a) == nil && p.claim(a, o) == nil {
			_ = os.Remove(p.keptFile(o.ID)) // it is in use again
			return a, nil
		}
	}
	return p.next(o)
}

func (p *Pool) next(o Owner) (netip.Addr, error) {
	pool := p.Subnet.Subnet
	if p.Subnet.Range.IsValid() {
		pool = p.Subnet.Range
	}
	first, last := pool.Masked().Addr(), Last(pool)
	at := first
	if text := record.Text(p.lastFile()); text != "" {
		if a, err := netip.ParseAddr(text); err == nil && pool.Contains(a) && a != last {
			at = a.Next()
		}
	}
	start := at
	for tries := 0; ; tries++ {
		if p.Usable(at) == nil {
			var taken *Taken
			err := p.claim(at, o)
			if err == nil {
				// All are as long as the longest, so that one is written over the other:
				// ext4 writes a file that was cut short to the disk as it is closed.
				return at, record.Put(p.lastFile(), fmt.Appendf(nil, "%-45s\n", at), 0)
			}
			if !errors.As(err, &taken) {
				return at, err
			}
		}
		if at == last {
			at = first
		} else {
			at = at.Next()
		}
		if at == start {
			return at, p.exhausted(pool)
		}
	}
}

// Taken names the owner of an address.
type Taken struct {
	Addr netip.Addr
	By   Owner
}

func (e *Taken) Error() string {
	if e.By.Kept {
		return fmt.Sprintf("address %s: is kept for container %q", e.Addr, e.By.ID)
	}
	return fmt.Sprintf("address %s: is in use by container %q (%s)", e.Addr, e.By.ID, e.By.IfName)
}

func (p *Pool) claim(a netip.Addr, o Owner) error {
	content := o.Key + " " + o.ID + " " + o.IfName + "\n"
	err := record.Put(p.file(a), []byte(content), unix.O_EXCL)
	if errors.Is(err, fs.ErrExist) {
		by, ok := p.Owner(a)
		// An empty file is what a killed process has left between the two calls
		// below; the lock says that it is not at work any more.
		if ok && by.Key != o.Key && !(by.Kept && by.ID == o.ID) {
			return &Taken{a, by}
		}
		return os.WriteFile(p.file(a), []byte(content), 0o600)
	}
	return err
}

// Owner reads a lease.
func (p *Pool) Owner(a netip.Addr) (Owner, bool) {
	f := strings.Fields(record.Text(p.file(a)))
	if len(f) < 3 {
		return Owner{}, false
	}
	return Owner{Key: f[0], ID: f[1], IfName: f[2], Kept: len(f) > 3}, true
}

// Release gives an address back if it is the key's; with keep it waits for its
// container to return.
func (p *Pool) Release(a netip.Addr, key string, keep bool) error {
	o, ok := p.Owner(a)
	if ok && o.Key != key {
		return nil // somebody else's by now
	}
	if keep && ok {
		if err := os.MkdirAll(filepath.Join(p.Dir, "kept"), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(p.keptFile(o.ID), []byte(a.String()+"\n"), 0o600); err != nil {
			return err
		}
		return os.WriteFile(p.file(a), []byte(o.Key+" "+o.ID+" "+o.IfName+" kept\n"), 0o600)
	}
	if err := os.Remove(p.file(a)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (p *Pool) exhausted(pool netip.Prefix) error {
	e := &Exhausted{Subnet: p.Subnet.Subnet}
	for a := pool.Masked().Addr(); pool.Contains(a); a = a.Next() {
		if p.Usable(a) == nil {
			e.Size++
		}
		if o, ok := p.Owner(a); ok {
			e.Used++
			if o.Kept {
				e.Kept++
			}
		}
		if a == Last(pool) {
			break
		}
	}
	return e
}

// Leases lists the addresses that are given out below a network's directory.
func Leases(dir string) map[netip.Addr]Owner {
	entries, _ := os.ReadDir(filepath.Join(dir, "ip"))
	out := map[netip.Addr]Owner{}
	for _, e := range entries {
		a, err := netip.ParseAddr(e.Name())
		if err != nil {
			continue
		}
		b, _ := os.ReadFile(filepath.Join(dir, "ip", e.Name()))
		f := strings.Fields(string(b))
		if len(f) < 3 {
			f = []string{"", "", ""}
		}
		out[a] = Owner{Key: f[0], ID: f[1], IfName: f[2], Kept: len(f) > 3}
	}
	return out
}

// Free removes a lease whoever has it, and what keeps it.
func Free(dir string, a netip.Addr, o Owner) error {
	family := "4"
	if a.Is6() {
		family = "6"
	}
	if o.Kept {
		_ = os.Remove(filepath.Join(dir, "kept", o.ID+family)) // the lease is what counts
	}
	return os.Remove(filepath.Join(dir, "ip", a.String()))
}
