package ojson_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/ojson"
)

// FuzzReadString compares strings, with all their escapes and bytes that are
// not UTF-8, with what encoding/json makes of them.
func FuzzReadString(f *testing.F) {
	for _, s := range []string{
		`""`, `"plain"`, ` "a" `, `"\"\\\/\b\f\n\r\t"`, `"\u00e9\u2028\u0000"`, `"\ud83d\ude00"`, `"\ude00\ud83d"`, `"\ud83dx"`, `"\ud83d\u0041"`,
		`"\ud83d\n"`, `"\ud83d`, `"\uD83D\uDE0"`, `"\u12"`, `"\x"`, "\"\xff\"", "\"é\xc3\"", "\"\xed\xa0\x80\"", "\"a\\n\xff\"", "\"a\x1f\"", "\"a\\n\x00\"", `"`, `"\`, `null`, `"a"b`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var want string
		err := json.Unmarshal(data, &want)
		d := ojson.NewDecoder(data)
		got := d.ReadString()
		errs := d.Finish()
		if (err == nil) != (errs.Len() == 0) {
			t.Fatalf("%q: encoding/json says %v, ojson %v", data, err, errs.Err())
		}
		if err == nil && got != want {
			t.Errorf("%q: got %q, want %q", data, got, want)
		}
	})
}

func TestNumbersAreJudgedAsByEncodingJSON(t *testing.T) {
	texts := []string{
		"0", "-0", "00", "01", "-01", "1", "-1", "+1", "1.0", "1.", ".1", "1e3", "1E+3", "1e-3", "1e", "1e+", "-", "--1", "0x10", "1_000", "NaN", "1 2",
		"18446744073709551616", strings.Repeat("9", 400), "-" + strings.Repeat("9", 400), "null", "true", `"1"`, "[]", "{}", "",
	}
	for bits := 14; bits <= 63; bits++ {
		n := uint64(1) << bits
		for _, m := range []uint64{n - 1, n, n + 1, 2*n - 1} {
			texts = append(texts, strconv.FormatUint(m, 10), "-"+strconv.FormatUint(m, 10))
		}
	}
	for _, text := range texts {
		number(t, text, (*ojson.Decoder).ReadInt)
		number(t, text, (*ojson.Decoder).ReadInt32)
		number(t, text, (*ojson.Decoder).ReadInt64)
		number(t, text, (*ojson.Decoder).ReadUint)
		number(t, text, (*ojson.Decoder).ReadUint16)
		number(t, text, (*ojson.Decoder).ReadUint32)
		number(t, text, (*ojson.Decoder).ReadUint64)
		number(t, text, (*ojson.Decoder).ReadBool)
	}
}

func number[T comparable](t *testing.T, text string, read func(*ojson.Decoder) T) {
	t.Helper()
	var want, zero T
	err := json.Unmarshal([]byte(text), &want)
	d := ojson.NewDecoder([]byte(text))
	got := read(d)
	errs := d.Finish()
	if (err == nil) != (errs.Len() == 0) {
		t.Errorf("%s as %T: encoding/json says %v, ojson %v", text, want, err, errs.Err())
	}
	if err == nil && got != want || err != nil && errs.Len() > 0 && read(d) != zero {
		t.Errorf("%s as %T: got %v, want %v", text, want, got, want)
	}
}

func TestReadStringsResultsAreIndependent(t *testing.T) {
	long := `["` + strings.Repeat(`x","`, 199) + `x"]`
	d := ojson.NewDecoder([]byte(`[["a","b"],[],["c"],null,` + long + `,["d"]]`))
	var got [][]string
	d.Array()
	for d.Next() {
		got = append(got, d.ReadStrings())
	}
	if err := d.Finish().Err(); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"a", "b"}, {}, {"c"}, nil, slices.Repeat([]string{"x"}, 200), {"d"}}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q", got)
	}
	for i, s := range got {
		if cap(s) != len(s) {
			t.Errorf("result %d has room for %d strings that belong to another", i, cap(s)-len(s))
		}
	}
}

func TestNothingIsReadAfterASyntaxError(t *testing.T) {
	d := ojson.NewDecoder([]byte(`{"a": 01, "b": "c", "d": true, "e": 5, "f": {}, "g": ["h"]}`))
	if !d.Object() || !d.Next() || d.ReadInt() != 0 || d.Next() {
		t.Fatal("the leading zero was not noticed")
	}
	if d.Key() != "" || d.ReadString() != "" || d.ReadBool() || d.ReadInt64() != 0 || d.ReadUint64() != 0 ||
		d.Object() || d.Array() || d.Null() || d.Next() || d.ReadStrings() != nil {
		t.Error("something was read")
	}
	d.OnUnknown(func(path string) { t.Errorf("unknown %s", path) })
	d.Unknown()
	d.Skip()
	d.SkipObject()
	if n := d.Finish().Len(); n != 1 {
		t.Errorf("%d errors, want 1: %v", n, d.Finish().Err())
	}
}
