package specconv

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/plan"
)

// entered is what a plan does on the way into the namespaces.
type entered struct {
	made    map[uint64]int
	joined  map[uint64]int
	ops     map[plan.Code]int
	at      map[plan.Code]int // index of the last op of a kind
	userAt  int               // index of the op that enters a user namespace, or -1
	firstAt map[uint64]int    // index of the op that makes or joins
}

func enter(p *plan.Plan) *entered {
	e := &entered{made: map[uint64]int{}, joined: map[uint64]int{}, ops: map[plan.Code]int{}, at: map[plan.Code]int{}, userAt: -1, firstAt: map[uint64]int{}}
	slots := map[plan.Slot]bool{}
	for i := range p.Ops {
		op := &p.Ops[i]
		e.ops[op.Code]++
		e.at[op.Code] = i
		make := func(flags uint64) {
			for _, n := range nsTypes {
				if flags&n.flag != 0 {
					e.made[n.flag]++
					e.firstAt[n.flag] = i
				}
			}
		}
		switch op.Code {
		case plan.OpNetMake:
			slots[op.Outs()[0]] = true
			e.made[plan.NewNet]++
		case plan.OpSpawn, plan.OpUnshare, plan.OpFork:
			make(op.Num[0])
			if op.Code == plan.OpUnshare && op.Num[0]&plan.NewUser != 0 {
				e.userAt = i
			}
		case plan.OpNsJoin:
			if !slots[plan.Slot(op.Num[1])] {
				e.joined[op.Num[0]]++
			}
			e.firstAt[op.Num[0]] = i
			if op.Num[0] == plan.NewUser {
				e.userAt = i
			}
		}
	}
	return e
}

// Every namespace absent, new or joined, for a privileged and an unprivileged
// caller, with and without offsets: 3^8 * 2 * 2 shapes, and what holds for each.
func TestEveryNamespaceShape(t *testing.T) {
	const fresh, joined = 1, 2
	hosts := []*facts.Facts{readFacts(t, "hybrid-6.18"), readFacts(t, "rootless-6.1")}
	total := 1
	for range nsTypes {
		total *= 3
	}
	count := 0
	for n := range total {
		kind := map[uint64]int{}
		var list []specs.LinuxNamespace
		for i, k := 0, n; i < len(nsTypes); i, k = i+1, k/3 {
			kind[nsTypes[i].flag] = k % 3
			switch k % 3 {
			case fresh:
				list = append(list, specs.LinuxNamespace{Type: nsTypes[i].name})
			case joined:
				list = append(list, specs.LinuxNamespace{Type: nsTypes[i].name, Path: "/ns/" + string(nsTypes[i].name)})
			}
		}
		for _, host := range hosts {
			for _, offsets := range []bool{false, true} {
				if offsets && kind[plan.NewTime] != fresh {
					continue
				}
				spec := &specs.Spec{Version: "1.2.0", Root: &specs.Root{Path: "rootfs"}, Process: &specs.Process{Args: []string{"x"}, Cwd: "/"},
					Linux: &specs.Linux{Namespaces: list}}
				if kind[plan.NewUser] == fresh {
					m := []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1000, Size: 1}}
					spec.Linux.UIDMappings, spec.Linux.GIDMappings = m, m
				}
				if offsets {
					spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1}, "boottime": {Secs: 2}}
				}
				name := fmt.Sprintf("%v euid=%d offsets=%v", list, host.EUID, offsets)
				if host.EUID != 0 && kind[plan.NewUser] == fresh && slices.Contains(slices.Collect(maps.Values(kind)), joined) {
					continue // refused: TestRefusedToUsers
				}
				res, err := Compile(Input{ID: "x", Bundle: "/b", Spec: spec, Facts: host, Gate: true, NoCgroup: host.EUID != 0})
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				count++
				if err := res.Plan.Validate(); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				checkShape(t, name, res.Plan, kind, host.EUID == 0, offsets)
				if t.Failed() {
					t.Fatalf("%s\n%s", name, res.Plan.Format())
				}
			}
		}
	}
	// Of those that an unprivileged caller makes with a new user namespace, only the
	// ones that join nothing are left: 2^7, and half of them again with offsets.
	refused := total/3 + total/9 - (128 + 64)
	if want := total*2 + total/3*2 - refused; count != want {
		t.Errorf("%d shapes, want %d", count, want)
	}
}

