package specconv

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
)

// oddities replace every value of a config, one at a time.
var oddities = []any{nil, "", "/", "..", "a\x00b", strings.Repeat("/x", 3000), "-1", "RLIMIT_NOFILE", json.Number("0"), json.Number("-1"), json.Number("1"),
	json.Number("4294967295"), json.Number("9223372036854775807"), json.Number("18446744073709551615"), true, false, []any{}, map[string]any{},
	[]any{""}, map[string]any{"": ""}}

// TestMutatedConfigs puts every oddity in every place of every golden config:
// each gives a sound plan, or errors that name a field, and never a panic.
func TestMutatedConfigs(t *testing.T) {
	runs, plans := 0, 0
	for _, name := range goldenCases(t) {
		if strings.HasPrefix(name, "mounts-") && strings.HasSuffix(name, "options") && testing.Short() {
			continue
		}
		in := readCase(t, name)
		text, err := os.ReadFile("testdata/" + name + "/config.json")
		if err != nil {
			t.Fatal(err)
		}
		var doc any
		dec := json.NewDecoder(strings.NewReader(string(text)))
		dec.UseNumber()
		if err := dec.Decode(&doc); err != nil {
			t.Fatal(err)
		}
		try := func(path string) {
			data, err := json.Marshal(doc)
			if err != nil {
				t.Fatal(err)
			}
			spec, errs := ociconfig.DecodeSpec(data)
			if errs.Err() != nil || spec == nil {
				return
			}
			runs++
			in.Spec = spec
			defer func() {
				if r := recover(); r != nil {
					t.Fatalf("%s, %s: %v", name, path, r)
				}
			}()
			res, err := Compile(in)
			if err == nil {
				plans++
				checkPlan(t, name+" "+path, res.Plan)
				return
			}
			var inv *field.Invalid
			if !errors.As(err, &inv) {
				t.Fatalf("%s, %s: %v", name, path, err)
			}
			for _, e := range inv.Errors {
				if e.Path == "" || e.Why == "" || e.Class == field.Bug {
					t.Errorf("%s, %s: %+v", name, path, e)
				}
			}
		}
		mutate(doc, "", func(v any) { doc = v }, try, name == "minimal" || name == "runc-default" || !strings.HasPrefix(name, "docker"))
	}
	if runs < 10000 || plans < 1000 {
		t.Errorf("%d mutated configs, %d plans", runs, plans)
	}
	t.Logf("%d mutated configs, %d plans", runs, plans)
}

// mutate walks v. Long lists count by their first three members, and the seccomp
// profile, which has tests of its own, by its head.
func mutate(v any, path string, set func(any), try func(string), deep bool) {
	for _, odd := range oddities {
		set(odd)
		try(path)
	}
	set(v)
	switch x := v.(type) {
	case map[string]any:
		for k, child := range x {
			if k == "seccomp" && !deep {
				continue
			}
			mutate(child, path+"."+k, func(n any) { x[k] = n }, try, deep)
			delete(x, k)
			try(path + "." + k + " left out")
			x[k] = child
		}
	case []any:
		for i, child := range x {
			if i < 3 {
				mutate(child, path+"[]", func(n any) { x[i] = n }, try, deep)
			}
		}
		if len(x) > 0 {
			set(append(append([]any(nil), x...), x[0]))
			try(path + " with a double")
			set(v)
		}
	}
}
