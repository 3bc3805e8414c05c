package seccomp

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// compareAll compiles every sample and compares each decision with that of
// libseccomp's filter behind runc's rule for newer calls.
func compareAll(t *testing.T, r record) {
	all := samples(t)
	calls, refused, stuck, faulty := 0, 0, 0, 0
	for _, s := range all {
		s.cfg = without(s.cfg, r.Unknown)
		want, ok := r.Answers[question(s)]
		if !ok {
			t.Errorf("%s: libseccomp was not asked; run with -update", s.name)
			continue
		}
		if len(s.cfg.Syscalls) == 0 {
			continue
		}
		var errs field.List
		got := Compile(s.cfg, s.native, &errs)
		switch {
		case want.Stuck:
			stuck++
			continue
		case want.Refused:
			refused++
			if got != nil || !strings.Contains(errs.Err().Error(), "contradicts") {
				t.Errorf("%s: libseccomp refuses it as a contradiction, Compile does not\n%s", s.name, wireText(s))
			}
			continue
		case got == nil:
			t.Errorf("%s: %v\n%s", s.name, errs.Err(), wireText(s))
			continue
		}
		n, wrong := compare(t, s, got.Filter, want)
		calls += n
		if wrong > 0 {
			faulty++
			if !strings.HasPrefix(s.name, "random-") {
				t.Errorf("%s: libseccomp does what no rule says for %d calls", s.name, wrong)
			}
		}
	}
	if stuck > len(all)/100 {
		t.Errorf("libseccomp did not answer for %d of %d profiles", stuck, len(all))
	}
	t.Logf("%d profiles, %d decisions; %d profiles refused by both, %d without an answer, %d in which libseccomp is not true to the profile",
		len(all), calls, refused, stuck, faulty)
}

// compare returns the number of decisions that it compared, and of those in
// which libseccomp does not do what the profile says.
func compare(t *testing.T, s sample, filter []byte, want answer) (int, int) {
	t.Helper()
	ours, err := load(filter)
	if err != nil {
		t.Errorf("%s: the kernel would refuse the program: %v", s.name, err)
		return 0, 0
	}
	theirs, err := load(want.Filter)
	if err != nil {
		t.Fatalf("%s: libseccomp's program: %v", s.name, err)
	}
	if slices.Contains(ours.stale(), true) {
		t.Errorf("%s: a comparison looks at different words", s.name)
	}
	stale, rules := theirs.stale(), plainRules(s)
	count, wrong := 0, 0
	for c := range boundary(s) {
		count++
		g, _, _ := ours.run(c, nil)
		w, _, misled := theirs.run(c, stale)
		newer := newerThanProfile(s, want.Newest, c)
		if newer {
			w = 0x50000 | 38
		}
		may := meaning(s, rules, c)
		if !newer && len(may) > 0 && !slices.Contains(may, g) {
			t.Errorf("%s: arch %#x, number %#x, arguments %#x: %v, the profile says %v\n%s",
				s.name, c.arch, c.nr, c.args, g, may, excerpt(s))
			break
		}
		if _, known := abiOf(s, c); known && !newer && len(may) == 0 && g != fallback(s) {
			t.Errorf("%s: arch %#x, number %#x, arguments %#x: %v without a rule\n%s", s.name, c.arch, c.nr, c.args, g, excerpt(s))
			break
		}
		if g == w {
			continue
		}
		// With many rules of one call, libseccomp 2.5.4 loses some when it joins
		// them, and compares the wrong word of an argument when its blocks share
		// code. Then it does what no rule says, or ran through such a comparison.
		if len(may) > 0 && !slices.Contains(may, w) || len(may) == 0 && g == fallback(s) || misled {
			wrong++
			continue
		}
		t.Errorf("%s: arch %#x, number %#x, arguments %#x: %v, libseccomp %v, the profile says %v\n%s",
			s.name, c.arch, c.nr, c.args, g, w, may, excerpt(s))
		break
	}
	return count, wrong
}

