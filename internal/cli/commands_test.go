package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	if !slices.IsSortedFunc(Commands, func(a, b Command) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("commands are not sorted by name")
	}
	check := func(where string, flags []*Flag) {
		seen := map[string]bool{"h": true, "help": true}
		for _, f := range flags {
			for _, n := range append([]string{f.Name}, f.Aliases...) {
				if seen[n] {
					t.Errorf("%s: two flags are called %s", where, n)
				}
				seen[n] = true
			}
			if (f.Arg == "") != (f.Kind == Bool) {
				t.Errorf("%s: --%s: a value has a name, a boolean has none", where, f.Name)
			}
			if f.Usage == "" || strings.ContainsAny(f.Usage, "\n\t") {
				t.Errorf("%s: --%s: usage %q", where, f.Name, f.Usage)
			}
			v := newValues(flags)
			if f.Default != "" {
				if err := v.put(v.find(f.Name), f.Default); err != nil {
					t.Errorf("%s: --%s: default: %v", where, f.Name, err)
				}
			}
		}
	}
	check("tare", GlobalFlags)
	for i := range Commands {
		c := &Commands[i]
		check(c.Name, c.Flags)
		if c.run == nil || c.Usage == "" || c.Description == "" {
			t.Errorf("%s: incomplete row", c.Name)
		}
		if c.max >= 0 && c.max < c.min {
			t.Errorf("%s: at least %d and at most %d arguments", c.Name, c.min, c.max)
		}
	}
}

// Every flag that the code asks for is in the table of some command, and every
// flag of the table is asked for.
func TestFlagsAreUsed(t *testing.T) {
	asked := map[string]bool{}
	ask := regexp.MustCompile(`\.(?:str|bool|int|list|isSet|path|signed|unsigned|bytes)\("([a-z0-9-]+)"`)
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range ask.FindAllSubmatch(src, -1) {
			asked[string(m[1])] = true
		}
	}
	table := map[string]bool{}
	all := slices.Clone(GlobalFlags)
	for i := range Commands {
		all = append(all, Commands[i].Flags...)
	}
	for _, f := range all {
		table[f.Name] = true
		if !asked[f.Name] {
			t.Errorf("--%s is in the table and nobody asks for it", f.Name)
		}
	}
	for n := range asked {
		if !table[n] {
			t.Errorf("--%s is asked for and not in the table", n)
		}
	}
}

func TestCheckArgs(t *testing.T) {
	for _, c := range []struct {
		cmd  string
		n    int
		want string
	}{
		{"start", 1, ""},
		{"start", 0, `"start" requires exactly 1 argument(s)`},
		{"start", 2, `"start" requires exactly 1 argument(s)`},
		{"list", 1, `"list" requires exactly 0 argument(s)`},
		{"kill", 0, `"kill" requires a minimum of 1 argument(s)`},
		{"kill", 2, ""},
		{"kill", 3, `"kill" requires a maximum of 2 argument(s)`},
		{"ps", 0, `"ps" requires a minimum of 1 argument(s)`},
		{"ps", 9, ""},
		{"plan", 0, ""},
		{"plan", 2, `"plan" requires a maximum of 1 argument(s)`},
	} {
		got := ""
		if err := findCommand(c.cmd).checkArgs(c.n); err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s with %d arguments: %q, want %q", c.cmd, c.n, got, c.want)
		}
	}
}
