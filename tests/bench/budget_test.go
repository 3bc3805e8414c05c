package main

import (
	"io"
	"strings"
	"testing"

	"github.com/tare-oci/tare/tests/syscalltrace"
)

// reportWith returns a report in which tare's run and lifecycle are ratio
// times as slow as crun's.
func reportWith(ratio float64) *report {
	r := &report{UnderTest: "tare", Reference: "crun", Runtimes: []*ociRuntime{{Name: "tare"}, {Name: "crun"}},
		Memory: map[string]*memoryFacts{}, Traces: map[string]map[command]*syscalltrace.Counts{}}
	for _, mode := range []regime{hot, isolated} {
		same := map[string][]sample{"tare": {sample(10 * ratio), sample(20 * ratio), missing()}, "crun": {10, 20, 30}}
		for _, c := range append([]command{cmdRun, cmdSum}, lifecycleCommands...) {
			r.Series = append(r.Series, series{defaultBundle, c, mode, same})
		}
		r.Series = append(r.Series, series{seccompBundle, cmdRun, mode, same})
		// An exec has no namespaces and mounts to make: twice as far ahead.
		r.Series = append(r.Series, series{defaultBundle, cmdExec, mode, map[string][]sample{
			"tare": {sample(5 * ratio)}, "crun": {10}}})
	}
	r.Loop = &loop{Calls: 1, Millis: map[string][]sample{"tare": {sample(ratio)}, "crun": {1}}}
	return r
}

func verdictOf(t *testing.T, r *report, what string) verdict {
	t.Helper()
	for _, v := range judge(r) {
		if v.what == what {
			return v
		}
	}
	t.Fatalf("no budget %q", what)
	return verdict{}
}

func TestCheckNamesTheMissedBudgets(t *testing.T) {
	if err := checkBudgets(reportWith(0.27)); err != nil {
		t.Errorf("a ratio of 0.27: %v", err)
	}
	err := checkBudgets(reportWith(0.44))
	if err == nil {
		t.Fatal("a ratio of 0.44 misses the isolated budget of 0.33")
	}
	if text := err.Error(); !strings.Contains(text, "run, isolated: 0.44, budget 0.33") || strings.Contains(text, "run, hot") {
		t.Errorf("error %q, want the isolated run and nothing else", text)
	}
}

func TestCheckDoesNotPassWithoutMeasurements(t *testing.T) {
	r := reportWith(0.3)
	r.Series = nil
	if err := checkBudgets(r); err == nil || !strings.Contains(err.Error(), "run, hot: not measured") {
		t.Errorf("error %v, want the missing figures named", err)
	}
}

func TestMemoryAndTraceBudgets(t *testing.T) {
	r := reportWith(0.3)
	if v := verdictOf(t, r, "smallest memory limit"); v.String() != "not measured" {
		t.Errorf("without a search: %s", v)
	}
	r.Memory["tare"] = &memoryFacts{Peaks: map[command]int{cmdRun: 5000, cmdState: 3000}, InitPSS: 24, InitThreads: 1, LimitMeasured: true}
	r.Traces["tare"] = map[command]*syscalltrace.Counts{cmdRun: {Calls: 700, ProcsWrites: 1}}
	for what, want := range map[string]string{
		"peak memory of the greediest command": "missed",
		"PSS of the created init":              "met",
		"threads of the created init":          "met",
		"smallest memory limit":                "missed", // searched, and no container ran
		"cgroup.procs writes in run":           "missed",
		"cgroup.procs writes in exec":          "not measured",
	} {
		if v := verdictOf(t, r, what); v.String() != want {
			t.Errorf("%s: %s, want %s", what, v, want)
		}
	}
	r.Traces["tare"][cmdRun].ProcsWrites = 0
	if v := verdictOf(t, r, "cgroup.procs writes in run"); v.String() != "met" {
		t.Errorf("no write to cgroup.procs: %s, want met", v)
	}
}

func TestThroughputMustReachItsBudget(t *testing.T) {
	r := reportWith(0.3)
	r.Contention = []contention{{Level: 8, Failed: map[string]int{"tare": 1},
		StartsPerSecond: map[string][]sample{"tare": {150, 260, 130}, "crun": {100, 200, 100}}}}
	for what, want := range map[string]string{
		"containers per second, 8 at once":        "met", // 1.5, 1.3 and 1.3
		"containers per second, 32 at once":       "not measured",
		"containers that failed of those at once": "missed",
	} {
		if v := verdictOf(t, r, what); v.String() != want {
			t.Errorf("%s: %s (%v), want %s", what, v, v.got, want)
		}
	}
	r.Contention[0].StartsPerSecond["tare"] = []sample{120, 240, 120}
	if v := verdictOf(t, r, "containers per second, 8 at once"); v.String() != "missed" {
		t.Errorf("a ratio of 1.2: %s, want missed", v)
	}
}

func TestReportPutsRatiosFirst(t *testing.T) {
	tables := reportWith(0.5).tables()
	if tables[0].title != "Ratios to crun" {
		t.Errorf("first table is %q", tables[0].title)
	}
	var text strings.Builder
	if err := tables[0].markdown(&text); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(text.String(), "| default | run | 0.50 [0.50, 0.50] | 0.50 [0.50, 0.50] |") {
		t.Errorf("no ratio row in:\n%s", text.String())
	}
}

func TestParseOptions(t *testing.T) {
	sh := "=/bin/sh"
	for _, c := range []struct {
		args string
		want string // part of the error; empty for none
	}{
		{"--peer crun" + sh, ""},
		{"--runtime tare" + sh + " --peer crun" + sh + " --peer runc" + sh + " --check", ""},
		{"--runtime tare" + sh, "--peer is missing"},
		{"--peer crun" + sh + " --peer crun" + sh, `two runtimes are named "crun"`},
		{"--peer crun" + sh + " --check", "--check needs --runtime"},
		{"--runtime a" + sh + " --runtime b" + sh + " --peer c" + sh, "--runtime is given twice"},
		{"--peer crun" + sh + " --rounds -1", "--rounds -1"},
		{"--peer crun" + sh + " extra", `unexpected argument "extra"`},
		{"--peer crun=/nonexistent/crun", "no such file"},
	} {
		_, err := parseOptions(strings.Fields(c.args), io.Discard)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q", c.args, err, c.want)
		}
	}
}
