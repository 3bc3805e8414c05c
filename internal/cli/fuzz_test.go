package cli

import (
	"slices"
	"strings"
	"testing"
)

// FuzzParse: a command line, its words apart by NULs, is parsed or refused; what is
// left over was there, in its order, and no flag has a value that was not.
func FuzzParse(f *testing.F) {
	for _, line := range []string{"", "ID", "--root\x00/x\x00state\x00ID", "create\x00--bundle=/b\x00ID", "--", "--\x00-x", "-", "---x", "--=x", "-b", "kill\x00-a\x00ID\x009",
		"--preserve-fds\x00-1", "--preserve-fds=99999999999999999999", "--force=maybe", "--bundle\x00--force", "-h", "--no-pivot=false\x00ID"} {
		f.Add(line, uint8(0))
		f.Add(line, uint8(2))
	}
	f.Fuzz(func(t *testing.T, line string, choice uint8) {
		args := strings.Split(line, "\x00")
		v, stop := newValues(GlobalFlags), true
		if i := int(choice) % (len(Commands) + 1); i > 0 {
			v, stop = newValues(Commands[i-1].Flags), Commands[i-1].stop
		}
		rest, err := v.parse(slices.Clone(args), stop)
		if err != nil {
			if rest != nil {
				t.Errorf("%v, and %q is left", err, rest)
			}
			return
		}
		at := 0
		for _, r := range rest {
			i := slices.Index(args[at:], r)
			if i < 0 {
				t.Fatalf("of %q, %q is left", args, rest)
			}
			at += i + 1
		}
		for i := range v.flags {
			if flag := v.flags[i]; flag.Kind == Text && v.isSet(flag.Name) && !strings.Contains(line, v.str(flag.Name)) {
				t.Errorf("of %q, --%s is %q", args, flag.Name, v.str(flag.Name))
			}
		}
	})
}
