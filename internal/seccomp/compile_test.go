package seccomp

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

func number(n uint) *uint { return &n }

// one is a valid profile with one rule, to be spoilt.
func one(change func(*specs.LinuxSeccomp)) *specs.LinuxSeccomp {
	cfg := &specs.LinuxSeccomp{
		DefaultAction: specs.ActErrno,
		Syscalls:      []specs.LinuxSyscall{{Names: []string{"getpid"}, Action: specs.ActAllow}},
	}
	change(cfg)
	return cfg
}

func TestErrorsNameFieldAndValue(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*specs.LinuxSeccomp)
		want   string
	}{
		{"default missing", func(c *specs.LinuxSeccomp) { c.DefaultAction = "" },
			`linux.seccomp.defaultAction: must be set`},
		{"default unknown", func(c *specs.LinuxSeccomp) { c.DefaultAction = "SCMP_ACT_OOPS" },
			`linux.seccomp.defaultAction "SCMP_ACT_OOPS": not a seccomp action`},
		{"default notify", func(c *specs.LinuxSeccomp) { c.DefaultAction = specs.ActNotify },
			`linux.seccomp.defaultAction "SCMP_ACT_NOTIFY": cannot be the default, which decides the calls that hand the listener over`},
		{"default errno with allow", func(c *specs.LinuxSeccomp) { c.DefaultAction, c.DefaultErrnoRet = specs.ActAllow, number(1) },
			`linux.seccomp.defaultErrnoRet "1": SCMP_ACT_ALLOW returns no errno`},
		{"default errno too great", func(c *specs.LinuxSeccomp) { c.DefaultErrnoRet = number(4096) },
			`linux.seccomp.defaultErrnoRet "4096": must be at most 4095 with SCMP_ACT_ERRNO`},
		{"architecture", func(c *specs.LinuxSeccomp) { c.Architectures = []specs.Arch{specs.ArchX86, "SCMP_ARCH_VAX"} },
			`linux.seccomp.architectures[1] "SCMP_ARCH_VAX": not a seccomp architecture`},
		{"flag", func(c *specs.LinuxSeccomp) { c.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_NEW_LISTENER"} },
			`linux.seccomp.flags[0] "SECCOMP_FILTER_FLAG_NEW_LISTENER": not a seccomp filter flag`},
		{"killable without a listener", func(c *specs.LinuxSeccomp) {
			c.Flags = []specs.LinuxSeccompFlag{specs.LinuxSeccompFlagWaitKillableRecv}
		}, `linux.seccomp.flags[0] "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": needs a rule with SCMP_ACT_NOTIFY`},
		{"metadata alone", func(c *specs.LinuxSeccomp) { c.ListenerMetadata = "k=v" },
			`linux.seccomp.listenerMetadata "k=v": must not be set without listenerPath`},
		{"no names", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = nil },
			`linux.seccomp.syscalls[0].names: must name at least one system call`},
		{"empty name", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Names = []string{"read", ""} },
			`linux.seccomp.syscalls[0].names[1]: must not be empty`},
		{"action missing", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = "" },
			`linux.seccomp.syscalls[0].action: must be set`},
		{"action unknown", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = "allow" },
			`linux.seccomp.syscalls[0].action "allow": not a seccomp action`},
		{"errno with allow", func(c *specs.LinuxSeccomp) { c.Syscalls[0].ErrnoRet = number(0) },
			`linux.seccomp.syscalls[0].errnoRet "0": SCMP_ACT_ALLOW returns no errno`},
		{"errno with kill", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Action, c.Syscalls[0].ErrnoRet = specs.ActKillProcess, number(5)
		}, `linux.seccomp.syscalls[0].errnoRet "5": SCMP_ACT_KILL_PROCESS returns no errno`},
		{"trace data too great", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Action, c.Syscalls[0].ErrnoRet = specs.ActTrace, number(65536)
		}, `linux.seccomp.syscalls[0].errnoRet "65536": must be at most 65535 with SCMP_ACT_TRACE`},
		{"notify without a path", func(c *specs.LinuxSeccomp) { c.Syscalls[0].Action = specs.ActNotify },
			`linux.seccomp.listenerPath: must be set, because a rule uses SCMP_ACT_NOTIFY`},
		{"notify on write", func(c *specs.LinuxSeccomp) {
			c.ListenerPath = "/run/agent.sock"
			c.Syscalls[0] = specs.LinuxSyscall{Names: []string{"read", "write"}, Action: specs.ActNotify}
		}, `linux.seccomp.syscalls[0].names[1] "write": cannot use SCMP_ACT_NOTIFY: the listener is handed over with it`},
		{"index and operator", func(c *specs.LinuxSeccomp) {
			c.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 0, Op: specs.OpEqualTo}, {Index: 6, Op: "=="}}
		}, "linux.seccomp.syscalls[0].args[1].index \"6\": must be at most 5\n" +
			`linux.seccomp.syscalls[0].args[1].op "==": not a seccomp operator`},
		{"contradiction", func(c *specs.LinuxSeccomp) {
			args := []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 3}}
			c.Syscalls = []specs.LinuxSyscall{
				{Names: []string{"getpid", "ioctl"}, Action: specs.ActAllow, Args: args},
				{Names: []string{"read", "ioctl"}, Action: specs.ActLog, Args: args},
			}
		}, `linux.seccomp.syscalls[1].names[1] "ioctl": contradicts an earlier rule, which has another action for the same arguments`},
		{"many at once", func(c *specs.LinuxSeccomp) {
			c.DefaultAction = "?"
			c.Architectures = []specs.Arch{"?"}
			c.Syscalls[0].Action = "?"
		}, "linux.seccomp.architectures[0] \"?\": not a seccomp architecture\n" +
			"linux.seccomp.defaultAction \"?\": not a seccomp action\n" +
			`linux.seccomp.syscalls[0].action "?": not a seccomp action`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var errs field.List
			p := Compile(one(c.change), "amd64", &errs)
			if p != nil {
				t.Error("a program in spite of errors")
			}
			if errs.Len() == 0 {
				t.Fatal("no error")
			}
			if got := errs.Err().Error(); got != c.want {
				t.Errorf("got\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestTooLongProgramIsRefused(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		for i := range uint64(3000) {
			c.Syscalls = append(c.Syscalls, specs.LinuxSyscall{Names: []string{"ioctl"}, Action: specs.ActAllow,
				Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: i<<32 | i}}})
		}
	})
	var errs field.List
	if Compile(cfg, "amd64", &errs) != nil {
		t.Error("a program of more than 4096 instructions")
	}
	want := "linux.seccomp: makes a program of more than 4096 instructions, the most that the kernel takes"
	if err := errs.Err(); err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestUnsupportedMachineIsTheHostsFault(t *testing.T) {
	var errs field.List
	if Compile(one(func(*specs.LinuxSeccomp) {}), "riscv64", &errs) != nil || errs.Len() != 1 {
		t.Fatalf("got %v", errs.Err())
	}
	e := errs.All()[0]
	if e.Class != field.Host || e.Error() != `linux.seccomp "riscv64": no seccomp filter can be compiled for this architecture` {
		t.Errorf("got %v, class %v", e, e.Class)
	}
}

