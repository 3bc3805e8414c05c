package main

import (
	"os"
	"strings"
	"testing"
)

// Every rule stands in docs/differences.md, and nothing else does.
func TestDocsHaveEveryRule(t *testing.T) {
	data, err := os.ReadFile("../../docs/differences.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, r := range rules {
		peer := r.peer
		if peer == "" {
			peer = "both"
		}
		want.WriteString("| " + strings.ReplaceAll(r.why, "|", `\|`) + " | " + peer + " | " + r.right + " | " + r.where + " |\n")
	}
	_, table, _ := strings.Cut(string(data), "| --- | --- | --- | --- |\n")
	if table != want.String() {
		t.Errorf("docs/differences.md is not what rules_table.go says; its table is\n%s", want.String())
	}
}
