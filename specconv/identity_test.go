package specconv

import (
	"strings"
	"testing"
)

// A group that is listed twice is given once.
func TestGroupsOnce(t *testing.T) {
	in := readCase(t, "docker")
	in.Spec.Process.User.AdditionalGids = []uint32{7, 9, 7, 8, 9}
	res, err := Compile(in)
	if err != nil {
		t.Fatal(err)
	}
	const want = "groups=x'07000000" + "09000000" + "08000000'"
	if text := res.Plan.Format(); !strings.Contains(text, want) {
		_, after, _ := strings.Cut(text, "identity ")
		line, _, _ := strings.Cut(after, "\n")
		t.Errorf("no %s in %q", want, line)
	}
}
