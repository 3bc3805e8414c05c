package integration

import (
	"os"
	"strings"
	"testing"
)

// Until its packages are initialised the front is tied to one processor (package
// entry). Then it is not any more, nor is anything that it starts.
func TestEntryGivesProcessorsBack(t *testing.T) {
	own := processors(t, "/proc/self/status")
	if !strings.ContainsAny(own, ",-") {
		t.Skipf("this host has one processor: %s", own)
	}
	last := own[strings.LastIndexAny(own, ",-")+1:]
	for want, wrap := range map[string][]string{own: nil, last: {"taskset", "-c", last}} {
		b, shell, log := hookBox(t)
		setHooks(b.spec, "createRuntime", script(shell, log, `cat /proc/$$/status >`+log+`/hook; for t in /proc/$PPID/task/*; do cat $t/status >`+log+`/thread-${t##*/}; done`))
		b.wrap = wrap
		b.probe()
		expect(t, "a hook's processors", processors(t, log+"/hook"), want)
		files, err := os.ReadDir(log)
		if err != nil {
			t.Fatal(err)
		}
		threads := 0
		for _, f := range files {
			if strings.HasPrefix(f.Name(), "thread-") {
				threads++
				expect(t, "the processors of a thread of tare", processors(t, log+"/"+f.Name()), want)
			}
		}
		if threads < 2 {
			t.Errorf("tare has %d threads, want those of the Go runtime", threads)
		}
	}
}

// processors reads Cpus_allowed_list from a status file, proc_pid_status(5).
func processors(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "Cpus_allowed_list:")
	list, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(list)
}
