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
		return false, missing(fmt.Errorf("htb on %q: %w", c.Device, err), "CONFIG_NET_SCH_HTB")
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
	var keys []netlink.TcU32Key
	word := func(off int32, mask, v uint32) { keys = append(keys, netlink.TcU32Key{Mask: mask, Val: v, Off: off}) }
	if m.Src.Is4() {
		a := m.Src.As4()
		word(12, 0xffffffff, nl.NativeEndian().Uint32(reverse(a[:])))
	}
	if m.Dst.Is4() {
		a := m.Dst.As4()
		word(16, 0xffffffff, nl.NativeEndian().Uint32(reverse(a[:])))
	}
	if m.DPort != 0 {
		word(20, 0x0000ffff, uint32(m.DPort))
	}
	f := &netlink.U32{FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: root, Priority: prio, Protocol: unix.ETH_P_IP}, ClassId: id,
		Sel: &netlink.TcU32Sel{Nkeys: uint8(len(keys)), Keys: keys, Flags: netlink.TC_U32_TERMINAL}}
	if err := s.h.FilterAdd(f); err != nil {
		return missing(fmt.Errorf("u32 filter: %w", err), "CONFIG_NET_CLS_U32")
	}
	return nil
}

// reverse turns network order into what a little-endian number reads; the library
// turns it back.
func reverse(b []byte) []byte { return []byte{b[3], b[2], b[1], b[0]} }

// filterPriority is behind all matches.
const filterPriority = 100

// Cgroup installs tc's own cgroup classifier (tc-cgroup(8)).
func (s *Shaper) Cgroup(c *config.Shape) error {
	k, err := s.h.LinkByName(c.Device)
	if err != nil {
		return err
	}
	f := &netlink.GenericFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: k.Attrs().Index, Parent: netlink.MakeHandle(major(c), 0), Handle: 1,
		Priority: filterPriority, Protocol: unix.ETH_P_ALL}, FilterType: "cgroup"}
	return once(s.h.FilterAdd(f))
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
	f := &netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: k.Attrs().Index, Parent: netlink.MakeHandle(major(c), 0), Handle: 1,
		Priority: filterPriority, Protocol: unix.ETH_P_ALL}, Fd: fd, Name: "tare-net-classid"}
	return once(s.h.FilterAdd(f))
}

func once(err error) error {
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
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