func TestNothingAsksForNothing(t *testing.T) {
	var errs field.List
	if p := Compile(nil, "amd64", &errs); p != nil || errs.Len() > 0 {
		t.Errorf("%v, %v; want nothing", p, errs.Err())
	}
	// A section without the one member that config-linux.md requires is a mistake.
	if p := Compile(&specs.LinuxSeccomp{}, "amd64", &errs); p != nil || errs.Len() != 1 || errs.All()[0].Error() != "linux.seccomp.defaultAction: must be set" {
		t.Errorf("an empty section: %v, %v", p, errs.Err())
	}
}

// decide compiles cfg for amd64 and returns what happens to a call.
func decide(t *testing.T, cfg *specs.LinuxSeccomp, c call) action {
	t.Helper()
	var errs field.List
	p := Compile(cfg, "amd64", &errs)
	if p == nil {
		t.Fatal(errs.Err())
	}
	program, err := load(p.Filter)
	if err != nil {
		t.Fatal(err)
	}
	got, _, _ := program.run(&c, nil)
	return got
}

func TestRepeatedIndexIsAnAlternative(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.Syscalls[0].Args = []specs.LinuxSeccompArg{
			{Index: 0, Op: specs.OpEqualTo, Value: 1},
			{Index: 0, Op: specs.OpEqualTo, Value: 2},
			{Index: 1, Op: specs.OpEqualTo, Value: 7},
		}
	})
	for args, want := range map[[6]uint64]action{
		{1, 0}: retAllow, {2, 0}: retAllow, {5, 7}: retAllow, {5, 0}: retErrno | eperm,
	} {
		if got := decide(t, cfg, call{nr: 39, arch: auditX86_64, args: args}); got != want {
			t.Errorf("arguments %v: %v, want %v", args, got, want)
		}
	}
}

