// Package record keeps what the network hook has done, so that it can be undone
// by another process, later, or after a crash.
//
// Everything lies below one directory on a tmpfs, for root alone:
//
//	locks/NAME                    flock(2); the holder's pid stands inside
//	att/ID/IFNAME.json            one attachment
//	nets/NAME/{network.json,…}    one network: how it was made, its leases
//	ports/PROTO-PORT/ADDRESS      one published port
//	log                           one JSON line per event
//
// A reboot empties it, which is right: it also removes all links and rules.
package record

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
)

// Version of the schema of Attachment.
const Version = 1

// Phases of an attachment.
const (
	Intent = "intent" // work has begun; its hook may be dead
	Done   = "done"
)

// Attachment is one link of one container.
type Attachment struct {
	V       int    `json:"v"`
	ID      string `json:"id"`
	Network string `json:"network"`
	IfName  string `json:"ifname"`
	Driver  string `json:"driver"`
	Phase   string `json:"phase"`
	Key     string `json:"key"` // see Key
	Bundle  string `json:"bundle,omitempty"`

	Hook  Process `json:"hook"` // that works or has worked on it
	Init  Process `json:"init"` // of the container
	NetNS NetNS   `json:"netns"`
	Boot  string  `json:"boot"`

	Link     string                `json:"link,omitempty"` // the host's end
	Bridge   string                `json:"bridge,omitempty"`
	MAC      string                `json:"mac,omitempty"`
	IPs      []netip.Prefix        `json:"ips,omitempty"`
	Gateways []netip.Addr          `json:"gateways,omitempty"`
	Ports    []config.Port         `json:"ports,omitempty"`
	Floating netip.Addr            `json:"floatingIP,omitzero"`
	Uplink   string                `json:"uplink,omitempty"` // that got the floating address
	Class    uint32                `json:"class,omitempty"`
	Spoof    bool                  `json:"spoofCheck,omitempty"`
	IFB      string                `json:"ifb,omitempty"`
	Firewall string                `json:"firewall,omitempty"`
	Keep     bool                  `json:"keep,omitempty"`
	Files    Files                 `json:"files,omitzero"`
	NSLink   string                `json:"nsLink,omitempty"` // name below the netns directory
	Hostname string                `json:"hostname,omitempty"`
	Aliases  []string              `json:"aliases,omitempty"`
	Hosts    map[string]netip.Addr `json:"hosts,omitempty"` // that the configuration adds
	Proxy    bool                  `json:"proxy,omitempty"`
	Moved    string                `json:"moved,omitempty"`  // the device's name on the host
	Shape    string                `json:"shape,omitempty"`  // the rung that classifies
	Cgroup   string                `json:"cgroup,omitempty"` // that has the class id
	Down     config.Rate           `json:"down,omitempty"`
	Up       config.Rate           `json:"up,omitempty"`
	CNI      *CNI                  `json:"cni,omitempty"`
	Users    []User                `json:"users,omitempty"` // other containers in the same namespace
}

// Files are those that carry names into the container.
type Files struct {
	Root       string `json:"root,omitempty"` // the rootfs, when they are inside it
	ResolvConf string `json:"resolvConf,omitempty"`
	Hosts      string `json:"hosts,omitempty"`
	Hostname   string `json:"hostname,omitempty"`
}

// CNI is what DEL needs, whatever has become of the configuration since.
type CNI struct {
	List  json.RawMessage   `json:"list"`
	Args  [][2]string       `json:"args,omitempty"`
	Caps  map[string]any    `json:"caps,omitempty"`
	Extra map[string]string `json:"extra,omitempty"`
	NetNS string            `json:"netns,omitempty"`
	// Result is what the last plugin that ended had printed.
	Result json.RawMessage `json:"result,omitempty"`
}

// User is a container that shares the network namespace of another one.
type User struct {
	ID   string  `json:"id"`
	Init Process `json:"init"`
}

// Store is the state directory.
type Store struct{ Dir string }

// Containers counts those with attachments, without a look at them: it is 0 on a file
// system that does not count the links of directories (inode(7)).
func (s *Store) Containers() int {
	var st unix.Stat_t
	if unix.Stat(filepath.Join(s.Dir, "att"), &st) != nil {
		return 0
	}
	return max(int(st.Nlink)-2, 0)
}

// Open makes the directory if it is missing, for root alone.
func Open(dir string) (*Store, error) {
	if err := os.MkdirAll(filepath.Join(dir, "att"), 0o700); err != nil {
		return nil, err
	}
	for _, d := range []string{"locks", "nets", "ports"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, err
		}
	}
	return &Store{Dir: dir}, nil
}

// ValidID says whether a container's id can be the name of a directory.
func ValidID(id string) error {
	ok := id != "" && len(id) <= 200 && id != "." && id != ".."
	for i := range len(id) {
		ok = ok && config.NameByte(id[i])
	}
	if !ok {
		return fmt.Errorf("container id %q: has other characters than letters, digits, '_', '+', '-' and '.', or more than 200", id)
	}
	return nil
}

