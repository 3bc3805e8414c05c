package main

import (
	"slices"
	"testing"
)

func TestLanes(t *testing.T) {
	programs := []string{"create", "linux_cgroups_cpus", "delete", "delete_resources", "kill", "start"}
	for n := 1; n <= 5; n++ {
		got := lanes(programs, n)
		var all []string
		for i, lane := range got {
			all = append(all, lane...)
			for _, p := range lane {
				if i > 0 && sharesCgroups(p) {
					t.Errorf("%d lanes: %s is not in the first", n, p)
				}
			}
		}
		slices.Sort(all)
		want := slices.Sorted(slices.Values(programs))
		if !slices.Equal(all, want) || len(got) > n {
			t.Errorf("%d lanes: got %v", n, got)
		}
	}
}

func TestCreatedIDs(t *testing.T) {
	log := "create --bundle /b\nstate x\ncreate --pid-file /p --bundle /b one\nstart one\n" +
		"create --bundle /b two\ncreate --bundle /b one\ndelete one\n"
	if got := createdIDs(log); !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("got %q", got)
	}
}

func TestAbortReplacesMissingPlan(t *testing.T) {
	r := result{Problems: []string{noPlan, "in the container: " + noPlan}}
	r.abort("exit status 1", "first\n\nsecond\nthird\nfourth 123456789\n")
	want := []string{"in the container: " + noPlan, "exit status 1: second; third; fourth <number>"}
	if !slices.Equal(r.Problems, want) {
		t.Errorf("got %q, want %q", r.Problems, want)
	}
	r = result{}
	r.abort("exit status 2", "")
	if !slices.Equal(r.Problems, []string{"exit status 2"}) {
		t.Errorf("got %q", r.Problems)
	}
}

func TestQuote(t *testing.T) {
	if got := quote("it's"); got != `'it'\''s'` {
		t.Errorf("got %s", got)
	}
}
