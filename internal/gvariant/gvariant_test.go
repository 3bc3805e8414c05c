package gvariant

import (
	"strconv"
	"strings"
	"testing"
)

// show prints a value with the types of its parts.
func show(v *Value) string {
	var items []string
	for i := range v.Items {
		items = append(items, show(&v.Items[i]))
	}
	text := strings.Join(items, ",")
	switch v.Type[0] {
	case 'd':
		text = strconv.FormatFloat(v.Float, 'g', -1, 64)
	case 's', 'o', 'g':
		text = strconv.Quote(v.Str)
	case 'n', 'i', 'x':
		text = strconv.FormatInt(int64(v.Bits), 10)
	case 'b', 'y', 'q', 'u', 't':
		text = strconv.FormatUint(v.Bits, 10)
	}
	return v.Type + ":" + text
}

// The expectations are GLib's (g_variant_parse), but for types that D-Bus lacks.
func TestParse(t *testing.T) {
	for text, want := range map[string]string{
		`true`: `b:1`, ` false `: `b:0`, `boolean true`: `b:1`,
		`5`: `i:5`, `-5`: `i:-5`, `0x1F`: `i:31`, `017`: `i:15`, `+7`: `i:7`, `0xe`: `i:14`,
		`1.5`: `d:1.5`, `1e3`: `d:1000`, `double 2`: `d:2`,
		`byte 255`: `y:255`, `int16 -32768`: `n:-32768`, `uint16 65535`: `q:65535`, `int32 -1`: `i:-1`, `uint32 4294967295`: `u:4294967295`,
		`int64 -9223372036854775808`: `x:-9223372036854775808`, `uint64 18446744073709551615`: `t:18446744073709551615`, `@t 3`: `t:3`,
		`'a'`: `s:"a"`, `"it's"`: `s:"it's"`, `'it\'s'`: `s:"it's"`, `'\u00e9\n\t\\'`: `s:"é\n\t\\"`, `"\U0001f433"`: `s:"🐳"`, `''`: `s:""`,
		`objectpath '/a/b_1'`: `o:"/a/b_1"`, `signature 'a(ss)'`: `g:"a(ss)"`,
		`[1, 2]`: `ai:i:1,i:2`, `[1, 2.5]`: `ad:d:1,d:2.5`, `[byte 1, 2,]`: `ay:y:1,y:2`, `[1, uint64 2]`: `at:t:1,t:2`, `@as []`: `as:`, `@at [1]`: `at:t:1`,
		`['a', 'b']`: `as:s:"a",s:"b"`, `[[], [1]]`: `aai:ai:,ai:i:1`, `['/a', objectpath '/b']`: `ao:o:"/a",o:"/b"`,
		`('a', 1)`: `(si):s:"a",i:1`, `(1,)`: `(i):i:1`, `[('a', 1), ('b', uint32 2)]`: `a(su):(su):s:"a",u:1,(su):s:"b",u:2`, `@(yt) (1, 2)`: `(yt):y:1,t:2`,
		`{'a': 1}`: `a{si}:{si}:s:"a",i:1`, `@a{sv} {}`: `a{sv}:`, `{'a': <1>, 'b': <'x'>}`: `a{sv}:{sv}:s:"a",v:i:1,{sv}:s:"b",v:s:"x"`,
		`<uint64 5>`: `v:t:5`, `b'a\101'`: `ay:y:97,y:65,y:0`,
	} {
		v, err := Parse(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
		} else if got := show(&v); got != want {
			t.Errorf("%s: %s, expected %s", text, got, want)
		}
	}
}

func TestRefused(t *testing.T) {
	for _, text := range []string{``, ` `, `x`, `'a`, `"a`, `[`, `[1`, `[1 2]`, `[1,,2]`, `[]`, `[1, 'a']`, `(`, `()`, `(1`, `{1}`, `{1:}`, `{1:2`, `{[1]: 2}`, `<`, `<1`,
		`1 2`, `1x`, `--1`, `2147483648`, `byte 256`, `byte -1`, `uint64 -1`, `uint64 18446744073709551616`, `int16 1.5`, `uint64 'a'`, `boolean 1`, `string 1`,
		`@q`, `@mi 1`, `@ 1`, `@z 1`, `@() 1`, `@{sv} {}`, `@a{vs} {}`, `@a 1`, `@(i 1`, `objectpath 'a'`, `objectpath '/a/'`, `objectpath '//'`, `signature 'mi'`,
		`'\u12'`, `'\ud800'`, `'\`, "'a\x00'", "'\xff'", `just nothing`, `nothing`, `handle 1`, `double 'x'`, `1e`, `1_0`, `uint64 1_0`, `double 1_0`, `0b1`, `0o7`, `+-5`, `uint64 +-5`, strings.Repeat("[", 100), strings.Repeat("<", 40) + "1" + strings.Repeat(">", 40)} {
		if v, err := Parse(text); err == nil {
			t.Errorf("%q is taken for %s", text, show(&v))
		}
	}
}

func TestQuote(t *testing.T) {
	for _, s := range []string{"", "a", "it's", `\`, "\n\t\x01\x7f", "é🐳", `"`} {
		v, err := Parse(Quote(s))
		if err != nil || v.Type != "s" || v.Str != s {
			t.Errorf("%q becomes %s, which is %q (%v)", s, Quote(s), v.Str, err)
		}
	}
}

func TestProperty(t *testing.T) {
	name, v, err := ParseProperty(`Description='a=b'`)
	if err != nil || name != "Description" || v.Str != "a=b" {
		t.Errorf("%q, %q, %v", name, v.Str, err)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{'a': <[(1, byte 2)]>}`, `@a(ss) [('x', "y")]`, `b'\0'`, `[1, 2.5, double 3]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(text)
		if err == nil && (checkType(v.Type) != nil || !whole(&v)) {
			t.Errorf("%q: %s", text, show(&v))
		}
	})
}

// whole says that the parts of a value have the types that its own type says.
func whole(v *Value) bool {
	for i := range v.Items {
		if !whole(&v.Items[i]) {
			return false
		}
		if v.Type[0] == 'a' && v.Items[i].Type != v.Type[1:] {
			return false
		}
	}
	if v.Type[0] == '(' || v.Type[0] == '{' {
		members := ""
		for i := range v.Items {
			members += v.Items[i].Type
		}
		return members == v.Type[1:len(v.Type)-1]
	}
	return v.Type[0] != 'v' || len(v.Items) == 1
}
