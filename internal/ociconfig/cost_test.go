package ociconfig_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/ociconfig"
)

// TestImports keeps the cost of starting the program down: reflection and
// everything built on it stay out of the two packages that every command uses.
func TestImports(t *testing.T) {
	allowed := []string{
		"io/fs", "strconv", "strings", "unicode/utf16", "unicode/utf8",
		"github.com/opencontainers/runtime-spec/specs-go",
		"github.com/tare-oci/tare/internal/field",
		"github.com/tare-oci/tare/internal/ojson",
	}
	for _, dir := range []string{".", "../ojson"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
			if err != nil {
				t.Fatal(err)
			}
			for _, spec := range file.Imports {
				if path, _ := strconv.Unquote(spec.Path.Value); !slices.Contains(allowed, path) {
					t.Errorf("%s imports %s", name, path)
				}
			}
		}
	}
}

// TestNoWorkBeforeMain asks the Go runtime which packages were initialized. (Of
// specs-go one variable is: it builds its version string with fmt.)
func TestNoWorkBeforeMain(t *testing.T) {
	if testing.CoverMode() != "" {
		t.Skip("coverage counters are themselves initialized before main")
	}
	cmd := exec.Command(os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if !strings.Contains(string(out), "init encoding/json @") {
		t.Fatalf("no trace of the initialization:\n%s", out)
	}
	for line := range strings.Lines(string(out)) {
		for _, name := range []string{"internal/ojson @", "internal/ociconfig @"} {
			if strings.Contains(line, name) {
				t.Errorf("work before main: %s", line)
			}
		}
	}
}

const defaultConfig = "testdata/config/runc-1.1.5.json"

// maxAllocs is how many allocations the default config may take; most are the
// structs that specs-go keeps behind pointers.
const maxAllocs = 20

func TestAllocations(t *testing.T) {
	data, err := os.ReadFile(defaultConfig)
	if err != nil {
		t.Fatal(err)
	}
	n := testing.AllocsPerRun(100, func() { ociconfig.DecodeSpec(data) })
	if n > maxAllocs {
		t.Errorf("%v allocations, want at most %d", n, maxAllocs)
	}
}

func BenchmarkDecodeSpec(b *testing.B) {
	data, err := os.ReadFile(defaultConfig)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("ociconfig", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			if _, errs := ociconfig.DecodeSpec(data); errs.Len() > 0 {
				b.Fatal(errs.Err())
			}
		}
	})
	b.Run("encoding-json", func(b *testing.B) {
		b.SetBytes(int64(len(data)))
		b.ReportAllocs()
		for b.Loop() {
			var spec specs.Spec
			if err := json.Unmarshal(data, &spec); err != nil {
				b.Fatal(err)
			}
		}
	})
}
