package plan

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// sample is a plan with every kind of argument, valid as it is.
func sample() *Plan {
	p := &Plan{}
	cg := p.NewSlot("cgroup pids")
	tree := p.NewSlot("mount 1")
	for _, op := range []Op{
		CgroupMake("linux.cgroupsPath", "pids", "/sys/fs/cgroup/pids/a", "tasks", cg, 0),
		CgroupWrite("linux.resources.pids.limit", "/sys/fs/cgroup/pids/a", "pids.max", "10", FlagIgnore),
		TreeOpen("mounts[1]", "/srv", tree, FlagRecursive),
		GateOpen("process"),
		Spawn("linux.namespaces", NewNS|NewPID, NoSlot),
		StateSave("process"),
		FdSeal(3),
		CgroupJoin("linux.cgroupsPath", cg),
		SyncArrive("namespaces"),
		ProcOpen("mounts"),
		NullOpen("linux.maskedPaths"),
		RootBind("root.path", "/bundle/rootfs", NoSlot, FlagRecursive),
		MountFs(Mount{Field: "mounts[0]", Type: "tmpfs", Source: "tmpfs", At: "/dev", Options: []string{"mode=755", "size=\"1m"},
			Attr: Attr(AttrNosuid|AttrStrictatime, AttrNoexec), Propagation: PropPrivate, Flags: FlagMakeDir | FlagCopyUp}),
		MountBind(Mount{Field: "mounts[1]", Tree: tree, At: "/srv", Rattr: Attr(AttrReadonly, 0), Flags: FlagRecursive}),
		DeviceMake("linux.devices[0]", "/dev/null", 0o20666, Dev(1, 3), 0, 5),
		RootPivot("root.path"),
		MaskPrepare("linux.maskedPaths"),
		PathMask("linux.maskedPaths[0]", "/proc/kcore"),
		CapsBound("process.capabilities.bounding", 1<<5),
		Identity("process.user", 1000, 1000, 0o22, []byte{5, 0, 0, 0}, 0),
		CapsSet("process.capabilities", 1<<5, 1<<5, 0, 0),
		Env("process.env", []string{"PATH=/bin", "EMPTY="}),
		Gate(),
		FdClose(3),
		Exec("process.args", []string{"sh", "", "-c"}),
	} {
		p.Add(op)
	}
	return p
}

func TestSampleIsValid(t *testing.T) {
	if err := sample().Validate(); err != nil {
		t.Fatal(err)
	}
}

func TestDecodeIsTheReverseOfEncode(t *testing.T) {
	p := sample()
	wire := p.Encode()
	if again := sample().Encode(); !bytes.Equal(wire, again) {
		t.Error("the same plan gives other bytes")
	}
	got, err := Decode(wire)
	if err != nil {
		t.Fatal(err)
	}
	if again := got.Encode(); !bytes.Equal(wire, again) {
		t.Error("a decoded plan encodes to other bytes")
	}
	if len(got.Ops) != len(p.Ops) || got.SlotCount() != p.SlotCount() {
		t.Fatalf("%d ops and %d slots, want %d and %d", len(got.Ops), got.SlotCount(), len(p.Ops), p.SlotCount())
	}
	for i := range p.Ops {
		want, op := p.Ops[i], got.Ops[i]
		if op.Field != "" {
			t.Errorf("op %d has the field %q: fields do not travel", i, op.Field)
		}
		if op.Code != want.Code || op.Flags != want.Flags || op.Num != want.Num || op.Str != want.Str || op.Phase() != want.Phase() ||
			!bytes.Equal(op.Blob[0], want.Blob[0]) || !bytes.Equal(op.Blob[1], want.Blob[1]) {
			t.Errorf("op %d: %+v, want %+v", i, op, want)
		}
	}
}

func TestDecodeRefusesEveryTruncation(t *testing.T) {
	wire := sample().Encode()
	for n := range wire {
		if _, err := Decode(wire[:n]); err == nil {
			t.Errorf("%d of %d bytes are a plan", n, len(wire))
		}
	}
}

