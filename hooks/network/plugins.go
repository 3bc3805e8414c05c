package network

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/cni"
	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
)

// pluginPatience bounds one ADD, DEL or CHECK of a list.
const pluginPatience = 2 * time.Minute

func (e *Engine) runner() *cni.Runner {
	return &cni.Runner{ConfDir: e.CNIConf, BinDirs: e.CNIBin, CacheDir: filepath.Join(e.StateDir, "cni")}
}

// pluginLock is held by who runs plugins, and by the plugins themselves: many of
// them cannot run at the same time, and what outlives a killed hook has to end
// before its work can be undone.
func (e *Engine) pluginLock() (unlock func(), err error) { return e.inherited("cni") }

// connectCNI runs a configuration list.
func (w *work) connectCNI() error {
	if err := w.at("cni"); err != nil {
		return err
	}
	unlock, err := w.pluginLock()
	if err != nil {
		return err
	}
	defer unlock()
	r := w.runner()
	list, err := r.Load(w.n.CNI)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pluginPatience)
	defer cancel()
	if err := r.Ready(ctx, list); err != nil {
		return err
	}
	wish := &cni.Wish{ID: w.a.ID, NetNS: w.pinFile(w.a.Key), IfName: w.a.IfName, MAC: w.a.MAC,
		Down: w.req.Down, Up: w.req.Up, Burst: w.req.Burst, Aliases: w.req.Aliases, DNS: w.req.DNS}
	if w.first {
		wish.Ports = w.req.Ports
	}
	for _, ip := range []netip.Addr{w.leg.IP4, w.leg.IP6} {
		if ip.IsValid() {
			wish.IPs = append(wish.IPs, ip)
		}
	}
	w.a.CNI = cni.Keep(list, wish)
	// Before ADD: what is killed in the middle is undone with this.
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	w.later(func() error { return w.unpin(w.a.Key) })
	if err := w.pin(w.a.Key, w.init.Pid); err != nil {
		return err
	}
	w.later(func() error {
		unlock, err := w.pluginLock()
		if err != nil {
			return err
		}
		defer unlock()
		ctx, cancel := context.WithTimeout(context.Background(), pluginPatience)
		defer cancel()
		return r.Del(ctx, w.a.ID, w.a.IfName, w.a.CNI)
	})
	var gateways []netip.Addr
	w.a.IPs, gateways, w.a.MAC, err = r.Add(ctx, list, w.a.ID, w.a.IfName, w.a.CNI, func() error { return w.store.Save(w.a) })
	w.a.Gateways, w.a.Ports = gateways, nil
	return err
}

func (e *Engine) disconnectCNI(a *record.Attachment) error {
	unlock, err := e.pluginLock()
	if err != nil {
		return err
	}
	defer unlock()
	// An attach that had the lock meanwhile has written down what it did.
	if now, err := e.store.Load(a.ID, a.IfName); err == nil && now.Key == a.Key {
		a.CNI = now.CNI
	}
	if a.CNI == nil {
		return nil // no plugin was run
	}
	ctx, cancel := context.WithTimeout(context.Background(), pluginPatience)
	defer cancel()
	a.CNI.NetNS = e.pinFile(a.Key)
	if err := e.runner().Del(ctx, a.ID, a.IfName, a.CNI); err != nil {
		return err
	}
	return e.unpin(a.Key)
}

// sweepPlugins tells the plugins which attachments there are (verb GC), so that
// they remove what they have of others.
func (e *Engine) sweepPlugins() error {
	var errs []error
	for _, name := range config.Names(e.ConfigDir) {
		n, err := config.Load(e.ConfigDir, name)
		if err != nil || n.Driver != config.CNI {
			continue // attach says what is wrong with it
		}
		list, err := e.runner().Load(n.CNI)
		if err != nil || !cni.Sweeps(list) {
			continue
		}
		errs = append(errs, e.sweepList(list))
	}
	return errors.Join(errs...)
}

// sweepList names all containers that have plugins: another network may use the same
// list, or one whose file is gone, and what is not named is torn down.
func (e *Engine) sweepList(list *cni.List) error {
	unlock, err := e.pluginLock()
	if err != nil {
		return err
	}
	defer unlock()
	var valid [][2]string
	for _, a := range e.store.All() {
		if a.CNI != nil {
			valid = append(valid, [2]string{a.ID, a.IfName})
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), pluginPatience)
	defer cancel()
	return e.runner().Sweep(ctx, list, valid)
}

// Many plugins need the namespace for DEL, or leave rules behind, and at poststop
// it is gone with the container. So it is held by a mount until then.

func (e *Engine) pinFile(key string) string { return filepath.Join(e.StateDir, "cni-netns", key) }

func (e *Engine) pin(key string, pid int) error {
	file := e.pinFile(key)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		return err
	}
	if err := unix.Mount(fmt.Sprintf("/proc/%d/ns/net", pid), file, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("hold the network namespace: %w", err)
	}
	return nil
}

func (e *Engine) unpin(key string) error {
	file := e.pinFile(key)
	if err := unix.Unmount(file, unix.MNT_DETACH); err != nil && err != unix.EINVAL && err != unix.ENOENT {
		return fmt.Errorf("%s: %w", file, err)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
