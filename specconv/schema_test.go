package specconv

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// schema checks documents against the JSON schemas of the specification, as far
// as those use JSON Schema (draft 4). A keyword that it does not know fails the
// test: nothing is skipped in silence.
type schema struct {
	t    *testing.T
	dir  string
	docs map[string]any
}

func newSchema(t *testing.T) *schema {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	return &schema{t: t, dir: filepath.Join(strings.TrimSpace(string(out)), "schema"), docs: map[string]any{}}
}

// check returns what is wrong with v, which is anything that encodes as JSON.
func (s *schema) check(file string, v any) []string {
	s.t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		s.t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		s.t.Fatal(err)
	}
	return s.at(file, s.load(file), doc, "")
}

func (s *schema) load(file string) any {
	if doc, ok := s.docs[file]; ok {
		return doc
	}
	text, err := os.ReadFile(filepath.Join(s.dir, file))
	if err != nil {
		s.t.Fatal(err)
	}
	var doc any
	if err := json.Unmarshal(text, &doc); err != nil {
		s.t.Fatal(err)
	}
	s.docs[file] = doc
	return doc
}

func (s *schema) ref(file, ref string) (string, any) {
	name, pointer, _ := strings.Cut(ref, "#")
	if name == "" {
		name = file
	}
	at := s.load(name)
	for _, key := range strings.Split(strings.Trim(pointer, "/"), "/") {
		if key == "" {
			continue
		}
		m, _ := at.(map[string]any)
		var ok bool
		if at, ok = m[key]; !ok {
			s.t.Fatalf("%s: no %s in %s", file, pointer, name)
		}
	}
	return name, at
}

func (s *schema) at(file string, rules, v any, path string) (bad []string) {
	m := rules.(map[string]any)
	for keyword, rule := range m {
		wrong := func(why string, args ...any) {
			bad = append(bad, path+": "+fmt.Sprintf(why, args...))
		}
		switch keyword {
		case "description", "$schema", "id", "definitions", "format":
		case "$ref":
			name, target := s.ref(file, rule.(string))
			bad = append(bad, s.at(name, target, v, path)...)
		case "type":
			if !ofType(rule.(string), v) {
				wrong("%v is no %s", v, rule)
			}
		case "enum":
			found := false
			for _, e := range rule.([]any) {
				found = found || e == v
			}
			if !found {
				wrong("%v is not one of %v", v, rule)
			}
		case "pattern":
			if text, ok := v.(string); ok && !regexp.MustCompile(rule.(string)).MatchString(text) {
				wrong("%q does not match %s", text, rule)
			}
		case "minimum", "maximum":
			if n, ok := v.(float64); ok && (keyword == "minimum" && n < rule.(float64) || keyword == "maximum" && n > rule.(float64)) {
				wrong("%v: %s %v", n, keyword, rule)
			}
		case "minItems":
			if l, ok := v.([]any); ok && float64(len(l)) < rule.(float64) {
				wrong("has %d items, fewer than %v", len(l), rule)
			}
		case "items":
			if l, ok := v.([]any); ok {
				for i, e := range l {
					bad = append(bad, s.at(file, rule, e, fmt.Sprintf("%s[%d]", path, i))...)
				}
			}
		case "required":
			if o, ok := v.(map[string]any); ok {
				for _, key := range rule.([]any) {
					if _, ok := o[key.(string)]; !ok {
						wrong("has no %s", key)
					}
				}
			}
		case "properties":
			if o, ok := v.(map[string]any); ok {
				for key, sub := range rule.(map[string]any) {
					if e, ok := o[key]; ok {
						bad = append(bad, s.at(file, sub, e, path+"."+key)...)
					}
				}
			}
		case "patternProperties", "additionalProperties":
			// Only maps of strings use these, and none of them is in a document
			// that is checked here except with string values.
			if o, ok := v.(map[string]any); ok {
				for key, e := range o {
					if _, ok := e.(string); !ok && m["properties"] == nil {
						wrong("%s is no string", key)
					}
				}
			}
		case "allOf":
			for _, sub := range rule.([]any) {
				bad = append(bad, s.at(file, sub, v, path)...)
			}
		case "anyOf":
			var all []string
			for _, sub := range rule.([]any) {
				e := s.at(file, sub, v, path)
				if len(e) == 0 {
					all = nil
					break
				}
				all = append(all, e...)
			}
			bad = append(bad, all...)
		default:
			s.t.Fatalf("%s: unknown keyword %s", file, keyword)
		}
	}
	return bad
}

func ofType(name string, v any) bool {
	switch x := v.(type) {
	case map[string]any:
		return name == "object"
	case []any:
		return name == "array"
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case float64:
		return name == "number" || name == "integer" && x == float64(int64(x))
	}
	return name == "null"
}
