package field

import "testing"

func TestErrorsAreSortedAsAReaderExpects(t *testing.T) {
	var l List
	l.Add("mounts[10].type", "", "must not be empty")
	l.Add("mounts[2].source", "/x", "does not exist")
	l.Add("hostname", "a b", "has a space")
	want := "hostname \"a b\": has a space\n" +
		"mounts[2].source \"/x\": does not exist\n" +
		"mounts[10].type: must not be empty"
	if got := l.Err().Error(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestEmptyListIsNoError(t *testing.T) {
	var l List
	if err := l.Err(); err != nil {
		t.Errorf("got %v, want nil", err)
	}
}

func TestKey(t *testing.T) {
	for _, c := range []struct{ key, want string }{
		{"foo", "annotations.foo"},
		{"net.ipv4", `annotations["net.ipv4"]`},
		{"", `annotations[""]`},
	} {
		if got := Key("annotations", c.key); got != c.want {
			t.Errorf("Key(%q) = %s, want %s", c.key, got, c.want)
		}
	}
}

func TestHugeValuesAreCut(t *testing.T) {
	e := &Error{Path: "hostname", Value: string(make([]byte, 1<<20)), Why: "too long"}
	if n := len(e.Error()); n > 2048 {
		t.Errorf("message has %d bytes", n)
	}
}
