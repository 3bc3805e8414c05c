package ociconfig_test

import (
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/ociconfig"
)

func TestErrorsNameFieldAndValue(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"number for string", `{"hostname": 12}`,
			`hostname: expected a string, found a number 12`},
		{"boolean for string", `{"hostname": false}`,
			`hostname: expected a string, found a boolean false`},
		{"object for string", `{"hostname": {"a": [1, "}"]}}`,
			`hostname: expected a string, found an object`},
		{"array for string", `{"mounts": [{}, {"type": ["a"]}]}`,
			`mounts[1].type: expected a string, found an array`},
		{"string for number", `{"process": {"user": {"uid": "1000"}}}`,
			`process.user.uid: expected a whole number, found a string "1000"`},
		{"number too large", `{"process": {"user": {"uid": 4294967296}}}`,
			`process.user.uid: expected a whole number between 0 and 4294967295, found a number 4294967296`},
		{"negative number", `{"process": {"user": {"additionalGids": [1, -2]}}}`,
			`process.user.additionalGids[1]: expected a whole number between 0 and 4294967295, found a number -2`},
		{"number too small", `{"linux": {"resources": {"cpu": {"quota": -9223372036854775809}}}}`,
			`linux.resources.cpu.quota: expected a whole number between -9223372036854775808 and 9223372036854775807, found a number -9223372036854775809`},
		{"int32", `{"process": {"scheduler": {"nice": 2147483648}}}`,
			`process.scheduler.nice: expected a whole number between -2147483648 and 2147483647, found a number 2147483648`},
		{"uint16", `{"linux": {"resources": {"blockIO": {"weight": 65536}}}}`,
			`linux.resources.blockIO.weight: expected a whole number between 0 and 65535, found a number 65536`},
		{"uint64", `{"process": {"rlimits": [{"hard": 18446744073709551616}]}}`,
			`process.rlimits[0].hard: expected a whole number between 0 and 18446744073709551615, found a number 18446744073709551616`},
		{"file mode", `{"linux": {"devices": [{"fileMode": "0666"}]}}`,
			`linux.devices[0].fileMode: expected a whole number, found a string "0666"`},
		{"fraction", `{"linux": {"resources": {"memory": {"limit": 1.5}}}}`,
			`linux.resources.memory.limit: expected a whole number without fraction or exponent, found a number 1.5`},
		{"exponent", `{"linux": {"resources": {"memory": {"limit": 1e9}}}}`,
			`linux.resources.memory.limit: expected a whole number without fraction or exponent, found a number 1e9`},
		{"string for boolean", `{"root": {"readonly": "true"}}`,
			`root.readonly: expected true or false, found a string "true"`},
		{"string for array", `{"mounts": [{}, {}, {"options": "ro"}]}`,
			`mounts[2].options: expected an array, found a string "ro"`},
		{"element of array", `{"mounts": [{}, {}, {"options": [true]}]}`,
			`mounts[2].options[0]: expected a string, found a boolean true`},
		{"element of object array", `{"mounts": ["/proc"]}`,
			`mounts[0]: expected an object, found a string "/proc"`},
		{"array for object", `{"process": []}`,
			`process: expected an object, found an array`},
		{"map member", `{"annotations": {"a.b": 1, "c": []}}`,
			`annotations.c: expected a string, found an array` + "\n" +
				`annotations["a.b"]: expected a string, found a number 1`},
		{"foreign section", `{"vm": "qemu"}`,
			`vm: expected an object, found a string "qemu"`},
		{"whole document", `["a"]`,
			`expected an object, found an array`},
		{"terminal escapes", `{"root": "\u001b[31m` + "\u202e" + `"}`,
			`root: expected an object, found a string "\x1b[31m\u202e"`},
		{"long string", `{"root": "` + strings.Repeat("é", 1000) + `"}`,
			`root: expected an object, found a string "` + strings.Repeat("é", 32) + `..."`},
		{"long name", `{"annotations": {"` + strings.Repeat("a", 1000) + `": 1}}`,
			`annotations["` + strings.Repeat("a", 256) + `..."]: expected a string, found a number 1`},
		{"long number", `{"hostname": ` + strings.Repeat("9", 1000) + `}`,
			`hostname: expected a string, found a number ` + strings.Repeat("9", 64) + `...`},
	} {
		t.Run(c.name, func(t *testing.T) { wantErrors(t, c.in, c.want) })
	}
}

