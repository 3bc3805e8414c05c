package seccomp

import (
	"slices"
	"strconv"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// maxArgs is the number of arguments of a system call.
const maxArgs = 6

// profile is a checked section.
type profile struct {
	defaultAction action
	flags         uint32
	listener      bool
	listed        [abiCount + 1]bool // the ABIs of architectures
	noNewest      bool               // leave out the ENOSYS rule of newest.go
	blocks        []block
}

// block is one entry of syscalls[]: every call is decided by action if any of
// the conjunctions holds.
type block struct {
	names  []string
	calls  []*entry // parallel to names; nil for unknown ones
	action action
	when   []conjunction // never empty; an empty conjunction always holds
}

// conjunction is a list of comparisons that must all hold, at most one for each
// argument, ordered by argument.
type conjunction []comparison

// comparison is (argument & mask) op datum.
type comparison struct {
	arg         uint8
	op          operator
	mask, datum uint64
}

// read checks a section. The profile is of use only if errs got nothing new.
func read(cfg *specs.LinuxSeccomp, errs *field.List) *profile {
	p := &profile{}
	p.readDefault(cfg, errs)
	for i, name := range cfg.Architectures {
		a, ok := findArch(name)
		if !ok {
			errs.Add(field.Index(path+".architectures", i), string(name), "not a seccomp architecture")
		}
		p.listed[a] = true
	}
	p.blocks = make([]block, len(cfg.Syscalls))
	for i := range cfg.Syscalls {
		p.readBlock(&p.blocks[i], &cfg.Syscalls[i], field.Index(path+".syscalls", i), errs)
	}
	p.readFlags(cfg, errs)
	if p.listener && cfg.ListenerPath == "" {
		errs.Add(path+".listenerPath", "", "must be set, because a rule uses SCMP_ACT_NOTIFY")
	}
	if cfg.ListenerMetadata != "" && cfg.ListenerPath == "" {
		errs.Add(path+".listenerMetadata", cfg.ListenerMetadata, "must not be set without listenerPath")
	}
	return p
}

func (p *profile) readDefault(cfg *specs.LinuxSeccomp, errs *field.List) {
	p.defaultAction = readAction(cfg.DefaultAction, cfg.DefaultErrnoRet,
		path+".defaultAction", path+".defaultErrnoRet", errs)
	if cfg.DefaultAction == specs.ActNotify {
		errs.Add(path+".defaultAction", string(cfg.DefaultAction),
			"cannot be the default, which decides the calls that hand the listener over")
	}
	switch p.defaultAction &^ 0xffff {
	case retAllow, retLog, retTrace:
		p.noNewest = true
	default:
		p.noNewest = cfg.DefaultErrnoRet != nil && *cfg.DefaultErrnoRet == enosys
	}
}

// readAction joins an action and its errno to what the filter returns.
func readAction(name specs.LinuxSeccompAction, errno *uint, namePath, errnoPath string, errs *field.List) action {
	if name == "" {
		errs.Add(namePath, "", "must be set")
		return 0
	}
	a, ok := findAction(name)
	if !ok {
		errs.Add(namePath, string(name), "not a seccomp action")
		return 0
	}
	switch {
	case errno == nil && a.data > 0:
		return a.ret | eperm
	case errno == nil:
		return a.ret
	case a.data == 0:
		errs.Add(errnoPath, uitoa(*errno), string(name)+" returns no errno")
		return 0
	case *errno > a.data:
		errs.Add(errnoPath, uitoa(*errno), "must be at most "+uitoa(a.data)+" with "+string(name))
		return 0
	default:
		return a.ret | action(*errno)
	}
}

// readFlags follows runc where the list is absent: then speculative store
// bypass stays as it is on the host.
func (p *profile) readFlags(cfg *specs.LinuxSeccomp, errs *field.List) {
	if cfg.Flags == nil {
		p.flags = flagSpecAllow
		return
	}
	for i, name := range cfg.Flags {
		bit, ok := findFlag(name)
		if !ok {
			errs.Add(field.Index(path+".flags", i), string(name), "not a seccomp filter flag")
		}
		if bit == flagWaitKillableRecv && !p.listener {
			errs.Add(field.Index(path+".flags", i), string(name), "needs a rule with SCMP_ACT_NOTIFY")
		}
		p.flags |= bit
	}
}

func (p *profile) readBlock(b *block, in *specs.LinuxSyscall, at string, errs *field.List) {
	b.action = readAction(in.Action, in.ErrnoRet, at+".action", at+".errnoRet", errs)
	notify := in.Action == specs.ActNotify
	if notify && len(in.Names) > 0 {
		p.listener = true
	}
	if len(in.Names) == 0 {
		errs.Add(at+".names", "", "must name at least one system call")
	}
	b.names = in.Names
	b.calls = make([]*entry, len(in.Names))
	for i, name := range in.Names {
		switch {
		case name == "":
			errs.Add(field.Index(at+".names", i), "", "must not be empty")
		case name == "write" && notify:
			errs.Add(field.Index(at+".names", i), name,
				"cannot use SCMP_ACT_NOTIFY: the listener is handed over with it")
		}
		b.calls[i] = findSyscall(name)
	}
	b.when = readArgs(in.Args, at, errs)
}

// readArgs turns args into conjunctions. Comparisons of distinct arguments must
// all hold. If an argument is compared twice, each comparison is a rule of its
// own and any of them suffices, as in runc.
func readArgs(in []specs.LinuxSeccompArg, at string, errs *field.List) []conjunction {
	all := make(conjunction, 0, len(in))
	var seen [maxArgs]bool
	repeated := false
	for i, arg := range in {
		op, ok := findOperator(arg.Op)
		if !ok {
			errs.Add(field.Index(at+".args", i)+".op", string(arg.Op), "not a seccomp operator")
		}
		if arg.Index >= maxArgs {
			errs.Add(field.Index(at+".args", i)+".index", uitoa(arg.Index), "must be at most 5")
			continue
		}
		repeated = repeated || seen[arg.Index]
		seen[arg.Index] = true
		c := comparison{arg: uint8(arg.Index), op: op, mask: ^uint64(0), datum: arg.Value}
		if op == cmpMaskedEQ {
			c.mask, c.datum = arg.Value, arg.ValueTwo&arg.Value
		}
		all = append(all, c)
	}
	if !repeated {
		slices.SortFunc(all, func(a, b comparison) int { return int(a.arg) - int(b.arg) })
		return []conjunction{all}
	}
	each := make([]conjunction, len(all))
	for i := range all {
		each[i] = all[i : i+1 : i+1]
	}
	return each
}

// unknown lists the names that are no system call, once each.
func (p *profile) unknown() []string {
	var out []string
	for i := range p.blocks {
		for j, call := range p.blocks[i].calls {
			if name := p.blocks[i].names[j]; call == nil && !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
	}
	return out
}

func uitoa(n uint) string { return strconv.FormatUint(uint64(n), 10) }
