package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestGeneratedConfigs(t *testing.T) {
	cases := generate()
	if len(cases) < 300 {
		t.Errorf("%d configs", len(cases))
	}
	again := generate()
	names := map[string]bool{}
	pairs := 0
	for i, c := range cases {
		if c.name() != again[i].name() {
			t.Errorf("config %d is %q and then %q", i, c.name(), again[i].name())
		}
		if names[c.name()] && len(c.changes) < 2 {
			t.Errorf("%q is there twice", c.name())
		}
		names[c.name()] = true
		if len(c.changes) == 2 {
			pairs++
		}
		_ = c.config() // panics where a table is no JSON
	}
	if pairs < 100 {
		t.Errorf("%d configs with two changes", pairs)
	}
}

func TestChanges(t *testing.T) {
	mounts := func(c change) []any { return (&testCase{[]change{c}}).config()["mounts"].([]any) }
	if n := len(mounts(change{"mounts", drop, "/proc"})); n != 5 {
		t.Errorf("%d mounts without /proc", n)
	}
	if n := len(mounts(change{"mounts", add, `{"destination": "/x"}`})); n != 7 {
		t.Errorf("%d mounts with another one", n)
	}
	doc := (&testCase{[]change{{"hostname", drop, ""}, {"linux.new.deep", set, `"x"`}}}).config()
	if _, ok := doc["hostname"]; ok {
		t.Error("the hostname was not dropped")
	}
	if got := doc["linux"].(map[string]any)["new"].(map[string]any)["deep"]; got != "x" {
		t.Errorf("linux.new.deep is %v", got)
	}
}

// A rule says who is right, and where that can be read; documents of the
// specification and their anchors exist.
func TestRules(t *testing.T) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	place := regexp.MustCompile(`([a-z-]+\.md)(?:#([a-z-]+))?`)
	heading := regexp.MustCompile(`(?m)^#+ (?:<a name="[^"]*" ?/> ?)?(.*)$`)
	for _, r := range rules {
		if r.why == "" || r.where == "" || r.aspect == nil || !slices.Contains([]string{"tare", "peer", "either"}, r.right) {
			t.Errorf("incomplete: %+v", r)
		}
		m := place.FindStringSubmatch(r.where)
		if m == nil {
			continue
		}
		text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(out)), m[1]))
		if err != nil {
			t.Errorf("%s: %v", r.why, err)
			continue
		}
		found := m[2] == ""
		for _, h := range heading.FindAllStringSubmatch(string(text), -1) {
			slug := strings.ReplaceAll(regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-")
			found = found || slug == m[2]
		}
		if !found {
			t.Errorf("%s: no section %s", r.why, m[0])
		}
	}
}

// What no rule is about is not explained away.
func TestUnexplained(t *testing.T) {
	hostname := &testCase{[]change{{"hostname", set, `"a"`}}}
	for _, d := range []difference{
		{&testCase{}, "runc", verdict, taken, refused + ": x"},
		{&testCase{}, "runc", verdict, refused + ": x", taken},
		{hostname, "crun", verdict, refused + ": hostname: x", taken},
		{hostname, "runc", "hostname", "a", "b"},
		{&testCase{}, "crun", "exit code", "7", "0"},
		{&testCase{}, "runc", "process.noNewPrivileges", "0", "1"},
		{&testCase{}, "crun", "capabilities.effective", "0", "1"},
		{&testCase{}, "runc", "mounts /proc", "proc relatime,rw", "proc relatime,ro"},
		{&testCase{}, "crun", "does create:/new", "err=0", "err=30"},
		{&testCase{}, "runc", "propagation of /", "shared", "slave"},
	} {
		if r := explain(&d); r != nil {
			t.Errorf("%s is explained by: %s", d.String(), r.why)
		}
	}
}

func TestDifferences(t *testing.T) {
	info := "20 19 0:5 / /proc rw,nosuid master:3 - proc proc rw\n"
	a := &outcome{taken: true, code: 7, report: &report{Hostname: "a", Env: []string{"B=1", "A=1"}, Mountinfo: info}}
	b := &outcome{taken: true, code: 7, report: &report{Hostname: "b", Env: []string{"A=1", "B=1"}, Mountinfo: strings.Replace(info, "rw,nosuid master:3", "ro", 1)}}
	var got []string
	for _, d := range differences(&testCase{}, "runc", a, b) {
		got = append(got, d.String())
	}
	want := []string{`hostname: tare "a", runc "b"`, `mounts /proc: tare "proc nosuid,rw", runc "proc ro"`, `propagation of /proc: tare "slave", runc "private"`}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if d := differences(&testCase{}, "runc", a, &outcome{stderr: "no"}); len(d) != 1 || d[0].aspect != verdict {
		t.Errorf("%v", d)
	}
	if d := differences(&testCase{}, "runc", &outcome{stderr: "x"}, &outcome{stderr: "no"}); d != nil {
		t.Errorf("two refusals differ: %v", d)
	}
}
