package seccomp

import (
	"compress/gzip"
	"io"
	"os"
	"testing"

	"github.com/tare-oci/tare/internal/field"
)

// TestSameAsRunc compares with the programs that runc 1.1.5 installed for the
// default profiles, as the kernel gave them back from a running container
// (PTRACE_SECCOMP_GET_FILTER). Unlike libseccomp's, they have runc's own rule
// for calls that are newer than the profile.
func TestSameAsRunc(t *testing.T) {
	unknown := readRecord(t).Unknown
	for _, name := range []string{"docker-amd64", "podman-amd64"} {
		s := sample{name, "amd64", without(readProfile(t, name), unknown)}
		var errs field.List
		p := Compile(s.cfg, s.native, &errs)
		if p == nil {
			t.Fatal(errs.Err())
		}
		ours, theirs := loaded(t, p.Filter), loaded(t, readCompressed(t, "testdata/runc-"+name+".bpf.gz"))
		count, ourSteps, theirSteps := 0, 0, 0
		for c := range boundary(s) {
			g, gSteps, _ := ours.run(c, nil)
			w, wSteps, _ := theirs.run(c, nil)
			count, ourSteps, theirSteps = count+1, ourSteps+gSteps, theirSteps+wSteps
			if g != w {
				t.Fatalf("%s: arch %#x, number %#x, arguments %#x: %v, runc %v", name, c.arch, c.nr, c.args, g, w)
			}
		}
		t.Logf("%s: %d equal decisions; %d instructions, runc %d; %d per call, runc %d",
			name, count, len(ours), len(theirs), ourSteps/count, theirSteps/count)
	}
}

// loaded is a program for the test's own machine.
func loaded(t *testing.T, filter []byte) bpf {
	t.Helper()
	m, err := load(filter)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func readCompressed(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
