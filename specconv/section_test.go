package specconv

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// specDir is the module of the specification, with its documents.
func specDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/opencontainers/runtime-spec").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

var (
	heading   = regexp.MustCompile(`(?m)^#+ (?:<a name="[^"]*" ?/> ?)?(.*)$`)
	notInSlug = regexp.MustCompile(`[^a-z0-9 _-]`)
)

// anchors are the links to the headings of a document, as its readers make them:
// "config.md#root".
func anchors(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "config*.md"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in %s: %v", dir, err)
	}
	found := map[string]bool{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range heading.FindAllStringSubmatch(string(text), -1) {
			slug := notInSlug.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
			found[filepath.Base(f)+"#"+strings.ReplaceAll(slug, " ", "-")] = true
		}
	}
	return found
}

func TestSectionsExist(t *testing.T) {
	dir := specDir(t)
	exist := anchors(t, dir)
	// The specification's own links prove that the anchors are made rightly.
	text, err := os.ReadFile(filepath.Join(dir, "bundle.md"))
	if err != nil {
		t.Fatal(err)
	}
	if own := regexp.MustCompile(`config\.md#[a-z-]+`).FindString(string(text)); !exist[own] {
		t.Errorf("the specification links to %q, which is not found", own)
	}
	for _, s := range sections {
		if !exist[s.section] {
			t.Errorf("%q: the specification has no %s", s.prefix, s.section)
		}
	}
	if !exist[UnknownSection()] {
		t.Errorf("the specification has no %s", UnknownSection())
	}
	if !slices.IsSortedFunc(sections, func(a, b struct{ prefix, section string }) int { return strings.Compare(a.prefix, b.prefix) }) {
		t.Error("the sections are not sorted by prefix")
	}
}

// Every field has a place of its own to be looked up, and every prefix of the
// table is the beginning of a field.
func TestEveryFieldHasASection(t *testing.T) {
	used := map[string]bool{"": true}
	for _, f := range specFields() {
		if Section(f.path) == Section("") {
			t.Errorf("%s: no section", f.path)
		}
		for _, s := range sections {
			if within(f.path, s.prefix) {
				used[s.prefix] = true
			}
		}
	}
	for _, s := range sections {
		if !used[s.prefix] {
			t.Errorf("%q is no field", s.prefix)
		}
	}
}

func TestSection(t *testing.T) {
	for path, want := range map[string]string{
		"":                                 "config.md#configuration",
		"process":                          "config.md#process",
		"process.user.umask":               "config.md#posix-platform-user",
		"processes":                        "config.md#configuration",
		"mounts[10]":                       "config.md#mounts",
		"mounts[10].options[2]":            "config.md#linux-mount-options",
		"linux.namespaces[1].path":         "config-linux.md#namespaces",
		"linux.sysctl[\"net.ipv4.x\"]":     "config-linux.md#sysctl",
		"linux.resources":                  "config-linux.md#control-groups",
		"linux.resources.memory.limit":     "config-linux.md#memory",
		"linux.resources.unified[\"a.b\"]": "config-linux.md#unified",
		"linux.memoryPolicy.mode":          "config-linux.md#memory-policy",
	} {
		if got := Section(path); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}
