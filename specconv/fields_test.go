package specconv

import (
	"reflect"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// specField is one field of config.json: "linux.devices[].major"; a member of a
// map whose keys the user chooses is a star, "linux.timeOffsets.*.secs".
type specField struct {
	path string
	leaf bool // has no fields of its own
}

// foreignSections belong to other systems and are refused whole.
var foreignSections = []string{"freebsd", "solaris", "vm", "windows", "zos"}

// specFields are all fields of the specification that specs-go defines for
// Linux, in its order, and the sections of other systems without their fields.
func specFields() []specField {
	var out []specField
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		switch t.Kind() {
		case reflect.Slice:
			if e := t.Elem(); e.Kind() == reflect.Struct {
				walk(e, path+"[]")
			}
		case reflect.Map:
			if e := t.Elem(); e.Kind() == reflect.Struct {
				walk(e, path+".*")
			}
		case reflect.Struct:
			for i := range t.NumField() {
				f := t.Field(i)
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				if f.Anonymous && name == "" {
					walk(f.Type, path)
					continue
				}
				p := strings.TrimPrefix(path+"."+name, ".")
				at := len(out)
				out = append(out, specField{path: p})
				if !foreignPath(p) {
					walk(f.Type, p)
				}
				out[at].leaf = len(out) == at+1
			}
		}
	}
	walk(reflect.TypeFor[specs.Spec](), "")
	return out
}

func foreignPath(path string) bool {
	for _, f := range foreignSections {
		if path == f {
			return true
		}
	}
	return false
}