func (s *Store) path(id, ifname string) string {
	return filepath.Join(s.Dir, "att", id, ifname+".json")
}

// Save writes an attachment whole or not at all.
func (s *Store) Save(a *Attachment) error {
	a.V = Version
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	path := s.path(a.ID, a.IfName)
	for try := 0; ; try++ {
		if err = WriteFile(path, data); !errors.Is(err, fs.ErrNotExist) || try == 100 {
			return err
		}
		// gc may remove it again while it is empty.
		if err = os.Mkdir(filepath.Dir(path), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// WriteFile replaces a file whole or not at all. Where there is one already both
// change places and the old one is removed: a rename over it makes ext4 write the
// new one to the disk at once (auto_da_alloc), 4 ms each for what no reboot has to
// survive, on a host whose /run is no tmpfs.
func WriteFile(path string, data []byte) error {
	tmp := fmt.Sprintf("%s.%d~", path, os.Getpid())
	if err := Put(tmp, data, unix.O_TRUNC); err != nil {
		return err
	}
	if unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, path, unix.RENAME_EXCHANGE) == nil {
		_ = unix.Unlink(tmp) // gc would do it
		return nil
	}
	// There is none yet, or the file system cannot do that.
	if err := unix.Rename(tmp, path); err != nil {
		_ = unix.Unlink(tmp) // the rename's error is the one that counts
		return &os.PathError{Op: "rename", Path: path, Err: err}
	}
	return nil
}

// Put creates or opens a file and writes it by three system calls; package os
// makes eight of it, and every attach writes ten files.
func Put(path string, data []byte, flags int) error {
	fd, err := unix.Open(path, unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC|flags, 0o600)
	if err == nil {
		_, err = unix.Write(fd, data)
		unix.Close(fd)
	}
	if err != nil {
		return &os.PathError{Op: "write", Path: path, Err: err}
	}
	return nil
}

// Text reads a small file, without the white space around; "" when it cannot.
func Text(path string) string {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	b := make([]byte, 4096)
	n, err := unix.Read(fd, b)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b[:n]))
}

// Remove forgets an attachment.
func (s *Store) Remove(a *Attachment) error {
	err := os.Remove(s.path(a.ID, a.IfName))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	// Not empty while the container has other links.
	_ = os.Remove(filepath.Dir(s.path(a.ID, a.IfName)))
	return err
}

// Load reads one attachment; there is fs.ErrNotExist.
func (s *Store) Load(id, ifname string) (*Attachment, error) {
	data, err := os.ReadFile(s.path(id, ifname))
	if err != nil {
		return nil, err
	}
	return Decode(data)
}

// Decode reads an attachment.
func Decode(data []byte) (*Attachment, error) {
	a := &Attachment{}
	if err := json.NewDecoder(bytes.NewReader(data)).Decode(a); err != nil {
		return nil, fmt.Errorf("record: %w", err)
	}
	if a.V != Version {
		return nil, fmt.Errorf("record: schema %d is not %d", a.V, Version)
	}
	if ValidID(a.ID) != nil || config.ValidName(a.IfName, 15) != nil || config.ValidName(a.Network, 64) != nil {
		return nil, fmt.Errorf("record: %q, %q or %q is no name", a.ID, a.IfName, a.Network)
	}
	return a, nil
}

// Of lists the attachments of a container in the order of their names.
func (s *Store) Of(id string) []*Attachment {
	entries, _ := os.ReadDir(filepath.Join(s.Dir, "att", id))
	var out []*Attachment
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".json" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.Dir, "att", id, e.Name()))
		if err != nil {
			continue // removed meanwhile
		}
		if a, err := Decode(data); err == nil {
			out = append(out, a)
		}
	}
	return out
}

// All lists every attachment.
func (s *Store) All() []*Attachment {
	entries, _ := os.ReadDir(filepath.Join(s.Dir, "att"))
	var out []*Attachment
	for _, e := range entries {
		out = append(out, s.Of(e.Name())...)
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].ID < out[j].ID })
	return out
}

// Rubbish removes half-written files and empty directories of dead writers.
func (s *Store) Rubbish() int {
	n := 0
	alive := func(file string) bool { // "NAME.PID~"
		name := strings.TrimSuffix(file, "~")
		pid, err := strconv.Atoi(name[strings.LastIndexByte(name, '.')+1:])
		_, gone := Identify(pid)
		return err == nil && gone == nil
	}
	_ = filepath.WalkDir(s.Dir, func(p string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(p, "~") && !alive(p) && os.Remove(p) == nil {
			n++
		}
		return nil // gone meanwhile
	})
	dirs, _ := filepath.Glob(filepath.Join(s.Dir, "att", "*"))
	for _, d := range dirs {
		if os.Remove(d) == nil { // not while it has a record
			n++
		}
	}
	return n
}

// NetDir is the directory of a network.
func (s *Store) NetDir(network string) string { return filepath.Join(s.Dir, "nets", network) }