func TestValidateRefuses(t *testing.T) {
	at := func(p *Plan, c Code) int {
		for i := range p.Ops {
			if p.Ops[i].Code == c {
				return i
			}
		}
		t.Fatalf("the sample has no %s", c.Name())
		return -1
	}
	remove := func(c Code) func(*Plan) {
		return func(p *Plan) { i := at(p, c); p.Ops = append(p.Ops[:i], p.Ops[i+1:]...) }
	}
	for name, c := range map[string]struct {
		change func(*Plan)
		want   string
	}{
		"no spawn":      {remove(OpSpawn), "before the spawn"},
		"no fd-seal":    {remove(OpFdSeal), "0 ops fd-seal, need exactly 1"},
		"no caps-bound": {remove(OpCapsBound), "0 ops caps-bound, need exactly 1"},
		"no identity":   {remove(OpIdentity), "0 ops identity, need exactly 1"},
		"no caps-set":   {remove(OpCapsSet), "0 ops caps-set, need exactly 1"},
		"no fd-close":   {remove(OpFdClose), "0 ops fd-close, need exactly 1"},
		"no exec":       {remove(OpExec), "0 ops exec, need exactly 1"},
		"two execs":     {func(p *Plan) { p.Add(Exec("process.args", []string{"sh"})) }, "2 ops exec, need exactly 1"},
		"exec not last": {func(p *Plan) { n := len(p.Ops); p.Ops[n-1], p.Ops[n-2] = p.Ops[n-2], p.Ops[n-1] }, "last op is fd-close"},
		"backwards":     {func(p *Plan) { i := at(p, OpRootPivot); p.Ops[i], p.Ops[i+1] = p.Ops[i+1], p.Ops[i] }, "phase switch after seal"},
		"wrong phase":   {func(p *Plan) { p.Ops[at(p, OpRootPivot)].at = PhaseSeal }, "stands in phase seal"},
		"unknown code":  {func(p *Plan) { p.Ops[0].Code = opCount }, "unknown code"},
		"no code":       {func(p *Plan) { p.Ops[0].Code = OpInvalid }, "unknown code"},
		"dumpable": {func(p *Plan) {
			i := at(p, OpFdSeal) + 1
			late := []Op{BecomeRoot("linux.uidMappings"), Expose("linux.namespaces")}
			for j := range late {
				late[j].at = PhaseEnter
			}
			p.Ops = slices.Insert(p.Ops, i, late...)
		}, "others could trace the process"},
		"fork outside": {func(p *Plan) {
			i := at(p, OpFdSeal) + 1
			target := p.NewSlot("target")
			into := []Op{NsEnter("linux.namespaces", NewPID, target, 1, 0), Fork("linux.namespaces", 0, NoSlot)}
			for j := range into {
				into[j].at = PhaseEnter
			}
			p.Ops = slices.Insert(p.Ops, i, into...)
			open := TargetOpen("linux.namespaces", 1, 1, target)
			open.at = PhasePrepare
			p.Ops = slices.Insert(p.Ops, 0, open)
		}, "before the container's root is entered"},
		"foreign flag":   {func(p *Plan) { p.Ops[at(p, OpGate)].Flags = FlagV2 }, "flags 0x80"},
		"no root":        {remove(OpRootBind), "slot root is used before it is filled"},
		"no mask":        {remove(OpMaskPrepare), "slot mask is used before it is filled"},
		"no gate":        {remove(OpGateOpen), "slot gate is used before it is filled"},
		"no tree":        {remove(OpTreeOpen), "slot mount 1 is used before it is filled"},
		"tree twice":     {func(p *Plan) { i := at(p, OpTreeOpen); p.Ops = append(p.Ops[:i+1], p.Ops[i:]...) }, "slot mount 1 is filled twice"},
		"proc twice":     {func(p *Plan) { i := at(p, OpProcOpen); p.Ops = append(p.Ops[:i+1], p.Ops[i:]...) }, "slot proc is filled twice"},
		"slot too high":  {func(p *Plan) { p.Ops[at(p, OpCgroupJoin)].Num[0] = 4000 }, "tasks is no slot"},
		"slot none":      {func(p *Plan) { p.Ops[at(p, OpCgroupJoin)].Num[0] = 0 }, "tasks is no slot"},
		"empty path":     {func(p *Plan) { p.Ops[at(p, OpPathMask)].Str[0] = "" }, "path is empty"},
		"stray number":   {func(p *Plan) { p.Ops[at(p, OpGate)].Num[0] = 1 }, "unused number"},
		"stray string":   {func(p *Plan) { p.Ops[at(p, OpGate)].Str[2] = "x" }, "unused string"},
		"stray blob":     {func(p *Plan) { p.Ops[at(p, OpGate)].Blob[1] = []byte{1} }, "unused blob"},
		"open list":      {func(p *Plan) { i := len(p.Ops) - 1; p.Ops[i].Blob[0] = []byte("sh") }, "args is not closed"},
		"too many slots": {func(p *Plan) { p.Slots = make([]string, MaxSlots) }, "descriptors, at most"},
		"too many ops":   {func(p *Plan) { p.Ops = make([]Op, MaxOps+1) }, "ops, at most"},
		"late descriptor": {func(p *Plan) {
			i := at(p, OpTreeOpen)
			op := p.Ops[i]
			p.Ops = append(p.Ops[:i], p.Ops[i+1:]...)
			j := at(p, OpSpawn)
			op.at = PhasePrepare
			p.Ops = append(p.Ops[:j+1], append([]Op{op}, p.Ops[j+1:]...)...)
		}, "phase prepare after spawn"},
		"not passed": {func(p *Plan) {
			beside(p, GateOpen("process"))
			p.Ops = slices.DeleteFunc(p.Ops, func(op Op) bool { return op.Code == OpGateOpen && op.at == PhasePrepare })
		}, "slot gate is used before it is passed"},
		"nothing is passed": {func(p *Plan) { beside(p, CgroupMake("linux.cgroupsPath", "cpu", "/c", "tasks", p.NewSlot("cpu"), 0)) },
			"1 descriptors to be passed by 0 ops fd-pass, need at most 253 by exactly 1"},
		"passed twice": {func(p *Plan) {
			beside(p, CgroupMake("linux.cgroupsPath", "cpu", "/c", "tasks", p.NewSlot("cpu"), 0), FdPass(), FdPass())
		},
			"by 2 ops fd-pass"},
		"made when passed": {func(p *Plan) {
			beside(p, FdPass(), CgroupMake("linux.cgroupsPath", "cpu", "/c", "tasks", p.NewSlot("cpu"), 0))
		},
			"made when none are passed any more"},
		"too many to pass": {func(p *Plan) {
			var ops []Op
			for range MaxPassed + 1 {
				ops = append(ops, CgroupMake("linux.cgroupsPath", "cpu", "/c", "tasks", p.NewSlot("cpu"), 0))
			}
			beside(p, append(ops, FdPass())...)
		}, "254 descriptors to be passed"},
		"not for beside": {func(p *Plan) { beside(p, Sysctl("linux.sysctl", "net/x", "1"), FdPass()) }, "stands in phase beside"},
	} {
		t.Run(name, func(t *testing.T) {
			p := sample()
			c.change(p)
			err := p.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, want %q in it", err, c.want)
			}
		})
	}
	if err := (&Plan{}).Validate(); err == nil {
		t.Error("an empty plan is accepted")
	}
}

