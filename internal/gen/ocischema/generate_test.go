package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestGeneratedFileIsCurrent(t *testing.T) {
	want, err := Generate()
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile("../../ocischema/rules_gen.go")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("internal/ocischema/rules_gen.go is stale: run go generate ./internal/ocischema")
	}
}

func TestUnknownKeywordIsRefused(t *testing.T) {
	g := &generator{rules: map[string]*rule{}}
	for _, c := range []struct {
		schema map[string]any
		want   string
	}{
		{map[string]any{"multipleOf": 2}, "unknown keyword multipleOf"},
		{map[string]any{"anyOf": []any{1, 2}}, "anyOf with 2 alternatives"},
	} {
		if err := g.schema("x.json", c.schema, "a"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %s", err, c.want)
		}
	}
}
