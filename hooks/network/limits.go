package network

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/hooks/network/shape"
)

// limit shapes both directions: towards the container on the host's end, which
// it cannot reach; from it on its own end, or on the host's side when it may
// change its own.
func (w *work) limit() error {
	down, up := w.req.Down, w.req.Up
	if down == 0 && up == 0 {
		return nil
	}
	if err := w.at("bandwidth"); err != nil {
		return err
	}
	host, err := shape.Here(nil)
	if err != nil {
		return err
	}
	defer host.Close()
	w.a.Down, w.a.Up = down, up
	if down != 0 {
		if err := host.Limit(w.a.Link, down, w.req.Burst); err != nil {
			return err
		}
	}
	if up == 0 {
		return nil
	}
	if w.bundle.NetAdmin {
		w.a.IFB = record.IFBName(w.a.Key)
		if err := w.store.Save(w.a); err != nil {
			return err
		}
		w.later(func() error { return w.links.DeleteOurs(w.a.IFB) })
		if err := w.links.AddIFB(w.a.IFB, mtu(w.n, w.req)); err != nil && !errors.Is(err, unix.EEXIST) {
			return shape.Missing(err, "CONFIG_IFB")
		}
		return host.Divert(w.a.Link, w.a.IFB, up, w.req.Burst)
	}
	inside, err := shape.Here(w.ns)
	if err != nil {
		return err
	}
	defer inside.Close()
	return inside.Limit(w.a.IfName, up, w.req.Burst)
}