// beside puts ops behind the spawn, into the phase in which both sides are at work.
func beside(p *Plan, ops ...Op) {
	i := slices.IndexFunc(p.Ops, func(op Op) bool { return op.Code == OpSpawn }) + 1
	for j := range ops {
		ops[j].at = PhaseBeside
	}
	p.Ops = slices.Insert(p.Ops, i, ops...)
	for i += len(ops); i < len(p.Ops) && p.Ops[i].at < PhaseBeside; i++ { // the record
		p.Ops[i].at = PhaseEnter
	}
}

// What the host opens beside is the init's from fd-pass on.
func TestPassed(t *testing.T) {
	p := sample()
	if p.Passes() {
		t.Fatal("the sample passes descriptors")
	}
	slot := p.NewSlot("cpu")
	beside(p, CgroupMake("linux.cgroupsPath", "cpu", "/c", "tasks", slot, 0), Session(), FdPass())
	i := slices.IndexFunc(p.Ops, func(op Op) bool { return op.Code == OpCgroupJoin })
	p.Ops[i].Num[0] = uint64(slot)
	if err := p.Validate(); err != nil {
		t.Error(err)
	}
	if !p.Passes() {
		t.Error("the plan passes none")
	}
	b := p.Encode()
	if q, err := Decode(b); err != nil || !bytes.Equal(q.Encode(), b) {
		t.Errorf("decode: %v", err)
	}
}

