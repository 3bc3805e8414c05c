package main

import (
	"slices"
	"testing"
)

func TestParseTAP(t *testing.T) {
	tests := []struct {
		name           string
		out            string
		passed, failed int
		problems       []string
	}{
		{"plain", "TAP version 13\nok 1 - a\nok 2 # SKIP b\n1..2\n", 2, 0, nil},
		{"two series", "TAP version 13\nok 1 - a\n1..1\nTAP version 13\nok 1 - b\n1..1\n", 2, 0, nil},
		{"indented", "TAP version 13\n    ok 1 - inner\n    not ok 2 - worse\n1..2\n", 1, 1, []string{"worse"}},
		{"declared failure", "TAP version 13\nnot ok 1 # TODO later\n1..1\n", 0, 0, nil},
		{"died half-way", "TAP version 13\nok 1 - a\n", 1, 0, []string{noPlan}},
		{"second series died", "TAP version 13\nok 1 - a\n1..1\nTAP version 13\nok 1 - b\n", 2, 0, []string{noPlan}},
		{"first series died", "TAP version 13\nok 1 - a\nTAP version 13\nok 1 - b\n1..1\n", 2, 0, []string{noPlan}},
		{"tests missing", "TAP version 13\nok 1 - a\n1..2\n", 1, 0, []string{"plan 1..2 does not match the tests run"}},
		{"plan without tests", "1..3\n", 0, 0, []string{"plan 1..3 does not match the tests run"}},
		{"nothing", "", 0, 0, nil},
		{
			"error is the only verdict",
			"TAP version 13\n  ---\n  {\n    \"error\": \"too early\\nRefer to: x\"\n  }\n  ...\n1..0\n",
			0, 0, []string{"error without a test: too early"},
		},
		{
			"error belongs to a test",
			"TAP version 13\nok 1 - refuses\n  ---\n  {\n    \"error\": \"exit status 1\"\n  }\n  ...\n1..1\n",
			1, 0, nil,
		},
		{
			"prober repeated, with a failure and no plan",
			"TAP version 13\n  ---\n  {\"stdout\": \"TAP version 13\\nok 1 - a\\nnot ok 2 - b\\n\"}\n  ...\nnot ok 1 - outer\n1..1\n",
			0, 1, []string{"in the container: b", "in the container: " + noPlan, "outer"},
		},
		{
			"test lines inside a block do not count",
			"TAP version 13\n  ---\n  not ok 9 - quoted\n  ...\nok 1 - a\n1..1\n", 1, 0, nil,
		},
		{"block without end", "TAP version 13\nok 1 - a\n  ---\n  {\n", 1, 0, []string{noPlan}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := parseTAP(tt.out)
			if r.passed != tt.passed || r.failed != tt.failed || !slices.Equal(r.problems, tt.problems) {
				t.Errorf("got %d passed, %d failed, %q; want %d, %d, %q",
					r.passed, r.failed, r.problems, tt.passed, tt.failed, tt.problems)
			}
		})
	}
}

func TestNormalise(t *testing.T) {
	tests := map[string]string{
		"no 3f2504e0-4f89-11d3-9a0c-0305e82c3301 here": "no <id> here",
		"open /tmp/x/ocitest123456/config.json":        "open <bundle>/config.json",
		"both have inode ipc:[4026531839]":             "both have inode ipc:[<number>]",
		"two\n  lines":                                 "two lines",
		"RLIMIT 3000 stays":                            "RLIMIT 3000 stays",
	}
	for in, want := range tests {
		if got := normalise(in); got != want {
			t.Errorf("normalise(%q) = %q, want %q", in, got, want)
		}
	}
}
