package ociconfig_test

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// snippets are small documents at the edges of the grammar.
var snippets = []string{
	``, ` `, `null`, `nul`, `nulll`, `{}`, `[]`, `{}{}`, `{},`, "\ufeff{}", `{"hostname"}`, `{"hostname":}`, `{,}`, `{"hostname":"a",}`,
	`{"hostname":"\ud83d\ude00\ud83d\u0041\ude00\ud83d"}`, `{"hostname":"\u12"}`, `{"hostname":"\x"}`, "{\"hostname\":\"\xff\xc3\"}",
	"{\"hostname\":\"a\tb\"}", `{"h\u006fstname":"escaped name"}`, `{"HOSTNAME":5}`, `{"hostname":1,"hostname":"a"}`,
	`{"process":{"user":{"uid":4294967295,"gid":4294967296,"umask":-1}}}`, `{"process":{"oomScoreAdj":1.0}}`,
	`{"process":{"oomScoreAdj":-0,"user":{"uid":-0}}}`, `{"process":{"oomScoreAdj":01}}`, `{"process":{"oomScoreAdj":1e3}}`,
	`{"process":{"args":[null,"a",5,"b"],"env":[],"rlimits":[{},null]}}`, `{"process":{"args":["a",]}}`,
	`{"annotations":{"a":null,"b":"","a.b":"c"},"linux":{"sysctl":{}}}`, `{"linux":{"resources":{"rdma":{"m":{"hcaHandles":3}}}}}`,
	`{"linux":{"resources":{"blockIO":{"weightDevice":[{"major":8,"minor":0,"weight":65536}]}}}}`,
	`{"windows":{"any":[{"thing":"at all"}]},"vm":5,"zos":null,"freebsd":{}}`,
	`{"mounts":[],"hooks":{"poststop":[]},"linux":{"seccomp":{"architectures":[],"syscalls":[{"names":[]}]},"namespaces":[null],"devices":null}}`,
	`{"unknown":{"a":[1,2,{"b":[]}],"c":-1.5E+10},"mounts":[{"destination":"/"}]}`,
	`{"linux":{"resources":{"memory":{"limit":9223372036854775808,"swap":-9223372036854775808,"disableOOMKiller":true}}}}`,
}

func FuzzDecodeSpec(f *testing.F) {
	for _, s := range snippets {
		f.Add([]byte(s))
	}
	for _, name := range configFiles(f) {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(compare)
}

// fullSpec is a config that has every field.
func fullSpec(t testing.TB, r *rand.Rand) []byte {
	t.Helper()
	var spec specs.Spec
	fill(r, reflect.ValueOf(&spec).Elem())
	data, err := json.Marshal(&spec)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDamagedSpecs puts stray bytes and words into good configs.
func TestDamagedSpecs(t *testing.T) {
	words := []string{
		"", "", "{", "}", "[", "]", ",", ":", `"`, `\`, "null", "true", "1", "-", ".5", "e9", "\n", "\x00", "\xff", "ü", `"a":`, `\ud800`,
	}
	for seed := range rounds(t, 600) {
		r := rand.New(rand.NewPCG(uint64(seed), 3))
		data := []byte(snippets[r.IntN(len(snippets))])
		if r.IntN(2) == 0 {
			data = fullSpec(t, r)
		}
		for range 1 + r.IntN(3) {
			from := r.IntN(len(data) + 1)
			to := min(len(data), from+r.IntN(4))
			data = slices.Replace(data, from, to, []byte(words[r.IntN(len(words))])...)
		}
		compare(t, data)
	}
}

// TestWrongTypes puts values of other types into good configs.
func TestWrongTypes(t *testing.T) {
	values := []string{
		"null", "true", "0", "-1", "65536", "4294967296", "18446744073709551615", "-0", "1.0", "1e2", `"1"`, `""`, "[]", "{}", `[null,[1],{"a":"b"}]`, `{"type":1}`,
	}
	for seed := range rounds(t, 600) {
		r := rand.New(rand.NewPCG(uint64(seed), 4))
		var tree any
		if err := json.Unmarshal(fullSpec(t, r), &tree); err != nil {
			t.Fatal(err)
		}
		for range 1 + r.IntN(4) {
			replaceOne(r, tree, json.RawMessage(values[r.IntN(len(values))]))
		}
		data, err := json.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		compare(t, data)
	}
}

// replaceOne walks down from tree at random and puts value where it ends.
func replaceOne(r *rand.Rand, tree any, value json.RawMessage) {
	switch v := tree.(type) {
	case []any:
		if len(v) > 0 {
			i := r.IntN(len(v))
			if stop(r, v[i]) {
				v[i] = value
			} else {
				replaceOne(r, v[i], value)
			}
		}
	case map[string]any:
		names := make([]string, 0, len(v))
		for name := range v {
			names = append(names, name)
		}
		if len(names) > 0 {
			slices.Sort(names)
			name := names[r.IntN(len(names))]
			if stop(r, v[name]) {
				v[name] = value
			} else {
				replaceOne(r, v[name], value)
			}
		}
	}
}

func stop(r *rand.Rand, v any) bool {
	switch v.(type) {
	case []any, map[string]any:
		return r.IntN(6) == 0
	}
	return true
}

// TestEveryNestingDepthIsJudgedAlike checks the bound from both sides.
func TestEveryNestingDepthIsJudgedAlike(t *testing.T) {
	for _, depth := range []int{9998, 9999, 10000, 10001} {
		compare(t, []byte(`{"unknown":`+strings.Repeat("[", depth)+strings.Repeat("]", depth)+`}`))
	}
}

func rounds(t *testing.T, n int) int {
	if testing.Short() {
		return n / 20
	}
	return n
}