func TestFirstUnconditionalRuleWins(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.Syscalls = []specs.LinuxSyscall{
			{Names: []string{"setns"}, Action: specs.ActLog, Args: []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo}}},
			{Names: []string{"setns"}, Action: specs.ActAllow},
			{Names: []string{"setns"}, Action: specs.ActErrno, ErrnoRet: number(5)},
		}
	})
	if got := decide(t, cfg, call{nr: 308, arch: auditX86_64}); got != retAllow {
		t.Errorf("got %v, want %v", got, retAllow)
	}
}

// A comparison of order holds on two branches, for the upper and for the lower word. A
// rule that shares only one of them must not add its conditions to the other.
func TestRulesThatShareOneBranch(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.Syscalls = []specs.LinuxSyscall{
			{Names: []string{"setns"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
				{Index: 0, Op: specs.OpLessEqual, Value: 1<<32 - 1}, {Index: 1, Op: specs.OpEqualTo, Value: 7}}},
			{Names: []string{"setns"}, Action: specs.ActAllow, Args: []specs.LinuxSeccompArg{
				{Index: 0, Op: specs.OpLessEqual, Value: 2}, {Index: 2, Op: specs.OpEqualTo, Value: 1}}},
		}
	})
	for args, want := range map[[6]uint64]action{
		{3, 7, 0}: retAllow, {2, 7, 0}: retAllow, {2, 0, 1}: retAllow,
		{3, 0, 1}: retErrno | eperm, {2, 0, 0}: retErrno | eperm, {1 << 32, 7, 1}: retErrno | eperm,
	} {
		if got := decide(t, cfg, call{nr: 308, arch: auditX86_64, args: args}); got != want {
			t.Errorf("arguments %#x: %v, want %v", args, got, want)
		}
	}
}

func TestNarrowABIsCompareTheLowWord(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.Architectures = []specs.Arch{specs.ArchX86}
		c.Syscalls[0].Names = []string{"ioctl"}
		c.Syscalls[0].Args = []specs.LinuxSeccompArg{{Index: 1, Op: specs.OpEqualTo, Value: 1<<32 | 3}}
	})
	if got := decide(t, cfg, call{nr: 54, arch: auditI386, args: [6]uint64{0, 3}}); got != retAllow {
		t.Errorf("i386: %v, want %v", got, retAllow)
	}
	if got := decide(t, cfg, call{nr: 16, arch: auditX86_64, args: [6]uint64{0, 3}}); got != retErrno|eperm {
		t.Errorf("x86_64: %v, want %v", got, retErrno|eperm)
	}
}

func TestMultiplexedCalls(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.Architectures = []specs.Arch{specs.ArchX86}
		c.Syscalls[0].Names = []string{"connect", "read"}
	})
	cfg.Syscalls = append(cfg.Syscalls, specs.LinuxSyscall{Names: []string{"openat2"}, Action: specs.ActAllow})
	for c, want := range map[call]action{
		{nr: 362, arch: auditI386}:                            retAllow,
		{nr: 102, arch: auditI386, args: [6]uint64{3}}:        retAllow,
		{nr: 102, arch: auditI386, args: [6]uint64{2}}:        retErrno | eperm,
		{nr: 361, arch: auditI386}:                            retErrno | eperm,
		{nr: 42, arch: auditX86_64}:                           retAllow,
		{nr: 102, arch: auditX86_64, args: [6]uint64{3}}:      retErrno | eperm,
		{nr: 438, arch: auditI386}:                            retErrno | enosys,
		{nr: 438, arch: auditX86_64}:                          retErrno | enosys,
		{nr: 42 | x32Bit, arch: auditX86_64}:                  retKillThread,
		{nr: ^uint32(0), arch: auditX86_64}:                   retErrno | eperm,
		{nr: 3, arch: 0xc00000b7}:                             retKillThread,
		{nr: 3, arch: auditI386, args: [6]uint64{1, 2, 3, 4}}: retAllow,
	} {
		if got := decide(t, cfg, c); got != want {
			t.Errorf("%+v: %v, want %v", c, got, want)
		}
	}
}

