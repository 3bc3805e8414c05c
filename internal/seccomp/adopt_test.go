package seccomp

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// TestAdopt puts runc's rule for newer calls in front of libseccomp's programs: of
// every sample, each decision is the rule's or else libseccomp's.
func TestAdopt(t *testing.T) {
	r := readRecord(t)
	count, newer := 0, 0
	for _, s := range samples(t) {
		s.cfg = without(s.cfg, r.Unknown)
		want := r.Answers[question(s)]
		if want.Filter == nil {
			continue
		}
		var errs field.List
		p := Adopt(s.cfg, s.native, want.Filter, &errs)
		if p == nil {
			t.Fatalf("%s: %v", s.name, errs.Err())
		}
		ours, err := load(p.Filter)
		if err != nil {
			t.Fatalf("%s: %v", s.name, err)
		}
		theirs, err := load(want.Filter)
		if err != nil {
			t.Fatal(err)
		}
		for c := range boundary(s) {
			g, _, _ := ours.run(c, nil)
			w, _, _ := theirs.run(c, nil)
			if newerThanProfile(s, want.Newest, c) {
				w = retErrno | enosys
				newer++
			}
			if count++; g != w {
				t.Fatalf("%s: arch %#x, number %#x: %v, want %v", s.name, c.arch, c.nr, g, w)
			}
		}
		if p.Flags&flagNewListener != 0 != p.Listener || p.Listener != strings.Contains(wireText(s), "rule 2143289344") {
			t.Errorf("%s: listener %v, flags %#x", s.name, p.Listener, p.Flags)
		}
	}
	if newer == 0 {
		t.Error("no call was newer than its profile")
	}
	t.Logf("%d decisions, %d of calls newer than the profile", count, newer)
}

// TestAdoptSameAsRunc: with the rule in front, libseccomp's programs decide as those
// that runc has installed.
func TestAdoptSameAsRunc(t *testing.T) {
	r := readRecord(t)
	for _, name := range []string{"docker-amd64", "podman-amd64"} {
		s := sample{name, "amd64", without(readProfile(t, name), r.Unknown)}
		var errs field.List
		p := Adopt(s.cfg, s.native, r.Answers[question(s)].Filter, &errs)
		if p == nil {
			t.Fatal(errs.Err())
		}
		ours, theirs := loaded(t, p.Filter), loaded(t, readCompressed(t, "testdata/runc-"+name+".bpf.gz"))
		for c := range boundary(s) {
			g, _, _ := ours.run(c, nil)
			if w, _, _ := theirs.run(c, nil); g != w {
				t.Fatalf("%s: arch %#x, number %#x, arguments %#x: %v, runc %v", name, c.arch, c.nr, c.args, g, w)
			}
		}
	}
}

// code writes instructions as the kernel reads them.
func code(ins ...instruction) []byte {
	a := assembler{}
	for i := len(ins) - 1; i >= 0; i-- {
		a.code = append(a.code, ins[i])
	}
	return a.bytes()
}

func TestVerify(t *testing.T) {
	ret := instruction{code: codeRet, k: uint32(retAllow)}
	for name, c := range map[string]struct {
		filter []byte
		want   string
	}{
		"return":           {code(ret), ""},
		"all codes":        {code(instruction{codeLoad, 0, 0, 60}, instruction{codeAnd, 0, 0, 7}, instruction{codeJSET, 1, 0, 1}, instruction{codeJA, 0, 0, 0}, ret), ""},
		"nothing":          {nil, "0 instructions, need 1 to 4096"},
		"half":             {code(ret)[:7], "7 bytes are not a whole number of instructions"},
		"too long":         {bytes.Repeat(code(ret), 4097), "4097 instructions, need 1 to 4096"},
		"longest":          {bytes.Repeat(code(ret), 4096), ""},
		"no return":        {code(ret, instruction{codeLoad, 0, 0, 0}), "the last instruction is not a return"},
		"outside":          {code(instruction{codeLoad, 0, 0, 64}, ret), "instruction 0 loads from 64, which is outside struct seccomp_data"},
		"between words":    {code(instruction{codeLoad, 0, 0, 2}, ret), "instruction 0 loads from 2, which is outside struct seccomp_data"},
		"jump out":         {code(instruction{codeJEQ, 1, 0, 0}, ret), "instruction 0 jumps out of the program"},
		"jump out below":   {code(instruction{codeJGE, 0, 9, 0}, ret), "instruction 0 jumps out of the program"},
		"long jump out":    {code(instruction{codeJA, 0, 0, 0xffffffff}, ret), "instruction 0 jumps out of the program"},
		"packet load":      {code(instruction{0x28, 0, 0, 0}, ret), "instruction 0 has the code 0x28, which no filter needs"},
		"store":            {code(instruction{0x02, 0, 0, 0}, ret), "instruction 0 has the code 0x2, which no filter needs"},
		"return of A":      {code(instruction{0x16, 0, 0, 0}), "instruction 0 has the code 0x16, which no filter needs"},
		"division by zero": {code(instruction{0x34, 0, 0, 0}, ret), "instruction 0 has the code 0x34, which no filter needs"},
	} {
		err := Verify(c.filter)
		if got := ""; err != nil {
			if got = err.Error(); got != c.want {
				t.Errorf("%s: %q, want %q", name, got, c.want)
			}
		} else if c.want != "" {
			t.Errorf("%s: accepted, want %q", name, c.want)
		}
	}
	var errs field.List
	if Adopt(one(func(*specs.LinuxSeccomp) {}), "amd64", code(instruction{codeLoad, 0, 0, 2}, ret), &errs) != nil ||
		!strings.Contains(errs.Err().Error(), "would be refused by the kernel: instruction 0 loads from 2") {
		t.Errorf("a program that loads between words: %v", errs.Err())
	}
}

// TestForeignCompiler holds tare-seccomp, which speaks to libseccomp through its Go
// binding, against the C program that does the same: their programs are equal.
func TestForeignCompiler(t *testing.T) {
	oracle := buildOracle(t)
	bin := filepath.Join(t.TempDir(), "tare-seccomp")
	build := exec.Command("go", "build", "-tags", "libseccomp", "-o", bin, "../../cmd/tare-seccomp")
	build.Env = append(build.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build tare-seccomp: %v\n%s", err, out)
	}
	equal, refused := 0, 0
	for i, s := range samples(t) {
		if s.native != runtime.GOARCH || strings.HasPrefix(s.name, "random-") && i%5 != 0 {
			continue
		}
		want := ask(t, oracle, wireText(s))
		if want.Stuck {
			continue
		}
		section, err := json.Marshal(&specs.Spec{Linux: &specs.Linux{Seccomp: s.cfg}})
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(bin)
		cmd.Stdin = bytes.NewReader(section)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		got, err := cmd.Output()
		switch {
		case want.Refused && err != nil && stderr.Len() > 0:
			refused++
		case want.Refused || err != nil:
			t.Errorf("%s: %v %s, the C program refuses: %v", s.name, err, stderr.String(), want.Refused)
		case !bytes.Equal(got, want.Filter):
			t.Errorf("%s: %d bytes that are not the %d of the C program", s.name, len(got), len(want.Filter))
		default:
			equal++
		}
	}
	if equal < 20 {
		t.Errorf("only %d profiles were compared", equal)
	}
	t.Logf("%d programs equal, %d profiles refused by both", equal, refused)
}
