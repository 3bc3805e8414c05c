package ociconfig_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/ociconfig"
)

// foreign are the sections of which only the presence is decoded.
var foreign = []string{"solaris", "windows", "vm", "zos", "freebsd"}

// reference decodes data with encoding/json under the rules of the package:
// members match exactly, the last of several wins, foreign sections are empty.
func reference(data []byte) (*specs.Spec, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var tree any
	if err := dec.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("text after the document")
	}
	keepExact(tree, reflect.TypeFor[specs.Spec]())
	if top, ok := tree.(map[string]any); ok {
		for _, name := range foreign {
			if _, ok := top[name].(map[string]any); ok {
				top[name] = map[string]any{}
			}
		}
	}
	exact, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	var spec specs.Spec
	err = json.Unmarshal(exact, &spec)
	return &spec, err
}

// keepExact removes from a tree of maps and slices the members that are not
// spelled exactly as a field of t: encoding/json would take "HostName" for
// "hostname".
func keepExact(tree any, t reflect.Type) {
	switch t.Kind() {
	case reflect.Pointer:
		keepExact(tree, t.Elem())
	case reflect.Slice:
		if elems, ok := tree.([]any); ok {
			for _, e := range elems {
				keepExact(e, t.Elem())
			}
		}
	case reflect.Map:
		if members, ok := tree.(map[string]any); ok {
			for _, m := range members {
				keepExact(m, t.Elem())
			}
		}
	case reflect.Struct:
		if members, ok := tree.(map[string]any); ok {
			types := memberTypes(t)
			maps.DeleteFunc(members, func(name string, _ any) bool { return types[name] == nil })
			for name, m := range members {
				keepExact(m, types[name])
			}
		}
	}
}

func memberTypes(t reflect.Type) map[string]reflect.Type {
	types := make(map[string]reflect.Type)
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			types[name] = f.Type
		}
	}
	return types
}

// repeats reports whether any object in the valid document data has two
// members of one name.
func repeats(data []byte) bool {
	dec := json.NewDecoder(bytes.NewReader(data))
	var walk func() bool
	walk = func() bool {
		token, _ := dec.Token()
		delim, _ := token.(json.Delim)
		found := false
		seen := make(map[json.Token]bool)
		for delim != 0 && dec.More() {
			if delim == '{' {
				name, _ := dec.Token()
				found = found || seen[name]
				seen[name] = true
			}
			found = walk() || found
		}
		if delim != 0 {
			dec.Token() // the closing bracket
		}
		return found
	}
	return walk()
}

// compare checks that DecodeSpec and encoding/json make the same of data.
func compare(t *testing.T, data []byte) {
	t.Helper()
	got, errs := ociconfig.DecodeSpec(data)
	syntax := false
	for _, e := range errs.All() {
		syntax = syntax || strings.HasPrefix(e.Why, "invalid JSON at ")
		if e.Path == "" && strings.HasPrefix(e.Why, "more than ") {
			return // reading ended before the end
		}
	}
	if valid := json.Valid(data); valid == syntax {
		t.Fatalf("encoding/json says valid=%v, errors are %v", valid, errs.Err())
	}
	if syntax {
		return
	}
	want, err := reference(data)
	if (err == nil) != (errs.Len() == 0) && !(err == nil && repeats(data)) {
		t.Fatalf("encoding/json: %v\nDecodeSpec: %v", err, errs.Err())
	}
	if err == nil && errs.Len() == 0 && !reflect.DeepEqual(got, want) {
		t.Fatalf("encoding/json and DecodeSpec differ\n got %s\nwant %s", dump(got), dump(want))
	}
}

func dump(v any) string {
	out, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(out)
}
