package seccomp

import (
	"encoding/json"
	"os"
	"strconv"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// FuzzCompile feeds arbitrary profiles: Compile either records an error or makes
// a program that the kernel's checker takes and that never loses track of the
// word that it compares.
func FuzzCompile(f *testing.F) {
	for _, name := range []string{"docker-amd64", "podman-arm64"} {
		data, err := json.Marshal(readProfile(f, name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, false)
	}
	for seed := range uint64(40) {
		data, err := json.Marshal(randomProfile(seed, "amd64"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, seed%2 == 0)
	}
	f.Add([]byte(`{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["read"],"action":"SCMP_ACT_ERRNO","args":[{"index":9,"op":"?"}]}]}`), false)
	f.Fuzz(func(t *testing.T, data []byte, arm bool) {
		var cfg specs.LinuxSeccomp
		if json.Unmarshal(data, &cfg) != nil {
			return
		}
		native := "amd64"
		if arm {
			native = "arm64"
		}
		var errs field.List
		p := Compile(&cfg, native, &errs)
		if (p == nil) != (errs.Len() > 0) {
			t.Fatalf("program %v, errors %v", p, errs.Err())
		}
		if p == nil {
			return
		}
		program, err := load(p.Filter)
		if err != nil {
			t.Fatal(err)
		}
		for i, stale := range program.stale() {
			if stale {
				t.Fatalf("instruction %d compares different words", i)
			}
		}
		for _, nr := range []uint32{0, 1, 56, 102, 117, 500, x32Bit, ^uint32(0)} {
			for _, arch := range []uint32{auditX86_64, auditI386, auditAARCH64, auditARM, 0} {
				program.run(&call{nr: nr, arch: arch, args: [6]uint64{1, 2, ^uint64(0)}}, nil)
			}
		}
	})
}

// FuzzProfile compiles valid profiles only, from any seed, and holds every
// decision against the plain reading of the profile. PROFILES in the environment says
// how many seeds it begins with, the same ones each time: all that a ring tries, so that
// neither its length nor what it finds depends on how fast the machine is.
func FuzzProfile(f *testing.F) {
	seeds := uint64(20)
	if text := os.Getenv("PROFILES"); text != "" {
		var err error
		if seeds, err = strconv.ParseUint(text, 10, 32); err != nil {
			f.Fatalf("PROFILES %q: %v", text, err)
		}
	}
	for seed := range seeds {
		f.Add(1000+seed, seed%4 == 0)
	}
	f.Fuzz(func(t *testing.T, seed uint64, arm bool) {
		s := sample{"fuzz", "amd64", nil}
		if arm {
			s.native = "arm64"
		}
		s.cfg = randomProfile(seed, s.native)
		var errs field.List
		p := Compile(s.cfg, s.native, &errs)
		if p == nil {
			return // a contradiction
		}
		program, err := load(p.Filter)
		if err != nil {
			t.Fatal(err)
		}
		rules := plainRules(s)
		for c := range boundary(s) {
			got, _, _ := program.run(c, nil)
			may := meaning(s, rules, c)
			ok := len(may) == 0 // then the default, ENOSYS, or a killed ABI
			for _, a := range may {
				ok = ok || a == got
			}
			if !ok && got != retErrno|enosys {
				t.Fatalf("arch %#x, number %#x, arguments %#x: %v, the profile says %v\n%s", c.arch, c.nr, c.args, got, may, wireText(s))
			}
			_, known := abiOf(s, c)
			if len(may) == 0 && known && got != fallback(s) && got != retErrno|enosys {
				t.Fatalf("arch %#x, number %#x, arguments %#x: %v without a rule\n%s", c.arch, c.nr, c.args, got, wireText(s))
			}
		}
	})
}
