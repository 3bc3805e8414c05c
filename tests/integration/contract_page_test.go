package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestContractPageIsProven: every row of docs/contract.md names tests, and these exist.
func TestContractPageIsProven(t *testing.T) {
	page, err := os.ReadFile("../../docs/contract.md")
	if err != nil {
		t.Fatal(err)
	}
	dirs := map[string]string{"integration": ".", "cli": "../../internal/cli", "binary": "../../internal/cli/binary", "usage": "../../internal/cli/usage"}
	tests := map[string]bool{}
	for pkg, dir := range dirs {
		files, err := filepath.Glob(dir + "/*_test.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no tests in %s: %v", dir, err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests[pkg+"."+m[1]] = true
			}
		}
	}
	name := regexp.MustCompile("`(\\w+\\.Test\\w+)`")
	rows := 0
	for line := range strings.Lines(string(page)) {
		if !strings.HasPrefix(line, "| ") || strings.HasSuffix(line, "proven by |\n") {
			continue
		}
		rows++
		names := name.FindAllStringSubmatch(line, -1)
		if len(names) == 0 && !strings.Contains(line, "[below]") {
			t.Errorf("no test in %s", line)
		}
		for _, n := range names {
			if !tests[n[1]] {
				t.Errorf("there is no %s: %s", n[1], line)
			}
		}
	}
	if rows < 70 {
		t.Errorf("only %d rows found", rows)
	}
}
