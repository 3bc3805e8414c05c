package state

import (
	"bytes"
	"path"
	"strings"
	"testing"
)

// FuzzDecode: a record with whatever in it is refused, or says the same after it has
// been written again.
func FuzzDecode(f *testing.F) {
	s := sample()
	f.Add(s.Encode())
	for _, text := range []string{"", "{}", "null", "[]", `{"schema":1}`, `{"schema":99999}`, `{"schema":1,"pid":-1}`, `{"schema":1,"cgroups":[{"mount":"..","path":"/../.."}]}`,
		`{"schema":1,"poststop":[{"path":"/x","timeout":99999999999999999999}]}`, `{"schema":1,"id":"../../etc"}`, strings.Repeat("[", 10000)} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		if err != nil {
			if s != nil {
				t.Errorf("%v, and a record", err)
			}
			return
		}
		first := s.Encode()
		again, err := Decode(first)
		if err != nil {
			t.Fatalf("what was read cannot be read when it is written again: %v\n%s", err, first)
		}
		if second := again.Encode(); !bytes.Equal(first, second) {
			t.Errorf("written twice:\n%s\n%s", first, second)
		}
	})
}

// FuzzCheckID: an id that is taken is one file name, whatever is appended to it, and
// nothing that a shell, a path or a terminal would take for more.
func FuzzCheckID(f *testing.F) {
	for _, id := range []string{"", ".", "..", "a", "A_b+c.d-9", "a/b", "../x", "a\x00", "a\n", "-x", " ", "ü", strings.Repeat("x", 1023), strings.Repeat("x", 5000), ".json", "a.json"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if CheckID(id) != nil {
			return
		}
		if name := id + ".json"; path.Base(name) != name || path.Join("/r", name) != "/r/"+name || len(name) > 255+1024 {
			t.Errorf("%q is taken for an id", id)
		}
		for _, r := range id {
			if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+.-", r) {
				t.Errorf("%q is taken for an id", id)
			}
		}
		if id == "" || id == "." || id == ".." {
			t.Errorf("%q is taken for an id", id)
		}
	})
}
