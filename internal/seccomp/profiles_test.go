package seccomp

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// A sample is a profile of the differential test.
type sample struct {
	name   string
	native string // as runtime.GOARCH
	cfg    *specs.LinuxSeccomp
}

// generated is how many random profiles the differential test has.
const generated = 400

// samples are the profiles of the engines and the random ones; the same on
// every run.
func samples(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no profiles in testdata: %v", err)
	}
	var out []sample
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		native := name[strings.LastIndex(name, "-")+1:]
		out = append(out, sample{name, native, readProfile(t, name)})
	}
	for i := range generated {
		native := "amd64"
		if i%5 == 4 {
			native = "arm64"
		}
		out = append(out, sample{fmt.Sprintf("random-%03d", i), native, randomProfile(uint64(i), native)})
	}
	return out
}

func readProfile(t testing.TB, name string) *specs.LinuxSeccomp {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := &specs.LinuxSeccomp{}
	if err := json.Unmarshal(data, cfg); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return cfg
}

// The random profiles draw from few names and values, so that rules meet.
var (
	someNames = []string{
		"read", "write", "openat", "personality", "clone", "ioctl", "socket", "accept4", "accept", "connect",
		"semop", "semctl", "msgget", "shmat", "socketcall", "ipc", "_llseek", "mmap2", "rt_sigaction",
		"arm_fadvise64_64", "futex_waitv", "no_such_call",
	}
	someValues = []uint64{
		0, 1, 2, 5, 7, 0xffff, 1 << 31, 0xffffffff, 1 << 32, 1<<32 | 1, 1<<32 | 5, 2 << 32, 1<<63 | 2, ^uint64(0),
	}
	someActions = []specs.LinuxSeccompAction{
		specs.ActAllow, specs.ActErrno, specs.ActErrno, specs.ActErrno, specs.ActKillProcess, specs.ActKill,
		specs.ActTrap, specs.ActTrace, specs.ActLog, specs.ActNotify,
	}
	archLists = map[string][][]specs.Arch{
		"amd64": {nil, {specs.ArchX86_64}, {specs.ArchX86}, {specs.ArchX32}, {specs.ArchX86_64, specs.ArchX86, specs.ArchX32}},
		"arm64": {nil, {specs.ArchARM}, {specs.ArchAARCH64, specs.ArchARM}},
	}
)

// randomProfile makes a valid profile, apart from contradictions. Half of them
// use one action only beside the default.
func randomProfile(seed uint64, native string) *specs.LinuxSeccomp {
	r := rand.New(rand.NewPCG(seed, 1))
	cfg := &specs.LinuxSeccomp{ListenerPath: "/run/agent.sock"}
	lists := archLists[native]
	cfg.Architectures = lists[r.IntN(len(lists))]
	for cfg.DefaultAction == "" || cfg.DefaultAction == specs.ActNotify {
		cfg.DefaultAction, cfg.DefaultErrnoRet = randomAction(r)
	}
	only, onlyErrno := randomAction(r)
	one := r.IntN(2) == 0
	for range 1 + r.IntN(10) {
		rule := specs.LinuxSyscall{Action: only, ErrnoRet: onlyErrno}
		if !one {
			rule.Action, rule.ErrnoRet = randomAction(r)
		}
		for range 1 + r.IntN(3) {
			name := someNames[r.IntN(len(someNames))]
			if rule.Action == specs.ActNotify && name == "write" {
				name = "read"
			}
			rule.Names = append(rule.Names, name)
		}
		for range []int{0, 1, 1, 1, 2, 2, 3}[r.IntN(7)] {
			rule.Args = append(rule.Args, specs.LinuxSeccompArg{
				Index:    uint(r.IntN(3)),
				Op:       specs.LinuxSeccompOperator(Operators()[r.IntN(len(operators))]),
				Value:    someValues[r.IntN(len(someValues))],
				ValueTwo: someValues[r.IntN(len(someValues))],
			})
		}
		cfg.Syscalls = append(cfg.Syscalls, rule)
	}
	return cfg
}

func randomAction(r *rand.Rand) (specs.LinuxSeccompAction, *uint) {
	a := someActions[r.IntN(len(someActions))]
	if a != specs.ActErrno && a != specs.ActTrace || r.IntN(3) == 0 {
		return a, nil
	}
	errno := []uint{0, 1, 2, 38}[r.IntN(4)]
	return a, &errno
}