func checkShape(t *testing.T, name string, p *plan.Plan, kind map[uint64]int, privileged, offsets bool) {
	t.Helper()
	const absent, fresh, joined = 0, 1, 2
	e := enter(p)
	bad := func(format string, a ...any) { t.Helper(); t.Errorf("%s: %s", name, fmt.Sprintf(format, a...)) }
	for _, n := range nsTypes {
		wantMade, wantJoined := 0, 0
		switch kind[n.flag] {
		case fresh:
			wantMade = 1
		case joined:
			wantJoined = 1
		}
		if e.made[n.flag] != wantMade || e.joined[n.flag] != wantJoined {
			bad("%s is made %d times and joined %d times", n.name, e.made[n.flag], e.joined[n.flag])
		}
	}
	user := kind[plan.NewUser] != absent
	if e.ops[plan.OpSpawn] != 1 || e.ops[plan.OpStateSave] != 1 {
		bad("%d spawns, %d state saves", e.ops[plan.OpSpawn], e.ops[plan.OpStateSave])
	}
	// What holds for children only needs a fork; nothing else does.
	wantFork := 0
	if kind[plan.NewPID] == joined || kind[plan.NewTime] == fresh || user && kind[plan.NewPID] == fresh {
		wantFork = 1
	}
	if e.ops[plan.OpFork] != wantFork {
		bad("%d forks, want %d", e.ops[plan.OpFork], wantFork)
	}
	if wantFork == 1 {
		fork := e.at[plan.OpFork]
		for _, f := range []uint64{plan.NewPID, plan.NewTime} {
			if kind[f] == joined && e.firstAt[f] > fork || kind[f] == fresh && e.firstAt[f] > fork {
				bad("namespace %#x comes after the fork", f)
			}
		}
		if e.at[plan.OpStateSave] < fork {
			bad("the state is saved before the process exists")
		}
	}
	if offsets != (e.ops[plan.OpTimeOffset] == 1) || offsets && (e.at[plan.OpTimeOffset] < e.firstAt[plan.NewTime] || e.at[plan.OpTimeOffset] > e.at[plan.OpFork]) {
		bad("offsets must be written between the unshare and the fork")
	}
	if e.ops[plan.OpBecomeRoot] != b2i(user) || (e.userAt >= 0) != user {
		bad("%d become-root, user namespace entered at %d", e.ops[plan.OpBecomeRoot], e.userAt)
	}
	if user {
		for _, n := range nsTypes {
			switch {
			case n.flag == plan.NewUser:
			case kind[n.flag] == fresh && e.firstAt[n.flag] < e.userAt:
				bad("%s is made outside the user namespace", n.name)
			case kind[n.flag] == joined && kind[plan.NewUser] == joined && privileged && e.firstAt[n.flag] > e.userAt:
				bad("%s is joined after privilege over it is gone", n.name)
			case kind[n.flag] == joined && kind[plan.NewUser] == joined && !privileged && e.firstAt[n.flag] < e.userAt:
				bad("%s is joined before there is privilege to do so", n.name)
			}
		}
		if e.ops[plan.OpIDMap] != b2i(kind[plan.NewUser] == fresh) {
			bad("%d id maps", e.ops[plan.OpIDMap])
		}
	}
	// The cgroup namespace begins where its maker is: after all joins.
	if kind[plan.NewCgroup] == fresh && (p.Ops[e.firstAt[plan.NewCgroup]].Code == plan.OpSpawn || e.at[plan.OpCgroupJoin] > e.firstAt[plan.NewCgroup]) {
		bad("the cgroup namespace is made before the cgroups are joined")
	}
	// A mount namespace that is joined changes what paths mean: it is the last.
	if kind[plan.NewNS] == joined {
		for _, n := range nsTypes {
			if kind[n.flag] == joined && n.flag != plan.NewUser && e.firstAt[n.flag] > e.firstAt[plan.NewNS] {
				bad("%s is joined after the mount namespace", n.name)
			}
		}
	}
	// Who shares the host's mounts must not pivot them away.
	if pivots := e.ops[plan.OpRootPivot]; pivots != b2i(kind[plan.NewNS] == fresh) || e.ops[plan.OpRootChroot] != b2i(kind[plan.NewNS] != fresh) {
		bad("%d pivots", pivots)
	}
	if e.ops[plan.OpMountPropagation] != b2i(kind[plan.NewNS] == fresh) {
		bad("%d changes of the whole mount tree", e.ops[plan.OpMountPropagation])
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
