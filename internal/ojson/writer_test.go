package ojson_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tare-oci/tare/internal/ojson"
)

// encode is encoding/json with HTML escaping off.
func encode(t testing.TB, v any, indent string) []byte {
	t.Helper()
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func FuzzAppendString(f *testing.F) {
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	for _, s := range []string{
		"", "plain", string(all), "\u2027\u2028\u2029\u202a", "<&>", "\xff\xfe", "é\xc3", "😀", "\ufffd", "\xed\xa0\x80", "a\"b\\c/d\x7f",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := ojson.AppendString([]byte("before"), s)
		want := append([]byte("before"), encode(t, s, "")...)
		if !bytes.Equal(got, want) {
			t.Errorf("%q: got %s, want %s", s, got, want)
		}
	})
}

// randomTree makes a document of nested objects and arrays.
func randomTree(r *rand.Rand, depth int) any {
	switch n := r.IntN(8); {
	case n == 0:
		return nil
	case n == 1:
		return r.IntN(2) == 0
	case n == 2:
		return []int64{0, -1, math.MinInt64, math.MaxInt64}[r.IntN(4)]
	case n == 3:
		return uint64(math.MaxUint64)
	case n == 4 || depth == 0:
		return []string{"", "a", "<\n>", "\u2028"}[r.IntN(4)]
	case n == 5:
		elems := make([]any, r.IntN(4))
		for i := range elems {
			elems[i] = randomTree(r, depth-1)
		}
		return elems
	default:
		members := make(map[string]any)
		for range r.IntN(4) {
			members[[]string{"", "a", "b.c", "\"", "<"}[r.IntN(5)]] = randomTree(r, depth-1)
		}
		return members
	}
}

func writeTree(w *ojson.Writer, tree any) {
	switch v := tree.(type) {
	case nil:
		w.Null()
	case bool:
		w.Bool(v)
	case int64:
		w.Int(v)
	case uint64:
		w.Uint(v)
	case string:
		w.String(v)
	case []any:
		w.Array()
		for _, e := range v {
			writeTree(w, e)
		}
		w.End()
	case map[string]any:
		var names []string
		for name := range v {
			names = append(names, name)
		}
		slices.Sort(names)
		w.Object()
		for _, name := range names {
			writeTree(w.Key(name), v[name])
		}
		w.End()
	}
}

func TestWriterWritesWhatEncodingJSONWrites(t *testing.T) {
	for seed := range 2000 {
		tree := randomTree(rand.New(rand.NewPCG(uint64(seed), 2)), 5)
		for _, indent := range []string{"", "  ", "\t"} {
			w := ojson.Writer{Indent: indent}
			writeTree(&w, tree)
			if want := encode(t, tree, indent); !bytes.Equal(w.Bytes(), want) {
				t.Fatalf("got\n%s\nwant\n%s", w.Bytes(), want)
			}
		}
	}
}

func TestDeepTreesAreWritten(t *testing.T) {
	var w ojson.Writer
	for range 1000 {
		w.Array()
	}
	for range 1000 {
		w.End()
	}
	if !json.Valid(w.Bytes()) || len(w.Bytes()) != 2000 {
		t.Errorf("got %s", w.Bytes())
	}
}
