package ociconfig_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
)

// configFiles are the default configs of other runtimes and the examples that
// come with the specification, good and bad.
func configFiles(t testing.TB) []string {
	t.Helper()
	own, err := filepath.Glob("testdata/config/*.json")
	if err != nil || len(own) == 0 {
		t.Fatalf("no files in testdata/config: %v", err)
	}
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	theirs, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(out)), "schema/test/*/*/*.json"))
	if err != nil || len(theirs) == 0 {
		t.Fatalf("no files in the specification's schema/test: %v", err)
	}
	return append(own, theirs...)
}

func TestFilesDecodeAsEncodingJSONDoes(t *testing.T) {
	for _, name := range configFiles(t) {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.Base(name), func(t *testing.T) { compare(t, data) })
	}
}

func TestDefaultConfigsHaveNoErrorsAndNoUnknownFields(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in testdata/config: %v", err)
	}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		spec, errs := ociconfig.DecodeSpecUnknown(data, func(path string) {
			t.Errorf("%s: unknown field %s", name, path)
		})
		if err := errs.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if len(spec.Mounts) == 0 || spec.Process.Args[0] != "sh" {
			t.Errorf("%s: mounts %v, args %v", name, spec.Mounts, spec.Process.Args)
		}
	}
}

// fill sets v and everything in it to random values that are not zero, so
// that omitempty leaves nothing out.
func fill(r *rand.Rand, v reflect.Value) {
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString(text(r))
	case reflect.Int, reflect.Int32, reflect.Int64:
		n := int64(r.Uint64()) >> r.IntN(64)
		v.SetInt(n >> (64 - v.Type().Bits()))
		if r.IntN(8) == 0 || v.IsZero() {
			v.SetInt(math.MinInt64 >> (64 - v.Type().Bits()))
		}
	case reflect.Uint, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n := r.Uint64() >> r.IntN(64)
		v.SetUint(n >> (64 - v.Type().Bits()))
		if r.IntN(8) == 0 || v.IsZero() {
			v.SetUint(math.MaxUint64 >> (64 - v.Type().Bits()))
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(r, v.Elem())
	case reflect.Slice:
		n := 1 + r.IntN(6)
		if r.IntN(40) == 0 {
			n = 100 + r.IntN(100)
			if v.Type().Elem().Kind() == reflect.Struct {
				n = 9
			}
		}
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(r, v.Index(i))
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 1 + r.IntN(12) {
			key, elem := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			fill(r, key)
			fill(r, elem)
			v.SetMapIndex(key, elem)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			fill(r, v.Field(i))
		}
	case reflect.Interface: // windows.credentialSpec
		v.Set(reflect.ValueOf(map[string]any{text(r): true}))
	default:
		panic("no way to fill a " + v.Type().String())
	}
}

func text(r *rand.Rand) string {
	pieces := []string{"a", "/dev/null", "=", ".", "ü", "\n", "\x00", "\x1f", `"`, `\`, "\u2028", "<", "漢字", "😀", "\ufffd", "\x7f"}
	s := pieces[r.IntN(2)]
	for range r.IntN(6) {
		s += pieces[r.IntN(len(pieces))]
	}
	return s
}

func roundTrip[T any](t *testing.T, r *rand.Rand, decode func([]byte) (*T, *field.List), normal func(*T)) {
	t.Helper()
	var want T
	fill(r, reflect.ValueOf(&want).Elem())
	data, err := json.Marshal(&want)
	if err != nil {
		t.Fatal(err)
	}
	normal(&want)
	got, errs := decode(data)
	if err := errs.Err(); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	if !reflect.DeepEqual(*got, want) {
		t.Fatalf("got  %s\nwant %s", dump(got), dump(want))
	}
}

func TestEveryFieldSurvivesARoundTrip(t *testing.T) {
	known := func(path string) { t.Errorf("%s was reported as unknown", path) }
	for seed := range rounds(t, 300) {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		roundTrip(t, r, func(data []byte) (*specs.Spec, *field.List) {
			return ociconfig.DecodeSpecUnknown(data, known)
		}, func(s *specs.Spec) {
			*s.Solaris, *s.Windows, *s.VM = specs.Solaris{}, specs.Windows{}, specs.VM{}
			*s.ZOS, *s.FreeBSD = specs.ZOS{}, specs.FreeBSD{}
		})
		roundTrip(t, r, ociconfig.DecodeProcess, func(*specs.Process) {})
		roundTrip(t, r, func(data []byte) (*specs.LinuxResources, *field.List) {
			return ociconfig.DecodeResourcesUnknown(data, known)
		}, func(*specs.LinuxResources) {})
	}
}

func TestLastOfSeveralMembersWinsWhole(t *testing.T) {
	spec, errs := ociconfig.DecodeSpec([]byte(`{
		"hostname": "first", "hostname": "second",
		"domainname": "first", "domainname": null,
		"process": {"cwd": "/", "terminal": true}, "process": {"cwd": "/tmp"},
		"root": {"path": "/"}, "root": null,
		"mounts": [{"destination": "/a", "type": "bind"}, {"destination": "/b"}], "mounts": [{"source": "c"}],
		"annotations": {"a": "1", "b": "2"}, "annotations": {"a": "3", "a": "4"}
	}`))
	if err := errs.Err(); err != nil {
		t.Fatal(err)
	}
	want := &specs.Spec{
		Hostname:    "second",
		Process:     &specs.Process{Cwd: "/tmp"},
		Mounts:      []specs.Mount{{Source: "c"}},
		Annotations: map[string]string{"a": "4"},
	}
	if !reflect.DeepEqual(spec, want) {
		t.Errorf("got %s, want %s", dump(spec), dump(want))
	}
}

func TestUnknownFieldsAreListed(t *testing.T) {
	var paths []string
	_, errs := ociconfig.DecodeSpecUnknown([]byte(`{
		"Hostname": "x", "a.b": {"deep": 1},
		"mounts": [{}, {"idmap": null}],
		"annotations": {"anything": "goes"},
		"linux": {"netDevices": {"eth0": {"mtu": 9000}}, "seccomp": {"syscalls": [{"args": [{"": []}]}]}},
		"windows": {"not": "looked at"}
	}`), func(path string) { paths = append(paths, path) })
	if err := errs.Err(); err != nil {
		t.Error(err)
	}
	want := []string{
		"Hostname", `["a.b"]`, "mounts[1].idmap", "linux.netDevices.eth0.mtu",
		`linux.seccomp.syscalls[0].args[0][""]`,
	}
	if !reflect.DeepEqual(paths, want) {
		t.Errorf("got %q, want %q", paths, want)
	}
}

func TestResultDoesNotShareTheCallersBytes(t *testing.T) {
	data := []byte(`{"hostname": "keep"}`)
	spec, _ := ociconfig.DecodeSpec(data)
	clear(data)
	if spec.Hostname != "keep" {
		t.Errorf("hostname became %q", spec.Hostname)
	}
}
