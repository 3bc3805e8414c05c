package specconv

import (
	"strings"

	"github.com/tare-oci/tare/internal/plan"
)

// A mountOption is one row of the table of config.md ("Linux mount options").
// Rows are sorted by name. Everything that is not in the table is data for the
// file system, as the spec says.
type mountOption struct {
	name  string
	kind  optionKind
	set   uint32 // attributes set
	clear uint32 // attributes cleared
	prop  uint64 // propagation
	key   string // for optSuper: the parameter of fsconfig(2); "" where it has none
	ms    uint64 // for optSuper: the MS_* flag of mount(2)
}

type optionKind uint8

const (
	optNone    optionKind = iota // the default, or of no effect on Linux mounts
	optAttr                      // a mount attribute
	optRattr                     // the same for the whole tree
	optProp                      // propagation
	optBind                      // bind, rbind
	optSuper                     // a parameter of the superblock
	optRemount                   // change an existing mount
	optCopyUp                    // tmpcopyup
	optIdmap                     // idmap, ridmap
)

const atime = plan.AttrAtimeMask

var mountOptions = [...]mountOption{
	{name: "acl", kind: optSuper, ms: 1 << 16},
	{name: "async", kind: optSuper, key: "async"},
	{name: "atime", kind: optAttr, clear: atime},
	{name: "bind", kind: optBind},
	{name: "defaults"},
	{name: "dev", kind: optAttr, clear: plan.AttrNodev},
	{name: "diratime", kind: optAttr, clear: plan.AttrNodiratime},
	{name: "dirsync", kind: optSuper, key: "dirsync", ms: 128},
	{name: "exec", kind: optAttr, clear: plan.AttrNoexec},
	{name: "idmap", kind: optIdmap},
	{name: "iversion", kind: optSuper, ms: 1 << 23},
	{name: "lazytime", kind: optSuper, key: "lazytime", ms: 1 << 25},
	{name: "loud"},
	{name: "mand", kind: optSuper, key: "mand", ms: 64},
	{name: "noacl", kind: optSuper},
	{name: "noatime", kind: optAttr, set: plan.AttrNoatime, clear: atime},
	{name: "nodev", kind: optAttr, set: plan.AttrNodev},
	{name: "nodiratime", kind: optAttr, set: plan.AttrNodiratime},
	{name: "noexec", kind: optAttr, set: plan.AttrNoexec},
	{name: "noiversion", kind: optSuper},
	{name: "nolazytime", kind: optSuper, key: "nolazytime"},
	{name: "nomand", kind: optSuper, key: "nomand"},
	{name: "norelatime", kind: optAttr, set: plan.AttrStrictatime, clear: atime},
	{name: "nostrictatime", kind: optAttr, clear: atime},
	{name: "nosuid", kind: optAttr, set: plan.AttrNosuid},
	{name: "nosymfollow", kind: optAttr, set: plan.AttrNosymfollow},
	{name: "private", kind: optProp, prop: plan.PropPrivate},
	{name: "ratime", kind: optRattr, clear: atime},
	{name: "rbind", kind: optBind},
	{name: "rdev", kind: optRattr, clear: plan.AttrNodev},
	{name: "rdiratime", kind: optRattr, clear: plan.AttrNodiratime},
	{name: "relatime", kind: optAttr, set: plan.AttrRelatime, clear: atime},
	{name: "remount", kind: optRemount},
	{name: "rexec", kind: optRattr, clear: plan.AttrNoexec},
	{name: "ridmap", kind: optIdmap},
	{name: "rnoatime", kind: optRattr, set: plan.AttrNoatime, clear: atime},
	{name: "rnodev", kind: optRattr, set: plan.AttrNodev},
	{name: "rnodiratime", kind: optRattr, set: plan.AttrNodiratime},
	{name: "rnoexec", kind: optRattr, set: plan.AttrNoexec},
	{name: "rnorelatime", kind: optRattr, set: plan.AttrStrictatime, clear: atime},
	{name: "rnostrictatime", kind: optRattr, clear: atime},
	{name: "rnosuid", kind: optRattr, set: plan.AttrNosuid},
	{name: "rnosymfollow", kind: optRattr, set: plan.AttrNosymfollow},
	{name: "ro", kind: optAttr, set: plan.AttrReadonly},
	{name: "rprivate", kind: optProp, prop: plan.PropPrivate | plan.PropRec},
	{name: "rrelatime", kind: optRattr, set: plan.AttrRelatime, clear: atime},
	{name: "rro", kind: optRattr, set: plan.AttrReadonly},
	{name: "rrw", kind: optRattr, clear: plan.AttrReadonly},
	{name: "rshared", kind: optProp, prop: plan.PropShared | plan.PropRec},
	{name: "rslave", kind: optProp, prop: plan.PropSlave | plan.PropRec},
	{name: "rstrictatime", kind: optRattr, set: plan.AttrStrictatime, clear: atime},
	{name: "rsuid", kind: optRattr, clear: plan.AttrNosuid},
	{name: "rsymfollow", kind: optRattr, clear: plan.AttrNosymfollow},
	{name: "runbindable", kind: optProp, prop: plan.PropUnbindable | plan.PropRec},
	{name: "rw", kind: optAttr, clear: plan.AttrReadonly},
	{name: "shared", kind: optProp, prop: plan.PropShared},
	{name: "silent"},
	{name: "slave", kind: optProp, prop: plan.PropSlave},
	{name: "strictatime", kind: optAttr, set: plan.AttrStrictatime, clear: atime},
	{name: "suid", kind: optAttr, clear: plan.AttrNosuid},
	{name: "symfollow", kind: optAttr, clear: plan.AttrNosymfollow},
	{name: "sync", kind: optSuper, key: "sync", ms: 16},
	{name: "tmpcopyup", kind: optCopyUp},
	{name: "unbindable", kind: optProp, prop: plan.PropUnbindable},
}

