// Package publish decides who may publish a port of the host, and finds out who
// has it otherwise.
package publish

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Book is the directory of reservations: PROTO-PORT/ADDRESS, with the owner in
// the file, "any" for all addresses. The caller holds the lock of all ports.
type Book struct{ Dir string }

// Conflict names who has a port.
type Conflict struct {
	Port  uint16
	Proto string
	By    string
}

func (c *Conflict) Error() string {
	return fmt.Sprintf("port %d/%s is in use by %s", c.Port, c.Proto, c.By)
}

func (b Book) dir(proto string, port uint16) string {
	return filepath.Join(b.Dir, fmt.Sprintf("%s-%d", proto, port))
}

func fileOf(ip netip.Addr) string {
	if ip.IsValid() {
		return ip.String()
	}
	return "any"
}

// Reserve takes all ports for an owner ("KEY ID"), or none. Of a port with
// Until it takes the first that is free and says so in the result.
func (b Book) Reserve(key, id string, ports []config.Port) (done []config.Port, err error) {
	defer func() {
		if err != nil {
			b.Release(key, done)
			done = nil
		}
	}()
	for _, p := range ports {
		last := max(p.Until, p.Host)
		for host := int(p.Host); ; host++ {
			q := p
			q.Host, q.Until = uint16(host), 0
			if err = b.take(key, id, q); err == nil {
				done = append(done, q)
				break
			}
			var c *Conflict
			if !errors.As(err, &c) || host >= int(last) {
				return done, err
			}
		}
	}
	return done, nil
}

func (b Book) take(key, id string, p config.Port) error {
	for i := range p.Count {
		if err := b.takeOne(key, id, p.Proto, p.Host+i, p.IP); err != nil {
			q := p
			q.Count = i
			b.Release(key, []config.Port{q})
			return err
		}
	}
	return nil
}

func (b Book) takeOne(key, id, proto string, port uint16, ip netip.Addr) error {
	dir := b.dir(proto, port)
	fresh := os.Mkdir(dir, 0o700)
	if fresh != nil && !errors.Is(fresh, fs.ErrExist) {
		return fresh
	}
	if fresh != nil {
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			if e.Name() != "any" && ip.IsValid() && e.Name() != ip.String() {
				continue
			}
			owner, who := b.owner(filepath.Join(dir, e.Name()))
			if owner != key && owner != "" {
				return &Conflict{port, proto, fmt.Sprintf("container %q", who)}
			}
		}
	}
	if err := b.probe(proto, port, ip); err != nil {
		if fresh == nil {
			_ = os.Remove(dir) // made just now
		}
		return err
	}
	return record.Put(filepath.Join(dir, fileOf(ip)), []byte(key+" "+id+"\n"), unix.O_TRUNC)
}

func (b Book) owner(path string) (key, id string) {
	key, id, _ = strings.Cut(record.Text(path), " ")
	return key, id
}

// Mine keeps of a list of ports those that are reserved by the key.
func (b Book) Mine(key string, ports []config.Port) []config.Port {
	var out []config.Port
	for _, p := range ports {
		if owner, _ := b.owner(filepath.Join(b.dir(p.Proto, p.Host), fileOf(p.IP))); owner == key {
			out = append(out, p)
		}
	}
	return out
}

// Release gives ports back that are the key's.
func (b Book) Release(key string, ports []config.Port) {
	for _, p := range ports {
		for i := range p.Count {
			dir := b.dir(p.Proto, p.Host+i)
			file := filepath.Join(dir, fileOf(p.IP))
			if owner, _ := b.owner(file); owner == key || owner == "" {
				_ = os.Remove(file)
			}
			_ = os.Remove(dir) // not empty while another address is in use
		}
	}
}

// Owners lists the files of all reservations by their key.
func (b Book) Owners() map[string][]string {
	out := map[string][]string{}
	files, _ := filepath.Glob(filepath.Join(b.Dir, "*", "*"))
	for _, f := range files {
		key, _ := b.owner(f)
		out[key] = append(out[key], f)
	}
	return out
}

// Drop removes a reservation by its file.
func Drop(file string) error {
	err := os.Remove(file)
	_ = os.Remove(filepath.Dir(file)) // not empty while another address is in use
	return err
}
