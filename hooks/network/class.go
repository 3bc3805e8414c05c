package network

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/config"
	"github.com/tare-oci/tare/hooks/network/record"
	"github.com/tare-oci/tare/hooks/network/shape"
)

// class is the container's, from its annotation or from
// linux.resources.network.classID, which the runtime has written by then.
func (w *work) class() uint32 {
	if w.req.Class != 0 {
		return w.req.Class
	}
	return w.bundle.Class
}

// rungs are the ways to sort what sockets of a net_cls cgroup send, the exact one
// first. What the kernel lacks is passed over.
var rungs = []string{"cgroup", "bpf", "nft", "iptables"}

// ensureShape makes the tree of classes and chooses the classifier.
func (e *Engine) ensureShape(n *config.Network, b *begun) error {
	s, err := shape.Here(nil)
	if err != nil {
		return err
	}
	defer s.Close()
	// One that a killed hook has begun may lack classes and filters, and an older one of
	// this network may have others.
	if b.Shaped == n.Shape.Device && !e.shared(n.Name, b.Shaped) {
		if err := s.Remove(b.Shaped); err != nil {
			return err
		}
	}
	// Not of a tree that is there already: it is not this network's until it has
	// been found to be the same.
	if free, err := s.Free(n.Shape.Device); err != nil {
		return err
	} else if free {
		if err := e.note(n.Name, b, func() { b.Shaped = n.Shape.Device }); err != nil {
			return err
		}
	}
	made, err := s.Tree(n.Shape)
	if err != nil {
		return err
	}
	b.Shaped, b.Tree = n.Shape.Device, b.Tree || made
	wanted := rungs
	if n.Shape.Classifier != "" {
		wanted = []string{n.Shape.Classifier}
	}
	var errs []error
	for _, r := range wanted {
		switch r {
		case "cgroup":
			err = s.Cgroup(n.Shape)
		case "bpf":
			err = s.BPF(n.Shape)
		case "nft":
			if _, err = e.filter("nftables"); err == nil {
				err = e.nft.ClassByNetCls()
			}
		case "iptables":
			_, err = e.filter("iptables") // the rule comes with the container
		}
		if err == nil {
			b.Rung = r
			return nil
		}
		errs = append(errs, fmt.Errorf("%s: %w", r, err))
	}
	if made {
		errs = append(errs, s.Remove(n.Shape.Device))
	}
	b.Shaped = ""
	return fmt.Errorf("shape: no classifier of this kernel knows cgroups: %w", errors.Join(errs...))
}

// unshapeDevice takes a network's tree of classes from a link, unless another network
// has the same one, or it has none.
func (e *Engine) unshapeDevice(name, device string) error {
	if device == "" || e.shared(name, device) {
		return nil
	}
	s, err := shape.Here(nil)
	if err != nil {
		return err
	}
	defer s.Close()
	return s.Remove(device)
}

// shared says that another network has the tree of classes of a link too.
func (e *Engine) shared(name, device string) bool {
	return slices.ContainsFunc(e.others(name), func(o *begun) bool { return o.Shaped == device })
}

// connectHost sorts the packets of a container in the host's own network.
func (w *work) connectHost() error {
	if err := w.at("class"); err != nil {
		return err
	}
	w.a.Class, w.a.Shape = w.class(), w.m.Rung
	dir, v1 := cgroupOf(w.init.Pid)
	if v1 {
		if w.m.Rung != "iptables" {
			return nil // by the id that cgroupClass or the runtime writes
		}
		f, err := w.filter("iptables")
		if err != nil {
			return err
		}
		w.a.Firewall = "iptables"
		if err := w.store.Save(w.a); err != nil {
			return err
		}
		w.later(func() error { return f.Sweep([]string{w.a.Key}) })
		return w.ipt.ClassByNetCls(w.a.Key, w.a.Class)
	}
	if dir == "" {
		return errors.New("class: the container is in no cgroup of net_cls and none of version 2")
	}
	if _, err := w.filter("nftables"); err != nil {
		return err
	}
	mount, rest := cgroup2Mount(dir)
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil || mount == "" {
		return errors.Join(fmt.Errorf("class: cgroup %s", dir), err)
	}
	w.a.Cgroup, w.a.Shape, w.a.Firewall = dir, "nft socket cgroupv2", "nftables"
	if err := w.store.Save(w.a); err != nil {
		return err
	}
	w.later(func() error { return w.nft.DropClass(w.a.Key) })
	return w.nft.ClassByPath(w.a.Key, uint32(len(strings.Split(rest, "/"))), st.Ino, w.a.Class)
}

// cgroupClass writes the class id into the container's net_cls cgroup when the
// annotation asks for it: the runtime knows only linux.resources.
func (w *work) cgroupClass() error {
	if w.req.Class == 0 {
		return nil
	}
	dir, v1 := cgroupOf(w.init.Pid)
	if !v1 {
		return nil
	}
	if filepath.Clean(dir) == filepath.Clean(netClsMount()) {
		return nil // the root: the whole host would get it
	}
	if err := os.WriteFile(filepath.Join(dir, "net_cls.classid"), []byte(fmt.Sprintf("%d", w.req.Class)), 0); err != nil {
		return fmt.Errorf("class: %w", err)
	}
	return nil
}

// unshape removes what connectHost has made.
func (e *Engine) unshape(a *record.Attachment) error {
	if a.Driver != config.Host || a.Boot != e.boot {
		return nil
	}
	if a.Firewall == "" {
		return nil
	}
	f, err := e.removing(a.Firewall)
	if err != nil {
		return err
	}
	if a.Firewall == "nftables" && e.nft != nil {
		return e.nft.DropClass(a.Key) // the one rule, without a look at all sets
	}
	return f.Sweep([]string{a.Key})
}

// cgroupOf is the directory of a process's cgroup: that of net_cls, or of the
// unified hierarchy where there is none.
func cgroupOf(pid int) (dir string, v1 bool) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return "", false
	}
	unified := ""
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 {
			continue
		}
		for _, c := range strings.Split(f[1], ",") {
			if c == "net_cls" && netClsMount() != "" {
				return filepath.Join(netClsMount(), f[2]), true
			}
		}
		if f[0] == "0" {
			unified = f[2]
		}
	}
	if m := mountOf("cgroup2", ""); m != "" && unified != "" {
		return filepath.Join(m, unified), false
	}
	return "", false
}

func netClsMount() string { return mountOf("cgroup", "net_cls") }

// cgroup2Mount splits a path below the mount point of the unified hierarchy.
func cgroup2Mount(dir string) (mount, rest string) {
	m := mountOf("cgroup2", "")
	rest, ok := strings.CutPrefix(dir, m+"/")
	if m == "" || !ok {
		return "", ""
	}
	return m, rest
}

// mountOf finds the first mount of a type, with an option of its super block.
func mountOf(fstype, option string) string {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		before, after, ok := strings.Cut(s.Text(), " - ")
		w, tail := strings.Fields(before), strings.Fields(after)
		if !ok || len(w) < 5 || len(tail) < 3 || tail[0] != fstype {
			continue
		}
		if option == "" {
			return w[4]
		}
		for _, o := range strings.Split(tail[2], ",") {
			if o == option {
				return w[4]
			}
		}
	}
	return ""
}
