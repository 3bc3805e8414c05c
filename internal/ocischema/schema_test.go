package ocischema

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

func decode(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestCheck(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{`{"ociVersion": "1.3.0"}`, ""},
		{`{"ociVersion": null}`, "ociVersion: is required"},
		{`{"ociVersion": 5, "root": {}, "hostname": {"a": 1}}`, "root.path: is required"},
		{`{"ociVersion": "1", "mounts": [{"destination": "/a"}, {"type": "tmpfs"}]}`, "mounts[1].destination: is required"},
		{`{"ociVersion": "1", "process": {"cwd": "/", "rlimits": [{"type": "CORE", "soft": 1}]}}`,
			"process.rlimits[0].hard: is required\nprocess.rlimits[0].type \"CORE\": does not match ^RLIMIT_[A-Z]+$"},
		{`{"ociVersion": "1", "linux": {"devices": [{"path": "/a", "type": "p", "fileMode": 512}, {"path": "/b", "type": "p", "fileMode": 511}]}}`,
			`linux.devices[0].fileMode "512": must be at most 511`},
		{`{"ociVersion": "1", "hooks": {"poststop": [{"path": "/a", "timeout": 0}, {"path": "/a", "timeout": 1}]}}`,
			`hooks.poststop[0].timeout "0": must be at least 1`},
		{`{"ociVersion": "1", "linux": {"rootfsPropagation": "rslave"}}`, `linux.rootfsPropagation "rslave": is not one of private, shared, slave, unbindable`},
		{`{"ociVersion": "1", "linux": {"seccomp": {"defaultAction": "SCMP_ACT_LOG", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]}}}`,
			"linux.seccomp.syscalls[0].names: must have at least 1 of them"},
		{`{"ociVersion": "1", "linux": {"uidMappings": [{"containerID": 0}], "sysctl": {"a.b": "c"}, "resources": {"rdma": {"mlx": {}}}}}`,
			"linux.uidMappings[0].hostID: is required\nlinux.uidMappings[0].size: is required"},
	} {
		var got []string
		for _, e := range Check(decode(t, c.doc)) {
			got = append(got, e.Error())
		}
		if g := strings.Join(got, "\n"); g != c.want {
			t.Errorf("%s\ngot  %s\nwant %s", c.doc, g, c.want)
		}
	}
}

func TestNear(t *testing.T) {
	for path, want := range map[string]string{
		"Hostname":                      "hostname",
		"hostnam":                       "hostname",
		"hots":                          "",
		"ohstname":                      "hostname",
		"process.Cwd":                   "cwd",
		"process.cwt":                   "", // three letters are too few to guess
		"mounts[12].Destination":        "destination",
		"mounts[0].sources":             "source",
		"linux.maskedpaths":             "maskedPaths",
		"linux.resources.memory.limits": "limit",
		`linux["masked-paths"]`:         "maskedPaths",
		"linux.sysctl.x":                "",
		"x.y":                           "",
		"":                              "",
	} {
		if got := Near(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

func TestRulesAreSorted(t *testing.T) {
	if !slices.IsSortedFunc(rules, func(a, b rule) int { return strings.Compare(a.path, b.path) }) {
		t.Error("the rules are not sorted by path, and cannot be found")
	}
}

// missing are fields that specs-go has and the schema of the same version has
// forgotten.
var missing = map[string]bool{}

// Every field of specs-go is a member of the schema, so that no field that tare
// reads can be taken for a wrong name of another.
func TestMembersAreComplete(t *testing.T) {
	var walk func(typ reflect.Type, place string)
	walk = func(typ reflect.Type, place string) {
		switch typ.Kind() {
		case reflect.Pointer:
			walk(typ.Elem(), place)
		case reflect.Slice:
			walk(typ.Elem(), place+"[]")
		case reflect.Struct:
			r := ruleOf(place)
			if r == nil {
				t.Errorf("%q: no members", place)
				return
			}
			for i := range typ.NumField() {
				f := typ.Field(i)
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if name == "" {
					continue // embedded; its fields are members like the others
				}
				p := strings.TrimPrefix(place+"."+name, ".")
				if !slices.Contains(r.members, name) && !missing[p] {
					t.Errorf("%s: not in the schema", p)
				}
				if place != "" || !slices.Contains([]string{"solaris", "windows", "vm", "zos", "freebsd"}, name) {
					walk(f.Type, p)
				}
			}
		}
	}
	walk(reflect.TypeFor[specs.Spec](), "")
}
