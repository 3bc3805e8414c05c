package seccomp

import (
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/tare-oci/tare/internal/field"
)

// instructionBudget bounds the program of Docker's default profile for three
// architectures; libseccomp's has 1125 instructions, or 1408 as a tree.
const instructionBudget = 400

func TestDockerProgramIsSmall(t *testing.T) {
	for _, name := range []string{"docker-amd64", "podman-amd64", "podman-admin-amd64", "docker-arm64", "podman-arm64"} {
		native := name[len(name)-5:]
		var errs field.List
		p := Compile(readProfile(t, name), native, &errs)
		if p == nil {
			t.Fatal(errs.Err())
		}
		program, err := load(p.Filter)
		if err != nil {
			t.Fatal(err)
		}
		most := 0
		for nr := range uint32(500) {
			for _, target := range nativeTargets(native) {
				_, steps, _ := program.run(&call{nr: nr, arch: target.audit}, nil)
				most = max(most, steps)
			}
		}
		t.Logf("%s: %d instructions, at most %d for a call", name, len(program), most)
		if name == "docker-amd64" && len(program) > instructionBudget {
			t.Errorf("%s: %d instructions, want at most %d", name, len(program), instructionBudget)
		}
	}
}

func BenchmarkCompileDocker(b *testing.B) {
	cfg := readProfile(b, "docker-amd64")
	b.ReportAllocs()
	for b.Loop() {
		var errs field.List
		if Compile(cfg, "amd64", &errs) == nil {
			b.Fatal(errs.Err())
		}
	}
}

// BenchmarkCompileDockerCold compiles once in a fresh process; the time that
// counts is what that process measured, in ns/cold.
func BenchmarkCompileDockerCold(b *testing.B) {
	var total time.Duration
	n := 0
	for b.Loop() {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(os.Environ(), coldEnv+"=1")
		out, err := cmd.Output()
		if err != nil {
			b.Fatal(err)
		}
		d, err := time.ParseDuration(string(out))
		if err != nil {
			b.Fatal(err)
		}
		total += d
		n++
	}
	b.ReportMetric(float64(total.Nanoseconds())/float64(n), "ns/cold")
}

// coldEnv makes a re-executed test binary compile Docker's profile once and
// print how long it took.
const coldEnv = "SECCOMP_TEST_COLD"

func compileCold() {
	var t testing.B
	cfg := readProfile(&t, "docker-amd64")
	start := time.Now()
	var errs field.List
	p := Compile(cfg, "amd64", &errs)
	took := time.Since(start)
	if p == nil {
		os.Exit(1)
	}
	os.Stdout.WriteString(took.String())
	os.Exit(0)
}
