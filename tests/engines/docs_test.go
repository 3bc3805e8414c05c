package engines

import (
	"os"
	"strings"
	"testing"
)

// TestDifferencesAreDocumented: a reason that is not in docs/engines.md is nobody's.
func TestDifferencesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/engines.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range differences {
		if !strings.Contains(string(page), "| "+d.script+" |") || !strings.Contains(string(page), d.why) {
			t.Errorf("docs/engines.md has no row for %s: %s", d.script, d.why)
		}
	}
}