func TestSyntaxErrorsNameLineAndColumn(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"empty", "", `invalid JSON at 1:1: expected a value, found the end of the file`},
		{"blank", " \n ", `invalid JSON at 2:2: expected a value, found the end of the file`},
		{"byte order mark", "\ufeff{}", `invalid JSON at 1:1: expected a value, found a byte order mark`},
		{"not JSON", "hello", `invalid JSON at 1:1: expected a value, found 'h'`},
		{"second document", "{}\n{}", `invalid JSON at 2:1: expected the end of the file, found '{'`},
		{"null byte", "{}\x00", `invalid JSON at 1:3: expected the end of the file, found '\x00'`},
		{"broken UTF-8", "{}\xff", `invalid JSON at 1:3: expected the end of the file, found '\xff'`},
		{"no comma", "{\n\t\"hostname\": \"é\" \"root\"}",
			`invalid JSON at 2:18: expected ',' or '}' after a member, found '"'`},
		{"no comma in array", `{"process": {"args": ["a" "b"]}}`,
			`process.args: invalid JSON at 1:27: expected ',' or ']' after an element, found '"'`},
		{"trailing comma", `{"root": {"path": "a",}}`,
			`root: invalid JSON at 1:23: expected a member name in double quotes, found '}'`},
		{"trailing comma in array", `{"mounts": [{},]}`,
			`mounts[1]: invalid JSON at 1:16: expected a value, found ']'`},
		{"no colon", `{"root" {}}`, `invalid JSON at 1:9: expected ':' after the member name, found '{'`},
		{"single quotes", `{'root': {}}`, `invalid JSON at 1:2: expected a member name in double quotes, found '\''`},
		{"comment", "{\n  // why\n}", `invalid JSON at 2:3: expected a member name in double quotes, found '/'`},
		{"wrong bracket", `{"mounts": [}`, `mounts[0]: invalid JSON at 1:13: expected a value, found '}'`},
		{"cut off", `{"process": {"args": ["a"`,
			`process.args: invalid JSON at 1:26: expected ',' or ']' after an element, found the end of the file`},
		{"cut off in a string", `{"hostname": "ab`, `hostname: invalid JSON at 1:17: string without a closing quote`},
		{"cut off in an escape", `{"hostname": "ab\`, `hostname: invalid JSON at 1:18: string without a closing quote`},
		{"line break in a string", "{\"hostname\": \"ab\n\"}",
			`hostname: invalid JSON at 1:17: expected a closing quote before the end of the line`},
		{"control character", "{\"hostname\": \"a\x01\"}",
			`hostname: invalid JSON at 1:16: control character '\x01' in a string must be written as an escape`},
		{"unknown escape", `{"hostname": "\q"}`, `hostname: invalid JSON at 1:15: unknown escape in a string`},
		{"short \\u", `{"hostname": "\u12g4"}`,
			`hostname: invalid JSON at 1:15: \u must be followed by four hexadecimal digits`},
		{"misspelt literal", `{"root": {"readonly": trve}}`,
			`root.readonly: invalid JSON at 1:25: expected true, found 'v'`},
		{"capital literal", `{"root": {"readonly": True}}`,
			`root.readonly: invalid JSON at 1:23: expected a value, found 'T'`},
		{"leading zero", `{"process": {"oomScoreAdj": 0644}}`,
			`process: invalid JSON at 1:30: expected ',' or '}' after a member, found '6'`},
		{"lone minus", `{"process": {"oomScoreAdj": -}}`,
			`process.oomScoreAdj: invalid JSON at 1:30: expected a digit, found '}'`},
		{"no fraction", `{"a": 1.}`, `a: invalid JSON at 1:9: expected a digit, found '}'`},
		{"no exponent", `{"a": 1e+}`, `a: invalid JSON at 1:10: expected a digit, found '}'`},
		{"inside an unknown field", `{"x": {"y": [1, {"z": tru}]}}`,
			`x.y[1].z: invalid JSON at 1:26: expected true, found '}'`},
		{"too deep", `{"x": ` + strings.Repeat("[", 10000),
			"x" + strings.Repeat("[0]", 86) + `...: invalid JSON at 1:10006: nested too deeply`},
	} {
		t.Run(c.name, func(t *testing.T) { wantErrors(t, c.in, c.want) })
	}
}

func TestAllTypeErrorsAndTheSyntaxErrorAreReported(t *testing.T) {
	wantErrors(t, `{
		"ociVersion": 1,
		"process": {"terminal": 0, "user": {"uid": "a", "gid": -1}, "args": "sh", "cwd": true},
		"mounts": [{"destination": 1}, 2, {"options": [3, "ro", null, 4]}],
		"linux": {"namespaces": {}, "maskedPaths": ["/a" "/b"]},
		"hostname": 5
	}`, `linux.maskedPaths: invalid JSON at 5:52: expected ',' or ']' after an element, found '"'
linux.namespaces: expected an array, found an object
mounts[0].destination: expected a string, found a number 1
mounts[1]: expected an object, found a number 2
mounts[2].options[0]: expected a string, found a number 3
mounts[2].options[3]: expected a string, found a number 4
ociVersion: expected a string, found a number 1
process.args: expected an array, found a string "sh"
process.cwd: expected a string, found a boolean true
process.terminal: expected true or false, found a number 0
process.user.gid: expected a whole number between 0 and 4294967295, found a number -1
process.user.uid: expected a whole number, found a string "a"`)
}

func TestOtherDocumentsHavePathsOfTheirOwn(t *testing.T) {
	_, errs := ociconfig.DecodeProcess([]byte(`{"user": {"uid": -1}}`))
	if got, want := errs.Err().Error(), "user.uid: expected a whole number between 0 and 4294967295, found a number -1"; got != want {
		t.Errorf("process: got %s, want %s", got, want)
	}
	_, errs = ociconfig.DecodeResourcesUnknown([]byte(`{"memory": {"limit": "1g"}}`), nil)
	if got, want := errs.Err().Error(), `memory.limit: expected a whole number, found a string "1g"`; got != want {
		t.Errorf("resources: got %s, want %s", got, want)
	}
}

func TestEndlessErrorsAreCut(t *testing.T) {
	in := `{"process": {"args": [` + strings.Repeat("1,", 1<<20) + `1]}, "hostname": 5}`
	_, errs := ociconfig.DecodeSpec([]byte(in))
	if errs.Len() != 101 {
		t.Errorf("%d errors, want 100 and one that says that there are more", errs.Len())
	}
	if got, want := errs.All()[0].Error(), "more than 100 errors, reading stopped here"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func wantErrors(t *testing.T, in, want string) {
	t.Helper()
	spec, errs := ociconfig.DecodeSpec([]byte(in))
	if spec == nil {
		t.Error("no spec")
	}
	if errs.Len() == 0 {
		t.Fatal("no error")
	}
	if got := errs.Err().Error(); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
