package integration

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

// TestCgroupCalls counts the system calls that a container's life costs in one
// hierarchy: one finds it, five make the directory and open what it is joined by,
// four join and close that, four remove (docs/cgroups.md, Cost). It is joined by one
// write of 0 to tasks; nobody is moved by cgroup.procs.
func TestCgroupCalls(t *testing.T) {
	if !isTare {
		t.Skip("the numbers are tare's")
	}
	strace, err := exec.LookPath("strace")
	need(t, "strace", err)
	b := newBox(t, prober("quiet"))
	v1Only(t, "freezer") // one v2 directory has every controller's limits
	at, _ := b.hierarchyOf("freezer")
	b.writeConfig()
	trace := b.dir + "/io/trace"
	b.wrap = []string{strace, "-f", "-qq", "-y", "-o", trace}
	if r := b.call("run", "--bundle", b.bundle, b.id); r.Code != 0 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	b.wrap = nil
	call := regexp.MustCompile(`^\d+ +(\w+)\(`)
	counts, total := map[string]int{}, 0
	var lines strings.Builder
	for line := range strings.Lines(readText(t, trace)) {
		m := call.FindStringSubmatch(line)
		if m == nil || !strings.Contains(line, at+">") && !strings.Contains(line, at+"/"+b.id) && !strings.Contains(line, `"`+at+`"`) {
			continue
		}
		// What the descriptor's number stood for in the parent is not of interest.
		if m[1] == "dup3" && !strings.Contains(strings.Split(line, ",")[0], at) {
			continue
		}
		counts[m[1]]++
		total++
		lines.WriteString(line)
	}
	delete(counts, "fcntl")
	for name, want := range map[string]int{"mkdirat": 1, "unlinkat": 1, "write": 1, "getdents64": 0, "read": 0} {
		expect(t, "calls of "+name, counts[name], want)
	}
	if strings.Contains(lines.String(), "cgroup.procs") {
		t.Error("cgroup.procs was opened")
	}
	if total > 15 { // a descriptor may have to be moved out of the way of another
		t.Errorf("%d system calls for one hierarchy, expected 14", total)
	}
	t.Logf("%d system calls for one hierarchy: %v", total, counts)
	if t.Failed() {
		t.Log(lines.String())
	}
	b.nothingLeft()
}
