package shape

import (
	"errors"
	"fmt"
	"sort"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
)

// quantum is what a class sends in its turn, in bytes: one frame.
const quantum = 1514

// innerMinor is the class that all others stand below; it has the whole rate.
const innerMinor = 0xfffe

// major is that of the tree: of its classes.
func major(s *config.Shape) uint16 {
	for name := range s.Classes {
		id, _ := config.ParseClass(name) // checked when it was read
		return uint16(id >> 16)
	}
	return 1
}

// Tree makes the HTB classes (tc-htb(8)) on a link of the host. A root qdisc that
// somebody else has made is not replaced. It says whether the tree is new.
func (s *Shaper) Tree(c *config.Shape) (made bool, err error) {
	k, err := s.h.LinkByName(c.Device)
	if err != nil {
		return false, fmt.Errorf("shape.device %q: %w", c.Device, err)
	}
	index, m := k.Attrs().Index, major(c)
	root := netlink.MakeHandle(m, 0)
	qdiscs, err := s.h.QdiscList(k)
	if err != nil {
		return false, err
	}
	for _, q := range qdiscs {
		a := q.Attrs()
		if a.Parent != netlink.HANDLE_ROOT || a.Handle == 0 {
			continue // the kernel's own, which has no handle
		}
		if q.Type() != "htb" || a.Handle != root {
			return false, fmt.Errorf("shape.device %q: has a root qdisc %s %s of somebody else", c.Device, q.Type(), netlink.HandleStr(a.Handle))
		}
		return false, nil
	}
	htb := netlink.NewHtb(netlink.QdiscAttrs{LinkIndex: index, Handle: root, Parent: netlink.HANDLE_ROOT})
	if c.Default != "" {
		id, err := config.ParseClass(c.Default)
		if err != nil {
			return false, err
		}
		htb.Defcls = id & 0xffff
	}
	if err := s.h.QdiscAdd(htb); err != nil {
		return false, Missing(fmt.Errorf("htb on %q: %w", c.Device, err), "CONFIG_NET_SCH_HTB")
	}
	add := func(parent, id uint32, rate, ceil config.Rate) error {
		if ceil == 0 {
			ceil = rate
		}
		cl := netlink.NewHtbClass(netlink.ClassAttrs{LinkIndex: index, Parent: parent, Handle: id},
			netlink.HtbClassAttrs{Rate: uint64(rate), Ceil: uint64(ceil), Quantum: quantum})
		if err := s.h.ClassAdd(cl); err != nil {
			return fmt.Errorf("class %s on %q: %w", config.ClassText(id), c.Device, err)
		}
		return nil
	}
	inner := netlink.MakeHandle(m, innerMinor)
	errs := []error{add(root, inner, c.Rate, c.Rate)}
	names := make([]string, 0, len(c.Classes))
	for name := range c.Classes {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		id, err := config.ParseClass(name)
		if err == nil && uint16(id>>16) != m {
			err = fmt.Errorf("shape.classes %q: all of one tree have the same major number", name)
		}
		if err == nil {
			err = add(inner, id, c.Classes[name].Rate, c.Classes[name].Ceil)
		}
		errs = append(errs, err)
	}
	for i, match := range c.Match {
		errs = append(errs, s.match(index, root, uint16(i+1), match))
	}
	if err := errors.Join(errs...); err != nil {
		_ = s.h.QdiscDel(htb) // with all classes and filters
		return false, err
	}
	return true, nil
}

// match is a u32 filter (tc-u32(8)): addresses at bytes 12 and 16 of the IPv4
// header, the destination port at 22 when it has no options.
func (s *Shaper) match(index int, root uint32, prio uint16, m config.Match) error {
	id, err := config.ParseClass(m.Class)
	if err != nil {
		return err
	}
	var keys []key
	if m.Src.Is4() {
		keys = append(keys, key{12, 0xffffffff, number(m.Src)})
	}
	if m.Dst.Is4() {
		keys = append(keys, key{16, 0xffffffff, number(m.Dst)})
	}
	if m.DPort != 0 {
		keys = append(keys, key{20, 0x0000ffff, uint32(m.DPort)})
	}
	f := filter{kind: "u32", index: index, parent: root, prio: prio, proto: unix.ETH_P_IP, options: func(o *nl.RtAttr) {
		o.AddRtAttr(nl.TCA_U32_SEL, selector(keys...))
		o.AddRtAttr(nl.TCA_U32_CLASSID, nl.Uint32Attr(id))
	}}
	if err := f.add(); err != nil {
		return Missing(fmt.Errorf("u32 filter: %w", err), "CONFIG_NET_CLS_U32")
	}
	return nil
}

// filterPriority is behind all matches.
const filterPriority = 100

// Cgroup installs tc's own cgroup classifier (tc-cgroup(8)).
func (s *Shaper) Cgroup(c *config.Shape) error {
	k, err := s.h.LinkByName(c.Device)
	if err != nil {
		return err
	}
	return once(byCgroup("cgroup", k.Attrs().Index, c, nil).add())
}

// BPF installs two instructions that return the class id of the socket's cgroup,
// which is what the cgroup classifier does, for kernels without it.
func (s *Shaper) BPF(c *config.Shape) error {
	k, err := s.h.LinkByName(c.Device)
	if err != nil {
		return err
	}
	fd, err := loadClassifier()
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return once(byCgroup("bpf", k.Attrs().Index, c, func(o *nl.RtAttr) {
		o.AddRtAttr(nl.TCA_BPF_FD, nl.Uint32Attr(uint32(fd)))
		o.AddRtAttr(nl.TCA_BPF_NAME, nl.ZeroTerminated("tare-net-classid"))
	}).add())
}

// byCgroup is a filter behind all matches, at the root of the tree.
func byCgroup(kind string, index int, c *config.Shape, options func(*nl.RtAttr)) filter {
	return filter{kind: kind, index: index, parent: netlink.MakeHandle(major(c), 0), handle: 1, prio: filterPriority, proto: unix.ETH_P_ALL, options: options}
}

func once(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

// Free says that a link has no root qdisc but the kernel's own.
func (s *Shaper) Free(device string) (bool, error) {
	k, err := s.h.LinkByName(device)
	if err != nil {
		return false, fmt.Errorf("shape.device %q: %w", device, err)
	}
	qdiscs, err := s.h.QdiscList(k)
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_ROOT && q.Attrs().Handle != 0 {
			return false, err
		}
	}
	return true, err
}

// Remove takes the tree from a link.
func (s *Shaper) Remove(device string) error {
	k, err := s.h.LinkByName(device)
	var none netlink.LinkNotFoundError
	if errors.As(err, &none) {
		return nil
	}
	if err != nil {
		return err
	}
	qdiscs, err := s.h.QdiscList(k)
	for _, q := range qdiscs {
		if q.Attrs().Parent == netlink.HANDLE_ROOT && q.Type() == "htb" {
			err = errors.Join(err, s.h.QdiscDel(q))
		}
	}
	return err
}