// MountOptionNames lists every option of the table, sorted; `tare features`
// prints it.
func MountOptionNames() []string {
	out := make([]string, len(mountOptions))
	for i := range mountOptions {
		out[i] = mountOptions[i].name
	}
	return out
}

func findOption(name string) *mountOption {
	lo, hi := 0, len(mountOptions)
	for lo < hi {
		mid := (lo + hi) / 2
		if mountOptions[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	if lo < len(mountOptions) && mountOptions[lo].name == name {
		return &mountOptions[lo]
	}
	return nil
}

// attrs gathers what a list of options sets and clears; the later option wins.
type attrs struct{ set, clear uint32 }

func (a *attrs) apply(set, clear uint32) {
	if clear&atime != 0 {
		a.set &^= atime
	}
	a.set = a.set&^clear | set
	a.clear = a.clear&^set | clear
	if set&atime != 0 || clear&atime != 0 {
		a.clear |= atime // the kernel wants the whole field cleared with any change
	}
}

// forget takes back what earlier options said about these attributes, because the
// later option wins and the whole tree's are changed before the mount's own.
func (a *attrs) forget(bits uint32) {
	a.set &^= bits
	a.clear &^= bits
}

func (a attrs) packed() uint64 { return plan.Attr(a.set, a.clear) }

// parsedOptions is what mounts[i].options says.
type parsedOptions struct {
	attr, rattr attrs
	prop        uint64
	bind, rbind bool
	remount     bool
	copyUp      bool
	idmap       bool
	ridmap      bool
	data        []string // file system parameters, in order
	ms          uint64   // the same for mount(2), where an option is a flag there
	msOnly      bool     // one of them exists only as a flag of mount(2)
}

// parseOptions reads the options. One element may hold several, as configs that
// were made from lines of fstab(5) have it; each is looked up by itself.
func parseOptions(options []string) parsedOptions {
	var p parsedOptions
	for _, element := range options {
		if !strings.Contains(element, ",") {
			p.apply(element)
			continue
		}
		for _, o := range splitData(element) {
			p.apply(o)
		}
	}
	return p
}

func (p *parsedOptions) apply(o string) {
	opt := findOption(o)
	if opt == nil {
		if o != "" {
			p.data = append(p.data, o)
		}
		return
	}
	switch opt.kind {
	case optAttr:
		p.attr.apply(opt.set, opt.clear)
	case optRattr:
		p.rattr.apply(opt.set, opt.clear)
		p.attr.forget(opt.set | opt.clear)
	case optProp:
		p.prop = opt.prop
	case optBind:
		p.bind = true
		p.rbind = o == "rbind"
	case optSuper:
		p.ms |= opt.ms
		if opt.key != "" {
			p.data = append(p.data, opt.key)
		} else if opt.ms != 0 {
			p.msOnly = true
		}
	case optRemount:
		p.remount = true
	case optCopyUp:
		p.copyUp = true
	case optIdmap:
		p.idmap = true
		p.ridmap = o == "ridmap"
	}
}

// splitData splits "a=1,b=2" as mount(2) would have, and leaves commas between
// double quotes alone (SELinux contexts have them).
func splitData(s string) []string {
	var out []string
	start, quoted := 0, false
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] == '"' {
			quoted = !quoted
		}
		if i == len(s) || s[i] == ',' && !quoted {
			if i > start {
				out = append(out, s[start:i])
			}
			start = i + 1
		}
	}
	return out
}
