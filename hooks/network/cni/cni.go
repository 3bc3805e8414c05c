// Package cni lets a CNI configuration list do what a driver of the hook does
// otherwise, by the reference library (github.com/containernetworking/cni).
package cni

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/invoke"
	"github.com/containernetworking/cni/pkg/types"
	types100 "github.com/containernetworking/cni/pkg/types/100"
	"github.com/containernetworking/cni/pkg/version"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

// Runner runs plugins.
type Runner struct {
	ConfDir  string
	BinDirs  []string
	CacheDir string
}

// List is a configuration list.
type List = libcni.NetworkConfigList

func (r *Runner) cni() *libcni.CNIConfig { return r.cniWith(nil) }

func (r *Runner) cniWith(e invoke.Exec) *libcni.CNIConfig {
	return libcni.NewCNIConfigWithCacheDir(r.BinDirs, r.CacheDir, e)
}

// Load finds a configuration list by the name inside it; files are looked at in
// the order of their names.
func (r *Runner) Load(name string) (*List, error) {
	files, err := libcni.ConfFiles(r.ConfDir, []string{".conflist", ".conf", ".json"})
	if err != nil {
		return nil, fmt.Errorf("cni: %w", err)
	}
	sort.Strings(files)
	var have []string
	for _, f := range files {
		var list *List
		if filepath.Ext(f) == ".conflist" {
			list, err = libcni.NetworkConfFromFile(f)
		} else if c, cerr := libcni.ConfFromFile(f); cerr == nil { //nolint:staticcheck // single configurations are still in use
			list, err = libcni.ConfListFromConf(c) //nolint:staticcheck // as above
		} else {
			err = cerr
		}
		if err != nil {
			return nil, fmt.Errorf("cni: %s: %w", f, err)
		}
		if list.Name == name {
			return list, nil
		}
		have = append(have, list.Name)
	}
	return nil, fmt.Errorf("cni: no configuration in %s is called %q (there are: %s)", r.ConfDir, name, strings.Join(have, ", "))
}

// Wish is what a container wants of the plugins (CNI conventions, capabilities).
type Wish struct {
	ID, NetNS, IfName string
	Ports             []config.Port
	IPs               []netip.Addr
	MAC               string
	Down, Up          config.Rate
	Burst             uint32
	Aliases           []string
	DNS               config.DNS
	Cgroup            string
}

func (w *Wish) capabilities() map[string]any {
	c := map[string]any{}
	if len(w.Ports) > 0 {
		var maps []map[string]any
		for _, p := range w.Ports {
			for i := range p.Count {
				m := map[string]any{"hostPort": p.Host + i, "containerPort": p.Container + i, "protocol": p.Proto}
				if p.IP.IsValid() {
					m["hostIP"] = p.IP.String()
				}
				maps = append(maps, m)
			}
		}
		c["portMappings"] = maps
	}
	if w.Down != 0 || w.Up != 0 {
		// The plugin calls what goes to the container ingress, in bits; bursts too.
		b := map[string]any{}
		burst := func(r config.Rate) uint64 {
			if w.Burst != 0 {
				return uint64(w.Burst) * 8
			}
			return max(uint64(r)/100, 64<<13)
		}
		if w.Down != 0 {
			b["ingressRate"], b["ingressBurst"] = uint64(w.Down), burst(w.Down)
		}
		if w.Up != 0 {
			b["egressRate"], b["egressBurst"] = uint64(w.Up), burst(w.Up)
		}
		c["bandwidth"] = b
	}
	if len(w.IPs) > 0 {
		var ips []string
		for _, ip := range w.IPs {
			ips = append(ips, ip.String())
		}
		c["ips"] = ips
	}
	if w.MAC != "" {
		c["mac"] = w.MAC
	}
	if len(w.Aliases) > 0 {
		c["aliases"] = w.Aliases
	}
	if len(w.DNS.Servers) > 0 || len(w.DNS.Search) > 0 {
		var servers []string
		for _, s := range w.DNS.Servers {
			servers = append(servers, s.String())
		}
		c["dns"] = map[string]any{"servers": servers, "searches": w.DNS.Search, "options": w.DNS.Options}
	}
	if w.Cgroup != "" {
		c["cgroupPath"] = w.Cgroup
	}
	return c
}

