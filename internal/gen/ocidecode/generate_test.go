package main

import (
	"bytes"
	"os"
	"reflect"
	"strings"
	"testing"
)

func TestGeneratedFileIsCurrent(t *testing.T) {
	want, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../ociconfig/decode_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("internal/ociconfig/decode_gen.go is stale: run go generate ./internal/ociconfig")
	}
}

func TestTypesThatCannotBeDecodedAreRefused(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[struct {
			A any `json:"a"`
		}](), "no way to read a interface {}"},
		{reflect.TypeFor[struct {
			A float64 `json:"a"`
		}](), "no way to read a float64"},
		{reflect.TypeFor[struct {
			A map[int]string `json:"a"`
		}](), "no way to read a map[int]string"},
		{reflect.TypeFor[struct{ A string }](), ".A has no JSON name"},
		{reflect.StructOf([]reflect.StructField{
			{Name: "A", Type: reflect.TypeFor[string](), Tag: `json:"a"`},
			{Name: "B", Type: reflect.TypeFor[string](), Tag: `json:"a"`},
		}), `has the JSON name "a" twice`},
	} {
		g := &generator{known: make(map[reflect.Type]bool)}
		g.fields(c.typ, make(map[string]bool))
		if g.err == nil || !strings.HasSuffix(g.err.Error(), c.want) {
			t.Errorf("%s: got %v, want ...%s", c.typ, g.err, c.want)
		}
	}
}
