package deps

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testFolders are where docs/security.md's names of packages lead.
var testFolders = map[string]string{"integration": "tests/integration", "ops": "tests/ops", "initc": "tests/init", "seccomp": "internal/seccomp", "specconv": "specconv"}

// TestSecurityTestsExist: each test that docs/security.md names is there, and each
// that is named after a vulnerability is named there.
func TestSecurityTestsExist(t *testing.T) {
	data, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	sources := map[string]string{}
	for name, dir := range testFolders {
		files, err := filepath.Glob(filepath.Join("..", "..", dir, "*_test.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no tests: %v", dir, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			sources[name] += string(text)
		}
	}
	named := regexp.MustCompile("`([a-z]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`").FindAllStringSubmatch(doc, -1)
	if len(named) < 30 {
		t.Errorf("docs/security.md names %d tests", len(named))
	}
	for _, m := range named {
		if source, ok := sources[m[1]]; !ok || !strings.Contains(source, "func "+m[2]+"(") {
			t.Errorf("docs/security.md names %s.%s, which is not there", m[1], m[2])
		}
	}
	for _, m := range regexp.MustCompile(`func (TestCVE[0-9_A-Za-z]+)\(`).FindAllStringSubmatch(sources["integration"], -1) {
		if !strings.Contains(doc, "`integration."+m[1]+"`") {
			t.Errorf("docs/security.md does not name %s", m[1])
		}
	}
	// Every vulnerability that a comment of the product gives as its reason has a row.
	out, err := exec.Command("git", "-C", "../..", "grep", "-hoE", "CVE-[0-9]{4}-[0-9]+", "--", "*.go", "*.c", "*.h").Output()
	if err != nil {
		t.Skipf("no git here: %v", err)
	}
	for _, cve := range strings.Fields(string(out)) {
		if !strings.Contains(doc, cve) {
			t.Errorf("docs/security.md does not name %s", cve)
		}
	}
}
