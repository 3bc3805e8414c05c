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
// the file, "any" for all addresses; a range is one, ranges/PROTO-FIRST-LAST/ADDRESS,
// for a file per port costs more than all else that is done for it. The caller
// holds the lock of all ports.
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

func (b Book) ranges() string { return filepath.Join(b.Dir, "ranges") }

// dirOf is where the reservation of a port or a range is.
func (b Book) dirOf(p config.Port) string {
	if p.Count <= 1 {
		return b.dir(p.Proto, p.Host)
	}
	return filepath.Join(b.ranges(), fmt.Sprintf("%s-%d-%d", p.Proto, p.Host, p.Host+p.Count-1))
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
	if err := b.inRanges(key, p); err != nil {
		return err
	}
	dir := b.dirOf(p)
	fresh := os.Mkdir(dir, 0o700)
	if errors.Is(fresh, fs.ErrNotExist) { // the first range
		if err := os.Mkdir(b.ranges(), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		fresh = os.Mkdir(dir, 0o700)
	}
	if fresh != nil && !errors.Is(fresh, fs.ErrExist) {
		return fresh
	}
	err := b.free(key, p, fresh == nil)
	if err != nil {
		if fresh == nil {
			_ = os.Remove(dir) // made just now
		}
		return err
	}
	return record.Put(filepath.Join(dir, fileOf(p.IP)), []byte(key+" "+id+"\n"), unix.O_TRUNC)
}

// free says whether no container has the ports one by one, and nobody else listens
// there; fresh, that there was no directory for a single port.
func (b Book) free(key string, p config.Port, fresh bool) error {
	for i := range max(p.Count, 1) {
		if p.Count > 1 || !fresh {
			if who := b.holder(b.dir(p.Proto, p.Host+i), key, p.IP); who != "" {
				return &Conflict{p.Host + i, p.Proto, who}
			}
		}
		if err := b.probe(p.Proto, p.Host+i, p.IP); err != nil {
			return err
		}
	}
	return nil
}

// inRanges says who has a range that has one of the ports.
func (b Book) inRanges(key string, p config.Port) error {
	entries, _ := os.ReadDir(b.ranges()) // none, mostly
	for _, e := range entries {
		proto, span, _ := strings.Cut(e.Name(), "-")
		var first, last uint16
		if n, err := fmt.Sscanf(span, "%d-%d", &first, &last); n != 2 || err != nil || proto != p.Proto {
			continue
		}
		if p.Host > last || p.Host+max(p.Count, 1)-1 < first {
			continue
		}
		if who := b.holder(filepath.Join(b.ranges(), e.Name()), key, p.IP); who != "" {
			return &Conflict{max(first, p.Host), p.Proto, who}
		}
	}
	return nil
}

// holder is another container that has a reservation for the address, or for all.
func (b Book) holder(dir, key string, ip netip.Addr) string {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if e.Name() != "any" && ip.IsValid() && e.Name() != ip.String() {
			continue
		}
		owner, who := b.owner(filepath.Join(dir, e.Name()))
		if owner != key && owner != "" {
			return fmt.Sprintf("container %q", who)
		}
	}
	return ""
}

func (b Book) owner(path string) (key, id string) {
	key, id, _ = strings.Cut(record.Text(path), " ")
	return key, id
}

// Mine keeps of a list of ports those that are reserved by the key.
func (b Book) Mine(key string, ports []config.Port) []config.Port {
	var out []config.Port
	for _, p := range ports {
		if owner, _ := b.owner(filepath.Join(b.dirOf(p), fileOf(p.IP))); owner == key {
			out = append(out, p)
		}
	}
	return out
}

// Release gives ports back that are the key's.
func (b Book) Release(key string, ports []config.Port) {
	for _, p := range ports {
		file := filepath.Join(b.dirOf(p), fileOf(p.IP))
		if owner, _ := b.owner(file); owner == key || owner == "" {
			_ = os.Remove(file)
		}
		_ = os.Remove(b.dirOf(p)) // not empty while another address is in use
	}
}

// Owners lists the files of all reservations by their key.
func (b Book) Owners() map[string][]string {
	out := map[string][]string{}
	files, _ := filepath.Glob(filepath.Join(b.Dir, "*", "*"))
	spans, _ := filepath.Glob(filepath.Join(b.ranges(), "*", "*"))
	for _, f := range append(files, spans...) {
		if filepath.Dir(f) == b.ranges() {
			continue // a directory
		}
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
