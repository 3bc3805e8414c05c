// Package names writes the files by which a container knows names: resolv.conf,
// hosts and hostname. Files are written in place, for a bind mount shows an
// inode and not a name; below a rootfs no link leads out of it.
package names

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
)

// fallback serves when the host's own resolver listens on a loopback address,
// which is another one inside.
var fallback = []string{"9.9.9.9", "1.1.1.1"}

// Resolv is resolv.conf(5) for a container: what the configuration says, and for
// the rest what the host has.
func Resolv(host []byte, d config.DNS) []byte {
	var servers, search, options []string
	for line := range strings.Lines(string(host)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		switch f[0] {
		case "nameserver":
			if a, err := netip.ParseAddr(f[1]); err == nil && !a.IsLoopback() {
				servers = append(servers, f[1])
			}
		case "search", "domain":
			search = f[1:]
		case "options":
			options = append(options, f[1:]...)
		}
	}
	if len(d.Servers) > 0 {
		servers = nil
		for _, s := range d.Servers {
			servers = append(servers, s.String())
		}
	}
	if len(d.Search) > 0 {
		search = d.Search
	}
	if len(d.Options) > 0 {
		options = d.Options
	}
	if len(servers) == 0 {
		servers = fallback
	}
	var b bytes.Buffer
	if len(search) > 0 {
		fmt.Fprintf(&b, "search %s\n", strings.Join(search, " "))
	}
	for _, s := range servers {
		fmt.Fprintf(&b, "nameserver %s\n", s)
	}
	if len(options) > 0 {
		fmt.Fprintf(&b, "options %s\n", strings.Join(options, " "))
	}
	return b.Bytes()
}

// Entry is one container in hosts(5).
type Entry struct {
	IPs   []netip.Addr
	Names []string
}

// Hosts is hosts(5): the container itself first, then what the configuration
// adds, then the others of its networks.
func Hosts(self Entry, extra map[string]netip.Addr, peers []Entry) []byte {
	var b bytes.Buffer
	b.WriteString("127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
	line := func(e Entry) {
		for _, ip := range e.IPs {
			if len(e.Names) > 0 {
				fmt.Fprintf(&b, "%s\t%s\n", ip, strings.Join(e.Names, " "))
			}
		}
	}
	line(self)
	keys := make([]string, 0, len(extra))
	for name := range extra {
		keys = append(keys, name)
	}
	sort.Strings(keys)
	for _, name := range keys {
		line(Entry{[]netip.Addr{extra[name]}, []string{name}})
	}
	for _, p := range peers {
		line(p)
	}
	return b.Bytes()
}

// Write replaces the content of a file in place. With a root, name is a path
// inside it, and no symbolic link leads out; a missing file is made there, and
// its directory is not.
func Write(root, name string, data []byte) error {
	// Nobody has to read from a fifo that a container has put in the file's place.
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_CLOEXEC | unix.O_NOCTTY | unix.O_NONBLOCK
	if root == "" {
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_TRUNC, 0)
		if err != nil {
			return err
		}
		_, err = f.Write(data)
		return errors.Join(err, f.Close())
	}
	dir, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return &os.PathError{Op: "open", Path: root, Err: err}
	}
	defer unix.Close(dir)
	fd, err := unix.Openat2(dir, path.Clean("/" + name)[1:], &unix.OpenHow{Flags: flags, Mode: 0o644,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return &os.PathError{Op: "open in the rootfs", Path: name, Err: err}
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	// A device or a fifo of the image is not written to.
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return fmt.Errorf("%s in the rootfs: is no regular file", name)
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(data, 0)
	return err
}

// HostResolv reads the host's resolv.conf, systemd-resolved's own list first when
// the file points to its stub.
func HostResolv() []byte {
	b, err := os.ReadFile("/etc/resolv.conf")
	if err == nil && bytes.Contains(b, []byte("nameserver 127.0.0.53")) {
		if real, err := os.ReadFile("/run/systemd/resolve/resolv.conf"); err == nil {
			return real
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return b
}
