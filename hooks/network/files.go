package network

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"github.com/tare-oci/tare/hooks/network/names"
	"github.com/tare-oci/tare/hooks/network/record"
)

// nameFiles writes resolv.conf, hosts and hostname where the container sees
// them: through its bind mounts, or in its rootfs when it asks for that.
func (w *work) nameFiles() error {
	f := record.Files{}
	switch w.req.Files {
	case "off":
	case "rootfs":
		if w.bundle.Root == "" {
			return errors.New("annotation files=rootfs: the bundle has no root.path")
		}
		f = record.Files{Root: w.bundle.Root, ResolvConf: "/etc/resolv.conf", Hosts: "/etc/hosts", Hostname: "/etc/hostname"}
	default:
		f = record.Files{ResolvConf: w.bundle.Binds["/etc/resolv.conf"], Hosts: w.bundle.Binds["/etc/hosts"], Hostname: w.bundle.Binds["/etc/hostname"]}
		for _, own := range []*string{&f.ResolvConf, &f.Hosts, &f.Hostname} {
			// A container may show the host's own files; those are not written.
			if *own != "" && filepath.Dir(*own) == "/etc" {
				*own = ""
			}
		}
		if w.req.Files == "mounts" && f == (record.Files{}) {
			return errors.New("annotation files=mounts: the config has no bind mount on /etc/resolv.conf, /etc/hosts or /etc/hostname")
		}
	}
	w.a.Files = f
	dns := w.n.DNS
	if len(w.req.DNS.Servers) > 0 {
		dns.Servers = w.req.DNS.Servers
	}
	if len(w.req.DNS.Search) > 0 {
		dns.Search = w.req.DNS.Search
	}
	if len(w.req.DNS.Options) > 0 {
		dns.Options = w.req.DNS.Options
	}
	if f.ResolvConf != "" {
		if err := names.Write(f.Root, f.ResolvConf, names.Resolv(names.HostResolv(), dns)); err != nil {
			return err
		}
	}
	if f.Hostname != "" && w.a.Hostname != "" {
		if err := names.Write(f.Root, f.Hostname, []byte(w.a.Hostname+"\n")); err != nil {
			return err
		}
	}
	if f.Hosts != "" {
		w.a.Hosts = w.req.Hosts
		for _, n := range w.req.Networks {
			if err := writeName(filepath.Join(w.namedDir(n.Network), w.a.ID), w.a.IfName); err != nil {
				return err
			}
		}
		w.later(func() error { return w.forgetNames(w.a) })
	}
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	// Those of the other networks are told when those are attached: their records
	// are not there yet. Every one of them calls tellPeers.
	return nil
}

// namedDir lists the containers of a network that have a hosts file.
func (e *Engine) namedDir(network string) string {
	return filepath.Join(e.store.NetDir(network), "named")
}

// tellPeers writes the hosts files of a network's containers again. Without any
// such container it costs one directory read. Only what is wrong with the file of the
// container id is an error: what others have made of theirs is in the log.
func (e *Engine) tellPeers(network, id string) error {
	entries, _ := os.ReadDir(e.namedDir(network))
	if len(entries) == 0 {
		return nil
	}
	lock, err := e.store.Lock("names-"+network, e.LockWait)
	if err != nil {
		return err
	}
	defer lock.Unlock()
	all := e.store.All()
	var errs []error
	for _, d := range entries {
		err := e.writeHosts(d.Name(), all)
		switch {
		case err == nil || errors.Is(err, os.ErrNotExist):
		case d.Name() == id:
			errs = append(errs, fmt.Errorf("hosts of %q: %w", id, err))
		default:
			e.store.Log(map[string]any{"op": "hosts", "id": d.Name(), "network": network, "warning": err.Error()})
		}
	}
	return errors.Join(errs...)
}

func (e *Engine) writeHosts(id string, all []*record.Attachment) error {
	self := names.Entry{}
	var extra map[string]netip.Addr
	var file record.Files
	var networks []string
	for _, a := range all {
		if a.ID != id {
			continue
		}
		self.IPs = append(self.IPs, addrs(a)...)
		if len(self.Names) == 0 {
			self.Names = ownNames(a)
		}
		networks = append(networks, a.Network)
		if a.Files.Hosts != "" {
			file, extra = a.Files, a.Hosts
		}
	}
	if file.Hosts == "" {
		return nil
	}
	var peers []names.Entry
	for _, a := range all {
		if a.ID != id && slices.Contains(networks, a.Network) {
			peers = append(peers, names.Entry{IPs: addrs(a), Names: ownNames(a)})
		}
	}
	return names.Write(file.Root, file.Hosts, names.Hosts(self, extra, peers))
}

func addrs(a *record.Attachment) []netip.Addr {
	var out []netip.Addr
	for _, p := range a.IPs {
		out = append(out, p.Addr())
	}
	return out
}

// ownNames are the hostname, the id and the aliases, each once.
func ownNames(a *record.Attachment) []string {
	var out []string
	for _, n := range append([]string{a.Hostname, a.ID}, a.Aliases...) {
		if n != "" && !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}

// forgetNames takes a container out of the hosts files of the others; its own
// goes with it.
func (e *Engine) forgetNames(a *record.Attachment) error {
	err := os.Remove(filepath.Join(e.namedDir(a.Network), a.ID))
	if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	return err
}