// Keep is what has to be remembered for Del before Add is called.
func Keep(list *List, w *Wish) *record.CNI {
	return &record.CNI{List: json.RawMessage(list.Bytes), Caps: w.capabilities(), NetNS: w.NetNS, Args: [][2]string{{"IgnoreUnknown", "1"}}}
}

func runtimeConf(id, ifname string, k *record.CNI) *libcni.RuntimeConf {
	return &libcni.RuntimeConf{ContainerID: id, NetNS: k.NetNS, IfName: ifname, Args: k.Args, CapabilityArgs: k.Caps}
}

// Ready says whether all plugins of a list are there and can do their work. A plugin
// that is missing is found out before the first one is run, and before there is
// anything to undo: DEL of a list stops where it cannot go on.
func (r *Runner) Ready(ctx context.Context, list *List) error {
	if _, err := r.cni().ValidateNetworkList(ctx, list); err != nil {
		return fmt.Errorf("cni list %q: %w", list.Name, err)
	}
	// Lists before 1.1.0 have no such verb; nothing is run for them.
	if err := r.cni().GetStatusNetworkList(ctx, list); err != nil {
		return fmt.Errorf("cni list %q: is not ready: %w", list.Name, err)
	}
	return nil
}

// Add runs the plugins in their order and returns the addresses they gave. save is
// called when k has changed.
func (r *Runner) Add(ctx context.Context, list *List, id, ifname string, k *record.CNI, save func() error) (ips []netip.Prefix, gateways []netip.Addr, mac string, err error) {
	res, err := r.cniWith(newSteps(k, save)).AddNetworkList(ctx, list, runtimeConf(id, ifname, k))
	if err != nil {
		return nil, nil, "", fmt.Errorf("cni list %q: %w", list.Name, err)
	}
	full, err := types100.NewResultFromResult(res)
	if err != nil {
		return nil, nil, "", fmt.Errorf("cni list %q: its result: %w", list.Name, err)
	}
	for _, ip := range full.IPs {
		if p, err := netip.ParsePrefix(ip.Address.String()); err == nil {
			ips = append(ips, p)
			gw, _ := netip.AddrFromSlice(ip.Gateway)
			gateways = append(gateways, gw.Unmap())
		}
	}
	for _, i := range full.Interfaces {
		if i.Sandbox != "" && i.Name == ifname {
			mac = i.Mac
		}
	}
	return ips, gateways, mac, nil
}

// Del runs the plugins in reverse with what Add was given, even if the list has
// been renamed or removed since. A namespace that is gone is none.
func (r *Runner) Del(ctx context.Context, id, ifname string, k *record.CNI) error {
	list, err := libcni.NetworkConfFromBytes(k.List)
	if err != nil {
		return fmt.Errorf("cni: the remembered list: %w", err)
	}
	rt := runtimeConf(id, ifname, k)
	if _, err := os.Stat(rt.NetNS); err != nil {
		rt.NetNS = ""
	}
	if err := r.cniWith(newSteps(k, nil)).DelNetworkList(ctx, list, rt); err != nil {
		return fmt.Errorf("cni list %q: %w", list.Name, err)
	}
	return nil
}

// Check runs CHECK, which a list may forbid.
func (r *Runner) Check(ctx context.Context, id, ifname string, k *record.CNI) error {
	list, err := libcni.NetworkConfFromBytes(k.List)
	if err != nil {
		return err
	}
	return r.cni().CheckNetworkList(ctx, list, runtimeConf(id, ifname, k))
}

// Sweeps says whether the plugins of a list know the verb GC (version 1.1.0).
func Sweeps(list *List) bool {
	ok, err := version.GreaterThanOrEqualTo(list.CNIVersion, "1.1.0")
	return ok && err == nil && !list.DisableGC
}

// Sweep runs GC with the attachments that there are, each a container's id and the
// name of its link.
func (r *Runner) Sweep(ctx context.Context, list *List, valid [][2]string) error {
	args := &libcni.GCArgs{ValidAttachments: []types.GCAttachment{}}
	for _, v := range valid {
		args.ValidAttachments = append(args.ValidAttachments, types.GCAttachment{ContainerID: v[0], IfName: v[1]})
	}
	if err := r.cni().GCNetworkList(ctx, list, args); err != nil {
		return fmt.Errorf("cni list %q: %w", list.Name, err)
	}
	return nil
}
