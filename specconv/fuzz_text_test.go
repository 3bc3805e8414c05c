package specconv

import (
	"path"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// fuzzOn compiles twice and demands the same both times; it returns nil for a config
// that is refused.
func fuzzOn(t *testing.T, in Input) *Result {
	t.Helper()
	res, err := Compile(in)
	again, errAgain := Compile(in)
	if err != nil {
		if errAgain == nil || errAgain.Error() != err.Error() {
			t.Fatalf("%v, and then %v", err, errAgain)
		}
		return nil
	}
	if wire := checkPlan(t, "fuzz", res.Plan); string(again.Plan.Encode()) != string(wire) {
		t.Fatal("the same input gives two plans")
	}
	return res
}

// FuzzCgroupsPath: whatever linux.cgroupsPath says, the container's cgroups lie below
// the top of their hierarchies.
func FuzzCgroupsPath(f *testing.F) {
	for _, p := range []string{"", "/", "a", "/a/b", "..", "/a/../..", "a//b", "/./a", "system.slice:docker:abc", "::", ":", "a:b", "-.slice:x:y", "a\x00b", "/a\n", "/a/", "x:../y:z",
		"/sys/fs/cgroup/x", strings.Repeat("/a", 2000), "ü", "\xff"} {
		f.Add(p, uint8(len(p)))
	}
	hosts := []string{"hybrid-6.18", "v2-5.10", "v1-5.15", "nested-6.1"}
	f.Fuzz(func(t *testing.T, cgroupsPath string, choice uint8) {
		s := plain()
		s.Linux.CgroupsPath = cgroupsPath
		res := fuzzOn(t, Input{ID: "fuzz", Bundle: "/bundle", Spec: s, Facts: readFacts(t, hosts[int(choice)%len(hosts)]), Gate: true, SystemdCgroup: choice&4 != 0})
		if res == nil {
			return
		}
		for _, c := range res.Cgroups {
			if c.Path == "/" || path.Clean(c.Path) != c.Path || !strings.HasPrefix(c.Path, "/") || strings.Contains(c.Path, "/../") || strings.ContainsAny(c.Path, "\x00\n") {
				t.Errorf("%q: the cgroup of hierarchy %q is %q", cgroupsPath, c.Hierarchy, c.Path)
			}
		}
	})
}

// FuzzAnnotations: an annotation that means nothing to tare changes nothing, and one
// that does leads to no file that is not named absolutely.
func FuzzAnnotations(f *testing.F) {
	for _, k := range append([]string{"org.example", "", "bundle", "run.oci.handler", "org.criu.config", "org.systemd.property.X"}, annotations[:]...) {
		for _, v := range []string{"", "1", "/log", "log", "../log", "/log\x00", "/../x", "true", strings.Repeat("/x", 3000)} {
			f.Add(k, v)
		}
	}
	facts := readFacts(f, "hybrid-6.18")
	with := func(annotations map[string]string) Input {
		s := plain()
		s.Annotations = annotations
		s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true"}}}
		return Input{ID: "fuzz", Bundle: "/bundle", Spec: s, Facts: facts, Gate: true}
	}
	plainText := ""
	if res, err := Compile(with(nil)); err == nil {
		plainText = withoutState(res.Plan.Format())
	}
	f.Fuzz(func(t *testing.T, key, value string) {
		if !utf8.ValidString(key + value) {
			return
		}
		res := fuzzOn(t, with(map[string]string{key: value}))
		if res == nil {
			return
		}
		text := withoutState(res.Plan.Format())
		known := false
		for _, k := range annotations {
			known = known || k == key
		}
		if !known && text != plainText {
			t.Errorf("annotation %q changes the plan:\n%s", key, text)
		}
		for line := range strings.Lines(text) {
			if _, rest, ok := strings.Cut(line, `hook-log path="`); ok && !strings.HasPrefix(rest, "/") {
				t.Errorf("annotation %q = %q: %s", key, value, line)
			}
		}
	})
}

// withoutState leaves out what hooks read on their stdin, which has all annotations.
func withoutState(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		if before, after, ok := strings.Cut(line, ` state-head="`); ok {
			_, after, _ = strings.Cut(after, `" index=`)
			line = before + " index=" + after
		}
		out.WriteString(line)
	}
	return out.String()
}