func TestFormat(t *testing.T) {
	const want = `  0 host prepare cgroup-make hierarchy="pids" path="/sys/fs/cgroup/pids/a" open="tasks" into=>cgroup pids  # linux.cgroupsPath
  1 host prepare cgroup-write dir="/sys/fs/cgroup/pids/a" file="pids.max" value="10" ignore-failure  # linux.resources.pids.limit
  2 host prepare tree-open path="/srv" into=>mount 1 recursive  # mounts[1]
  3 host prepare gate-open  # process
  4 host spawn   spawn new=mount,pid  # linux.namespaces
  5 host spawn   state-save  # process
  6 init enter   fd-seal from=3
  7 init enter   cgroup-join tasks=<cgroup pids>  # linux.cgroupsPath
  8 both enter   sync-arrive at="namespaces"
  9 init enter   proc-open  # mounts
 10 init enter   null-open  # linux.maskedPaths
 11 init mounts  root-bind path="/bundle/rootfs" recursive  # root.path
 12 init mounts  mount-fs type="tmpfs" source="tmpfs" at="/dev" options=["mode=755" "size=\"1m"] attr=nosuid,exec,strictatime propagation=private copy-up mkdir  # mounts[0]
 13 init mounts  mount-bind tree=<mount 1> at="/srv" rattr=ro recursive  # mounts[1]
 14 init devices device-make at="/dev/null" mode=020666 dev=1:3 uid=0 gid=5  # linux.devices[0]
 15 init switch  root-pivot  # root.path
 16 init seal    mask-prepare  # linux.maskedPaths
 17 init seal    path-mask path="/proc/kcore"  # linux.maskedPaths[0]
 18 init lock    caps-bound keep=kill  # process.capabilities.bounding
`
	got := sample().Format()
	if !strings.HasPrefix(got, want) {
		t.Errorf("Format prints\n%s\nwant it to begin with\n%s", got, want)
	}
	if n := strings.Count(got, "\n"); n != len(sample().Ops) {
		t.Errorf("%d lines for %d ops", n, len(sample().Ops))
	}
	if !strings.HasSuffix(got, ` 24 init exec    exec args=["sh" "" "-c"]  # process.args`+"\n") {
		t.Errorf("the last line of\n%s", got)
	}
}

func TestJSON(t *testing.T) {
	text, err := sample().JSON()
	if err != nil {
		t.Fatal(err)
	}
	var ops []struct {
		Index                  int
		Side, Phase, Op, Field string
		Args                   map[string]string
		Flags                  []string
	}
	if err := json.Unmarshal(text, &ops); err != nil {
		t.Fatal(err)
	}
	if len(ops) != len(sample().Ops) {
		t.Fatalf("%d ops, want %d", len(ops), len(sample().Ops))
	}
	m := ops[12]
	if m.Index != 12 || m.Op != "mount-fs" || m.Side != "init" || m.Phase != "mounts" || m.Field != "mounts[0]" || len(m.Flags) != 2 ||
		!strings.Contains(m.Args["at"], "/dev") {
		t.Errorf("op 12: %+v", m)
	}
}

func TestListAndUnlist(t *testing.T) {
	for _, want := range [][]string{nil, {""}, {"a"}, {"a", "", "b"}, {"", ""}} {
		got := Unlist(List(want))
		if len(got) != len(want) || strings.Join(got, "|") != strings.Join(want, "|") {
			t.Errorf("%q comes back as %q", want, got)
		}
	}
}
