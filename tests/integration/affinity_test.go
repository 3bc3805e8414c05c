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

// What was never asked for is not asked for now: when the cpuset that tare is called in
// gets more processors, so does what tare has started there.
func TestEntryProcessorsGrow(t *testing.T) {
	own := processors(t, "/proc/self/status")
	const top = "/sys/fs/cgroup/cpuset"
	if _, err := os.Stat(top + "/cpuset.cpus"); err != nil || !strings.ContainsAny(own, ",-") {
		t.Skipf("this host lacks cpuset of cgroup v1 (%v), or a second processor: %s", err, own)
	}
	last := own[strings.LastIndexAny(own, ",-")+1:]
	b, shell, log := hookBox(t)
	set := top + "/" + b.id + "-caller"
	b.must(os.Mkdir(set, 0o755))
	t.Cleanup(func() { b.must(os.Remove(set)) })
	mems, err := os.ReadFile(top + "/cpuset.mems")
	b.must(err)
	b.must(os.WriteFile(set+"/cpuset.mems", mems, 0))
	b.must(os.WriteFile(set+"/cpuset.cpus", []byte(last), 0))
	setHooks(b.spec, "createRuntime", script(shell, log, `cat /proc/$$/status >`+log+`/before; echo `+own+` >`+set+`/cpuset.cpus; cat /proc/$$/status >`+log+`/after`))
	b.wrap = []string{shell, "sh", "-c", `echo $$ >` + set + `/cgroup.procs; exec "$@"`, "sh"}
	b.probe()
	expect(t, "processors in the small cpuset", processors(t, log+"/before"), last)
	expect(t, "processors once it has grown", processors(t, log+"/after"), own)
}