func TestNewerCallsDependOnTheDefault(t *testing.T) {
	newer := call{nr: 300, arch: auditX86_64}
	for _, c := range []struct {
		def   specs.LinuxSeccompAction
		errno *uint
		want  action
	}{
		{specs.ActErrno, nil, retErrno | enosys},
		{specs.ActErrno, number(13), retErrno | enosys},
		{specs.ActErrno, number(enosys), retErrno | enosys},
		{specs.ActKill, nil, retErrno | enosys},
		{specs.ActKillProcess, nil, retErrno | enosys},
		{specs.ActTrap, nil, retErrno | enosys},
		{specs.ActLog, nil, retLog},
		{specs.ActTrace, number(9), retTrace | 9},
	} {
		cfg := one(func(s *specs.LinuxSeccomp) { s.DefaultAction, s.DefaultErrnoRet = c.def, c.errno })
		if got := decide(t, cfg, newer); got != c.want {
			t.Errorf("%s: %v, want %v", c.def, got, c.want)
		}
	}
}

func TestForeignArchitecturesNeedNoCode(t *testing.T) {
	var errs field.List
	plain := Compile(one(func(*specs.LinuxSeccomp) {}), "amd64", &errs)
	all := Compile(one(func(c *specs.LinuxSeccomp) {
		for _, name := range Archs() {
			if name != string(specs.ArchX86) && name != string(specs.ArchX32) {
				c.Architectures = append(c.Architectures, specs.Arch(name))
			}
		}
	}), "amd64", &errs)
	if plain == nil || all == nil {
		t.Fatal(errs.Err())
	}
	if !slices.Equal(plain.Filter, all.Filter) {
		t.Error("architectures that the machine cannot enter change the program")
	}
}

func TestProgramDescribesInstallation(t *testing.T) {
	cfg := one(func(c *specs.LinuxSeccomp) {
		c.ListenerPath, c.ListenerMetadata = "/run/agent.sock", "k=v"
		c.Syscalls[0].Names = []string{"frobnicate", "getpid", "statmount", "frobnicate", "riscv_flush_icache"}
	})
	var errs field.List
	p := Compile(cfg, "amd64", &errs)
	if p == nil {
		t.Fatal(errs.Err())
	}
	p.Filter = nil
	if want := (&Program{Flags: 4, Unknown: []string{"frobnicate"}}); !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}

	cfg.Syscalls[0].Action = specs.ActNotify
	cfg.Flags = []specs.LinuxSeccompFlag{"SECCOMP_FILTER_FLAG_TSYNC", specs.LinuxSeccompFlagLog, specs.LinuxSeccompFlagWaitKillableRecv}
	p = Compile(cfg, "amd64", &errs)
	if p == nil {
		t.Fatal(errs.Err())
	}
	p.Filter = nil
	want := &Program{Flags: 2 | 8 | 32, Listener: true, ListenerPath: "/run/agent.sock", ListenerMetadata: "k=v", Unknown: []string{"frobnicate"}}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("got %+v, want %+v", p, want)
	}

	cfg = one(func(c *specs.LinuxSeccomp) { c.Flags = []specs.LinuxSeccompFlag{} })
	if p = Compile(cfg, "amd64", &errs); p == nil || p.Flags != 0 {
		t.Errorf("an empty list of flags: %+v", p)
	}
}

func TestTablesAreSorted(t *testing.T) {
	for name, list := range map[string][]string{
		"Actions": Actions(), "Operators": Operators(), "Archs": Archs(), "Flags": Flags(),
	} {
		if !slices.IsSorted(list) || slices.ContainsFunc(list, func(s string) bool { return !strings.HasPrefix(s, "S") }) {
			t.Errorf("%s: %v", name, list)
		}
	}
	if len(Archs()) != 23 || len(Actions()) != 9 || len(Operators()) != 7 || len(Flags()) != 4 {
		t.Errorf("the specification has 23 architectures, 9 actions, 7 operators, 4 flags; got %d, %d, %d, %d",
			len(Archs()), len(Actions()), len(Operators()), len(Flags()))
	}
	for i := range syscalls {
		if s := findSyscall(syscalls[i].name); s != &syscalls[i] {
			t.Errorf("%s is not found", syscalls[i].name)
		}
	}
	if findSyscall("") != nil || findSyscall("zzz") != nil || findSyscall("reae") != nil {
		t.Error("a name is found that is not there")
	}
}

func TestSameInputSameProgram(t *testing.T) {
	cfg := readProfile(t, "docker-amd64")
	var errs field.List
	first := Compile(cfg, "amd64", &errs)
	for range 20 {
		if again := Compile(cfg, "amd64", &errs); !reflect.DeepEqual(first, again) {
			t.Fatal("two compilations differ")
		}
	}
}