// newerThanProfile is the rule that runc puts before libseccomp's filter.
func newerThanProfile(s sample, newest map[string]int64, c *call) bool {
	switch s.cfg.DefaultAction {
	case specs.ActAllow, specs.ActLog, specs.ActTrace:
		return false
	}
	if s.cfg.DefaultErrnoRet != nil && *s.cfg.DefaultErrnoRet == 38 {
		return false
	}
	listed := func(a specs.Arch) bool {
		for _, l := range s.cfg.Architectures {
			if l == a {
				return true
			}
		}
		return false
	}
	column := ""
	switch {
	case s.native == "amd64" && c.arch == auditX86_64 && c.nr&(1<<30) == 0:
		column = "x86_64"
	case s.native == "amd64" && c.arch == auditX86_64 && listed(specs.ArchX32):
		column = "x32"
	case s.native == "amd64" && c.arch == auditI386 && listed(specs.ArchX86):
		column = "x86"
	case s.native == "arm64" && c.arch == auditAARCH64:
		column = "aarch64"
	case s.native == "arm64" && c.arch == auditARM && listed(specs.ArchARM):
		column = "arm"
	}
	n, ok := newest[column]
	return ok && int64(c.nr) > n
}

// boundary yields every number of every ABI that can reach the filter, and of
// one that cannot be listed, with arguments around those that the profile
// compares.
func boundary(s sample) func(func(*call) bool) {
	archs := []uint32{auditX86_64, auditI386, 0x80000016}
	if s.native == "arm64" {
		archs = []uint32{auditAARCH64, auditARM, 0x80000016}
	}
	var numbers []uint32
	for n := uint32(0); n < 700; n++ {
		numbers = append(numbers, n, n|x32Bit)
	}
	for _, n := range []uint32{0x0f0000, 0x3fffffff, 0x7fffffff, 0x80000000, 0x80000001, 0xbfffffff, 0xc0000000, 0xc0000001, 0xfffffffe, 0xffffffff} {
		for i := range uint32(8) {
			numbers = append(numbers, n+i)
		}
	}
	looked := map[uint32]bool{}
	values := []uint64{0, 1, ^uint64(0)}
	for _, rule := range s.cfg.Syscalls {
		if len(rule.Args) == 0 {
			continue
		}
		for _, name := range rule.Names {
			if c := findSyscall(name); c != nil {
				for _, n := range c.nr {
					looked[uint32(n)] = true
				}
			}
		}
		for _, a := range rule.Args {
			for _, v := range []uint64{a.Value, a.ValueTwo, a.Value & a.ValueTwo, a.Value | a.ValueTwo} {
				values = append(values, v, v-1, v+1, v^1<<32, v+1<<32, v-1<<32, v&0xffffffff)
			}
		}
	}
	for i := uint64(1); i <= 24; i++ {
		values = append(values, i) // operations of socketcall and ipc
	}
	slices.Sort(values)
	values = slices.Compact(values)
	return func(yield func(*call) bool) {
		r := rand.New(rand.NewPCG(7, uint64(len(values))))
		for _, arch := range archs {
			for _, nr := range numbers {
				c := &call{nr: nr, arch: arch}
				if !yield(c) {
					return
				}
				if !looked[nr] && (arch != auditI386 || nr != nrSocketcall && nr != nrIPC) {
					continue
				}
				for i := range c.args {
					for _, v := range values {
						one := *c
						one.args[i] = v
						if !yield(&one) {
							return
						}
					}
				}
				for range 200 {
					for i := range c.args {
						c.args[i] = values[r.IntN(len(values))]
					}
					if !yield(c) {
						return
					}
				}
			}
		}
	}
}

// excerpt is the profile, if a reader can take it in.
func excerpt(s sample) string {
	if text := wireText(s); strings.Count(text, "\n") < 50 {
		return text
	}
	return ""
}

func (a action) String() string { return fmt.Sprintf("%#x", uint32(a)) }
