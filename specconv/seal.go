package specconv

import (
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/plan"
)

// emitSeal makes the container's view final. It runs in the final root, after
// the last hook that may still mount something.
func (c *compiler) emitSeal(mounts []mount) {
	l := c.linux()
	c.emitSysctls()
	for i := range mounts {
		if mounts[i].late {
			c.add(plan.MountReadonly(mounts[i].field+".options", mounts[i].at))
		}
	}
	if c.Spec.Root.Readonly {
		c.add(plan.RootAttr("root.readonly", plan.Attr(plan.AttrReadonly, 0), 0))
	}
	for i, p := range l.ReadonlyPaths {
		if f := field.Index("linux.readonlyPaths", i); c.checkCovered(f, p) {
			c.add(plan.PathReadonly(f, path.Clean(p)))
		}
	}
	if len(l.MaskedPaths) > 0 {
		c.add(plan.MaskPrepare("linux.maskedPaths"))
	}
	for i, p := range l.MaskedPaths {
		if f := field.Index("linux.maskedPaths", i); c.checkCovered(f, p) {
			c.add(plan.PathMask(f, path.Clean(p)))
		}
	}
	// Last: of an unbindable root, readonlyPaths could clone nothing.
	if prop := c.propagation; prop != 0 && c.ns.isNew(plan.NewNS) {
		c.add(plan.RootAttr("linux.rootfsPropagation", 0, prop))
	}
	c.emitAffinity()
	c.emitScheduler()
	c.emitIOPriority()
	c.emitPersonality()
	c.emitMemoryPolicy()
	c.emitStdioOwner()
}

func (c *compiler) checkCovered(f, p string) bool {
	switch {
	case !strings.HasPrefix(p, "/"):
		c.errs.Add(f, p, "must be absolute")
		return false
	case path.Clean(p) == "/":
		c.errs.Add(f, p, "is the root itself")
		return false
	}
	return c.noNUL(f, p)
}

// ipcSysctls are the keys of the IPC namespace outside fs.mqueue (ipc_namespaces(7)).
var ipcSysctls = [...]string{
	"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shm_rmid_forced", "kernel/shmall", "kernel/shmmax", "kernel/shmmni",
}

func (c *compiler) emitSysctls() {
	m := c.linux().Sysctl
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		f := field.Key("linux.sysctl", k)
		p := sysctlPath(k)
		if why := c.sysctlRefused(k, p); why != "" {
			c.errs.Add(f, m[k], why)
			continue
		}
		if c.noNUL(f, k) && c.noNUL(f, m[k]) {
			c.add(plan.Sysctl(f, p, m[k]))
		}
	}
}

// sysctlPath turns a key into a path below /proc/sys. As with sysctl(8), the
// first separator decides: in "net.ipv4.conf.eth0/1.mtu" dots separate and the
// slash stands for a dot of the name; in "net/ipv4" it is the other way round.
func sysctlPath(key string) string {
	i := strings.IndexAny(key, "./")
	if i < 0 || key[i] == '/' {
		return key
	}
	return strings.Map(func(r rune) rune {
		switch r {
		case '.':
			return '/'
		case '/':
			return '.'
		}
		return r
	}, key)
}

// sysctlRefused says why a key may not be set: only those of a namespace that
// the container does not share with the host are its own.
func (c *compiler) sysctlRefused(key, p string) string {
	for _, part := range strings.Split(p, "/") {
		if part == "" || part == "." || part == ".." {
			return "is not a sysctl key"
		}
	}
	flag := sysctlNamespace(p)
	switch {
	case flag == 0:
		return "is not in a namespace of its own: it would change the whole host"
	case c.ns.own(flag):
	case flag == plan.NewNet:
		return "needs a network namespace in linux.namespaces, or it would change the host"
	case flag == plan.NewIPC:
		return "needs an ipc namespace in linux.namespaces, or it would change the host"
	default:
		return "needs a uts namespace in linux.namespaces, or it would rename the host"
	}
	if p == "kernel/hostname" && c.Spec.Hostname != "" || p == "kernel/domainname" && c.Spec.Domainname != "" {
		return "conflicts with the config's " + strings.TrimPrefix(p, "kernel/")
	}
	return ""
}

// sysctlNamespace is the type of namespace that a sysctl, by its path, belongs to,
// and 0 for one of the whole host.
func sysctlNamespace(p string) uint64 {
	switch {
	case strings.HasPrefix(p, "net/"):
		return plan.NewNet
	case strings.HasPrefix(p, "fs/mqueue/"), slices.Contains(ipcSysctls[:], p):
		return plan.NewIPC
	case p == "kernel/hostname", p == "kernel/domainname":
		return plan.NewUTS
	}
	return 0
}

// missingProfile returns the part of a profile's name that is known not to be
// loaded. A stack, "a//&b", has several; what begins with a colon is in a
// namespace of AppArmor's, which the host's list does not show.
func (c *compiler) missingProfile(name string) string {
	if c.Facts.AppArmorProfiles == nil {
		return ""
	}
	for part := range strings.SplitSeq(name, "//&") {
		if part != "" && part != "unconfined" && part[0] != ':' && !slices.Contains(c.Facts.AppArmorProfiles, part) {
			return part
		}
	}
	return ""
}

// emitLsm has the next program labelled.
func (c *compiler) emitLsm() {
	p := c.Spec.Process
	if p.ApparmorProfile != "" {
		if !c.Facts.AppArmor {
			c.errs.AddHost("process.apparmorProfile", p.ApparmorProfile, "needs AppArmor, which this kernel does not run")
		} else if missing := c.missingProfile(p.ApparmorProfile); missing != "" {
			c.errs.AddHost("process.apparmorProfile", p.ApparmorProfile, "the profile "+strconv.Quote(missing)+" is not loaded (apparmor_parser(8) loads it)")
		}
		if c.noNUL("process.apparmorProfile", p.ApparmorProfile) {
			c.add(plan.LsmExec("process.apparmorProfile", "apparmor/exec", "exec "+p.ApparmorProfile))
		}
	}
	if p.SelinuxLabel != "" {
		if !c.Facts.SELinux {
			c.errs.AddHost("process.selinuxLabel", p.SelinuxLabel, "needs SELinux, which this kernel does not run")
		}
		if c.noNUL("process.selinuxLabel", p.SelinuxLabel) {
			c.add(plan.LsmExec("process.selinuxLabel", "exec", p.SelinuxLabel))
		}
	}
}

// labelsKeys says that the session keyring gets the label of the process. A host
// without SELinux and a label with a NUL are refused in emitLsm.
func (c *compiler) labelsKeys() bool {
	label := c.Spec.Process.SelinuxLabel
	return label != "" && c.Facts.SELinux && strings.IndexByte(label, 0) < 0
}

// emitKeyLabel has the session keyring labelled as the process will be, which could
// not use it otherwise. The program's execve ends it (selinux_bprm_creds_for_exec).
func (c *compiler) emitKeyLabel() {
	if !c.labelsKeys() {
		return
	}
	c.procOpen = true
	c.add(plan.ProcOpen("process.selinuxLabel"))
	c.add(plan.LsmExec("process.selinuxLabel", "keycreate", c.Spec.Process.SelinuxLabel))
}
