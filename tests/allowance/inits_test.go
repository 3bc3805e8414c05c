package allowance

import (
	"bytes"
	"os/exec"
	"regexp"
	"strconv"
	"testing"
)

var initLine = regexp.MustCompile(`(?m)^init (\S+) @.* clock, (\d+) bytes, (\d+) allocs$`)

// Every command pays for what packages do before main. Bytes and allocations of
// their initialization are the same in every run; its time is not.
func TestPackagesBeforeMainStayWithinTheAllowance(t *testing.T) {
	got := map[string]initial{}
	for range repeats { // the hash seed of the process decides when a map grows
		for name, g := range initials(t) {
			if l, ok := got[name]; ok {
				g = initial{Allocations: min(g.Allocations, l.Allocations), Bytes: min(g.Bytes, l.Bytes)}
			}
			got[name] = g
		}
	}
	a := recorded(t)
	if *update {
		a.Inits = got
		a.write(t)
		return
	}
	for name, g := range got {
		w, ok := a.Inits[name]
		if !ok {
			t.Errorf("package %s runs before main and is not in %s: make what it prepares on first use, or do without it", name, file)
			continue
		}
		within(t, name+": allocations before main", int64(g.Allocations), int64(w.Allocations), 0)
		within(t, name+": bytes before main", int64(g.Bytes), int64(w.Bytes), percent(int64(w.Bytes), 3))
	}
}

// initials reads what each package does before main.
func initials(t *testing.T) map[string]initial {
	t.Helper()
	cmd := exec.Command(built(t, "tare"), "--version")
	cmd.Env = []string{"GODEBUG=inittrace=1", "PATH=/usr/bin:/bin"}
	var trace bytes.Buffer
	cmd.Stderr = &trace
	if err := cmd.Run(); err != nil {
		t.Fatalf("tare --version: %v\n%s", err, trace.String())
	}
	got := map[string]initial{}
	for _, m := range initLine.FindAllStringSubmatch(trace.String(), -1) {
		size, _ := strconv.Atoi(m[2]) // the pattern has only digits
		allocs, _ := strconv.Atoi(m[3])
		got[m[1]] = initial{Allocations: allocs, Bytes: size}
	}
	if len(got) < 5 {
		t.Fatalf("no trace of the initialization:\n%s", trace.String())
	}
	return got
}
